#include <criterion/criterion.h>

#include <semaphore.h>
#include <stdlib.h>

#include "proto/io/loop.h"
#include "proto/io/worker.h"

enum { ITEMS = 1000, MAX = 8 };

struct item {
	struct ota_work work; /* first */
	unsigned number;
	bool worked;
};

static uv_loop_t loop;
static struct ota_worker *worker;
static struct item items[ITEMS];
static unsigned given, done, released, closed, close_after;
static uv_thread_t loop_thread;

/* The thread passes a gate before each item, if there is one. */
static bool gated;
static sem_t gate, begun;

static void work(struct ota_work *work)
{
	struct item *item = (struct item *)work;
	uv_thread_t self = uv_thread_self();

	cr_assert_not(uv_thread_equal(&self, &loop_thread));
	if (gated) {
		(void)sem_post(&begun);
		(void)sem_wait(&gate);
	}
	item->worked = true;
}

static void on_closed(void *ctx)
{
	cr_expect_eq(ctx, &closed);
	closed++;
}

static enum ota_code give(void)
{
	enum ota_code rc = ota_worker_give(worker, &items[given].work);

	if (rc == OTA_OK)
		given++;
	return rc;
}

static void on_done(void *ctx, struct ota_work *work)
{
	const struct item *item = (struct item *)work;

	cr_expect_eq(ctx, &done);
	cr_expect(item->worked);
	cr_expect_eq(item - items, done);
	if (++done == close_after)
		ota_worker_close(worker, on_closed, &closed);
	else if (given < ITEMS)
		cr_expect_eq(give(), OTA_OK);
}

static void on_release(void *ctx, struct ota_work *work)
{
	cr_expect_eq(ctx, &done);
	cr_expect_eq((struct item *)work - items, done + released);
	released++;
}

static void open_worker(bool with_gate, size_t max)
{
	static const struct ota_worker_calls calls = { work, on_done, on_release };

	gated = with_gate;
	loop_thread = uv_thread_self();
	cr_assert_eq(sem_init(&gate, 0, 0), 0);
	cr_assert_eq(sem_init(&begun, 0, 0), 0);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(ota_worker_new(&loop, &calls, &done, max, &worker), OTA_OK);
}

static void run(void)
{
	cr_expect_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&loop), 0);
	cr_expect_eq(closed, 1);
}

Test(worker, items_come_back_done_in_the_order_they_went_in)
{
	close_after = ITEMS;
	open_worker(false, MAX);
	while (give() == OTA_OK)
		continue;
	run();
	cr_expect_eq(done, ITEMS);
	cr_expect_eq(released, 0);
}

Test(worker, it_takes_no_more_than_its_bound_until_the_loop_is_told)
{
	close_after = MAX + 1;
	open_worker(false, MAX);
	for (unsigned i = 0; i < MAX; i++)
		cr_assert_eq(give(), OTA_OK);
	/* The thread may have done all of them: it is the loop that makes room. */
	cr_expect_eq(give(), OTA_E_BUSY);
	cr_expect_eq(given, MAX);
	run();
	cr_expect_eq(done, MAX + 1);
}

Test(worker, closed_while_full_it_ends_its_item_and_releases_the_rest)
{
	open_worker(true, MAX);
	while (give() == OTA_OK)
		continue;
	(void)sem_wait(&begun);
	for (unsigned i = 0; i < MAX; i++) /* however many it begins before it sees */
		(void)sem_post(&gate);
	ota_worker_close(worker, on_closed, &closed);
	cr_expect_eq(released, MAX);
	cr_expect(items[0].worked);
	run();
	cr_expect_eq(done, 0);
}

Test(worker, it_may_be_closed_by_what_it_tells)
{
	close_after = 3;
	open_worker(false, MAX);
	while (give() == OTA_OK)
		continue;
	run();
	cr_expect_eq(done, 3);
	cr_expect_eq(done + released, given);
}

static void count_turn(uv_prepare_t *turn)
{
	unsigned *turns = turn->data;

	++*turns;
	if (done == ITEMS)
		uv_close((uv_handle_t *)turn, NULL);
}

/* All of them are done before the loop is told of the first. */
Test(worker, others_of_the_loop_have_their_turn_between_many_items)
{
	uv_prepare_t turn;
	unsigned turns = 0;

	close_after = ITEMS;
	open_worker(true, ITEMS);
	cr_assert_eq(uv_prepare_init(&loop, &turn), 0);
	turn.data = &turns;
	cr_assert_eq(uv_prepare_start(&turn, count_turn), 0);
	for (unsigned i = 0; i < ITEMS; i++) {
		cr_assert_eq(give(), OTA_OK);
		(void)sem_post(&gate);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		(void)sem_wait(&begun);
	run();
	cr_expect_geq(turns, ITEMS / OTA_WORKER_TURN, "%u turns", turns);
}

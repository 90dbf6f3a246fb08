/* What threads share, for a thread sanitizer, under which Criterion does not start:
 *
 *     CC=clang meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
 *     meson test -C build-tsan threads
 *
 * Items go through a worker and an inbox at once, and the worker is closed half way.
 * Those of the inbox count as messages that wait, and who sends is held back. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/io/loop.h"
#include "proto/io/mqtt_hold.h"
#include "proto/io/worker.h"

enum {
	ITEMS = 20 * 1000,
	MAX = 64,
	SENDERS = 3,
	LEN = 100 * 1024, /* of a message that is sent */
	WAIT_MS = 1000,
	WAITING_MAX = OTA_HOLD_LEN_MAX / (LEN + OTA_HOLD_COST) + SENDERS
};

struct item {
	struct ota_work work; /* first */
	unsigned number;
	uint64_t sum; /* what work makes of it */
};

static struct world {
	struct ota_worker *worker;
	struct ota_inbox *inbox;
	unsigned given, done, released, received, senders_done;
	unsigned close_after;
	atomic_uint waiting; /* messages */
} world;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "threads: %s\n", what);
	exit(1);
}

static void work(struct ota_work *work)
{
	struct item *item = (struct item *)work;

	for (unsigned i = 0; i <= item->number % 100; i++)
		item->sum += i;
}

static void give(void)
{
	struct item *item = calloc(1, sizeof *item);

	must(item != NULL, "memory");
	item->number = world.given;
	if (ota_worker_give(world.worker, &item->work) == OTA_OK)
		world.given++;
	else
		free(item);
}

static void on_done(void *ctx, struct ota_work *work)
{
	struct item *item = (struct item *)work;
	uint64_t n = item->number % 100;

	must(ctx == &world && item->number == world.done, "order");
	must(item->sum == n * (n + 1) / 2, "work");
	free(item);
	if (++world.done == world.close_after)
		ota_worker_close(world.worker, NULL, NULL);
	else
		give();
}

static void on_release(void *ctx, struct ota_work *work)
{
	must(ctx == &world, "context");
	world.released++;
	free(work);
}

static void send_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ITEMS; i++) {
		unsigned *number = malloc(sizeof *number);

		must(number != NULL, "memory");
		*number = i;
		while (!ota_hold_wait(WAIT_MS))
			continue;
		ota_hold_add(LEN);
		must(atomic_fetch_add(&world.waiting, 1) < WAITING_MAX, "the bound");
		must(ota_inbox_put(world.inbox, number) == OTA_OK, "memory");
	}
}

static void receive(void *ctx, void *item)
{
	must(ctx == &world, "context");
	world.senders_done += *(unsigned *)item == ITEMS - 1;
	free(item);
	(void)atomic_fetch_sub(&world.waiting, 1);
	ota_hold_release(LEN);
	world.received++;
	if (world.senders_done == SENDERS)
		ota_inbox_close(world.inbox, free);
}

static void run(unsigned close_after)
{
	static const struct ota_worker_calls calls = { work, on_done, on_release };
	uv_thread_t senders[SENDERS];
	uv_loop_t loop;

	world = (struct world){ .close_after = close_after };
	must(uv_loop_init(&loop) == 0, "loop");
	must(ota_inbox_new(&loop, receive, &world, &world.inbox) == OTA_OK, "inbox");
	must(ota_worker_new(&loop, &calls, &world, MAX, &world.worker) == OTA_OK,
		"worker");
	for (unsigned i = 0; i < SENDERS; i++)
		must(uv_thread_create(&senders[i], send_all, NULL) == 0, "thread");
	for (unsigned i = 0; i < MAX; i++)
		give();
	must(uv_run(&loop, UV_RUN_DEFAULT) == 0, "run");
	for (unsigned i = 0; i < SENDERS; i++)
		must(uv_thread_join(&senders[i]) == 0, "join");
	must(uv_loop_close(&loop) == 0, "something is left in the loop");
	must(world.received == SENDERS * ITEMS, "received");
	must(world.done == close_after, "done");
	must(world.done + world.released == world.given, "released");
}

int main(void)
{
	run(ITEMS);
	run(ITEMS / 2 + 7);
	return 0;
}

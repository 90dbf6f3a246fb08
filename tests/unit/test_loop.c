#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "proto/io/loop.h"

enum { THREADS = 4, ITEMS = 500 };

struct item {
	unsigned thread, number;
};

struct world {
	uv_loop_t loop;
	struct ota_inbox *inbox;
	unsigned next[THREADS]; /* the number expected of each thread */
	unsigned taken, released, close_after;
};

static struct world world;

static void release(void *item)
{
	world.released++;
	free(item);
}

static void take(void *ctx, void *arg)
{
	struct item *item = arg;

	cr_expect_eq(ctx, &world);
	cr_expect_eq(item->number, world.next[item->thread]++);
	free(item);
	if (++world.taken == world.close_after)
		ota_inbox_close(world.inbox, release);
}

static void put(unsigned thread, unsigned number)
{
	struct item *item = malloc(sizeof *item);

	cr_assert_not_null(item);
	*item = (struct item){ thread, number };
	cr_assert_eq(ota_inbox_put(world.inbox, item), OTA_OK);
}

static void send_all(void *arg)
{
	unsigned *thread = arg;

	for (unsigned i = 0; i < ITEMS; i++)
		put(*thread, i);
}

static void open_world(unsigned close_after)
{
	world.close_after = close_after;
	cr_assert_eq(uv_loop_init(&world.loop), 0);
	cr_assert_eq(ota_inbox_new(&world.loop, take, &world, &world.inbox), OTA_OK);
}

Test(inbox, items_of_every_thread_arrive_in_order)
{
	uv_thread_t threads[THREADS];
	unsigned numbers[THREADS];

	open_world(THREADS * ITEMS);
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		cr_assert_eq(uv_thread_create(&threads[i], send_all, &numbers[i]), 0);
	}
	cr_expect_eq(uv_run(&world.loop, UV_RUN_DEFAULT), 0);
	for (unsigned i = 0; i < THREADS; i++)
		cr_assert_eq(uv_thread_join(&threads[i]), 0);
	cr_expect_eq(world.taken, THREADS * ITEMS);
	cr_expect_eq(uv_loop_close(&world.loop), 0);
}

static void count_turn(uv_prepare_t *turn)
{
	unsigned *turns = turn->data;

	++*turns;
	if (world.taken == ITEMS)
		uv_close((uv_handle_t *)turn, NULL);
}

Test(inbox, others_of_the_loop_have_their_turn_between_many_items)
{
	uv_prepare_t turn;
	unsigned turns = 0;

	open_world(ITEMS);
	cr_assert_eq(uv_prepare_init(&world.loop, &turn), 0);
	turn.data = &turns;
	cr_assert_eq(uv_prepare_start(&turn, count_turn), 0);
	for (unsigned i = 0; i < ITEMS; i++)
		put(0, i);
	cr_expect_eq(uv_run(&world.loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(world.taken, ITEMS);
	cr_expect_geq(turns, ITEMS / OTA_INBOX_TURN, "%u turns", turns);
	cr_expect_eq(uv_loop_close(&world.loop), 0);
}

Test(inbox, what_is_left_at_the_close_is_released)
{
	open_world(3);
	for (unsigned i = 0; i < 10; i++)
		put(0, i);
	cr_expect_eq(uv_run(&world.loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(world.taken, 3);
	cr_expect_eq(world.released, 7);
	cr_expect_eq(uv_loop_close(&world.loop), 0);
}

Test(clock, monotonic_time_does_not_go_back)
{
	uint64_t last_ms = ota_clock_mono_ms();

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now_ms = ota_clock_mono_ms();

		cr_assert_geq(now_ms, last_ms);
		last_ms = now_ms;
	}
}

Test(clock, the_minute_of_the_day_follows_the_time_zone)
{
	uint32_t utc_min, zone_min;

	cr_assert_eq(setenv("TZ", "UTC0", 1), 0);
	utc_min = ota_clock_local_min();
	cr_assert_eq(setenv("TZ", "EAST-2", 1), 0);
	zone_min = ota_clock_local_min();
	cr_expect_lt(utc_min, 1440);
	/* A minute may have passed in between. */
	cr_expect_leq((zone_min + 1440 - utc_min - 120) % 1440, 1);
	cr_expect_gt(ota_clock_utc_s(), 1700000000);
}

Test(random, numbers_stay_below_their_bound_and_reach_all_below_it)
{
	static const uint32_t bounds[] = { 1, 2, 3, 7, 1000, 0x80000001u, UINT32_MAX };
	unsigned seen[3] = { 0 };

	for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
		for (unsigned n = 0; n < 200; n++)
			cr_assert_lt(ota_random_below(bounds[i]), bounds[i]);
	for (unsigned n = 0; n < 300; n++)
		seen[ota_random_below(3)]++;
	cr_expect(seen[0] > 50 && seen[1] > 50 && seen[2] > 50);
}

Test(random, bytes_differ_from_call_to_call)
{
	uint8_t a[300] = { 0 }, b[300] = { 0 };

	ota_random(a, sizeof a);
	ota_random(b, sizeof b);
	cr_expect_neq(memcmp(a, b, sizeof a), 0);
	cr_expect_neq(memcmp(a + 268, b + 268, 32), 0);
}

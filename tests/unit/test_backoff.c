#include <criterion/criterion.h>

#include "proto/base/backoff.h"

enum {
	SEEDS = 20,
	MIN_MS = 1000,
	MAX_MS = 60 * 1000, /* what a link to the broker has */
	HOUR_MS = 3600 * 1000,
	HOURS = 24,
	LINES_MAX = 100 /* of the log in an hour, should each failure say something new */
};

static uint64_t state;

static uint32_t random_bits(void)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(state >> 32);
}

Test(backoff, it_doubles_up_to_its_limit)
{
	static const uint32_t middles[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000,
		60000 };
	struct ota_backoff b = { .min_ms = MIN_MS, .max_ms = MAX_MS };

	for (unsigned i = 0; i < sizeof middles / sizeof middles[0]; i++)
		cr_expect_eq(ota_backoff_next(&b, UINT32_C(1) << 31), middles[i]);
	ota_backoff_reset(&b);
	cr_expect_eq(ota_backoff_next(&b, UINT32_C(1) << 31), MIN_MS);
}

Test(backoff, a_wait_is_half_to_one_and_a_half)
{
	struct ota_backoff low = { .min_ms = MIN_MS, .max_ms = MIN_MS }, high = low;

	cr_expect_eq(ota_backoff_next(&low, 0), MIN_MS / 2);
	cr_expect_eq(ota_backoff_next(&high, UINT32_MAX), MIN_MS * 3 / 2 - 1);
	cr_expect_eq(low.next_ms, MIN_MS);
}

Test(backoff, a_day_without_a_broker_is_never_a_hundred_tries_an_hour)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct ota_backoff b = { .min_ms = MIN_MS, .max_ms = MAX_MS };
		unsigned tries[HOURS] = { 0 };
		uint64_t now_ms = 0;

		state = seed;
		for (; now_ms / HOUR_MS < HOURS;
			now_ms += ota_backoff_next(&b, random_bits()))
			tries[now_ms / HOUR_MS]++;
		for (unsigned i = 0; i < HOURS; i++) {
			cr_expect_leq(tries[i], LINES_MAX, "seed %u, hour %u: %u",
				(unsigned)seed, i, tries[i]);
			cr_expect_geq(tries[i], HOUR_MS / (MAX_MS * 3 / 2));
		}
	}
}

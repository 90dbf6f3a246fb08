#include <criterion/criterion.h>

#include "orchestrator/cli/patience.h"

/* When the command line asks again. */

enum { START_MS = 1000000 };

/* The next wait; 0: none. */
static uint64_t next(
	struct patience *p, uint64_t now_ms, uint64_t asked_ms, unsigned chance)
{
	uint64_t wait_ms = 0;

	return patience_goes_on(p, now_ms, asked_ms, chance, &wait_ms) ? wait_ms : 0;
}

Test(patience, waits_grow_up_to_a_bound)
{
	static const uint64_t longest[] = { 299, 599, 1198, 2397, 4795, 4995, 4995 };
	struct patience p = { .until_ms = START_MS + 60000 };

	for (size_t i = 0; i < sizeof longest / sizeof longest[0]; i++) {
		uint64_t wait_ms = next(&p, START_MS, 0, PATIENCE_CHANCE - 1);

		cr_expect(wait_ms > longest[i] - 6 && wait_ms <= longest[i] + 3,
			"%zu: %lu", i, (unsigned long)wait_ms);
	}
	cr_expect_eq(p.tries, 7);
}

Test(patience, chance_makes_a_wait_up_to_twice_as_short)
{
	struct patience p = { .until_ms = START_MS + 60000 };

	cr_expect_eq(next(&p, START_MS, 0, 0), PATIENCE_FIRST_MS / 2);
	cr_expect_eq(
		next(&p, START_MS, 0, 500), PATIENCE_FIRST_MS + PATIENCE_FIRST_MS / 2);
}

Test(patience, what_the_server_asks_for_is_the_least)
{
	struct patience p = { .until_ms = START_MS + 60000 };

	cr_expect_eq(next(&p, START_MS, 12000, 0), 12000);
	cr_expect_eq(next(&p, START_MS, 12000, 500), 12000 + PATIENCE_FIRST_MS / 2);
	cr_expect_eq(next(&p, START_MS, 1, 0), 1);
}

Test(patience, all_of_it_is_within_a_time)
{
	struct patience p = { .until_ms = START_MS + 10000 },
			none = { .until_ms = START_MS };

	cr_expect_eq(next(&p, START_MS, 10001, 0), 0, "longer than there is");
	cr_expect_eq(next(&p, START_MS, UINT64_MAX, 0), 0);
	cr_expect_eq(next(&p, START_MS, UINT64_MAX - 1000, 999), 0);
	cr_expect_gt(next(&p, START_MS + 5000, 0, 0), 0);
	cr_expect_eq(next(&p, START_MS + 10000, 0, 0), 0);
	cr_expect_eq(next(&p, START_MS + 20000, 0, 0), 0);
	cr_expect_eq(next(&none, START_MS, 0, 0), 0);
}

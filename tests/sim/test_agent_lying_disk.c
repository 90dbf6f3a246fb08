#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/lying_world.h"

/* Ten thousand lives with two or three power cuts each. SLUICE_SEED=N lives one alone,
 * SLUICE_NIGHTLY=1 a million, SLUICE_SAMPLED=1 one in ten of either. */

enum { LIVES = 2500, LIVES_NIGHTLY = 250000, LIVES_UNTIL_SEEN = 20000, SAMPLE = 10 };

static struct lying_world lying;

static unsigned long lives(void)
{
	const char *nightly = getenv("SLUICE_NIGHTLY");
	unsigned long all = nightly != NULL && *nightly == '1' ? LIVES_NIGHTLY : LIVES;

	return getenv("SLUICE_SAMPLED") != NULL ? all / SAMPLE : all;
}

/* Live the seeds of one quarter of all. */
static void live_all(uint64_t quarter)
{
	const char *only = getenv("SLUICE_SEED");
	uint64_t first = quarter * LIVES_NIGHTLY, count = lives();
	unsigned long cuts = 0;

	if (only != NULL) {
		first = strtoull(only, NULL, 10);
		count = 1;
	}
	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *wrong = lying_live(&lying, seed, LYING_NONE, &cuts);

		cr_expect(wrong == NULL,
			"not so: %s. Again with SLUICE_SEED=%llu: boot %u, %s, %s", wrong,
			(unsigned long long)seed, lying.world.boots,
			ota_update_state_text(lying.world.report.state),
			lying.world.report.error_text);
		if (wrong != NULL)
			return;
	}
	cr_expect(only != NULL || cuts >= 2 * count,
		"the power was cut %lu times in %llu lives", cuts,
		(unsigned long long)count);
	(void)fprintf(stderr, "# %llu lives, %lu power cuts\n", (unsigned long long)count,
		cuts);
}

Test(agent_lying_disk, whatever_a_cut_leaves_the_device_gets_to_its_end_1)
{
	live_all(0);
}

Test(agent_lying_disk, whatever_a_cut_leaves_the_device_gets_to_its_end_2)
{
	live_all(1);
}

Test(agent_lying_disk, whatever_a_cut_leaves_the_device_gets_to_its_end_3)
{
	live_all(2);
}

Test(agent_lying_disk, whatever_a_cut_leaves_the_device_gets_to_its_end_4)
{
	live_all(3);
}

/* Lives until a mistake in the port is seen, or 0. */
static unsigned long lives_until_seen(enum lying_bug bug, const char **wrong)
{
	unsigned long cuts = 0;

	for (uint64_t seed = 0; seed < LIVES_UNTIL_SEEN; seed++) {
		*wrong = lying_live(&lying, seed, bug, &cuts);
		if (*wrong != NULL)
			return (unsigned long)seed + 1;
	}
	return 0;
}

Test(agent_lying_disk, each_planted_mistake_is_seen)
{
	for (unsigned bug = LYING_NONE + 1; bug < N_LYING_BUGS; bug++) {
		const char *wrong, *text = lying_bug_text((enum lying_bug)bug);
		unsigned long seen = lives_until_seen((enum lying_bug)bug, &wrong);

		cr_expect_gt(seen, 0, "not seen: %s", text);
		if (seen > 0)
			(void)fprintf(stderr, "# %s: seen after %lu lives, not so: %s\n",
				text, seen, wrong);
	}
}

/* One seed is one life, to the last operation of the disk. */
Test(agent_lying_disk, the_same_seed_is_the_same_life)
{
	unsigned long ops[2], reports[2], cuts = 0;

	for (unsigned i = 0; i < 2; i++) {
		(void)lying_live(&lying, 4711, LYING_NONE, &cuts);
		ops[i] = lying.disk.ops;
		reports[i] = lying.world.reports;
	}
	cr_expect_eq(ops[0], ops[1]);
	cr_expect_eq(reports[0], reports[1]);
	cr_expect_gt(ops[0], 50);
}

#include <criterion/criterion.h>

#include "orchestrator/core/wave.h"

/* Devices in buckets 10, 10, 200 and 999. */
static struct wave_buckets four(void)
{
	struct wave_buckets buckets = { .count = { [10] = 2, [200] = 1, [999] = 1 } };

	return buckets;
}

struct row {
	uint64_t count;
	struct wave_share share; /* permille, least, devices */
};

static const struct row rows[] = {
	{ 1, { 200, 11, 2 } }, /* the smallest that admits any */
	{ 2, { 200, 11, 2 } },
	{ 3, { 999, 201, 3 } },
	{ 4, { 1000, 1000, 4 } },
	{ 5, { 1000, 1000, 4 } },
};

Test(wave, a_count_becomes_the_largest_share_that_holds_no_more)
{
	const struct wave_buckets buckets = four();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wave_share share = wave_of_count(&buckets, rows[i].count);

		cr_expect_eq(share.permille, rows[i].share.permille, "row %zu: %u", i,
			share.permille);
		cr_expect_eq(
			share.least, rows[i].share.least, "row %zu: %u", i, share.least);
		cr_expect_eq(share.devices, rows[i].share.devices, "row %zu", i);
	}
}

Test(wave, both_shares_admit_the_same_devices)
{
	const struct wave_buckets buckets = four();

	for (uint64_t count = 1; count <= 5; count++) {
		struct wave_share share = wave_of_count(&buckets, count);

		cr_expect_eq(wave_admitted(&buckets, share.permille), share.devices);
		cr_expect_eq(wave_admitted(&buckets, share.least), share.devices);
		cr_expect_lt(wave_admitted(&buckets, share.least - 1), share.devices);
	}
}

Test(wave, an_empty_cohort_opens_nothing_to_newcomers)
{
	const struct wave_buckets none = { { 0 } };
	struct wave_share share = wave_of_count(&none, 5);

	cr_expect_eq(share.permille, 0);
	cr_expect_eq(share.devices, 0);
}

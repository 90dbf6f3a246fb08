#include <criterion/criterion.h>

#include <math.h>

#include "orchestrator/core/gate.h"

/* The test that compares updated devices with the others, as numbers, and what it
 * promises over many seeds. */

static const struct rollout_gates gates = {
	.p0_ppm = 5000,
	.p1_ppm = 50000,
	.alpha_ppm = 10000,
	.beta_ppm = 10000,
	.success_permille = 950,
	.terminal_permille = 950,
	.worse_permille = 3000,
	.worse_cap = 2,
};

Test(worse, an_incident_counts_by_how_likely_it_was_to_fall_where_it_did)
{
	struct worse_risk risk = { .updated = 10, .others = 30 };
	struct worse_test test = { 0 };

	cr_assert(worse_count(&test, &gates, &risk, true)); /* ln (0.5 / 0.25) */
	cr_expect_eq(test.llr_micro, 693147);
	cr_assert(worse_count(&test, &gates, &risk, false)); /* ln (0.5 / 0.75) */
	cr_expect_eq(test.llr_micro, 693147 - 405465);
	cr_expect_eq(test.expected_milli, 500);
	cr_expect_eq(test.updated, 1);
	cr_expect_eq(test.others, 1);
	cr_expect_eq(worse_ratio_milli(&test), 3000, "1 of 0.5 against 1 of 1.5");
}

Test(worse, where_a_group_is_empty_or_the_test_is_off_nothing_counts)
{
	static const struct worse_risk risks[] = { { 0, 5 }, { 5, 0 }, { 0, 0 } };
	struct rollout_gates off = gates;
	struct worse_test test = { 0 };

	for (size_t i = 0; i < 3; i++) {
		cr_expect_not(worse_count(&test, &gates, &risks[i], true));
		cr_expect_eq(worse_incidents(&gates, &risks[i]), 0);
	}
	off.worse_permille = 0;
	cr_expect_not(worse_count(&test, &off, &(struct worse_risk){ 5, 5 }, true));
	cr_expect_eq(test.llr_micro, 0);
	cr_expect_eq(worse_ratio_milli(&test), 0);
	test.llr_micro = gate_llr_halt(&off);
	cr_expect_not(worse_is_met(&test, &off));
	cr_expect(worse_is_met(&test, &gates));
}

Test(worse, a_long_good_past_does_not_hide_what_comes)
{
	struct worse_test test = { 0 };

	for (int i = 0; i < 1000; i++)
		(void)worse_count(
			&test, &gates, &(struct worse_risk){ 50, 50 }, i % 4 == 0);
	cr_expect_geq(test.llr_micro, -gate_llr_halt(&gates));
}

Test(worse, the_gate_halts_and_says_what_was_seen)
{
	struct gate_case c = { .gates = &gates,
		.stage = "canary",
		.counts = { .confirmed = 5 },
		.worse = { gate_llr_halt(&gates), 7, 2, 3100 } };
	struct gate_verdict v = gate_judge(&c);

	cr_expect_eq(v.move, GATE_HALT);
	cr_expect_eq(v.code, OTA_E_WORSE);
	cr_expect_str_eq(v.text,
		"stage canary: of 9 incidents 7 were on updated devices and 3.1 to be "
		"expected there, more than chance allows (test at 4.6, bound 4.6)");
	c.worse.llr_micro--;
	cr_expect_eq(gate_judge(&c).move, GATE_PASS);
}

/* ---- what it promises, over seeds */

enum { DEVICES = 200, STAGES = 3, INCIDENTS = 80 /* of a stage */, REMEMBERED = 8 };

struct dice {
	uint64_t state;
};

static double roll(struct dice *dice)
{
	dice->state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = dice->state;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

struct herd {
	double rate[DEVICES];     /* of incidents; one device in twenty flaps */
	unsigned before[DEVICES]; /* incidents so far, as far as they are remembered */
	unsigned had[DEVICES];    /* in this stage */
	unsigned updated;         /* the first so many: who is first is chance */
};

/* Whose incident comes next; the rate of an updated device is so many times its own. */
static unsigned next_one(const struct herd *h, double ratio, struct dice *dice)
{
	double sum = 0, at;

	for (unsigned i = 0; i < DEVICES; i++)
		if (h->had[i] < gates.worse_cap)
			sum += h->rate[i] * (i < h->updated ? ratio : 1);
	at = roll(dice) * sum;
	for (unsigned i = 0; i < DEVICES; i++) {
		if (h->had[i] >= gates.worse_cap)
			continue;
		at -= h->rate[i] * (i < h->updated ? ratio : 1);
		if (at <= 0)
			return i;
	}
	return DEVICES - 1;
}

static struct worse_risk risk_of(const struct herd *h)
{
	struct worse_risk risk = { 0 };

	for (unsigned i = 0; i < DEVICES; i++)
		if (h->had[i] < gates.worse_cap) {
			risk.updated += i < h->updated ? 1 + h->before[i] : 0;
			risk.others += i >= h->updated ? 1 + h->before[i] : 0;
		}
	return risk;
}

/* past: incidents of a device that does not flap, before the rollout. Who flaps does so
 * before, too: that is what it is known by. */
static void make(struct herd *h, double past, struct dice *dice)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		h->rate[i] = roll(dice) < 0.05 ? 20 : 1;
		for (double t = -log(roll(dice)); t < past * h->rate[i];
			t -= log(roll(dice)))
			h->before[i] += h->before[i] < REMEMBERED;
	}
}

/* Incidents until it halts, looked at after each; 0: it never does. */
static unsigned live(uint64_t seed, double past, double ratio)
{
	static const unsigned stages[STAGES] = { 10, 40, 120 };
	struct dice dice = { seed };
	struct herd h = { 0 };
	struct worse_test test = { 0 };

	make(&h, past, &dice);
	for (unsigned s = 0; s < STAGES; s++) {
		for (unsigned i = 0; i < DEVICES; i++)
			h.had[i] = 0;
		h.updated = stages[s];
		for (unsigned n = 1; n <= INCIDENTS; n++) {
			struct worse_risk risk = risk_of(&h);
			unsigned who = next_one(&h, ratio, &dice);

			(void)worse_count(&test, &gates, &risk, who < h.updated);
			h.had[who]++;
			h.before[who] += h.before[who] < REMEMBERED;
			if (worse_is_met(&test, &gates))
				return s * INCIDENTS + n;
		}
	}
	return 0;
}

static unsigned halts(double past, double ratio, unsigned seeds, double *incidents)
{
	unsigned count = 0, sum = 0;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		unsigned n = live(seed, past, ratio);

		count += n > 0;
		sum += n;
	}
	*incidents = count > 0 ? (double)sum / count : 0;
	return count;
}

Test(worse, a_release_that_changes_nothing_is_halted_no_more_often_than_alpha_says)
{
	static const double pasts[] = { 0, 0.1, 0.5, 1 };
	double incidents;

	for (size_t i = 0; i < sizeof pasts / sizeof pasts[0]; i++) {
		unsigned count = halts(pasts[i], 1, 2000, &incidents);

		cr_expect_leq(count, 20, "%u of 2000 at past %g", count, pasts[i]);
	}
}

Test(worse, a_release_five_times_worse_is_found_and_soon)
{
	double incidents;
	unsigned count = halts(0.5, 5, 500, &incidents);

	cr_expect_geq(count, 495, "%u", count);
	cr_expect_lt(incidents, 60, "%.0f", incidents);
	cr_expect_geq(
		halts(0, 5, 500, &incidents), 495, "and where nobody knows who flaps");
}

Test(worse, a_release_three_times_worse_is_found_nearly_always)
{
	double incidents;
	unsigned count = halts(0.5, 3, 500, &incidents);

	cr_expect_geq(count, 450, "%u", count);
}

/* Wald's average sample number is what `sluice plan` shows. */
Test(worse, the_incidents_it_takes_are_about_those_that_are_foretold)
{
	struct worse_risk risk = { .updated = 100, .others = 100 };
	double sum = 0, foretold = worse_incidents(&gates, &risk);

	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct dice dice = { seed };
		struct worse_test test = { 0 };

		while (!worse_is_met(&test, &gates)) {
			(void)worse_count(&test, &gates, &risk, roll(&dice) < 0.75);
			sum++;
		}
	}
	sum /= 400;
	cr_expect(sum > 0.8 * foretold && sum < 1.3 * foretold, "%.1f, foretold %.1f",
		sum, foretold);
}

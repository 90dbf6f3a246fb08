#include "orchestrator/core/worse.h"

#include <math.h>

#include "orchestrator/core/gate.h"

enum { MILLI = 1000, MICRO = 1000000 };

struct odds {
	double p0, p1; /* that an incident falls on an updated device */
};

static struct odds odds_of(
	const struct rollout_gates *gates, const struct worse_risk *risk)
{
	double ratio = (double)gates->worse_permille / OTA_PERMILLE_ALL;
	double updated = (double)risk->updated, others = (double)risk->others;

	return (struct odds){ .p0 = updated / (updated + others),
		.p1 = ratio * updated / (ratio * updated + others) };
}

static bool tells_nothing(
	const struct rollout_gates *gates, const struct worse_risk *risk)
{
	return gates->worse_permille == 0 || risk->updated == 0 || risk->others == 0;
}

bool worse_count(struct worse_test *test, const struct rollout_gates *gates,
	const struct worse_risk *risk, bool updated)
{
	struct odds odds;
	int64_t floor = -gate_llr_halt(gates);

	if (tells_nothing(gates, risk))
		return false;
	odds = odds_of(gates, risk);
	test->llr_micro +=
		llround(MICRO * (updated ? log(odds.p1 / odds.p0)
					 : log((1 - odds.p1) / (1 - odds.p0))));
	if (test->llr_micro < floor)
		test->llr_micro = floor;
	test->expected_milli += (uint64_t)llround(odds.p0 * MILLI);
	test->updated += updated;
	test->others += !updated;
	return true;
}

bool worse_is_met(const struct worse_test *test, const struct rollout_gates *gates)
{
	return gates->worse_permille != 0 && test->llr_micro >= gate_llr_halt(gates);
}

uint64_t worse_ratio_milli(const struct worse_test *test)
{
	double all = (double)(test->updated + test->others);
	double expected = (double)test->expected_milli / MILLI;

	if (test->others == 0 || expected <= 0)
		return 0;
	return (uint64_t)llround(MILLI * (double)test->updated / expected *
				 (all - expected) / (double)test->others);
}

double worse_incidents(const struct rollout_gates *gates, const struct worse_risk *risk)
{
	double bound = (double)gate_llr_halt(gates) / MICRO;
	double beta = (double)gates->beta_ppm / MICRO;
	double per_incident;
	struct odds o;

	if (tells_nothing(gates, risk))
		return 0;
	o = odds_of(gates, risk);
	per_incident =
		o.p1 * log(o.p1 / o.p0) + (1 - o.p1) * log((1 - o.p1) / (1 - o.p0));
	return ((1 - beta) * bound - beta * bound) / per_incident;
}

#ifndef ORCHESTRATOR_CORE_WORSE_H
#define ORCHESTRATOR_CORE_WORSE_H

/* A release may be installed everywhere and still be worse than the one before: devices
 * reboot, drop off the line or fall back later. This compares the devices that run it
 * with those of the rollout that do not yet, at the same time. Nothing here knows devices
 * or time; which incidents count is told in health.h.
 *
 * Given that an incident happens now, it falls on an updated device with the probability
 * p0 = U / (U + O) if the release changes nothing, where U and O are the weights of the
 * devices that could have had it: each counts once, and once more for each incident it
 * has had so far, so that one that flaps is known to (without that, devices that differ
 * break the promise below: test_worse.c). If the release makes them ratio times as
 * frequent, it is p1 = ratio U / (ratio U + O). This is the partial likelihood of Cox
 * (1972), incident by incident, as in a log-rank test; what both groups suffer together,
 * and when, drops out of it.
 *
 * Between the two decides Wald's sequential probability ratio test (1945): an incident on
 * an updated device moves the log likelihood ratio by ln(p1/p0), one on another device by
 * ln((1-p1)/(1-p0)); at ln((1-beta)/alpha) the release is worse. It may be looked at
 * after each incident: that a release which changes nothing ever gets there has a
 * probability of alpha at most. It is held above the negative of the bound, as the
 * failure test is. */

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/spec.h"

/** State of the test; zeroed at its beginning. */
struct worse_test {
	int64_t llr_micro;        /* millionths of a nat */
	uint64_t updated, others; /* incidents counted on them */
	uint64_t expected_milli;  /* of all those, on the updated if they fared alike */
};

/** Weights of the devices that could have had an incident. */
struct worse_risk {
	uint64_t updated, others;
};

/** One more incident. Counts nothing while one of the groups is empty, or if the file
 *  turns the test off. True if it counted. */
bool worse_count(struct worse_test *test, const struct rollout_gates *gates,
	const struct worse_risk *risk, bool updated);

/** True if the release has failed the test. */
bool worse_is_met(const struct worse_test *test, const struct rollout_gates *gates);

/** How many times as frequent incidents are on updated devices, in thousandths: what was
 *  counted on each group over what was to be expected. 0: nothing can be said yet. */
uint64_t worse_ratio_milli(const struct worse_test *test);

/** How many incidents it takes in the mean until a release that is gates->worse_permille
 *  worse is found (Wald's average sample number). 0: it never is. */
double worse_incidents(const struct rollout_gates *gates, const struct worse_risk *risk);

#endif

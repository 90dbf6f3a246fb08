#ifndef ORCHESTRATOR_SIM_DICE_H
#define ORCHESTRATOR_SIM_DICE_H

/* Chance that can be had again: the same seed, the same throws, on every machine. */

#include <stdbool.h>
#include <stdint.h>

/** splitmix64 (Steele, Lea, Flood 2014): 64 bits of state, every seed is good. */
struct dice {
	uint64_t state;
};

/** The next 64 bits. */
uint64_t dice_throw(struct dice *dice);

/** A whole number below bound; 0 for a bound of 0. */
uint64_t dice_below(struct dice *dice, uint64_t bound);

/** True in ppm of a million throws. */
bool dice_hits(struct dice *dice, uint64_t ppm);

/** A waiting time with that mean, in its unit, from the exponential distribution; at most
 *  eight times the mean. */
uint64_t dice_wait(struct dice *dice, uint64_t mean);

#endif

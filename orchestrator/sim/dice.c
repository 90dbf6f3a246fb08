#include "orchestrator/sim/dice.h"

#include <math.h>

enum { PPM = 1000000, WAIT_MAX = 8 };

uint64_t dice_throw(struct dice *dice)
{
	uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The bias of a remainder is below bound / 2^64: nothing for a simulation. */
uint64_t dice_below(struct dice *dice, uint64_t bound)
{
	return bound == 0 ? 0 : dice_throw(dice) % bound;
}

bool dice_hits(struct dice *dice, uint64_t ppm)
{
	return dice_below(dice, PPM) < ppm;
}

uint64_t dice_wait(struct dice *dice, uint64_t mean)
{
	/* 53 bits, above 0 and at most 1 */
	double u = (double)((dice_throw(dice) >> 11) + 1) * 0x1p-53;
	double wait = -log(u);

	return (uint64_t)((double)mean * (wait < WAIT_MAX ? wait : WAIT_MAX));
}

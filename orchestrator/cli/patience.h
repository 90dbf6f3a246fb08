#ifndef ORCHESTRATOR_CLI_PATIENCE_H
#define ORCHESTRATOR_CLI_PATIENCE_H

/* How long to go on asking who does not answer: each wait is about twice the one before,
 * by chance shorter, so that those who were cut off together do not come back together;
 * never sooner than the server asks for; and all of it within a time. Pure. */

#include <stdbool.h>
#include <stdint.h>

enum {
	PATIENCE_FIRST_MS = 300,
	PATIENCE_LONGEST_MS = 5000, /* but for what the server asks for */
	PATIENCE_CHANCE = 1000,     /* chance is a number below that */
};

/** `= { .until_ms = now + ... }` begins. */
struct patience {
	uint64_t until_ms; /* monotonic; nothing is tried after that */
	unsigned tries;    /* that failed */
};

/**
 * A try has failed: is there to be another, and when?
 *
 * now_ms   monotonic
 * asked_ms what the server asks to wait, 0: nothing
 * chance   random, below PATIENCE_CHANCE
 * wait_ms  from now; written on success only
 */
bool patience_goes_on(struct patience *patience, uint64_t now_ms, uint64_t asked_ms,
	unsigned chance, uint64_t *wait_ms);

#endif

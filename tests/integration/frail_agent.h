#ifndef TESTS_INTEGRATION_FRAIL_AGENT_H
#define TESTS_INTEGRATION_FRAIL_AGENT_H

/* What the length of the new image, modulo FRAIL_STEP, does to the decoder of
 * frail_agent: a wrong pointer, a forbidden call, memory without end. Any other length is
 * harmless. */
enum { FRAIL_STEP = 1000, FRAIL_SEGV = 999, FRAIL_SYS = 998, FRAIL_MEMORY = 997 };

#endif

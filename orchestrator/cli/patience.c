#include "orchestrator/cli/patience.h"

bool patience_goes_on(struct patience *patience, uint64_t now_ms, uint64_t asked_ms,
	unsigned chance, uint64_t *wait_ms)
{
	uint64_t wait = PATIENCE_FIRST_MS;

	for (unsigned i = 0; i < patience->tries && wait < PATIENCE_LONGEST_MS; i++)
		wait *= 2;
	if (wait > PATIENCE_LONGEST_MS)
		wait = PATIENCE_LONGEST_MS;
	wait = wait / 2 + wait / 2 * chance / PATIENCE_CHANCE;
	patience->tries++;
	if (asked_ms > UINT64_MAX / 2)
		return false;
	/* on top of what is asked for, so that not all come at that moment */
	if (asked_ms > 0)
		wait = asked_ms + PATIENCE_FIRST_MS * chance / PATIENCE_CHANCE;
	if (now_ms >= patience->until_ms || wait > patience->until_ms - now_ms)
		return false;
	*wait_ms = wait;
	return true;
}

#include <criterion/criterion.h>

#include "tests/sim/world.h"

enum { STEPS_MAX = 1000 }; /* no story of one update is longer */

void world_run_to(struct world *w, enum ota_update_state state)
{
	unsigned steps = 0;

	world_publish(w);
	while (w->agent.journal.state != state)
		cr_assert(world_step(w) && ++steps < STEPS_MAX, "%s is reached",
			ota_update_state_text(state));
}

void world_run_to_fetching(struct world *w)
{
	unsigned steps = 0;

	world_boot(w);
	world_publish(w);
	while (w->fetches == 0)
		cr_assert(world_step(w) && ++steps < STEPS_MAX, "a fetch begins");
	w->queued = 0; /* net has not fetched anything yet */
}

bool world_run_steps(struct world *w, unsigned n)
{
	unsigned steps = 0;

	cr_assert_lt(n, STEPS_MAX);
	while (steps < n && world_step(w))
		steps++;
	return steps == n;
}

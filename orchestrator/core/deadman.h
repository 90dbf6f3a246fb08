#ifndef ORCHESTRATOR_CORE_DEADMAN_H
#define ORCHESTRATOR_CORE_DEADMAN_H

/* Dead-man's switch: an orchestrator that cannot trust its own eyes lets nothing go on.
 * Each of these pauses every rollout that moves by itself, with a reason of its own; a
 * person resumes them.
 *
 *   UNHEARD   of the devices that began an update 15 min ago or earlier, less than half
 *             were heard of since (three at least; one alone is judged by its deadlines)
 *   UNSTABLE  the session with the broker was lost more than 3 times in 15 min
 *   SLOW      what was decided took more than 5 s to store
 *   CLOCK     the wall clock and the monotonic one parted by more than a minute
 */

#include "orchestrator/core/state.h"

/** The time of a call; compared with that of the call before. */
void deadman_clock(struct core *core, struct core_now now);

/** The session with the broker was lost. */
void deadman_session_lost(struct core *core);

/** A commit took so long. */
void deadman_stored(struct core *core, uint64_t took_ms);

/** Time passes: count who was heard, once a minute. Visits every device. */
void deadman_tick(struct core *core);

#endif

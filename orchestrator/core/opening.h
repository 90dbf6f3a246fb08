#ifndef ORCHESTRATOR_CORE_OPENING_H
#define ORCHESTRATOR_CORE_OPENING_H

/* Opening a stage under way step by step, within the limits of its rollout (pace.h). */

#include "orchestrator/core/state.h"
#include "orchestrator/core/survey.h"

/** A stage begins: nothing more is open than the stages before it have opened. Stages of
 *  named devices are open at once. */
void opening_begin(struct rollout *rollout);

/**
 * Open the stage under way as far as it may be opened now, and note what holds it back
 * and when to look again. Visits every device, but for every cohort only once in a while:
 * each step is an order that all of its devices read. Marks orders and the row.
 */
void opening_step(struct core *core, struct rollout *rollout);

/** True if the stage under way is open as far as it goes. */
bool opening_is_whole(const struct rollout *rollout);

/** True if a device of the stage under way has not been let in yet. */
bool opening_holds(
	const struct core *core, const struct rollout *rollout, struct device *device);

/** Why nothing begins now in words, if a freeze holds; false if none does. until_s: when
 *  it has passed; may be NULL. */
bool opening_is_frozen(const struct core *core, const struct rollout *rollout,
	uint64_t *until_s, char text[static CORE_TEXT_CAP]);

/** How many more devices of the rollout may be under way now. Visits every device. */
uint64_t opening_room(const struct core *core, const struct rollout *rollout);

/** How many devices may be under way at once, in this fleet. */
uint64_t opening_in_flight_max(
	const struct core *core, const struct rollout_limits *limits);

/* ---- what going back (returning.h) has in common with it */

/** A device of the survey, as far as nothing is open to it; without its places. */
struct pace_device opening_device(
	const struct core *core, const struct standing *standing);

/** The limits of the rollout and the places of its survey: how far it is open and who
 *  counts is the caller's to fill in, in survey->paces. */
struct pace_case opening_case(const struct core *core, const struct rollout *rollout,
	const struct survey *survey);

/** Seconds between two orders of a stage's cohort. */
uint64_t opening_spacing_s(
	const struct core *core, const struct rollout *rollout, uint32_t stage);

/** When to look again at what is held back. */
uint64_t opening_look_s(const struct core *core, uint64_t spacing);

/** Note what holds the next devices back. */
void opening_note(struct rollout *rollout, enum ota_code code, const char *text);

#endif

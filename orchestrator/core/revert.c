#include "orchestrator/core/revert.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/returning.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/survey.h"

/* The first stage from index on that has begun; stage_count: everybody who is left. */
static uint32_t next_started(const struct rollout *rollout, uint32_t index)
{
	while (index < rollout->spec.stage_count && rollout->runs[index].started_s == 0)
		index++;
	return index;
}

bool revert_is_unfinished(const struct rollout *rollout)
{
	return rollout->reverted && rollout->revert_stage < rollout->spec.stage_count;
}

void revert_begin(struct core *core, struct rollout *rollout, bool at_once)
{
	bool anew = !rollout->reverted;

	if (anew)
		rollout->revert_stage = next_started(rollout, 0);
	if (at_once)
		rollout->revert_stage = rollout->spec.stage_count;
	rollout->reverted = true;
	if (anew || at_once)
		returning_begin(rollout);
	rollout->reverting_s = rollout->revert_step_s = core->now.utc_s;
}

/* When those that were let go last must be back. */
static uint64_t deadline_s(const struct rollout *rollout)
{
	const struct rollout_spec *spec = &rollout->spec;
	uint64_t from_s = rollout->revert_step_s;

	if (rollout->revert_opened_s > from_s)
		from_s = rollout->revert_opened_s;
	return from_s + spec->deadlines.install_s + spec->deadlines.prove_s +
	       spec->gates.silence_s;
}

uint64_t revert_due_s(const struct rollout *rollout)
{
	uint64_t due_s = deadline_s(rollout);

	return returning_is_whole(rollout) || rollout->look_s > due_s ? due_s
								      : rollout->look_s;
}

/* ---- how the devices stand */

struct progress {
	uint32_t away;   /* have to go back, and left before they were told */
	uint32_t here;   /* ... and could have */
	uint32_t failed; /* could not go back */
};

static bool has_failed_to(const struct rollout *rollout, const struct standing *s)
{
	return s->state == ATTEMPT_FAILED && s->class == FAILURE_HARD &&
	       s->attempt->step_s > rollout->reverting_s;
}

/* It left before it was told. */
static bool is_away(const struct rollout *rollout, const struct standing *s)
{
	uint64_t told_s = rollout->revert_step_s;

	if (s->attempt->told_s > told_s)
		told_s = s->attempt->told_s;
	return !s->online && (s->presence_s <= told_s || !returning_is_told(rollout, s));
}

static void look_at(
	const struct rollout *rollout, const struct standing *s, struct progress *out)
{
	if (has_failed_to(rollout, s))
		out->failed++;
	if (s->state != ATTEMPT_WORKING && s->state != ATTEMPT_CONFIRMED)
		return;
	if (is_away(rollout, s))
		out->away++;
	else
		out->here++;
}

/* Of the devices that are told by now; a device in no stage is among those left. */
static struct progress progress_of(const struct core *core, const struct rollout *rollout)
{
	const struct stage_shares shares = stage_shares(core, rollout);
	const struct survey *survey = survey_of(core, rollout);
	struct progress sum = { 0 };

	for (size_t i = 0; i < survey->count; i++) {
		const struct standing *s = &survey->at[i];

		if (s->attempt != NULL &&
			(!revert_is_unfinished(rollout) ||
				stage_of_standing(&shares, s) <= rollout->revert_stage))
			look_at(rollout, s, &sum);
	}
	return sum;
}

/* ---- stepping */

static enum revert_move stop(const struct rollout *rollout, const struct progress *s,
	char text[static GATE_TEXT_CAP])
{
	(void)snprintf(text, GATE_TEXT_CAP,
		"stage %s does not come back: %u devices failed, %u say nothing; the "
		"others stay%s%.90s",
		rollout->spec.stages[rollout->revert_stage].name, s->failed, s->here,
		rollout->hold != OTA_OK ? "; " : "", rollout->hold_text);
	return REVERT_STOPPED;
}

static enum revert_move next_stage(struct core *core, struct rollout *rollout)
{
	rollout->revert_stage = next_started(rollout, rollout->revert_stage + 1);
	rollout->revert_step_s = core->now.utc_s;
	returning_begin(rollout);
	return REVERT_OPENED;
}

static enum revert_move step_stage(struct core *core, struct rollout *rollout,
	const struct progress *s, char text[static GATE_TEXT_CAP])
{
	bool over = core->now.utc_s >= deadline_s(rollout);

	if (s->failed > 0)
		return stop(rollout, s, text);
	if (returning_step(core, rollout))
		return REVERT_OPENED;
	if (!returning_is_whole(rollout))
		return over ? stop(rollout, s, text) : REVERT_WAIT;
	if (s->here + s->away > 0 && !over)
		return REVERT_WAIT;
	return s->here > 0 ? stop(rollout, s, text) : next_stage(core, rollout);
}

enum revert_move revert_step(
	struct core *core, struct rollout *rollout, char text[static GATE_TEXT_CAP])
{
	const struct progress s = progress_of(core, rollout);

	text[0] = '\0';
	if (revert_is_unfinished(rollout))
		return step_stage(core, rollout, &s, text);
	if (s.here + s.away > 0 && core->now.utc_s < deadline_s(rollout))
		return REVERT_WAIT;
	if (s.here + s.away > 0)
		(void)snprintf(
			text, GATE_TEXT_CAP, "some devices have not gone back in time");
	return REVERT_DONE;
}

/* ---- the order */

static void share_of_stage(
	const struct rollout *rollout, uint32_t index, struct ota_order *order)
{
	const struct rollout_stage *stage = &rollout->spec.stages[index];
	uint64_t permille = returning_permille(rollout, index);

	if (rollout->runs[index].started_s == 0 ||
		strcmp(stage->cohort, order->cohort) != 0)
		return;
	if (permille > order->permille)
		order->permille = permille;
	for (uint32_t d = 0; d < stage->device_count; d++)
		memcpy(order->canaries[order->canary_count++], stage->devices[d],
			OTA_NAME_CAP);
}

void revert_share(const struct rollout *rollout, struct ota_order *order)
{
	if (!revert_is_unfinished(rollout)) {
		order->permille = OTA_PERMILLE_ALL;
		return;
	}
	for (uint32_t i = 0; i <= rollout->revert_stage; i++)
		share_of_stage(rollout, i, order);
}

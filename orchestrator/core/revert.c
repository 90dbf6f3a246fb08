#include "orchestrator/core/revert.h"

#include <stdio.h>
#include <string.h>

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
	if (!rollout->reverted)
		rollout->revert_stage = next_started(rollout, 0);
	if (at_once)
		rollout->revert_stage = rollout->spec.stage_count;
	rollout->reverted = true;
	rollout->reverting_s = rollout->revert_step_s = core->now.utc_s;
}

uint64_t revert_due_s(const struct rollout *rollout)
{
	const struct rollout_spec *spec = &rollout->spec;

	return rollout->revert_step_s + spec->deadlines.install_s +
	       spec->deadlines.prove_s + spec->gates.silence_s;
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

static void look_at(
	const struct rollout *rollout, const struct standing *s, struct progress *out)
{
	if (has_failed_to(rollout, s))
		out->failed++;
	if (s->state != ATTEMPT_WORKING && s->state != ATTEMPT_CONFIRMED)
		return;
	if (!s->online && s->presence_s <= rollout->revert_step_s)
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
		"others stay",
		rollout->spec.stages[rollout->revert_stage].name, s->failed, s->here);
	return REVERT_STOPPED;
}

enum revert_move revert_step(
	struct core *core, struct rollout *rollout, char text[static GATE_TEXT_CAP])
{
	const struct progress s = progress_of(core, rollout);
	bool over = core->now.utc_s >= revert_due_s(rollout);
	bool staged = revert_is_unfinished(rollout);

	text[0] = '\0';
	if (staged && s.failed > 0)
		return stop(rollout, &s, text);
	if (s.here + s.away > 0 && !over)
		return REVERT_WAIT;
	if (staged && s.here > 0)
		return stop(rollout, &s, text);
	if (!staged) {
		if (s.here + s.away > 0)
			(void)snprintf(text, GATE_TEXT_CAP,
				"some devices have not gone back in time");
		return REVERT_DONE;
	}
	rollout->revert_stage = next_started(rollout, rollout->revert_stage + 1);
	rollout->revert_step_s = core->now.utc_s;
	return REVERT_OPENED;
}

/* ---- the order */

static void share_of_stage(
	const struct rollout *rollout, uint32_t index, struct ota_order *order)
{
	const struct rollout_stage *stage = &rollout->spec.stages[index];
	const struct stage_run *run = &rollout->runs[index];

	if (run->started_s == 0 || strcmp(stage->cohort, order->cohort) != 0)
		return;
	if (run->permille > order->permille)
		order->permille = run->permille;
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

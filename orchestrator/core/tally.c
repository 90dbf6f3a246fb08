#include "orchestrator/core/tally.h"

#include "orchestrator/core/stage.h"
#include "orchestrator/core/survey.h"

void tally_reset(struct tally *tally, const struct stage_shares *shares)
{
	*tally = (struct tally){ .valid = true, .shares = *shares };
}

static uint32_t *slot_of_failed(struct gate_counts *n, const struct standing *s)
{
	if (s->acknowledged)
		return &n->excused;
	return s->class == FAILURE_HARD ? &n->hard : &n->soft;
}

static uint32_t *slot_of_attempt(struct gate_counts *n, const struct standing *s)
{
	switch (s->state) {
	case ATTEMPT_RETRYING:
		if (s->class == FAILURE_EXCUSED || s->acknowledged)
			return &n->excused;
		break;
	case ATTEMPT_CONFIRMED:
		return &n->confirmed;
	case ATTEMPT_FAILED:
		return slot_of_failed(n, s);
	case ATTEMPT_REVERTED:
		return &n->reverted;
	case ATTEMPT_EXCUSED:
		return &n->excused;
	case ATTEMPT_NEW:
	case ATTEMPT_WORKING:
	case N_ATTEMPT_STATES:
		break;
	}
	return &n->working;
}

/* The count that the device is in. */
static uint32_t *slot_of(struct tally *tally, const struct standing *s)
{
	struct gate_counts *n = &tally->counts[s->stage];

	if (s->attempt != NULL)
		return slot_of_attempt(n, s);
	return s->online ? &n->pending : &tally->absent[s->stage];
}

static bool is_failure(const struct standing *s)
{
	return s->attempt != NULL && s->state == ATTEMPT_FAILED && !s->acknowledged;
}

/* Set aside in the middle of the update, or for failing it. */
static bool is_lost(const struct standing *s)
{
	return s->aside && s->attempt != NULL && !s->acknowledged &&
	       (s->state == ATTEMPT_WORKING || s->state == ATTEMPT_RETRYING ||
		       s->state == ATTEMPT_FAILED);
}

static bool is_confirmed(const struct standing *s)
{
	return s->attempt != NULL && s->state == ATTEMPT_CONFIRMED;
}

void tally_enter(struct tally *tally, struct standing *s)
{
	s->stage = s->concerned ? stage_of_standing(&tally->shares, s) : STAGE_NONE;
	if (is_failure(s))
		++*(s->class == FAILURE_HARD ? &tally->hard : &tally->soft);
	tally->confirmed += is_confirmed(s);
	tally->aside += is_lost(s);
	if (s->stage == STAGE_NONE)
		return;
	++*slot_of(tally, s);
	tally->counts[s->stage].alarms += s->alarm;
}

void tally_leave(struct tally *tally, const struct standing *s)
{
	if (is_failure(s))
		--*(s->class == FAILURE_HARD ? &tally->hard : &tally->soft);
	tally->confirmed -= is_confirmed(s);
	tally->aside -= is_lost(s);
	if (s->stage == STAGE_NONE)
		return;
	--*slot_of(tally, s);
	tally->counts[s->stage].alarms -= s->alarm;
}

#include "orchestrator/core/webhook_kinds.h"

#include <string.h>

#include "proto/base/names.h"

/* clang-format off */
static const struct webhook_kind kinds[] = {
	{ "rollout.apply",     WEBHOOK_ROLLOUTS, true,  "begins: its patches are made" },
	{ "rollout.prepared",  WEBHOOK_ROLLOUTS, true,  "has its patches, and needs a grant" },
	{ "rollout.granted",   WEBHOOK_ROLLOUTS, true,  "runs: the stage is open" },
	{ "rollout.ungranted", WEBHOOK_ROLLOUTS, true,  "needs another grant" },
	{ "rollout.finished",  WEBHOOK_ROLLOUTS, true,  "soaks: all gates but that are passed" },
	{ "rollout.next",      WEBHOOK_ROLLOUTS, true,  "goes on to its next stage" },
	{ "rollout.done",      WEBHOOK_ROLLOUTS, true,  "is completed" },
	{ "rollout.halt",      WEBHOOK_ROLLOUTS, true,  "has halted" },
	{ "rollout.pause",     WEBHOOK_ROLLOUTS, true,  "is paused" },
	{ "rollout.resume",    WEBHOOK_ROLLOUTS, true,  "was resumed" },
	{ "rollout.revert",    WEBHOOK_ROLLOUTS, true,  "goes back" },
	{ "rollout.reverted",  WEBHOOK_ROLLOUTS, true,  "has gone back" },
	{ "rollout.abort",     WEBHOOK_ROLLOUTS, true,  "was aborted" },
	{ "rollout.supersede", WEBHOOK_ROLLOUTS, true,  "is superseded by another" },
	{ "rollout.restart",   WEBHOOK_ROLLOUTS, false, "goes on after a restart of sluiced" },
	{ "patch.failed",      WEBHOOK_ROLLOUTS, true,  "cannot be made" },
	{ "patch.made",        WEBHOOK_ROLLOUTS, false, "is made" },
	{ "order",             WEBHOOK_ROLLOUTS, false, "has an order" },

	{ "device.failed",     WEBHOOK_DEVICES,  true,  "failed to update" },
	{ "device.reverted",   WEBHOOK_DEVICES,  true,  "is on its old image again" },
	{ "device.excused",    WEBHOOK_DEVICES,  false, "could not update, and is excused" },
	{ "device.retrying",   WEBHOOK_DEVICES,  false, "failed, and is tried again later" },
	{ "device.retry",      WEBHOOK_DEVICES,  false, "is tried again" },
	{ "device.working",    WEBHOOK_DEVICES,  false, "has begun to update" },
	{ "device.confirmed",  WEBHOOK_DEVICES,  false, "runs the release" },

	{ "device.alarm",      WEBHOOK_ALARMS,   true,  "raises an alarm" },
	{ "device.quarantine", WEBHOOK_ALARMS,   true,  "was set aside" },
	{ "device.release",    WEBHOOK_ALARMS,   true,  "was taken out of quarantine" },
	{ "device.second-key", WEBHOOK_ALARMS,   true,  "was named by a second key" },
	{ "device.accept-refused", WEBHOOK_ALARMS, true, "was accepted by a wrong fingerprint" },
	{ "token.refuse",      WEBHOOK_ALARMS,   true,  "was claimed with a token that is not good" },
	{ "sequence.jump",     WEBHOOK_ALARMS,   true,  "sequences jumped: is this a restored backup?" },

	{ "device.claim",      WEBHOOK_ENROLMENT, true,  "waits to be accepted" },
	{ "device.accept",     WEBHOOK_ENROLMENT, false, "was accepted" },
	{ "device.reject",     WEBHOOK_ENROLMENT, false, "was rejected" },
	{ "device.add",        WEBHOOK_ENROLMENT, false, "was registered" },
	{ "token.add",         WEBHOOK_ENROLMENT, false, "a claim token was made" },

	{ "grant.sign",        WEBHOOK_APPROVALS, true,  "the grant needs more signatures" },
	{ "grant.lapse",       WEBHOOK_APPROVALS, true,  "the grant holds no more" },

	{ "document.add",      WEBHOOK_DOCUMENTS, false, "a document was brought" },
	{ "image.add",         WEBHOOK_DOCUMENTS, false, "an image was brought" },
	{ "fleet.set",         WEBHOOK_DOCUMENTS, false, "the fleet file was replaced" },
	{ "start",             WEBHOOK_DOCUMENTS, false, "sluiced has started" },

	{ "webhook.disabled",  WEBHOOK_WEBHOOKS,  true,  "said 410 Gone, and is told no more" },
	{ "webhook.enabled",   WEBHOOK_WEBHOOKS,  true,  "is told again" },
	{ "webhook.gave-up",   WEBHOOK_WEBHOOKS,  true,  "was not told in time" },
};
/* clang-format on */

enum { KINDS = sizeof kinds / sizeof kinds[0] };

_Static_assert(sizeof kinds / sizeof kinds[0] <= WEBHOOK_KINDS_MAX, "each has a bit");

#define TEXT(name, text) text,
static const char *const groups[] = { WEBHOOK_GROUPS(TEXT) };
#undef TEXT

const struct webhook_kind *webhook_kind_at(size_t number)
{
	return number < KINDS ? &kinds[number] : NULL;
}

bool webhook_kind_find(const char *action, size_t *out)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(kinds[i].action, action) == 0) {
			*out = i;
			return true;
		}
	return false;
}

static bool is_meant(const struct webhook_kind *kind, const char *word)
{
	return strcmp(word, kind->action) == 0 ||
	       strcmp(word, groups[kind->group]) == 0 || strcmp(word, "all") == 0 ||
	       (kind->by_default && strcmp(word, "default") == 0);
}

bool webhook_kinds_of(const char *word, uint64_t *out)
{
	uint64_t set = 0;

	for (size_t i = 0; i < KINDS; i++)
		if (is_meant(&kinds[i], word))
			set |= UINT64_C(1) << i;
	if (set != 0)
		*out = set;
	return set != 0;
}

const char *webhook_kinds_nearest(const char *word)
{
	const char *words[KINDS + N_WEBHOOK_GROUPS + 2] = { "all", "default" };
	size_t count = 2;

	for (size_t i = 0; i < N_WEBHOOK_GROUPS; i++)
		words[count++] = groups[i];
	for (size_t i = 0; i < KINDS; i++)
		words[count++] = kinds[i].action;
	return ota_nearest(word, words, count);
}

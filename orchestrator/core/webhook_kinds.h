#ifndef ORCHESTRATOR_CORE_WEBHOOK_KINDS_H
#define ORCHESTRATOR_CORE_WEBHOOK_KINDS_H

/* What webhooks can be told of: the actions of the audit log, in groups. An action that
 * has no row is told to nobody. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, text) */
#define WEBHOOK_GROUPS(X)         \
	X(ROLLOUTS, "rollouts")   \
	X(DEVICES, "devices")     \
	X(ALARMS, "alarms")       \
	X(ENROLMENT, "enrolment") \
	X(APPROVALS, "approvals") \
	X(DOCUMENTS, "documents") \
	X(WEBHOOKS, "webhooks")

#define WEBHOOK_GROUP_ENUM(name, text) WEBHOOK_##name,
enum webhook_group { WEBHOOK_GROUPS(WEBHOOK_GROUP_ENUM) N_WEBHOOK_GROUPS };
#undef WEBHOOK_GROUP_ENUM

struct webhook_kind {
	const char *action; /* of the audit log */
	enum webhook_group group;
	bool by_default;   /* told to who does not say what he wants */
	const char *words; /* what happened, after its subject: "halted" */
};

enum { WEBHOOK_KINDS_MAX = 64 }; /* a set of them is the bits of a number */

/** The kind of that number, counted from 0; NULL: there are no more. */
const struct webhook_kind *webhook_kind_at(size_t number);

/** The number of an action; false if it has none. */
bool webhook_kind_find(const char *action, size_t *out);

/** The set that a word stands for: an action, a group, "default" or "all". False if it is
 *  none of these. */
bool webhook_kinds_of(const char *word, uint64_t *out);

/** The closest of all these words; NULL if none is close. */
const char *webhook_kinds_nearest(const char *word);

#endif

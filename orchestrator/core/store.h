#ifndef ORCHESTRATOR_CORE_STORE_H
#define ORCHESTRATOR_CORE_STORE_H

/* Writing: the transaction of the call under way, and a row for each kind of record. The
 * first write of a call begins the transaction, store_commit() at its end makes it
 * durable. What is read back stands in rows.h. */

#include "orchestrator/core/state.h"

/** Begin the transaction unless it has begun. */
void store_begin(struct core *core);

/** Commit it if there is one. */
void store_commit(struct core *core);

/** Store the fleet file. */
void store_fleet(struct core *core);

/** Store sequence and time of the last fresh. */
void store_fresh(struct core *core);

/** Store a document. */
void store_document(struct core *core, const struct stored *stored);

/** Forget a document. */
void store_drop_document(struct core *core, const struct stored *stored);

/** Store a grant that lacks signatures. */
void store_approval(struct core *core, const struct approval *approval);

/** Forget it. */
void store_drop_approval(struct core *core, const struct approval *approval);

/** Store an image. */
void store_image(struct core *core, const struct image *image);

/** Store a device but for its status. This and the two below also tell the surveys
 *  (survey.h) that the device has changed: in a simulation nothing else comes of them. */
void store_device(struct core *core, struct device *device);

/** Store what a device said last, and its presence. */
void store_status(struct core *core, struct device *device);

/** Store a claim token. */
void store_token(struct core *core, const struct token *token);

/** Forget it. */
void store_drop_token(struct core *core, const struct token *token);

/** Store a pending device, but for what it says. */
void store_claim(struct core *core, const struct claim *claim);

/** Forget it. */
void store_drop_claim(struct core *core, const struct claim *claim);

/** Store a patch. */
void store_patch(struct core *core, const struct patch *patch);

/** Store a rollout. */
void store_rollout(struct core *core, const struct rollout *rollout);

/** Store an attempt. */
void store_attempt(
	struct core *core, struct device *device, const struct attempt *attempt);

/** Store the order of a cohort. */
void store_cohort(struct core *core, const struct cohort *cohort);

/** Forget an attempt that left the history. */
void store_drop_attempt(
	struct core *core, struct device *device, const struct attempt *attempt);

/** Append to the audit log. detail is taken. */
void store_audit(struct core *core, const char *who, const char *action, cJSON *detail);

/** From now on a topic holds payload. */
void store_retain(
	struct core *core, const struct ota_topic *topic, struct ota_bytes payload);

#endif

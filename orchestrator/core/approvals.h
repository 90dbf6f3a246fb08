#ifndef ORCHESTRATOR_CORE_APPROVALS_H
#define ORCHESTRATOR_CORE_APPROVALS_H

/* Grants that some operators signed, and not yet as many as the root asks for. They are
 * kept, shown and never published; once the last signature is there they are grants. */

#include "orchestrator/core/state.h"

/** The one for a release; NULL if there is none. */
const struct approval *approval_find(
	const struct core *core, const struct ota_digest *release);

/**
 * A grant with all signatures that are known of it.
 *
 * bytes  the envelope as it came
 * out    it, with the signatures that came before, and without those of strangers
 *
 * Returns OTA_OK if at least one operator signed, or a code of ota_envelope_parse(),
 * ota_envelope_verify(), ota_grant_parse().
 */
OTA_CHECKED enum ota_code approvals_join(const struct core *core, struct ota_bytes bytes,
	struct ota_buf *out, struct ota_error *err);

/** Keep one that is not signed by enough. bytes: from approvals_join(). OTA_OK,
 *  OTA_E_EXPIRED, or OTA_E_SEQUENCE if a newer one is there or in force. */
OTA_CHECKED enum ota_code approvals_keep(struct core *core, const char *who,
	struct ota_bytes bytes, struct ota_error *err);

/** Forget the one for a release, if it is there and not newer than seq. */
void approvals_drop(struct core *core, const struct ota_digest *release, uint64_t seq);

/** How many operators have yet to sign a document that was accepted; 0 unless it is a
 *  grant that lacks signatures. */
uint32_t approvals_missing(const struct core *core, const struct ota_envelope *envelope);

/** Who signed and who has to: "grant of 1000 permille: 1 of 2 operators signed
 *  (0a1b2c3d), missing is one of 4e5f6071". */
void approval_text(const struct core *core, const struct approval *approval,
	char out[static CORE_TEXT_CAP]);

/** Why a stage waits that the grant in force does not cover: APPROVAL if a newer grant
 *  lacks signatures, else code as it is. err: the text, of code already. */
enum ota_code approvals_reason(const struct core *core, const struct ota_digest *release,
	enum ota_code code, struct ota_error *err);

/** {"seq","permille","canaries","expires","needed","missing","signed","may_sign"} */
cJSON *approval_view(const struct core *core, const struct approval *approval);

/** Read back what was stored. */
OTA_CHECKED enum ota_code approvals_restore(
	struct core *core, struct ota_bytes envelope, struct ota_error *err);

#endif

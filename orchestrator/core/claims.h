#ifndef ORCHESTRATOR_CORE_CLAIMS_H
#define ORCHESTRATOR_CORE_CLAIMS_H

/* Devices that presented a key with a token, and wait for an operator to accept its
 * fingerprint. They are no devices yet: in no cohort, of no group, counted by nobody, and
 * nothing is signed for them. What they report is kept for the moment they are. */

#include "orchestrator/core/state.h"

enum { FINGERPRINT_CAP = 2 * OTA_PK_HASH_LEN + 1 };

/** The fingerprint of a key: the first 16 bytes of its digest, in hex. */
void key_fingerprint(const struct ota_public_key *key, char out[static FINGERPRINT_CAP]);

/** As core_claim(). */
OTA_CHECKED enum ota_code claims_take(
	struct core *core, const cJSON *json, cJSON **out, struct ota_error *err);

/** As core_accept_device(). */
OTA_CHECKED enum ota_code claims_accept(struct core *core, const char *who,
	const char *id, const cJSON *json, struct ota_error *err);

/** As core_reject_device(). */
OTA_CHECKED enum ota_code claims_reject(
	struct core *core, const char *who, const char *id, struct ota_error *err);

/** The claim to that id; NULL if there is none. */
struct claim *claim_find(const struct core *core, const char *id);

/** A zeroed one, for what was stored. */
struct claim *claim_add(struct core *core);

/** Drop the claim to an id that became a device, handing on what it said. */
void claim_hand_over(struct core *core, struct claim *claim);

/** Another key than the one held was presented for an id. */
struct key_clash {
	const char *id;                                /* borrowed */
	const struct ota_public_key *held, *presented; /* borrowed */
	struct second_key
		*second; /* of the device or claim, whose row the caller stores */
};

/** Remember it, for an alarm, and audit it unless it is the same key again. Always
 *  OTA_E_CONFLICT. */
enum ota_code claims_second_key(struct core *core, const char *who,
	const struct key_clash *clash, struct ota_error *err);

/** Keep a report (copied) of a device that is pending; it was verified. */
void claim_report(struct claim *claim, struct ota_bytes envelope);

/** Its presence. */
void claim_presence(struct claim *claim, const struct ota_online *online);

/** {"id","key","fingerprint","labels","pending":true,"claimed_s","token"} */
cJSON *claim_view(const struct claim *claim);

/** Add "second_key" to a tree, unless there is none. */
void claims_view_second(cJSON *tree, const struct second_key *second);

/** All of them. */
cJSON *claims_view(const struct core *core);

/** Append the alarms of second keys. */
void claims_add_alarms(const struct core *core, cJSON *alarms);

#endif

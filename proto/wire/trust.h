#ifndef PROTO_WIRE_TRUST_H
#define PROTO_WIRE_TRUST_H

/* What a verifier believes, and the order in which it comes to believe more: the root
 * chain first, then each document by the keys of its role, its sequence and its expiry.
 * Used by the agent, the orchestrator and the CLI alike. Pure: time comes in. */

#include "proto/wire/documents.h"

/** The newest sequence accepted, within the epoch of the role's keys. A rotation of the
 *  role (a new epoch in root) starts again from 0: fast-forward recovery. */
struct ota_seen {
	uint64_t epoch, seq;
	struct ota_digest digest; /* of that document: the same one again is no replay */
};

/** `= { 0 }` believes nothing; begin with ota_trust_anchor(). */
struct ota_trust {
	struct ota_root root; /* valid once anchored */
	bool anchored;
	uint64_t
		trusted_utc_s; /* only rises, from verified documents and our own clock */
	struct ota_seen fresh, catalog, assign, order;
};

/**
 * Take the first root, from a source that is trusted otherwise (provisioning).
 *
 * It must be signed by its own root keys, and its envelope carry its own fleet id.
 * Returns OTA_OK, OTA_E_CONFLICT if there is an anchor already, or a code of
 * ota_envelope_parse(), _verify(), ota_root_parse().
 */
OTA_CHECKED enum ota_code ota_trust_anchor(
	struct ota_trust *trust, struct ota_bytes envelope, struct ota_error *err);

/**
 * Follow the chain by one: root N+1, signed by the thresholds of N and of N+1.
 *
 * Returns OTA_OK (also for the root already held), OTA_E_ROOTCHAIN for any other version,
 * other content under the same version, or an epoch that falls, OTA_E_FLEET for another
 * fleet, or a code of verify and parse. Expiry is not looked at:
 * only the last of the chain must be in force, see ota_trust_now().
 */
OTA_CHECKED enum ota_code ota_trust_root(
	struct ota_trust *trust, struct ota_bytes envelope, struct ota_error *err);

/** Let trusted time rise to now_utc_s (never falls), and give it back. now is the local
 *  clock; verified documents raise it by their issued time as well. */
uint64_t ota_trust_now(struct ota_trust *trust, uint64_t now_utc_s);

/**
 * Open an envelope: parse it, want its type, verify the role's keys, and hand out the
 * payload. The one door to every typed function below.
 *
 * out   borrows from envelope; its name is ota_envelope_digest(out)
 *
 * Returns OTA_OK, OTA_E_ROOTCHAIN before the anchor, OTA_E_DOCTYPE for another type, or a
 * code of ota_envelope_parse() or ota_envelope_verify(). Not for reports: their keys are
 * not in root, see ota_report_open().
 */
OTA_CHECKED enum ota_code ota_trust_open(const struct ota_trust *trust,
	enum ota_doc_type type, struct ota_bytes envelope, struct ota_envelope *out,
	struct ota_error *err);

/**
 * Accept a fresh: verify, parse, sequence (OTA_E_SEQUENCE when older than accepted, or
 * the same number with other content), expiry (OTA_E_EXPIRED).
 *
 * trust->fresh and trusted time are updated on success.
 */
OTA_CHECKED enum ota_code ota_trust_fresh(struct ota_trust *trust,
	struct ota_bytes envelope, struct ota_fresh *out, struct ota_error *err);

/** Accept a catalog: as fresh. want is the digest that fresh names (OTA_E_DIGEST if the
 *  document is another), or NULL for a holder of no fresh. */
OTA_CHECKED enum ota_code ota_trust_catalog(struct ota_trust *trust,
	struct ota_bytes envelope, const struct ota_digest *want, struct ota_catalog *out,
	struct ota_error *err);

/** Verify and parse a release. digest: filled with the document's digest, may be NULL. */
OTA_CHECKED enum ota_code ota_trust_release(const struct ota_trust *trust,
	struct ota_bytes envelope, struct ota_release *out, struct ota_digest *digest,
	struct ota_error *err);

/** True if a role has the same keys, thresholds and epoch in two roots. */
bool ota_role_keys_equal(const struct ota_role_keys *a, const struct ota_role_keys *b);

/** How many distinct operator keys must sign a grant of that share. */
uint32_t ota_grant_threshold(const struct ota_root *root, uint64_t max_permille);

/** Verify and parse a grant; OTA_E_THRESHOLD if it is wide and signed by too few keys for
 *  that (ota_grant_threshold()), OTA_E_EXPIRED past its expiry, OTA_E_NOGRANT before its
 *  not-before, both by trusted time. */
OTA_CHECKED enum ota_code ota_trust_grant(const struct ota_trust *trust,
	struct ota_bytes envelope, struct ota_grant *out, struct ota_error *err);

/** Accept an order for a cohort: verify, parse, OTA_E_COHORT for another cohort,
 * sequence. On success trust->order is updated, and trust->order.digest names it. */
OTA_CHECKED enum ota_code ota_trust_order(struct ota_trust *trust,
	struct ota_bytes envelope, const char *cohort, struct ota_order *out,
	struct ota_error *err);

/** Accept an assign for a device: verify, parse, OTA_E_DEVICE for another device,
 * sequence. When the cohort changes, the caller resets trust->order to { 0 }. */
OTA_CHECKED enum ota_code ota_trust_assign(struct ota_trust *trust,
	struct ota_bytes envelope, const char *device, struct ota_assign *out,
	struct ota_error *err);

/** Verify a report against the device's registered key, and parse it. OTA_E_DEVICE if it
 *  names another device than expected. Counters are the caller's to compare. */
OTA_CHECKED enum ota_code ota_report_open(struct ota_bytes envelope,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], const struct ota_public_key *key,
	const char *device, struct ota_report *out, struct ota_error *err);

#endif

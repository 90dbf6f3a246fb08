#ifndef ORCHESTRATOR_CORE_CORE_H
#define ORCHESTRATOR_CORE_CORE_H

/* The orchestrator's core: it holds the fleet in memory, takes what happens as calls, and
 * decides. Pure: time is an argument, everything else goes through the port. Each call
 * that changes something is one transaction of the port: rows, an audit entry and what
 * shall be published. Nothing is published from anywhere else. */

#include <cjson/cJSON.h>

#include "proto/base/bytes.h"
#include "proto/wire/documents.h"
#include "proto/wire/topics.h"

/** Now. mono_ms never jumps; utc_s is what documents and stored times are made of. */
struct core_now {
	uint64_t mono_ms;
	uint64_t utc_s;
};

/* X(NAME, text) what the store keeps: (table, key) -> JSON. The text is the table's name.
 */
#define CORE_TABLES(X)          \
	X(META, "meta")         \
	X(DOCUMENT, "document") \
	X(IMAGE, "image")       \
	X(DEVICE, "device")     \
	X(STATUS, "status")     \
	X(PATCH, "patch")       \
	X(ROLLOUT, "rollout")   \
	X(ATTEMPT, "attempt")   \
	X(COHORT, "cohort")     \
	X(APPROVAL, "approval") \
	X(TOKEN, "token")       \
	X(CLAIM, "claim")

#define CORE_TABLE_ENUM(name, text) CORE_##name,
enum core_table { CORE_TABLES(CORE_TABLE_ENUM) N_CORE_TABLES };
#undef CORE_TABLE_ENUM

/** The world as the core sees it. Every function is called on the loop thread, between
 *  begin and commit unless noted. A port never fails: one that cannot make a transaction
 *  durable ends the process, which starts again from what is stored. */
struct core_port {
	void *ctx;
	/** Begin and commit a transaction; commit returns once it is durable. One that
	 * holds rows of "status" alone may become durable later, with or before the next.
	 */
	void (*begin)(void *ctx);
	void (*commit)(void *ctx);
	/** Store a row, replacing one of the same key; value is a JSON object's text.
	 * NULL: nothing is ever stored (a simulation), and rows are not even made. */
	void (*put)(void *ctx, enum core_table table, const char *key,
		struct ota_bytes value);
	/** Remove a row. */
	void (*drop)(void *ctx, enum core_table table, const char *key);
	/** Append to the hash-chained audit log. who: API key id, "device:<id>" or
	 * "core"; action: "rollout.halt" ...; detail: a JSON object's text. */
	void (*audit)(
		void *ctx, const char *who, const char *action, struct ota_bytes detail);
	/** From now on topic shall hold payload, retained (empty payload: nothing).
	 * Topics are published in the order of these calls; a later one replaces an
	 * earlier one. */
	void (*retain)(void *ctx, const char *topic, struct ota_bytes payload);
	/** From now on the chunks and then the manifest of a patch shall be retained. */
	void (*retain_patch)(void *ctx, const struct ota_digest *patch);
	/** No longer. */
	void (*release_patch)(void *ctx, const struct ota_digest *patch);
	/** Make the patch from image `from` (zero: full) to `to` in the background;
	 * answered by core_patch_made() or core_patch_failed(), also after a restart the
	 * core asks again. Outside transactions too. */
	void (*make_patch)(
		void *ctx, const struct ota_digest *from, const struct ota_digest *to);
	/** Sign a payload with the online key; the envelope is appended to out. */
	void (*sign)(void *ctx, enum ota_doc_type type, struct ota_bytes payload,
		struct ota_buf *out);
	/** Random bytes. */
	void (*random)(void *ctx, uint8_t *out, size_t len);
};

struct core;

/** A core without any state. port is copied, its ctx borrowed. NULL: no memory. */
struct core *core_new(const struct core_port *port, const char *fleet);

/** Release it. NULL is allowed. */
void core_free(struct core *core);

/** Hand in one stored row, before core_start(). The anchor (first root) goes in through
 *  core_document() after core_start() on the very first start. Damaged rows are an error.
 */
OTA_CHECKED enum ota_code core_load(struct core *core, enum core_table table,
	const char *key, struct ota_bytes value, struct ota_error *err);

/** All rows are in: a restart is an event. Re-asserts what is in force, asks for missing
 *  patches again. anchor: the root envelope to trust when nothing is stored yet. */
OTA_CHECKED enum ota_code core_start(struct core *core, struct core_now now,
	struct ota_bytes anchor, struct ota_error *err);

/** Time passes: deadlines, soak, silence, the fresh document. Call about every second;
 *  returns the mono_ms at which it has something to do at the latest. */
uint64_t core_tick(struct core *core, struct core_now now);

/* ---- what comes from the broker; a refusal is returned for the log and changes nothing
 */

/** A report envelope arrived on the topic of device. */
OTA_CHECKED enum ota_code core_report(struct core *core, struct core_now now,
	const char *device, struct ota_bytes envelope, struct ota_error *err);

/** What a device's reports are to be signed with: its own key or, while it waits to be
 *  accepted, the one that was presented for it. */
struct core_seal {
	uint8_t fleet_id[OTA_FLEET_ID_LEN];
	struct ota_public_key key;
};

/** The seal of a device, for who verifies its reports elsewhere. OTA_OK or
 *  OTA_E_NOTFOUND. */
OTA_CHECKED enum ota_code core_seal_of(const struct core *core, const char *device,
	struct core_seal *out, struct ota_error *err);

/** True if the last report of a device has a payload of this digest: whoever signed this
 *  one, it says nothing that is not known, and need not be verified. */
bool core_has_report(
	const struct core *core, const char *device, const struct ota_digest *payload);

/** A report that was verified. All is borrowed for the call. */
struct core_verified {
	const struct core_seal *seal;    /* with this */
	struct ota_bytes envelope;       /* as it came */
	const struct ota_report *report; /* what it says; names the device */
	const struct ota_digest *digest; /* of its payload */
};

/** As core_report(), for one that the caller has verified, and opened. OTA_E_CONFLICT if
 *  the seal is not that of the device any more: it is to be verified again. */
OTA_CHECKED enum ota_code core_verified_report(struct core *core, struct core_now now,
	const struct core_verified *report, struct ota_error *err);

/** A report in a simulation, where nobody signs. digest: of the report's payload.
 *  Otherwise as core_report(). */
OTA_CHECKED enum ota_code core_opened_report(struct core *core, struct core_now now,
	const struct ota_report *report, const struct ota_digest *digest,
	struct ota_error *err);

/** Presence of a device changed (birth or last will). */
OTA_CHECKED enum ota_code core_presence(struct core *core, struct core_now now,
	const char *device, const struct ota_online *online, struct ota_error *err);

/** Our own session with the broker was lost. */
void core_session_lost(struct core *core, struct core_now now);

/** The slowest commit since the last call of this took so long. Not from within a
 *  transaction. */
void core_stored(struct core *core, struct core_now now, uint64_t took_ms);

/* ---- what comes from workers */

struct core_patch {
	struct ota_digest from, to, patch; /* patch: digest of the manifest's bytes */
	uint8_t codec;                     /* enum ota_codec_id */
	uint64_t patch_len, full_len; /* bytes; full_len: of the full patch of `to` */
	uint64_t decoder_ram;         /* bytes */
	uint64_t took_ms;
};

/** A patch is in the cache. For from != zero the maker has compared with the full one: if
 *  that is smaller, codec is FULL and patch names the full patch. */
void core_patch_made(
	struct core *core, struct core_now now, const struct core_patch *patch);

/** It cannot be made. */
void core_patch_failed(struct core *core, struct core_now now,
	const struct ota_digest *from, const struct ota_digest *to,
	const struct ota_error *why);

/* ---- what people ask for. who: id of the API key, for the audit log */

/** What a signed document turned out to be. */
struct core_accepted {
	enum ota_doc_type type;
	struct ota_digest digest;
	uint32_t missing; /* of a grant: so many operators have yet to sign it */
};

/** A signed document: root, catalog, release or grant. Idempotent. A grant that some
 *  operators signed, but not yet enough, is kept until the others have: the same document
 *  comes again with another signature. out is filled on success; may be NULL. */
OTA_CHECKED enum ota_code core_document(struct core *core, struct core_now now,
	const char *who, struct ota_bytes envelope, struct core_accepted *out,
	struct ota_error *err);

/** An image in the cache. */
struct core_image {
	struct ota_digest digest;
	uint64_t len;       /* bytes */
	const char *advice; /* what its makers should know, for plans; "" if nothing;
			     * borrowed for the call */
};

/** An image is in the cache. */
void core_image(struct core *core, struct core_now now, const char *who,
	const struct core_image *image);

/** Replace the fleet file: {"fleet",
 * "cohorts":[{"name","labels":{k:[v]},"facts":{k:[v]}}]}. Nothing is changed unless all
 * of it is valid. Devices move to their first match. */
OTA_CHECKED enum ota_code core_set_fleet(struct core *core, struct core_now now,
	const char *who, const cJSON *fleet, struct ota_error *err);

/** Register a device: {"id", "key": hex public key, "labels": ["k=v"]}. The same again is
 *  fine; another key for a known id is OTA_E_CONFLICT, and an alarm. One that is pending
 *  with this key is accepted. */
OTA_CHECKED enum ota_code core_add_device(struct core *core, struct core_now now,
	const char *who, const cJSON *device, struct ota_error *err);

/** Make a claim token: {"labels": ["k=v"], "valid_s"}. *out: {"id", "token", "expires"},
 *  the only time that the token itself is told; the caller's. OTA_OK, OTA_E_FORMAT,
 *  OTA_E_NAME or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code core_add_token(struct core *core, struct core_now now,
	const char *who, const cJSON *token, cJSON **out, struct ota_error *err);

/**
 * A device, or who provisions it, presents its key: {"token", "id", "key": hex}. From
 * anybody: the token is the only right to do so, and used up by it. The device is pending
 * until core_accept_device().
 *
 * out   {"id", "state": "pending" or "accepted", "fingerprint"}; the caller's
 *
 * Returns OTA_OK, also for the same claim again; OTA_E_DENIED if there is no such token
 * or it was used for another, OTA_E_EXPIRED, OTA_E_CONFLICT if the id has another key (an
 * alarm: the first one stays), or OTA_E_FORMAT or OTA_E_NAME, which leave the token
 * alone.
 */
OTA_CHECKED enum ota_code core_claim(struct core *core, struct core_now now,
	const cJSON *claim, cJSON **out, struct ota_error *err);

/** Make a pending device one of the fleet: {"fingerprint": hex} of its key. Of a device
 *  that is one already: the alarm that a second key was presented is acknowledged.
 * OTA_OK, OTA_E_FORMAT, OTA_E_NOTFOUND, or OTA_E_CONFLICT if its key is another. */
OTA_CHECKED enum ota_code core_accept_device(struct core *core, struct core_now now,
	const char *who, const char *device, const cJSON *body, struct ota_error *err);

/** Forget a pending device. OTA_OK, OTA_E_NOTFOUND, or OTA_E_STATE if it is accepted. */
OTA_CHECKED enum ota_code core_reject_device(struct core *core, struct core_now now,
	const char *who, const char *device, struct ota_error *err);

/** Take a device out of quarantine. OTA_OK, OTA_E_NOTFOUND, or OTA_E_STATE if it is not
 *  set aside. */
OTA_CHECKED enum ota_code core_release_device(struct core *core, struct core_now now,
	const char *who, const char *device, struct ota_error *err);

/** Begin a rollout from its JSON form (spec.h). */
OTA_CHECKED enum ota_code core_apply(struct core *core, struct core_now now,
	const char *who, const cJSON *rollout, struct ota_error *err);

/** What to do with a rollout. */
struct core_steer {
	const char *rollout;
	const char *verb;   /* "pause", "resume", "abort" or "revert" */
	const char *reason; /* for the log and for people; may be "" */
	bool at_once;       /* of "revert": all stages together */
};

/** Steer a rollout. OTA_OK, OTA_E_NOTFOUND, OTA_E_USAGE, OTA_E_STATE if it cannot be
 *  steered so where it stands, OTA_E_CONFLICT. */
OTA_CHECKED enum ota_code core_command(struct core *core, struct core_now now,
	const char *who, const struct core_steer *steer, struct ota_error *err);

/* ---- what people look at: JSON trees owned by the caller; NULL when memory is short.
 * The members are documented in orchestrator/README.md. */

/** The fleet at a glance. */
cJSON *core_status_json(const struct core *core, struct core_now now);

/** When the root, the catalog and the grants of rollouts that are not over expire:
 *  [{"type","expires"}], of a grant with "rollout". */
cJSON *core_expiry_json(const struct core *core);

/** The fleet file in force, with the number of devices in each cohort. */
cJSON *core_fleet_json(const struct core *core);

/** Devices in the order of their ids, after an id ("" from the start), of a cohort (NULL:
 *  all), at most limit: {"devices":[...], "next": id or ""}. */
cJSON *core_devices_json(const struct core *core, struct core_now now, const char *cohort,
	const char *after, uint32_t limit);

/** One device with its history of attempts, or its claim; NULL if unknown. */
cJSON *core_device_json(const struct core *core, struct core_now now, const char *device);

/** Devices that wait to be accepted: {"claims":[{"id","key","fingerprint",
 *  "labels","pending":true,"claimed_s","token"}]}. */
cJSON *core_claims_json(const struct core *core);

/** Why a device does or does not update: {"device","rule","number","text","unblock",
 *  "rollout","detail"} and "refused" as for a device; NULL if unknown. */
cJSON *core_explain_json(
	const struct core *core, struct core_now now, const char *device);

/** Releases known, with their documents' digests. */
cJSON *core_releases_json(const struct core *core);

/** All rollouts, newest first, as summaries. */
cJSON *core_rollouts_json(const struct core *core, struct core_now now);

/** The name of a rollout by its place in the order of their beginnings, and whether it is
 *  over; NULL: there are no more. Borrowed until the next call that changes the core. */
const char *core_rollout_at(const struct core *core, size_t index, bool *is_over);

/** One rollout: spec, state, stages with counts by device state, gates, bytes, reason.
 * NULL if unknown. */
cJSON *core_rollout_json(
	const struct core *core, struct core_now now, const char *rollout);

/** What applying a rollout would do: devices per stage, patches, detection power,
 * warnings. OTA_OK and *out, or what core_apply() would refuse. */
OTA_CHECKED enum ota_code core_plan_json(const struct core *core, struct core_now now,
	const cJSON *rollout, cJSON **out, struct ota_error *err);

/** What putting a fleet file in force would do: the file with the number of devices in
 *  each cohort. OTA_OK and *out, or what core_set_fleet() would refuse. */
OTA_CHECKED enum ota_code core_plan_fleet_json(
	const struct core *core, const cJSON *fleet, cJSON **out, struct ota_error *err);

/** A stored document's envelope for GET: borrowed until the next call that changes the
 *  core. key: "3" for root 3, "" for catalog, digest in hex otherwise. False: not there.
 */
bool core_get_document(const struct core *core, enum ota_doc_type type, const char *key,
	struct ota_bytes *out);

/** The envelope of the grant for a release (in hex) that lacks signatures: borrowed as
 *  above. False: there is none. */
bool core_get_approval(
	const struct core *core, const char *release, struct ota_bytes *out);

#endif

#ifndef PROTO_WIRE_DOCUMENTS_H
#define PROTO_WIRE_DOCUMENTS_H

/* The documents: what each says, as a struct that can only be valid, with its parser and
 * its encoder. The payload is strict compact JSON; the member names are those of the
 * fields unless noted. proto/README.md shows each with an example.
 *
 * All *_parse functions take a payload whose signatures have been verified, fill *out on
 * success only, and return OTA_OK, a code of ota_json_scan(), or OTA_E_FORMAT,
 * OTA_E_LIMIT, OTA_E_NAME or OTA_E_NOMEM with the member's name ("order: permille: 1001
 * is not in ..."). All *_encode functions append the payload to out and refuse a struct
 * that their parser would not give back. Every member is present, in the order of the
 * struct, but those that are said to be left out when zero: encode(parse(x)) == x for
 * every x that parses.
 * ..._utc_s is seconds since 1970 UTC. Digests are hex on the wire. */

#include "proto/base/names.h"
#include "proto/wire/envelope.h"
#include "proto/wire/json.h"

enum {
	OTA_HARDWARE_MAX = 16,    /* hardware ids of a release */
	OTA_NEEDS_MAX = 8,        /* entries of a release's "needs" */
	OTA_LABELS_MAX = 32,      /* labels of a device */
	OTA_CANARIES_MAX = 64,    /* devices named in a grant or an order */
	OTA_PATCHES_MAX = 64,     /* source images of an order */
	OTA_COHORTS_MAX = 128,    /* cohorts of a fleet */
	OTA_RELEASES_MAX = 256,   /* digests in a catalog, allowed and revoked each */
	OTA_PRODUCTS_MAX = 32,    /* products in a catalog */
	OTA_NOTES_CAP = 1024,     /* bytes with the NUL */
	OTA_VERSION_CAP = 65,     /* bytes with the NUL: a name */
	OTA_ERROR_TEXT_CAP = 200, /* bytes with the NUL, of a report's error */
	OTA_PERMILLE_ALL = 1000,
	OTA_PERMILLE_NARROW = 10, /* a grant of more is wide */
	OTA_NONCE_LEN = 16,       /* bytes */
	OTA_SALT_LEN = 16,        /* bytes */
};

struct ota_role_keys {
	struct ota_keyset set; /* "keys": [hex], "threshold" */
	uint64_t epoch;        /* sequences of this role's documents count within it */
	uint32_t wide; /* of operators: the threshold of wide grants, at least that of
			* all; 0, and left out: the same */
};

/** root N: who may sign what. */
struct ota_root {
	uint64_t version; /* N, from 1 */
	char fleet[OTA_NAME_CAP];
	uint8_t fleet_id[OTA_FLEET_ID_LEN];
	uint64_t issued_utc_s, expires_utc_s;    /* "issued", "expires" */
	struct ota_role_keys roles[OTA_N_ROLES]; /* "roles": {"root": {...}, ...} */
};

enum ota_release_class { OTA_CLASS_FEATURE, OTA_CLASS_SECURITY };

/** release: one image, for ever. */
struct ota_release {
	char product[OTA_NAME_CAP];
	char version[OTA_VERSION_CAP]; /* a name, for people */
	uint64_t counter; /* monotonic per product, compared with the floor */
	uint64_t floor;   /* the floor a device takes on after confirm; <= counter */
	char hardware[OTA_HARDWARE_MAX][OTA_NAME_CAP];
	uint32_t hardware_count;      /* 1 .. OTA_HARDWARE_MAX */
	struct ota_digest image;      /* digest of the image */
	uint64_t image_len;           /* bytes; "image_len" */
	enum ota_release_class class; /* "feature" or "security" */
	char notes[OTA_NOTES_CAP];    /* for people; may be "" */
	char needs[OTA_NEEDS_MAX]
		  [OTA_NAME_CAP]; /* versions a device must run before; may be none */
	uint32_t needs_count;
};

struct ota_product_floor {
	char product[OTA_NAME_CAP];
	uint64_t counter;
};

/** catalog M: which releases are allowed now. */
struct ota_catalog {
	uint64_t seq;
	uint64_t issued_utc_s, expires_utc_s;
	struct ota_digest releases[OTA_RELEASES_MAX]; /* document digests allowed */
	uint32_t release_count;
	struct ota_digest revoked[OTA_RELEASES_MAX];
	uint32_t revoked_count;
	struct ota_product_floor minimum[OTA_PRODUCTS_MAX]; /* [{"product","counter"}] */
	uint32_t minimum_count;
};

/** grant: how far operators let a release go. */
struct ota_grant {
	uint64_t seq;
	struct ota_digest release; /* document digest */
	uint64_t max_permille;     /* 0 .. 1000 */
	char canaries[OTA_CANARIES_MAX][OTA_NAME_CAP];
	uint32_t canary_count;
	uint8_t salt[OTA_SALT_LEN]; /* of the buckets; kept when a grant is widened */
	uint64_t not_before_utc_s, issued_utc_s, expires_utc_s; /* "not_before" */
};

struct ota_fresh_order {
	char cohort[OTA_NAME_CAP];
	uint64_t seq;
	struct ota_digest order; /* document digest */
};

/** fresh: the orchestrator is alive, and this is all that is in force. */
struct ota_fresh {
	uint64_t seq;
	uint64_t root;             /* newest root version */
	struct ota_digest catalog; /* document digest; zero while there is none */
	uint64_t issued_utc_s, expires_utc_s;
	struct ota_fresh_order orders[OTA_COHORTS_MAX];
	uint32_t order_count;
};

/* X(NAME, text) what an order asks for */
#define OTA_ORDER_STATES(X) \
	X(GO, "go")         \
	X(PAUSE, "pause")   \
	X(ABORT, "abort")   \
	X(REVERT, "revert")

#define OTA_ORDER_ENUM(name, text) OTA_ORDER_##name,
enum ota_order_state { OTA_ORDER_STATES(OTA_ORDER_ENUM) OTA_N_ORDER_STATES };
#undef OTA_ORDER_ENUM

struct ota_patch_ref {
	struct ota_digest from;  /* image the patch applies to; zero: a full image */
	struct ota_digest patch; /* digest of the manifest's bytes */
};

/** Minutes of the device's local day. from == to: always open. from > to: over midnight.
 */
struct ota_window {
	uint32_t from_min, to_min; /* 0 .. 1439 */
};

/** order: what a cohort shall run. Level-triggered: the newest sequence is all of it. */
struct ota_order {
	char cohort[OTA_NAME_CAP];
	uint64_t seq;
	char rollout[OTA_NAME_CAP];
	enum ota_order_state state;
	struct ota_digest release; /* document digest */
	/* What the release says, repeated: the device wants both to agree. */
	struct ota_digest image;
	uint64_t image_len, counter;
	char hardware[OTA_HARDWARE_MAX][OTA_NAME_CAP];
	uint32_t hardware_count;
	uint64_t permille; /* buckets below it are admitted, 0 .. 1000 */
	char canaries[OTA_CANARIES_MAX][OTA_NAME_CAP]; /* admitted by name */
	uint32_t canary_count;
	struct ota_patch_ref patches[OTA_PATCHES_MAX];
	uint32_t patch_count;
	struct ota_window window; /* "window": {"from_min","to_min"} */
	uint64_t jitter_s;        /* a device starts at a random moment within it */
	uint64_t install_s,
		prove_s; /* deadlines on the device: write a slot; prove itself */
};

/** assign: which cohort a device is in. */
struct ota_assign {
	char device[OTA_NAME_CAP];
	uint64_t seq;
	char cohort[OTA_NAME_CAP];
	char labels[OTA_LABELS_MAX][OTA_LABEL_CAP]; /* "key=value" */
	uint32_t label_count;
};

/* X(NAME, text, terminal) the states of an update on a device; reported in this text */
#define OTA_UPDATE_STATES(X)            \
	X(IDLE, "idle")                 \
	X(OFFERED, "offered")           \
	X(FETCHING, "fetching")         \
	X(VERIFYING, "verifying")       \
	X(INSTALLING, "installing")     \
	X(ARMED, "armed")               \
	X(REBOOTING, "rebooting")       \
	X(PROVING, "proving")           \
	X(CONFIRMED, "confirmed")       \
	X(ROLLING_BACK, "rolling-back") \
	X(FAILED, "failed")

#define OTA_UPDATE_ENUM(name, text) OTA_UPDATE_##name,
enum ota_update_state { OTA_UPDATE_STATES(OTA_UPDATE_ENUM) OTA_N_UPDATE_STATES };
#undef OTA_UPDATE_ENUM

/** report: what a device says of itself, signed with its own key. */
struct ota_report {
	char device[OTA_NAME_CAP];
	uint64_t boot;                /* boots of this device, monotonic */
	uint64_t counter;             /* reports of this device, monotonic over boots */
	uint8_t nonce[OTA_NONCE_LEN]; /* new at each connection of the agent */
	char agent[OTA_NAME_CAP];     /* version of the agent */
	char product[OTA_NAME_CAP], hardware[OTA_NAME_CAP],
		version[OTA_VERSION_CAP]; /* facts */
	struct ota_digest running,
		other; /* images of both slots; zero: none or not whole */
	uint64_t running_counter, other_counter, floor;  /* release counters */
	uint64_t root, fresh_seq, order_seq, assign_seq; /* newest accepted */
	char cohort[OTA_NAME_CAP]; /* "" while unassigned: then the member is "" */
	enum ota_update_state state;
	char rollout[OTA_NAME_CAP]; /* the rollout the state belongs to, or "" */
	struct ota_digest release;  /* document digest of it; zero: none */
	bool confirmed;             /* the running image has proved itself */
	uint64_t error; /* enum ota_code number of the last refusal or failure, 0: none */
	char error_text[OTA_ERROR_TEXT_CAP]; /* detail; "" if none */
	uint64_t wait; /* enum ota_code number of what it waits for, 0: nothing */
	uint64_t chunks, chunks_total; /* verified and wanted, of the current patch */
	uint64_t bytes;           /* payload bytes of chunks received for this rollout */
	uint64_t refetched;       /* chunks that arrived although the spool held them */
	struct ota_digest claims; /* the image that the running slot was recorded with,
				   * if running is another; else zero, and no member */
};

/** Text of an update state ("fetching"). */
const char *ota_update_state_text(enum ota_update_state state);

/** Text of an order state ("go"). */
const char *ota_order_state_text(enum ota_order_state state);

/** Parse a root payload; thresholds are checked to lie in 1 .. number of distinct keys.
 */
OTA_CHECKED enum ota_code ota_root_parse(
	struct ota_bytes payload, struct ota_root *out, struct ota_error *err);

/** Encode a root payload. */
OTA_CHECKED enum ota_code ota_root_encode(
	const struct ota_root *root, struct ota_buf *out, struct ota_error *err);

/** Parse a release payload. */
OTA_CHECKED enum ota_code ota_release_parse(
	struct ota_bytes payload, struct ota_release *out, struct ota_error *err);

/** Encode a release payload. */
OTA_CHECKED enum ota_code ota_release_encode(
	const struct ota_release *release, struct ota_buf *out, struct ota_error *err);

/** Parse a catalog payload. */
OTA_CHECKED enum ota_code ota_catalog_parse(
	struct ota_bytes payload, struct ota_catalog *out, struct ota_error *err);

/** Encode a catalog payload. */
OTA_CHECKED enum ota_code ota_catalog_encode(
	const struct ota_catalog *catalog, struct ota_buf *out, struct ota_error *err);

/** Parse a grant payload. */
OTA_CHECKED enum ota_code ota_grant_parse(
	struct ota_bytes payload, struct ota_grant *out, struct ota_error *err);

/** Encode a grant payload. */
OTA_CHECKED enum ota_code ota_grant_encode(
	const struct ota_grant *grant, struct ota_buf *out, struct ota_error *err);

/** Parse a fresh payload. */
OTA_CHECKED enum ota_code ota_fresh_parse(
	struct ota_bytes payload, struct ota_fresh *out, struct ota_error *err);

/** Encode a fresh payload. */
OTA_CHECKED enum ota_code ota_fresh_encode(
	const struct ota_fresh *fresh, struct ota_buf *out, struct ota_error *err);

/** Parse an order payload. */
OTA_CHECKED enum ota_code ota_order_parse(
	struct ota_bytes payload, struct ota_order *out, struct ota_error *err);

/** Encode an order payload. */
OTA_CHECKED enum ota_code ota_order_encode(
	const struct ota_order *order, struct ota_buf *out, struct ota_error *err);

/** Parse an assign payload. */
OTA_CHECKED enum ota_code ota_assign_parse(
	struct ota_bytes payload, struct ota_assign *out, struct ota_error *err);

/** Encode an assign payload. */
OTA_CHECKED enum ota_code ota_assign_encode(
	const struct ota_assign *assign, struct ota_buf *out, struct ota_error *err);

/** Parse a report payload. */
OTA_CHECKED enum ota_code ota_report_parse(
	struct ota_bytes payload, struct ota_report *out, struct ota_error *err);

/** Encode a report payload. */
OTA_CHECKED enum ota_code ota_report_encode(
	const struct ota_report *report, struct ota_buf *out, struct ota_error *err);

#endif

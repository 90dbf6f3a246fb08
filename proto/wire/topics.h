#ifndef PROTO_WIRE_TOPICS_H
#define PROTO_WIRE_TOPICS_H

/* Topics below sluice/1/<fleet>/, built and taken apart in one place.
 *
 *   root/<n>                        signed root N               retained
 *   catalog                         signed catalog              retained
 *   fresh                           signed fresh                retained
 *   release/<digest>                signed release              retained
 *   grant/<release digest>          signed grant                retained
 *   cohort/<name>/order             signed order                retained
 *   device/<id>/assign              signed assign               retained
 *   patch/<digest>/manifest         chunk table (manifest.h)    retained
 *   patch/<digest>/<group>/<index>  one chunk (manifest.h)      retained
 *   blocks/<digest>/table           block table (block_table.h) retained, on demand
 *   blocks/<digest>/<group>/<index> one packed block            retained, on demand
 *   state/<bucket>/<id>/report      signed report               retained
 *   state/<bucket>/<id>/online      presence (ota_online)       retained, last will
 *   need/<id>                       bitmap of missing chunks
 *   progress/<id>                   JSON for people watching    QoS 0 */

#include "proto/base/names.h"
#include "proto/wire/digest.h"

enum {
	OTA_TOPIC_CAP = 256, /* bytes with the NUL */
	OTA_STATE_BUCKETS =
		64, /* buckets of state/: below 500 devices each up to 32 000 */
	OTA_GROUP_CHUNKS = 16, /* chunks of one topic group */
};

#define OTA_TOPIC_KINDS(X) \
	X(ROOT)            \
	X(CATALOG)         \
	X(FRESH)           \
	X(RELEASE)         \
	X(GRANT)           \
	X(ORDER)           \
	X(ASSIGN)          \
	X(MANIFEST)        \
	X(CHUNK)           \
	X(BLOCK_TABLE)     \
	X(BLOCK)           \
	X(REPORT)          \
	X(ONLINE)          \
	X(NEED)            \
	X(PROGRESS)

#define OTA_TOPIC_ENUM(name) OTA_TOPIC_##name,
enum ota_topic_kind { OTA_TOPIC_KINDS(OTA_TOPIC_ENUM) OTA_N_TOPIC_KINDS };
#undef OTA_TOPIC_ENUM

/** A topic taken apart. Only the fields of its kind are meaningful. */
struct ota_topic {
	enum ota_topic_kind kind;
	char name[OTA_NAME_CAP];  /* cohort or device */
	struct ota_digest digest; /* of release, grant, manifest, chunk, table */
	uint64_t root;            /* version */
	uint32_t index;           /* of chunk or block */
};

/** Print a topic. fleet is a valid name. out holds OTA_TOPIC_CAP bytes. The bucket of
 *  state/ follows from the name, the group of a chunk from its index. */
void ota_topic_print(
	const char *fleet, const struct ota_topic *topic, char out[static OTA_TOPIC_CAP]);

/** Take a topic that came from the broker apart. OTA_OK, or OTA_E_NAME / OTA_E_FORMAT for
 *  anything that ota_topic_print() would not have printed. */
OTA_CHECKED enum ota_code ota_topic_parse(const char *fleet, const char *text,
	struct ota_topic *out, struct ota_error *err);

/** The most bytes a payload of that kind may have; more is refused unread. */
size_t ota_topic_payload_max(enum ota_topic_kind kind);

/** The state bucket of a device: first 4 bytes of BLAKE2b-256(id) as u32le, modulo
 *  OTA_STATE_BUCKETS. */
uint32_t ota_state_bucket(const char *device);

/** Print the filter state/<bucket>/+/report or .../online. */
void ota_topic_state_filter(const char *fleet, uint32_t bucket, enum ota_topic_kind kind,
	char out[static OTA_TOPIC_CAP]);

enum {
	OTA_ONLINE_CAP = 35,         /* bytes of a presence payload with a NUL */
	OTA_PROGRESS_LEN_MAX = 1024, /* bytes of a progress payload */
};

/** Presence: "1:<nonce hex>" or "0:<nonce hex>". */
struct ota_online {
	bool online;
	char nonce[33]; /* 32 lower-case hex digits and a NUL */
};

/** Print a presence payload, NUL-terminated. */
void ota_online_print(const struct ota_online *online, char out[static OTA_ONLINE_CAP]);

/** Parse a presence payload. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code ota_online_parse(
	struct ota_bytes in, struct ota_online *out, struct ota_error *err);

#endif

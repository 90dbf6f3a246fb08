#ifndef AGENT_CORE_IPC_H
#define AGENT_CORE_IPC_H

/* What the two processes of the agent say to each other over one SOCK_SEQPACKET
 * socketpair. Each packet is a head of fixed size and a payload; a packet of another
 * shape ends the process that received it. `net` is not trusted by `install`: it can lose
 * or forge anything here and still cause nothing but a refusal.
 *
 *   offset  size  field
 *        0     4  type      u32le, enum ipc_type
 *        4     4  code      u32le, enum ota_code number, enum ota_topic_kind
 *                        or enum ipc_part
 *        8     8  a         u64le
 *       16     8  b         u64le
 *       24     8  c         u64le
 *       32     8  d         u64le
 *       40    32  digest
 *       72    72  name      a name (proto/base/names.h), NUL-padded, may be empty
 *      144     .  payload   0 .. IPC_PAYLOAD_LEN_MAX bytes */

#include "proto/base/bytes.h"
#include "proto/base/names.h"
#include "proto/wire/digest.h"

enum {
	IPC_HEAD_LEN = 144,
	IPC_PAYLOAD_LEN_MAX = 65536, /* bytes; every envelope fits */
	IPC_PACKET_LEN_MAX = IPC_HEAD_LEN + IPC_PAYLOAD_LEN_MAX,
};

/* X(NAME, text)   first those from install to net, then those from net to install.
 *
 * WANT      the documents to be subscribed to, all of them, replacing the last WANT:
 *           name: cohort ("" none) - digest: release whose release/ and grant/ topics are
 *           wanted (zero none) - a: version of the next root. fresh, catalog and the
 *           device's assign are always subscribed. Sent again after every HELLO.
 * MANIFEST  fetch the manifest of patch `digest` into the spool; answer SPOOLED or FAILED
 * FETCH     fetch its chunks; a: start after this many ms - b: most chunks outstanding
 *           Both with code IPC_BLOCKS: the block table that the manifest in the spool
 *           names, and those of its blocks that are set in the payload (bit i % 8 of byte
 *           i / 8). SPOOLED, CHUNKS and FETCHED answer with
 *           that code; digest is that of the patch.
 * STOP      stop fetching; the spool stays
 * PURGE     forget every spooled patch but `digest`
 * REPORT    publish the payload (signed envelope) as this device's report
 * PROGRESS  publish the payload on progress/<id>
 *
 * HELLO     net has started and lives (first packet)
 * UP        connected to the broker; payload: nonce of the session, OTA_NONCE_LEN bytes
 * DOWN      not connected
 * DOC       a document arrived; code: enum ota_topic_kind - name, digest: from the topic
 * - a: root version from the topic - payload: the envelope, unverified SPOOLED   manifest
 * of `digest` is in the spool (its digest was checked by net) CHUNKS    progress: a:
 * chunks in the spool - b: wanted - c: payload bytes received for this patch, ever - d:
 * chunks delivered on request although held, ever FETCHED   all chunks are in the spool;
 * a .. d as CHUNKS FAILED    MANIFEST or FETCH gave up; code: enum ota_code - payload:
 * text */
#define IPC_TYPES(X)            \
	X(WANT, "want")         \
	X(MANIFEST, "manifest") \
	X(FETCH, "fetch")       \
	X(STOP, "stop")         \
	X(PURGE, "purge")       \
	X(REPORT, "report")     \
	X(PROGRESS, "progress") \
	X(HELLO, "hello")       \
	X(UP, "up")             \
	X(DOWN, "down")         \
	X(DOC, "doc")           \
	X(SPOOLED, "spooled")   \
	X(CHUNKS, "chunks")     \
	X(FETCHED, "fetched")   \
	X(FAILED, "failed")

#define IPC_ENUM(name, text) IPC_##name,
enum ipc_type { IPC_TYPES(IPC_ENUM) N_IPC_TYPES };
#undef IPC_ENUM

/* What MANIFEST, FETCH and their answers are about. */
enum ipc_part { IPC_PATCH = 0, IPC_BLOCKS = 1 };

struct ipc_message {
	enum ipc_type type;
	uint32_t code;
	uint64_t a, b, c, d;
	struct ota_digest digest;
	char name[OTA_NAME_CAP];
	struct ota_bytes payload; /* borrowed */
};

/** Parse a packet that came from the other process; payload points into it. OTA_OK,
 *  OTA_E_FORMAT, OTA_E_LIMIT or OTA_E_NAME. */
OTA_CHECKED enum ota_code ipc_parse(
	struct ota_bytes packet, struct ipc_message *out, struct ota_error *err);

/** Append a packet to out. OTA_OK, OTA_E_LIMIT (payload) or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ipc_encode(
	const struct ipc_message *message, struct ota_buf *out);

/** Text of a type, for logs. */
const char *ipc_type_text(enum ipc_type type);

#endif

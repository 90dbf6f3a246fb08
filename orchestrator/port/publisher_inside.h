#ifndef ORCHESTRATOR_PORT_PUBLISHER_INSIDE_H
#define ORCHESTRATOR_PORT_PUBLISHER_INSIDE_H

/* The inside of the publisher, shared by the files that implement it: publisher.c (the
 * session, rows, acknowledgements), publish_patch.c (chunks: first, again, cleared),
 * publish_blocks.c (block tables: when a device needs one), publish_stray.c (what nobody
 * knows) and publish_probe.c (is the broker fit?). */

#include "orchestrator/port/cached_blocks.h"
#include "orchestrator/port/cached_patch.h"
#include "orchestrator/port/chunk_set.h"
#include "orchestrator/port/publisher.h"

enum {
	ROWS_OUT_MAX = 64,   /* plain rows not acknowledged yet */
	CHUNKS_OUT_MAX = 32, /* chunks of the patch not acknowledged yet */
	RESEND_OUT_MAX = 16, /* chunks that devices asked for, not acknowledged yet */
	ACKS_MAX = 256,      /* acknowledged rows not written down yet */
};

/*   DOWN -> PROBE -> ROWS <-> CHUNKS -> MANIFEST -> ROWS
 *             |  ^
 *             v  |  after a minute
 *          REFUSED                     any -> DOWN */
enum stage {
	STAGE_DOWN,
	STAGE_PROBE,
	STAGE_REFUSED,
	STAGE_ROWS,
	STAGE_CHUNKS,
	STAGE_MANIFEST
};

enum flight_kind {
	FLIGHT_ROW,
	FLIGHT_CHUNK,
	FLIGHT_MANIFEST,
	FLIGHT_RESEND,
	FLIGHT_CLEAR,
	FLIGHT_PROBE
};

/* One publish under way. */
struct flight {
	struct publisher *owner; /* borrowed */
	enum flight_kind kind;
	uint64_t session;
	uint64_t seq;   /* of the outbox row, 0: none */
	uint64_t bytes; /* of the payload */
};

struct publisher {
	uv_timer_t pump;       /* at once, from outside of the caller's stack */
	uv_timer_t tick;       /* while something waits for time to pass */
	uv_timer_t probe;      /* deadline of the probe, or the time of the next */
	uv_timer_t stray;      /* while strays are looked for */
	struct ledger *ledger; /* borrowed */
	struct ota_mqtt *link; /* borrowed; NULL while down */
	char fleet[OTA_NAME_CAP];
	char *dir; /* owned */
	enum stage stage;
	uint64_t session;          /* counts connects, so that late answers are known */
	uint64_t cursor;           /* rows up to this seq were sent in this session */
	uint32_t out;              /* rows, or chunks of the patch, not acknowledged */
	struct cached_patch patch; /* being sent in CHUNKS and MANIFEST */
	uint64_t patch_seq, patch_bytes;
	uint32_t patch_next; /* chunk */
	bool patch_failed;
	struct chunk_set *wanted, *resending, *clearing; /* owned */
	struct cached_patch resend_file;
	struct cached_blocks resend_blocks; /* instead, if the set is one of blocks */
	uint32_t resend_out;
	uint64_t wanted_at_ms; /* when what devices want is sent */
	uint64_t acks[ACKS_MAX];
	uint32_t ack_count;
	uint64_t again_bytes; /* went out again, not written down yet */
	uint64_t denied;
	bool probed;
	bool looked;     /* for strays, since the start */
	uint64_t strays; /* cleared */
	char probe_topic[OTA_TOPIC_CAP];
	uint8_t probe_mark[16]; /* so that an older probe is not taken for ours */
	char probe_text[160];
	uint32_t handles; /* of libuv, still open */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* ---- publisher.c */

/** Send one retained message. False when the link does not take it now. */
bool publish_send(struct publisher *p, const struct flight *flight, const char *topic,
	struct ota_bytes payload);

/** Print the topic of a patch's manifest or chunk. */
void publish_topic(const struct publisher *p, enum ota_topic_kind kind,
	const struct ota_digest *patch, uint32_t index, char out[static OTA_TOPIC_CAP]);

/** Have time pass: clears, what devices want, acknowledgements to be written down. */
void publish_start_tick(struct publisher *p);

/** Go back, so that the row of seq is sent again. */
void publish_rewind(struct publisher *p, uint64_t seq);

/* ---- publish_patch.c */

/** Begin with the patch of a row: CHUNKS, unless it cannot be read. */
void publish_patch_begin(struct publisher *p, const struct ledger_retained *row);

/** In CHUNKS: send what the window takes; ends in MANIFEST or, having failed, in ROWS. */
void publish_patch_pump(struct publisher *p);

/** A chunk or the manifest of the patch landed. */
void publish_patch_landed(
	struct publisher *p, const struct flight *flight, enum ota_code code);

/** Begin to clear the patch of a row. False if that has to wait. */
bool publish_clear_begin(struct publisher *p, const struct ledger_retained *row);

/** Clear one more topic of p->clearing, which is not empty. False if the link is full. */
bool publish_clear_one(struct publisher *p);

/** What devices asked for is sent now. */
void publish_wanted(struct publisher *p);

/** Send of p->resending what the window takes. */
void publish_resend_pump(struct publisher *p);

/** Want what a need asks for: of a patch or block table with count chunks. */
void publish_want(
	struct publisher *p, const struct ota_need *need, uint32_t count, bool blocks);

/* ---- publish_blocks.c */

/** A device needs a block table or blocks, if that is what the need names. */
void publish_blocks_need(struct publisher *p, const struct ota_need *need);

/** A patch that names this table (zero: none) is released: so is the table, if no other
 *  patch names it. */
void publish_blocks_release(struct publisher *p, const struct ota_digest *table);

/* ---- publish_stray.c */

/** In ROWS, for the first time since the start: look for what the broker holds and the
 * ledger does not know, as after it was restored from a backup, and clear that. */
void publish_stray_begin(struct publisher *p);

/** The link is down: begin again next time unless it was over. */
void publish_stray_down(struct publisher *p);

/** A message; true if it is of those looked for. */
bool publish_stray_message(
	struct publisher *p, const char *topic, struct ota_bytes payload, bool retained);

/* ---- publish_probe.c */

/** Begin the probe. */
void publish_probe_begin(struct publisher *p);

/** The probe's message landed. */
void publish_probe_landed(struct publisher *p, enum ota_code code);

#endif

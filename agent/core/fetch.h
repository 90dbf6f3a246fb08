#ifndef AGENT_CORE_FETCH_H
#define AGENT_CORE_FETCH_H

/* Pulling one patch from the broker's retained messages: which chunks to subscribe to
 * now, which to leave, when to ask for help. Pure: the port says what happened and when,
 * and does what the plan says.
 *
 *              ask                    arrived whole
 *   IDLE  ------------->  ASKED  ---------------------->  HELD
 *    ^                     | ^                              ^
 *    | link lost    fence, | | 2 s, 4 s after a need        | arrived late or live
 *    |      no progress or | |                              |
 *    |       wrong content v |                              |
 *    +--------------------  LATER  -------------------------+
 *
 * A SUBSCRIBE names at most FETCH_ASK_MAX chunks and then the manifest's topic as a
 * fence: brokers deliver retained messages in the order of the filters, so what is
 * missing when the manifest arrives is not there. Each SUBSCRIBE is answered by one
 * fence. A chunk that was absent FETCH_TRIES times is put on the need bitmap.
 *
 * The manifest itself is fetched by the same rules as one chunk without a fence. */

#include "proto/base/bytes.h"
#include "proto/wire/manifest.h"

enum {
	FETCH_WINDOW_MAX = 16,         /* chunks outstanding */
	FETCH_WINDOW_BYTES = 1 << 20,  /* bytes outstanding */
	FETCH_WINDOW_START = 4,        /* chunks, before the link has shown its rate */
	FETCH_ASK_MAX = 7,             /* chunks of one SUBSCRIBE; the fence is the 8th */
	FETCH_BATCHES_MAX = 3,         /* SUBSCRIBEs of one plan */
	FETCH_TRIES = 3,               /* absences before the need is published */
	FETCH_WRONG_MAX = 8,           /* wrong chunks before the patch is given up */
	FETCH_GRACE_MS = 2000,         /* between an absence and the next SUBSCRIBE */
	FETCH_PATIENCE_MS = 5000,      /* without progress; grows with a slow link */
	FETCH_PATIENCE_MAX_MS = 60000, /* growth ends here */
	FETCH_RATE_UNKNOWN = 16384,    /* bytes/s assumed before the first measure */
	FETCH_NEED_JITTER_MS = 5000,   /* before the first need; doubles with each */
	FETCH_NEED_MAX_MS = 300000,    /* growth ends here */
};

struct fetch_config {
	uint32_t chunk_count;  /* 0: fetch the manifest itself */
	uint32_t chunk_len;    /* bytes of every chunk but the last; unused for count 0 */
	uint32_t chunks_max;   /* most outstanding, 1 .. FETCH_WINDOW_MAX */
	bool is_on_demand;     /* nothing is published before it is needed: one absence is
				  enough to say so */
	uint64_t rate;         /* most bytes per second; 0: no limit */
	uint64_t start_at_ms;  /* nothing is asked before this moment */
	uint32_t start_hash;   /* of the device: says in which group it starts */
	uint64_t seed;         /* of the jitter; differs from device to device */
	struct ota_bytes held; /* bitmap of chunks already held, borrowed for the call;
				  may be shorter than chunk_count, empty: none */
};

enum fetch_state { FETCH_IDLE, FETCH_ASKED, FETCH_LATER, FETCH_HELD };

struct fetch_chunk {
	uint64_t due_ms; /* LATER: when it is asked for again */
	uint32_t batch;  /* ASKED: number of its SUBSCRIBE */
	uint8_t state;   /* enum fetch_state */
	uint8_t absences;
	bool subscribed;
};

struct fetch {
	struct fetch_config config;
	struct fetch_chunk *chunks; /* owned, `count` entries */
	uint32_t count;             /* chunk_count, 1 for the manifest */
	uint32_t held, asked, later, wrong;
	uint32_t cursor;          /* where the search for idle chunks goes on */
	uint32_t window;          /* chunks, 1 .. config.chunks_max */
	uint32_t batches, fenced; /* SUBSCRIBEs made, and fences seen since UP */
	bool up, failed, finished;
	uint64_t progress_ms;       /* when something last moved */
	uint32_t stalls;            /* spells without progress in a row */
	uint64_t need_at_ms;        /* when the next need is due; 0: none */
	uint32_t needs;             /* needs published since the last absent chunk came */
	uint64_t tokens, tokens_ms; /* rate cap: bytes that may be asked for, and when */
	uint64_t rate, sample_ms, sample_bytes; /* what the link carries, bytes/s */
	uint64_t random;
};

/* X(NAME)
 * UP     connected; nothing is subscribed
 * DOWN   not connected
 * RIGHT  chunk `index` arrived, was whole and is in the spool
 * WRONG  something else arrived as chunk `index`
 * FENCE  the manifest arrived as a retained message
 * TICK   time passed */
enum fetch_event_kind {
	FETCH_EV_UP,
	FETCH_EV_DOWN,
	FETCH_EV_RIGHT,
	FETCH_EV_WRONG,
	FETCH_EV_FENCE,
	FETCH_EV_TICK
};

struct fetch_event {
	enum fetch_event_kind kind;
	uint32_t index;
};

enum fetch_outcome { FETCH_WORKING, FETCH_DONE, FETCH_FAILED };

/** The chunks of one SUBSCRIBE or UNSUBSCRIBE. */
struct fetch_batch {
	uint32_t chunks[FETCH_WINDOW_MAX];
	uint32_t count;
};

/** What to do now, in this order. */
struct fetch_plan {
	struct fetch_batch drop; /* UNSUBSCRIBE from these */
	bool drop_fence;         /* and from the manifest: no SUBSCRIBE follows */
	struct fetch_batch ask[FETCH_BATCHES_MAX]; /* SUBSCRIBE each, fence last; at most
						      FETCH_ASK_MAX chunks */
	uint32_t ask_count;
	bool need;                  /* publish the bitmap of fetch_need() */
	enum fetch_outcome outcome; /* DONE and FAILED are said once */
	struct ota_error err;       /* FAILED: OTA_E_POISON */
	uint64_t wake_ms;           /* step again with TICK then; 0: no need to */
};

/** Begin. OTA_OK, OTA_E_LIMIT (a config out of range) or OTA_E_NOMEM. Release with
 *  fetch_fini(). Takes about 24 bytes per chunk. */
OTA_CHECKED enum ota_code fetch_init(
	struct fetch *fetch, const struct fetch_config *config, struct ota_error *err);

/** Release. Accepts a zeroed struct and leaves one behind. */
void fetch_fini(struct fetch *fetch);

/** Take an event in and say what to do. now_ms never goes back. After DONE or FAILED
 *  plans are empty. */
void fetch_step(struct fetch *fetch, uint64_t now_ms, const struct fetch_event *event,
	struct fetch_plan *out);

/** True if the chunk exists and is not held: what arrives for it is worth a look. */
bool fetch_is_missing(const struct fetch *fetch, uint32_t index);

/** Append the bitmap of chunks that were absent and are still missing: bit i % 8 of byte
 *  i / 8, (chunk_count + 7) / 8 bytes. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code fetch_need(const struct fetch *fetch, struct ota_buf *out);

/** End early: what must be unsubscribed, as a plan. The fetch is then only good for
 *  fetch_fini(). */
void fetch_stop(struct fetch *fetch, struct fetch_plan *out);

#endif

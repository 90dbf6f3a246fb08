#ifndef AGENT_CORE_CORE_H
#define AGENT_CORE_CORE_H

/* The agent's decisions: agent_start() once, then agent_step() for each thing that
 * happens. Pure: the whole world of an agent is its port, so a test can be the world.
 *
 * A port that fails at something the agent relies on (journal, slots) ends the step with
 * its code, and the process with it; the next one starts from the journal. */

#include "agent/core/ipc.h"
#include "agent/core/journal.h"
#include "agent/core/papers.h"
#include "agent/core/policy.h"
#include "agent/core/slot.h"
#include "proto/wire/block_table.h"

enum { AGENT_SCAN_LEN = (OTA_BLOCKS_MAX + 7) / 8 }; /* bytes */

/** What happens now, as the agent may know it. */
struct agent_now {
	uint64_t mono_ms;   /* never jumps; runs on over restarts within a boot */
	uint64_t utc_s;     /* the local clock, which may be wrong */
	uint32_t local_min; /* minute of the local day, 0 .. 1439 */
	struct policy_zone zone;
};

/* X(NAME, text) work that takes its time and answers with an event
 *
 * HASH     digest of the image in a slot
 * SCAN     the blocks of the running slot against the table that the manifest names
 * VERIFY   every chunk in the spool against the manifest
 * INSTALL  the patch from the spool, applied to the other slot, into a slot
 * HOOK     an executable of the hooks directory, or a script of the policy */
#define AGENT_JOBS(X)         \
	X(HASH, "hash")       \
	X(SCAN, "scan")       \
	X(VERIFY, "verify")   \
	X(INSTALL, "install") \
	X(HOOK, "hook")

#define AGENT_JOB_ENUM(name, text) AGENT_JOB_##name,
enum agent_job_kind { AGENT_JOBS(AGENT_JOB_ENUM) AGENT_N_JOBS };
#undef AGENT_JOB_ENUM

struct agent_job {
	enum agent_job_kind kind;
	uint64_t serial; /* comes back with the answer */
	/* HASH, SCAN: read; INSTALL: written, the other one is read; VERIFY with repairs:
	 * as INSTALL */
	unsigned slot;
	struct ota_digest patch; /* SCAN, VERIFY, INSTALL: digest of the manifest */
	bool repairs;            /* VERIFY, INSTALL: blocks in the spool stand for those
				    of the slot that is read where it differs */
	/* HOOK: "before-install", "before-reboot", "health", "rescue"; or of the policy:
	 * "metered", "power", "lock", which say OTA_OK to let it go on; a string constant
	 */
	const char *hook;
	const char *version; /* HOOK: of the target, may be ""; borrowed for the call */
};

/** Where a slot differs from the image that it was recorded with. */
struct agent_scan {
	uint32_t blocks, count;       /* of the image; that differ */
	uint64_t packed_len, raw_len; /* bytes of those: to fetch, and unpacked */
	uint8_t bits[AGENT_SCAN_LEN]; /* bit i % 8 of byte i / 8: block i differs */
};

/** How a job ended. */
struct agent_result {
	uint64_t serial;
	/* VERIFY: OTA_E_DIGEST if a chunk is not what the manifest says. HOOK: OTA_OK
	 * also if there is no such hook, OTA_E_HOOK for a veto, OTA_E_BUSY for "later",
	 * OTA_E_TIMEOUT. */
	struct ota_error error;   /* code OTA_OK: it went well */
	struct ota_digest digest; /* HASH */
	struct agent_scan scan;   /* SCAN */
};

enum agent_event_kind { AGENT_ON_IPC, AGENT_ON_RESULT, AGENT_ON_TIMER };

struct agent_event {
	enum agent_event_kind kind;
	struct ipc_message ipc;     /* AGENT_ON_IPC */
	struct agent_result result; /* AGENT_ON_RESULT */
};

/** Room for an update, in bytes. */
struct agent_room {
	uint64_t slot;  /* largest image that the inactive slot can take */
	uint64_t spool; /* largest patch that the spool can take */
};

struct agent_port {
	void *ctx;
	struct slot_port slots;

	/** Make the journal durable. */
	enum ota_code (*journal_store)(
		void *ctx, struct ota_bytes journal, struct ota_error *err);
	/** Read a document kept by doc_store into out; OTA_E_NOTFOUND if there is none.
	 */
	enum ota_code (*doc_load)(void *ctx, enum ota_topic_kind kind,
		struct ota_buf *out, struct ota_error *err);
	/** Keep a document durably. */
	enum ota_code (*doc_store)(void *ctx, enum ota_topic_kind kind,
		struct ota_bytes envelope, struct ota_error *err);

	/** Say something to net. What cannot be delivered ends the process later. */
	void (*send)(void *ctx, const struct ipc_message *message);
	/** Sign an envelope with the device's key; appended to out. */
	enum ota_code (*sign)(void *ctx, struct ota_bytes envelope, struct ota_buf *out,
		struct ota_error *err);
	/** Fill out with random bytes. */
	void (*random)(void *ctx, uint8_t *out, size_t len);

	/** Read a manifest's bytes from the spool, not trusted; appended to out. */
	enum ota_code (*manifest)(void *ctx, const struct ota_digest *patch,
		struct ota_buf *out, struct ota_error *err);
	/** Tell the room there is for an update by that patch. */
	enum ota_code (*room)(void *ctx, const struct ota_digest *patch,
		struct agent_room *out, struct ota_error *err);

	/** Begin a job; one at a time. Answers once with an AGENT_ON_RESULT event, never
	 *  from within the call. */
	enum ota_code (*job_start)(
		void *ctx, const struct agent_job *job, struct ota_error *err);
	/** End the job under way, if any; when this returns, or at the latest before the
	 *  next job begins, it touches nothing any more. An answer may still come. */
	void (*job_stop)(void *ctx);
	/** Boot the device: nothing is said to the agent after this. */
	void (*reboot)(void *ctx);
};

/** Who the device is; everything is borrowed for the agent's life. */
struct agent_identity {
	const char *device, *product, *hardware;
	uint64_t decoder_ram_max;    /* bytes */
	uint32_t chunks_outstanding; /* at most, while fetching */
	const struct policy *policy; /* NULL: everything is allowed */
};

/* What an agent waits for by the clock. */
enum agent_timer {
	AGENT_TIMER_RETRY,    /* try what could not be done again */
	AGENT_TIMER_DEADLINE, /* of installing, of proving */
	AGENT_TIMER_MINUTE,   /* what depends on the time of day */
	AGENT_TIMER_REPORT,   /* progress, while fetching */
	AGENT_TIMER_SETTLE,   /* what is waited for may change again at once */
	AGENT_N_TIMERS
};

/* What the policy lets scripts decide, in this order; which of them depends on the state.
 */
enum agent_check {
	AGENT_CHECK_METERED,
	AGENT_CHECK_POWER,
	AGENT_CHECK_LOCK,
	AGENT_N_CHECKS
};

/* Where the work of OFFERED stands. */
enum agent_offer {
	AGENT_OFFER_HASH,
	AGENT_OFFER_MANIFEST,
	AGENT_OFFER_TABLE,
	AGENT_OFFER_SCAN,
	AGENT_OFFER_HOOK
};

/** How a running slot that differs from its image is mended for a patch; nothing of it is
 *  remembered but by doing it again. */
struct agent_repair {
	struct ota_digest hopeless; /* patch that cannot be had this way; zero: none */
	bool scanned, spooled;      /* scan is filled; its blocks are in the spool */
	struct agent_scan scan;
	uint64_t bytes; /* received for blocks */
};

/** What the last report said of the things that make a new one worth sending. */
struct agent_said {
	bool any;
	enum ota_update_state state;
	enum ota_code error, wait;
	struct ota_digest running, release;
	uint64_t assign_seq;
	char rollout[OTA_NAME_CAP];
	bool confirmed;
};

/** An agent. Its fields are the core's own; made by agent_start(). It owns no memory. */
struct agent {
	struct agent_identity id;
	struct agent_port port;
	struct agent_now now;
	struct journal journal;
	struct papers papers;

	unsigned current; /* slot that runs */
	struct slot_info slots[SLOT_COUNT];
	struct ota_digest running; /* really hashed; zero: not yet in this process */

	struct ota_error doc_fault; /* last refusal of a document; code OTA_OK: none */
	enum ota_topic_kind doc_kind;
	struct ota_error verdict; /* why nothing is begun or it stands still */
	bool parked;              /* the work of the state is held back */

	struct policy policy;
	enum agent_check check; /* to be asked next before the work of the state */
	bool asking;            /* the job under way is the one before it */

	enum agent_offer offer;
	struct ota_digest patch; /* being offered */
	struct agent_repair repair;
	bool net_began;     /* FETCH was sent for this FETCHING */
	unsigned refetches; /* of this update, by this process */
	bool fresh_here;    /* a fresh was verified that came to this process */
	bool healthy;       /* the health hook passed */

	uint64_t serial;                   /* of the last job */
	bool working;                      /* a job is under way */
	uint64_t timer_ms[AGENT_N_TIMERS]; /* monotonic; 0: off */

	bool up; /* net is connected */
	uint8_t nonce[OTA_NONCE_LEN];
	uint64_t reports;           /* counter of the last report */
	uint64_t progress_ms;       /* when progress was last told */
	bool progress_new;          /* since the last report */
	uint64_t fetching_since_ms; /* by this process */
	uint64_t asked_ms;          /* when net may have begun to ask for chunks */
	uint64_t slow_bytes;        /* received when the minutes began to count */
	unsigned slow_minutes;      /* connected and asking, since then */
	enum ota_code wait;         /* waited for, since more than a moment ... */
	struct ota_digest wait_for; /* ... under an order of this release */
	struct agent_said said;
};

/** What an agent starts from; borrowed for the call. */
struct agent_origin {
	struct ota_bytes journal;  /* as last stored; empty: never */
	bool journal_lost;         /* it was there and could not be read */
	struct ota_bytes root;     /* the signed root that provisioning put there */
	struct ota_digest boot_id; /* another one than the journal's: the device booted */
};

/**
 * Start an agent: read the journal, the slots and the documents, and take up the work
 * where it stood.
 *
 * id, port  copied; what they point to is borrowed for the agent's life
 *
 * Returns OTA_OK, a code of ota_trust_anchor() for the root, or that of a port.
 */
OTA_CHECKED enum ota_code agent_start(struct agent *agent,
	const struct agent_identity *id, const struct agent_port *port,
	const struct agent_origin *origin, const struct agent_now *now,
	struct ota_error *err);

/**
 * Take in one thing that happened.
 *
 * Refusals are reported, not returned. Returns OTA_OK, or the code of a port that the
 * agent relies on: then it must not be stepped any more.
 */
OTA_CHECKED enum ota_code agent_step(struct agent *agent, const struct agent_now *now,
	const struct agent_event *event, struct ota_error *err);

/** What holds the device back as its reports say it: a refusal at once, what it waits for
 *  when it has done so for a moment. code OTA_OK: nothing. */
void agent_trouble(const struct agent *agent, struct ota_error *out);

/** When to call agent_step() with AGENT_ON_TIMER at the latest, in monotonic ms;
 *  UINT64_MAX: not before something happens. */
uint64_t agent_wake_ms(const struct agent *agent);

#endif

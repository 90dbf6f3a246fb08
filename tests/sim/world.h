#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

/* The whole world of one agent, in memory: its disk, its slots and their boot loader, its
 * net process, the workers, the clock, and the people who sign its documents. It can lose
 * power before any call of the agent's port. */

#include "agent/core/core.h"
#include "proto/wire/manifest.h"

enum { WORLD_QUEUE = 64, WORLD_HOOKS = 7 };

/** A hook and its scripted answer. */
struct world_hook {
	const char *name;
	enum ota_code answer; /* OTA_OK, OTA_E_HOOK, OTA_E_BUSY, OTA_E_TIMEOUT */
	unsigned runs;
};

/** What is physically in a slot, beside what is recorded of it. */
struct world_slot {
	struct slot_info info;
	struct ota_digest content;
	bool whole;
};

struct world;

/** What may stand in for the world's own disk, slots and workers; ctx of the port stays
 * the world. A power cut within sets world->cut. */
struct world_medium {
	/** Replace members of the port. */
	void (*port)(struct agent_port *port);
	/** Power on: what survived is read, a slot is booted; fills journal,
	 * journal_lost, current and slots. */
	void (*boot)(struct world *world);
	/** Do the job under way. */
	enum ota_code (*job)(struct world *world, struct agent_result *result);
	/** Net fetches all chunks into the spool. */
	void (*fetch)(struct world *world);
	/** Net empties the spool. */
	void (*purge)(struct world *world);
};

struct world {
	const struct world_medium *medium; /* borrowed; NULL: none */
	void *medium_ctx;                  /* borrowed; for the medium */
	bool collects;     /* what must not happen goes to `wrong`, and ends no test */
	const char *wrong; /* the first of it, or NULL */

	/* people, their keys, and what they say; change it, then world_publish() */
	struct ota_secret_key keys[OTA_N_ROLES], device_key;
	struct ota_root root;
	struct ota_release release;
	struct ota_catalog catalog;
	struct ota_grant grant;
	struct ota_order order;
	struct ota_assign assign;
	struct ota_fresh fresh;
	struct ota_manifest manifest;
	struct ota_buf docs[OTA_N_TOPIC_KINDS]; /* owned; envelopes as last signed */
	struct ota_buf manifest_bytes;          /* owned */
	struct ota_buf root_bytes;              /* owned */

	/* what the device keeps over a power cut */
	struct ota_buf journal;                 /* owned */
	bool journal_lost;                      /* it was there and could not be read */
	struct ota_buf kept[OTA_N_TOPIC_KINDS]; /* owned; documents on disk */
	struct world_slot slots[SLOT_COUNT];
	unsigned current, primary, tries;
	unsigned boots;

	/* the process and what is under way */
	struct agent agent;
	struct agent_now now;
	uint64_t utc_ms; /* that now.utc_s does not show yet */
	bool rebooting;
	struct agent_job job; /* if has_job */
	bool has_job;
	uint64_t stale_serial; /* of a job that was stopped, if has_stale */
	bool has_stale;
	struct ipc_message queue[WORLD_QUEUE]; /* from net */
	unsigned queued;
	uint8_t nonce[OTA_NONCE_LEN];

	/* what happens to it */
	int ops_left; /* port calls until the power goes; -1: never */
	bool cut;     /* the power is gone */
	unsigned cuts;
	bool loader_is_stuck; /* the boot loader boots what runs, whatever it is told */
	bool net_is_down;
	bool net_is_mute; /* answers nothing about patches */
	enum ota_code verify_answer, install_answer, scan_answer;
	struct agent_scan scan;               /* what SCAN finds */
	struct world_hook hooks[WORLD_HOOKS]; /* before-install, before-reboot, health,
					 rescue */
	struct policy policy;
	struct agent_room room;

	/* what was seen */
	struct ota_report report; /* the last one; its signature was checked */
	unsigned reports;
	unsigned slot_writes; /* INSTALL jobs begun */
	unsigned fetches, purges, stops;
	unsigned table_asks, block_fetches, scans; /* to repair the source */
	struct ipc_message want;                   /* the last one */
	unsigned wrong_boots; /* boots into something that is not whole */
};

/** A device that runs image 1 in slot 0 and knows its root; and all documents that let it
 *  install image 2, made but not yet signed. */
void world_init(struct world *world);

/** Release everything. */
void world_fini(struct world *world);

/** Sign all documents as they stand, in the order in which they name each other. */
void world_sign(struct world *world);

/** Sign, and let net deliver all documents. */
void world_publish(struct world *world);

/** Let net deliver one document as it was last signed. */
void world_deliver(struct world *world, enum ota_topic_kind kind);

/** Let net say something; the payload must live until it was taken. */
void world_say(struct world *world, const struct ipc_message *message);

/** All sequence numbers go up: what is published next is newer. */
void world_next(struct world *world);

/** Power on: the boot loader picks a slot, the agent starts. */
void world_boot(struct world *world);

/** Power on, but what the slot holds dies before the agent starts. */
void world_boot_in_vain(struct world *world);

/** The process died and starts again within the boot. */
void world_restart(struct world *world);

/** Let one thing happen that can happen without time passing. False if there is none. */
bool world_step(struct world *world);

/** Let everything happen that can happen without time passing. */
void world_run(struct world *world);

/** Let net deliver all documents, and things happen one by one until the journal says
 * that state; the test fails if it never does. */
void world_run_to(struct world *world, enum ota_update_state state);

/** Power on, and let net deliver all documents and be asked for the first chunks, which
 * it has not fetched yet. */
void world_run_to_fetching(struct world *world);

/** Let n things happen one by one. False if fewer did. */
bool world_run_steps(struct world *world, unsigned n);

/** Let time pass, and everything happen meanwhile. */
void world_pass(struct world *world, uint64_t ms);

/** What must be: otherwise the test fails, or the world is marked `wrong`. */
void world_must(struct world *world, bool is, const char *what);

/** Digest of image n (1: the old one, 2: the new one). */
struct ota_digest world_image(uint8_t n);

/** True if the device runs image n, whole, and says so, and never booted a broken one. */
bool world_runs(const struct world *world, uint8_t n);

#endif

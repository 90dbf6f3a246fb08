#ifndef TESTS_SIM_LAWS_WORLD_H
#define TESTS_SIM_LAWS_WORLD_H

/* A small fleet under the orchestrator's core in a hostile world, from one seed: reports
 * are lost, doubled and come in any order, devices read old orders, the clock steps,
 * people meddle, and the orchestrator dies at the ends of its transactions, before they
 * are durable or after. What must hold whatever happens are the laws (laws.c): they look
 * at every row, audit entry and order the moment the core writes it. */

#include "orchestrator/core/core.h"
#include "orchestrator/core/rollout_states.h"
#include "orchestrator/port/audit_chain.h"
#include "orchestrator/sim/dice.h"
#include "proto/wire/documents.h"

enum {
	LW_DEVICES_MAX = 10,
	LW_ROWS_MAX = 160,
	LW_CHANNEL_MAX = 64,
	LW_OPS_MAX = 256,
	LW_STAGES = 3, /* lab, few, all */
	LW_UTC_S = 1800000000,
	LW_WRONG_CAP = 256,
	LW_ROLLOUT_STATE_CAP = 24,
};

#define LW_FLEET    "laws"
#define LW_FLEET_ID "laws-fleet-id-16"

enum lw_fate { LW_GOOD, LW_UNHEALTHY, LW_BRICK, LW_AWAY };

/* What the core has been told of a device, and kept. */
struct lw_heard {
	uint64_t counter;
	enum ota_update_state state;
	bool is_new, online, hard;
};

struct lw_device {
	char id[OTA_NAME_CAP];
	uint32_t cohort; /* 0: lab, 1: fleet */
	uint32_t bucket;
	enum lw_fate fate;
	struct ota_report report; /* the newest: what the broker retains */
	bool dead;
	uint64_t seq, permille; /* of the order it has read */
	enum ota_order_state order;
	uint64_t tried_seq;
	struct lw_heard heard;
	bool told_success; /* it once sent a confirmed report of the new image */
};

enum lw_op_kind { LW_PUT, LW_DROP, LW_AUDIT, LW_RETAIN };

/* A change within a transaction. */
struct lw_op {
	enum lw_op_kind kind;
	enum core_table table;
	char *key;  /* owned: of the row, the action, or the cohort */
	char *text; /* owned: row or detail */
	struct {
		uint64_t seq, permille;
		uint32_t canary_count;
		enum ota_order_state state;
	} order; /* of RETAIN */
};

struct lw_row {
	enum core_table table;
	char *key, *text; /* owned */
};

/* What the laws remember of what is durable. */
struct lw_ledger {
	struct audit_walk chain;
	uint64_t audit_seq;
	struct ota_digest audit_head;
	enum rollout_state audited; /* by the audit log, the rollout's state */
	bool audited_any;
	uint32_t stage; /* of the rollout's row */
	enum rollout_state state;
	uint64_t soaks_since_s;
	uint64_t permille[LW_STAGES];
	uint64_t seq[2], opened[2]; /* of the cohorts' orders */
	enum ota_order_state order[2];
	uint64_t opened_most[2]; /* by the rollout's row */
};

struct laws_world {
	uint64_t seed;
	struct dice dice;
	struct core *core; /* owned */
	struct core_now now;
	struct ota_secret_key keys[OTA_N_ROLES];
	struct ota_buf root; /* owned */
	struct ota_digest old, image, release;
	uint64_t document_seq, granted;
	bool started;

	struct lw_device devices[LW_DEVICES_MAX];
	uint32_t device_count;
	struct {
		uint32_t device;
		struct ota_report report;
	} channel[LW_CHANNEL_MAX];
	uint32_t channel_count;
	struct core_patch asked[8];
	uint32_t asked_count;

	struct lw_row rows[LW_ROWS_MAX];
	uint32_t row_count;
	struct lw_op ops[LW_OPS_MAX];
	uint32_t op_count;
	bool in_transaction, dead; /* dead: the process has died within a call */
	bool calm;                 /* nothing goes wrong any more */
	struct lw_ledger ledger;   /* what is durable */
	struct lw_ledger draft;    /* with the transaction under way */
	struct lw_heard before;    /* of the device whose report is being handed in */
	int handing;               /* its index; -1: none */

	uint64_t soak_s[LW_STAGES], in_flight;
	bool people, clock_steps;
	struct {
		uint32_t lost, killed, restarted, dropped, doubled, steps;
	} seen;                   /* faults that were injected */
	char wrong[LW_WRONG_CAP]; /* the first law broken; "" none */
};

/** A fleet that has registered and reported, and a rollout applied, all from a seed. */
void lw_init(struct laws_world *w, uint64_t seed);

/** Release everything. */
void lw_fini(struct laws_world *w);

/** A step of the hostile world. */
void lw_step(struct laws_world *w);

/** No more faults; let everything come to rest. */
void lw_settle(struct laws_world *w);

/** Note a broken law; only the first counts. */
void lw_wrong(struct laws_world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** The text of a member "name" that is a string or number within a row's text; copied. */
void lw_member(const char *text, const char *name, char *out, size_t cap);

/** End the test's process if it is not so: the world itself is at fault. */
void lw_must(bool ok, const char *what);

/** True in that many of a hundred times, unless the world is calm. */
bool lw_happens(struct laws_world *w, uint64_t percent);

/** After every call into the core: start it again if it died. */
void lw_after(struct laws_world *w);

/* ---- laws_store.c */

/** The port of the core. */
struct core_port lw_port(struct laws_world *w);

/** Seal a payload and sign it; appended to out. */
void lw_seal(enum ota_doc_type type, struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out);

/** Release the rows. */
void lw_store_fini(struct laws_world *w);

/* ---- laws_device.c */

/** The core gets a report that is on its way, unless it is lost. */
void lw_deliver(struct laws_world *w, uint32_t at);

/** The core hears whether a device is there. */
void lw_presence(struct laws_world *w, struct lw_device *d, bool online);

/** What the broker retains of a device comes once more, as after a reconnect. */
void lw_hear_again(struct laws_world *w, struct lw_device *d);

/** A device reads the order that is durable. */
void lw_read_order(struct laws_world *w, struct lw_device *d);

/** A device makes one move. */
void lw_act(struct laws_world *w, struct lw_device *d);

/* ---- laws.c */

/** Look at a change the core makes, before it is durable. */
void laws_look(struct laws_world *w, const struct lw_op *op);

/** The transaction becomes durable as a whole. */
void laws_commit(struct laws_world *w);

/** Everything has come to rest. */
void laws_end(struct laws_world *w);

#endif

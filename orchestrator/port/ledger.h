#ifndef ORCHESTRATOR_PORT_LEDGER_H
#define ORCHESTRATOR_PORT_LEDGER_H

/* The ledger: the core's rows, the audit log and what shall be retained by the broker
 * (the outbox), in one database. What is committed survives a power cut. Behind it stands
 * a back end (ledger_backend.h): an SQLite file, of which the daemon's lock on the state
 * directory keeps other processes away, or PostgreSQL, where one of several processes
 * leads.
 *
 * Every function may return OTA_E_IO, OTA_E_NOSPACE or OTA_E_NOMEM with the database's
 * text. */

#include "orchestrator/core/core.h"
#include "orchestrator/port/audit_chain.h"

struct ledger;

/** Open or create a database: the path of an SQLite file, or the URL of PostgreSQL, which
 *  begins with postgresql:// or postgres://. One that an older version left is brought to
 *  our schema, in one transaction (by the leader). After an unclean stop the file and the
 *  audit chain are checked first: OTA_E_IO if SQLite finds damage, OTA_E_CONFLICT for a
 *  broken chain, the schema of a newer version or another program's file. *out is closed
 *  with ledger_close(). */
OTA_CHECKED enum ota_code ledger_open(
	const char *database, struct ledger **out, struct ota_error *err);

/** Look at a database without changing it: integrity, schema, audit chain. Fails as
 *  ledger_open() does after an unclean stop. An older schema is brought to
 *  ours, and that is taken back. */
OTA_CHECKED enum ota_code ledger_check(const char *database, struct ota_error *err);

/** Copy a database to a new file, as it is at this moment, also while a process has it
 * open; nobody waits for that. The copy is checked as by ledger_check(), is durable, and
 * appears whole or not at all; *entries are those of its audit chain. OTA_E_CONFLICT if
 * path is there already, OTA_E_USAGE with advice for PostgreSQL, or a code of
 * ledger_check(). */
OTA_CHECKED enum ota_code ledger_backup(
	const char *database, const char *path, uint64_t *entries, struct ota_error *err);

enum { LEDGER_OWNER_CAP = 128 };

/** A process that leads. */
struct ledger_leader {
	char owner[LEDGER_OWNER_CAP];   /* for people: host and process */
	char address[LEDGER_OWNER_CAP]; /* of its API, "127.0.0.1:8470" */
};

/** Ask to be the one process that writes the ledger and publishes what it says. Until
 *  *leads is true nothing else may be called but this and ledger_close(). An SQLite file
 * is led by who opens it. If it is false, other (may hold "") is who leads; ask again. */
OTA_CHECKED enum ota_code ledger_lead(struct ledger *ledger,
	const struct ledger_leader *self, bool *leads, struct ledger_leader *other,
	struct ota_error *err);

/** Before each act upon the world, and about every second: does this process still lead?
 *  Mostly costs nothing; asks the database every two seconds. OTA_E_STATE: another one
 *  does, and this process must end at once. ledger_begin() looks for itself. */
OTA_CHECKED enum ota_code ledger_hold(struct ledger *ledger, struct ota_error *err);

/** True if the process before this one did not get to ledger_close(). */
bool ledger_was_unclean(const struct ledger *ledger);

/** Close, and note that it was on purpose. NULL is allowed. */
void ledger_close(struct ledger *ledger);

/** Begin a transaction; they do not nest. */
OTA_CHECKED enum ota_code ledger_begin(struct ledger *ledger, struct ota_error *err);

/** Commit it; durable once this returned OTA_OK. */
OTA_CHECKED enum ota_code ledger_commit(struct ledger *ledger, struct ota_error *err);

/* ---- rows */

/** Store a row, replacing one of the same key. */
OTA_CHECKED enum ota_code ledger_put(struct ledger *ledger, enum core_table table,
	const char *key, struct ota_bytes value, struct ota_error *err);

/** A row to be stored; both borrowed. */
struct ledger_row {
	const char *key;
	struct ota_bytes value;
};

/** As many calls of ledger_put(), for less. No two rows have the same key. */
OTA_CHECKED enum ota_code ledger_put_many(struct ledger *ledger, enum core_table table,
	const struct ledger_row *rows, size_t count, struct ota_error *err);

/** Remove a row if it is there. */
OTA_CHECKED enum ota_code ledger_drop(struct ledger *ledger, enum core_table table,
	const char *key, struct ota_error *err);

/** Walk all rows, table by table in the order of the enum, by key. Another code than
 *  OTA_OK of take ends the walk and is returned. */
OTA_CHECKED enum ota_code ledger_each_row(struct ledger *ledger,
	enum ota_code (*take)(void *ctx, enum core_table table, const char *key,
		struct ota_bytes value, struct ota_error *err),
	void *ctx, struct ota_error *err);

/* ---- audit */

/** Append an entry. entry's seq, prev and hash are given by the ledger. */
OTA_CHECKED enum ota_code ledger_audit(
	struct ledger *ledger, const struct audit_entry *entry, struct ota_error *err);

/** Takes one entry; false ends the walk. */
typedef bool ledger_audit_take(void *ctx, const struct audit_entry *entry);

/** Walk the entries with a seq greater than after, at most limit. */
OTA_CHECKED enum ota_code ledger_each_audit(struct ledger *ledger, uint64_t after,
	uint32_t limit, ledger_audit_take *take, void *ctx, struct ota_error *err);

/** The newest entry's seq and hash; zeros if there is none. */
void ledger_audit_head(
	const struct ledger *ledger, uint64_t *seq, struct ota_digest *head);

/** Recompute the whole chain from the file, and compare its end with what this process
 *  wrote last: entries cut off at the end break it too. Cost: reads all entries. */
OTA_CHECKED enum ota_code ledger_audit_verify(
	struct ledger *ledger, struct audit_walk *out, struct ota_error *err);

/* ---- what shall be retained */

#define LEDGER_KINDS(X)       \
	X(MESSAGE, "message") \
	X(PATCH, "patch")     \
	X(CLEAR, "clear")     \
	X(RELEASE, "release")

#define LEDGER_KIND_ENUM(name, text) LEDGER_##name,
/** MESSAGE: payload is retained. PATCH: chunks, then the manifest; the payload is the
 *  patch's digest. CLEAR and RELEASE undo them and are gone once done. */
enum ledger_kind { LEDGER_KINDS(LEDGER_KIND_ENUM) N_LEDGER_KINDS };
#undef LEDGER_KIND_ENUM

/** One row of the outbox. `= { 0 }` is empty; release with ledger_retained_fini(). */
struct ledger_retained {
	uint64_t seq; /* rises with every change; the order of publishing */
	char topic[OTA_TOPIC_CAP];
	enum ledger_kind kind;
	struct ota_buf payload; /* owned */
	bool published;         /* the broker has acknowledged it once */
};

/** Release what a row owns. */
void ledger_retained_fini(struct ledger_retained *row);

/** From now on topic shall hold payload (empty: nothing). The same again as is in force
 *  changes nothing. */
OTA_CHECKED enum ota_code ledger_retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err);

/** The row with the lowest seq above after; found is false if there is none. */
OTA_CHECKED enum ota_code ledger_retained_next(struct ledger *ledger, uint64_t after,
	struct ledger_retained *out, bool *found, struct ota_error *err);

/** The broker has acknowledged the row of that seq: MESSAGE and PATCH are marked, CLEAR
 *  and RELEASE removed. A seq that was replaced meanwhile is no error. */
OTA_CHECKED enum ota_code ledger_retained_done(
	struct ledger *ledger, uint64_t seq, struct ota_error *err);

/** True if the patch shall be retained and has been published whole. */
bool ledger_patch_is_out(struct ledger *ledger, const char *manifest_topic);

/** True if the topic shall hold a message. */
bool ledger_is_retained(struct ledger *ledger, const char *topic);

/** True if there is a row of that topic, of whatever kind. */
bool ledger_knows(struct ledger *ledger, const char *topic);

/** Rows that the broker has not acknowledged yet. */
uint64_t ledger_outbox_len(struct ledger *ledger);

/* ---- webhooks */

/** What is kept of a webhook. */
struct ledger_webhook {
	char name[OTA_NAME_CAP];
	uint64_t cursor;     /* seq of the newest audit entry that is done with */
	uint64_t tries;      /* that failed since the last that did not */
	uint64_t failing_s;  /* since when, UTC; 0: it does not fail */
	uint64_t disabled_s; /* since when nothing is sent, UTC; 0: it is sent */
};

/** Store one, replacing that of the same name. */
OTA_CHECKED enum ota_code ledger_put_webhook(struct ledger *ledger,
	const struct ledger_webhook *webhook, struct ota_error *err);

/** Forget one if it is there. */
OTA_CHECKED enum ota_code ledger_drop_webhook(
	struct ledger *ledger, const char *name, struct ota_error *err);

/** Walk all of them, by name. Another code than OTA_OK of take ends the walk and is
 *  returned. take must not call the ledger. */
OTA_CHECKED enum ota_code ledger_each_webhook(struct ledger *ledger,
	enum ota_code (*take)(
		void *ctx, const struct ledger_webhook *webhook, struct ota_error *err),
	void *ctx, struct ota_error *err);

/* ---- answers, kept for who asks the same again */

enum {
	LEDGER_ANSWERS_MAX = 4096,   /* of one `who`; the oldest make room */
	LEDGER_ANSWER_S = 24 * 3600, /* how long one is kept */
	LEDGER_ANSWERS_AT_ONCE = 16, /* old ones that keeping another removes, at most */
};

/** An answer, and what it was to. */
struct ledger_answer {
	const char *who;           /* borrowed; id of the API key */
	struct ota_digest key;     /* under which it is found */
	struct ota_digest request; /* what was asked */
	uint64_t at_utc_s;         /* when */
	unsigned status;           /* of HTTP */
	struct ota_bytes sealed;   /* borrowed; the ledger does not look at it */
};

/** Keep one, in the transaction under way or in one of its own, in the place of another
 *  of that who and key. Removes what is older than LEDGER_ANSWER_S by its at_utc_s, or
 *  too many, a bounded number at a time. */
OTA_CHECKED enum ota_code ledger_answer_keep(
	struct ledger *ledger, const struct ledger_answer *answer, struct ota_error *err);

/** One that was kept less than LEDGER_ANSWER_S ago: inout has who and key, and gets
 *  request, status and at_utc_s; sealed is appended to body. found is false if there is
 *  none, and nothing else is written then. */
OTA_CHECKED enum ota_code ledger_answer_find(struct ledger *ledger, uint64_t now_utc_s,
	struct ledger_answer *inout, struct ota_buf *body, bool *found,
	struct ota_error *err);

/* ---- bytes of chunks that went to the broker */

/** Note that a patch was published whole with that many bytes of chunk messages: counted
 *  as published the first time in the life of the ledger, as republished otherwise. */
OTA_CHECKED enum ota_code ledger_count_patch(struct ledger *ledger,
	const struct ota_digest *patch, uint64_t bytes, struct ota_error *err);

/** Add to the bytes that went out again. */
OTA_CHECKED enum ota_code ledger_count_again(
	struct ledger *ledger, uint64_t bytes, struct ota_error *err);

/** Both sums so far, in bytes. */
OTA_CHECKED enum ota_code ledger_counts(struct ledger *ledger, uint64_t *published,
	uint64_t *republished, struct ota_error *err);

#endif

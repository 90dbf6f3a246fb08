#include "orchestrator/port/ledger_backend.h"

#include <inttypes.h>
#include <string.h>

#include "orchestrator/port/pg_ledger.h"
#include "orchestrator/port/sqlite_ledger.h"

const char *ledger_table_text(enum core_table table)
{
#define TABLE_TEXT(name, text) [CORE_##name] = (text),
	static const char *const texts[] = { CORE_TABLES(TABLE_TEXT) };
#undef TABLE_TEXT
	return texts[table];
}

/* ---- life */

static bool is_url(const char *database)
{
	return strncmp(database, "postgresql://", 13) == 0 ||
	       strncmp(database, "postgres://", 11) == 0;
}

enum ota_code ledger_open(
	const char *database, struct ledger **out, struct ota_error *err)
{
	return is_url(database) ? pg_ledger_open(database, out, err)
				: sqlite_ledger_open(database, out, err);
}

enum ota_code ledger_check(const char *database, struct ota_error *err)
{
	return is_url(database) ? pg_ledger_check(database, err)
				: sqlite_ledger_check(database, err);
}

enum ota_code ledger_backup(
	const char *database, const char *path, uint64_t *entries, struct ota_error *err)
{
	if (is_url(database))
		return ota_fail(err, OTA_E_USAGE,
			"the ledger is in PostgreSQL, which makes its own backups: "
			"pg_dump --schema=sluice --format=custom --file=OUT, and "
			"pg_restore into an empty database");
	return sqlite_ledger_backup(database, path, entries, err);
}

enum ota_code ledger_lead(struct ledger *ledger, const struct ledger_leader *self,
	bool *leads, struct ledger_leader *other, struct ota_error *err)
{
	return ledger->backend->lead(ledger, self, leads, other, err);
}

enum ota_code ledger_hold(struct ledger *ledger, struct ota_error *err)
{
	return ledger->backend->hold(ledger, err);
}

bool ledger_was_unclean(const struct ledger *ledger)
{
	return ledger->unclean;
}

void ledger_close(struct ledger *ledger)
{
	if (ledger)
		ledger->backend->close(ledger);
}

enum ota_code ledger_begin(struct ledger *ledger, struct ota_error *err)
{
	return ledger->backend->begin(ledger, err);
}

enum ota_code ledger_commit(struct ledger *ledger, struct ota_error *err)
{
	return ledger->backend->commit(ledger, err);
}

/* ---- rows */

enum ota_code ledger_put(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	return ledger->backend->put(ledger, table, key, value, err);
}

enum ota_code ledger_put_many(struct ledger *ledger, enum core_table table,
	const struct ledger_row *rows, size_t count, struct ota_error *err)
{
	return ledger->backend->put_many(ledger, table, rows, count, err);
}

enum ota_code ledger_drop(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_error *err)
{
	return ledger->backend->drop(ledger, table, key, err);
}

enum ota_code ledger_each_row(struct ledger *ledger,
	enum ota_code (*take)(void *ctx, enum core_table table, const char *key,
		struct ota_bytes value, struct ota_error *err),
	void *ctx, struct ota_error *err)
{
	const struct ledger_visit visit = { ctx, take };
	enum ota_code rc = OTA_OK;

	for (unsigned i = 0; i < N_CORE_TABLES && rc == OTA_OK; i++)
		rc = ledger->backend->each_row(ledger, (enum core_table)i, &visit, err);
	return rc;
}

/* ---- audit */

enum ota_code ledger_audit(
	struct ledger *ledger, const struct audit_entry *entry, struct ota_error *err)
{
	struct audit_entry full = *entry;
	enum ota_code rc;

	full.seq = ledger->audit_seq + 1;
	full.prev = ledger->audit_head;
	full.hash = audit_entry_hash(&full);
	rc = ledger->backend->audit(ledger, &full, err);
	if (rc != OTA_OK)
		return rc;
	ledger->audit_seq = full.seq;
	ledger->audit_head = full.hash;
	return OTA_OK;
}

enum ota_code ledger_each_audit(struct ledger *ledger, uint64_t after, uint32_t limit,
	ledger_audit_take *take, void *ctx, struct ota_error *err)
{
	const struct ledger_audit_visit visit = { after, limit, ctx, take };

	return ledger->backend->each_audit(ledger, &visit, err);
}

void ledger_audit_head(
	const struct ledger *ledger, uint64_t *seq, struct ota_digest *head)
{
	*seq = ledger->audit_seq;
	*head = ledger->audit_head;
}

static bool walk_entry(void *ctx, const struct audit_entry *entry)
{
	return audit_walk_take(ctx, entry);
}

enum ota_code ledger_audit_verify(
	struct ledger *ledger, struct audit_walk *out, struct ota_error *err)
{
	struct audit_walk walk = { 0 };
	enum ota_code rc =
		ledger_each_audit(ledger, 0, UINT32_MAX, walk_entry, &walk, err);

	if (rc != OTA_OK)
		return rc;
	if (!walk.broken_at &&
		(walk.entries != ledger->audit_seq ||
			!ota_digest_equal(&walk.head, &ledger->audit_head)))
		walk.broken_at = walk.entries + 1;
	*out = walk;
	return OTA_OK;
}

enum ota_code ledger_check_chain(struct ledger *ledger, struct ota_error *err)
{
	struct audit_walk walk = { 0 };
	enum ota_code rc = ledger_audit_verify(ledger, &walk, err);

	if (rc == OTA_OK && walk.broken_at)
		return ota_fail(err, OTA_E_CONFLICT,
			"the audit chain is broken at entry %" PRIu64, walk.broken_at);
	return rc;
}

/* ---- what shall be retained */

void ledger_retained_fini(struct ledger_retained *row)
{
	ota_buf_fini(&row->payload);
}

enum ota_code ledger_retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err)
{
	return ledger->backend->outbox->retain(ledger, topic, kind, payload, err);
}

enum ota_code ledger_retained_next(struct ledger *ledger, uint64_t after,
	struct ledger_retained *out, bool *found, struct ota_error *err)
{
	return ledger->backend->outbox->retained_next(ledger, after, out, found, err);
}

enum ota_code ledger_retained_done(
	struct ledger *ledger, uint64_t seq, struct ota_error *err)
{
	return ledger->backend->outbox->retained_done(ledger, seq, err);
}

bool ledger_patch_is_out(struct ledger *ledger, const char *manifest_topic)
{
	return ledger->backend->outbox->holds(ledger, manifest_topic, LEDGER_PATCH, true);
}

bool ledger_is_retained(struct ledger *ledger, const char *topic)
{
	return ledger->backend->outbox->holds(ledger, topic, LEDGER_MESSAGE, false);
}

bool ledger_knows(struct ledger *ledger, const char *topic)
{
	bool found = false;

	for (unsigned kind = 0; kind < N_LEDGER_KINDS && !found; kind++)
		found = ledger->backend->outbox->holds(
			ledger, topic, (enum ledger_kind)kind, false);
	return found;
}

uint64_t ledger_outbox_len(struct ledger *ledger)
{
	return ledger->backend->outbox->outbox_len(ledger);
}

/* ---- webhooks */

enum ota_code ledger_put_webhook(struct ledger *ledger,
	const struct ledger_webhook *webhook, struct ota_error *err)
{
	return ledger->backend->webhooks->put(ledger, webhook, err);
}

enum ota_code ledger_drop_webhook(
	struct ledger *ledger, const char *name, struct ota_error *err)
{
	return ledger->backend->webhooks->drop(ledger, name, err);
}

enum ota_code ledger_each_webhook(struct ledger *ledger,
	enum ota_code (*take)(
		void *ctx, const struct ledger_webhook *webhook, struct ota_error *err),
	void *ctx, struct ota_error *err)
{
	return ledger->backend->webhooks->each(ledger, take, ctx, err);
}

/* ---- answers */

enum ota_code ledger_answer_keep(
	struct ledger *ledger, const struct ledger_answer *answer, struct ota_error *err)
{
	return ledger->backend->answers->keep(ledger, answer, err);
}

enum ota_code ledger_answer_find(struct ledger *ledger, uint64_t now_utc_s,
	struct ledger_answer *inout, struct ota_buf *body, bool *found,
	struct ota_error *err)
{
	return ledger->backend->answers->find(
		ledger, ledger_answers_until(now_utc_s), inout, body, found, err);
}

/* ---- bytes */

enum ota_code ledger_count_patch(struct ledger *ledger, const struct ota_digest *patch,
	uint64_t bytes, struct ota_error *err)
{
	return ledger->backend->outbox->count_patch(ledger, patch, bytes, err);
}

enum ota_code ledger_count_again(
	struct ledger *ledger, uint64_t bytes, struct ota_error *err)
{
	return ledger->backend->outbox->count_again(ledger, bytes, err);
}

enum ota_code ledger_counts(struct ledger *ledger, uint64_t *published,
	uint64_t *republished, struct ota_error *err)
{
	return ledger->backend->outbox->counts(ledger, published, republished, err);
}

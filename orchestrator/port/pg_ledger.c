#include "orchestrator/port/pg_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/migrations.h"
#include "proto/base/own.h"

enum { ROWS_PAGE = 500, AUDITS_PAGE = 500 };

/* Numbers are bigint throughout, texts sort by their bytes. */
static const struct migration steps[] = {
	{ 1, "CREATE TABLE sluice.numbers(name text PRIMARY KEY, value bigint NOT NULL);"
	     "INSERT INTO sluice.numbers VALUES('schema', 1), ('again', 0);"
	     "CREATE TABLE sluice.lease(only_one bigint PRIMARY KEY CHECK(only_one = 1),"
	     " owner text NOT NULL, address text NOT NULL, epoch bigint NOT NULL,"
	     " expires timestamptz NOT NULL);"
	     "INSERT INTO sluice.lease VALUES(1, '', '', 0, '-infinity');"
	     "CREATE TABLE sluice.rows(tbl text COLLATE \"C\" NOT NULL,"
	     " key text COLLATE \"C\" NOT NULL, value bytea NOT NULL,"
	     " PRIMARY KEY(tbl, key)) WITH (fillfactor = 80);"
	     "CREATE TABLE sluice.audit(seq bigint PRIMARY KEY, at bigint NOT NULL,"
	     " who text NOT NULL, action text NOT NULL, detail text NOT NULL,"
	     " prev bytea NOT NULL, hash bytea NOT NULL);"
	     "CREATE FUNCTION sluice.audit_stays() RETURNS trigger LANGUAGE plpgsql AS"
	     " 'BEGIN RAISE EXCEPTION ''audit entries are never changed or removed'';"
	     " END';"
	     "CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON sluice.audit"
	     " FOR EACH ROW EXECUTE FUNCTION sluice.audit_stays();"
	     "CREATE TRIGGER audit_stays_whole BEFORE TRUNCATE ON sluice.audit"
	     " FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_stays();"
	     "CREATE SEQUENCE sluice.retained_seq;"
	     "CREATE TABLE sluice.retained(seq bigint PRIMARY KEY"
	     " DEFAULT nextval('sluice.retained_seq'), topic text NOT NULL UNIQUE,"
	     " kind bigint NOT NULL, payload bytea NOT NULL,"
	     " published bigint NOT NULL DEFAULT 0);"
	     "CREATE INDEX outbox ON sluice.retained(seq) WHERE published = 0;"
	     "CREATE TABLE sluice.sent(patch bytea PRIMARY KEY, bytes bigint NOT NULL)" },
	{ 2, "CREATE TABLE sluice.webhooks(name text COLLATE \"C\" PRIMARY KEY,"
	     " cursor bigint NOT NULL, tries bigint NOT NULL, failing bigint NOT NULL,"
	     " disabled bigint NOT NULL);"
	     "UPDATE sluice.numbers SET value = 2 WHERE name = 'schema'" },
	{ 3, "CREATE TABLE sluice.answers(who text COLLATE \"C\" NOT NULL,"
	     " key bytea NOT NULL, n bigint NOT NULL, at bigint NOT NULL,"
	     " request bytea NOT NULL, status bigint NOT NULL, sealed bytea NOT NULL,"
	     " PRIMARY KEY(who, key));"
	     "CREATE UNIQUE INDEX answers_by_age ON sluice.answers(who, n);"
	     "CREATE INDEX answers_by_time ON sluice.answers(at);"
	     "UPDATE sluice.numbers SET value = 3 WHERE name = 'schema'" },
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static const char make_namespace[] =
	"DO 'BEGIN IF to_regnamespace(''sluice'') IS NULL THEN CREATE SCHEMA sluice;"
	" END IF; END'";

static struct pg_ledger *of(struct ledger *ledger)
{
	return (struct pg_ledger *)ledger;
}

struct pg *pg_ledger_pg(struct ledger *ledger)
{
	return &of(ledger)->pg;
}

/* ---- transactions */

static enum ota_code begin(struct ledger *ledger, struct ota_error *err)
{
	struct pg_ledger *l = of(ledger);
	enum ota_code rc =
		pg_run_text(&l->pg, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL, 0, err);

	if (rc == OTA_OK)
		rc = pg_lease_fence(l, err);
	if (rc != OTA_OK)
		(void)!pg_run_text(&l->pg, "ROLLBACK", NULL, 0, NULL);
	l->in_transaction = rc == OTA_OK;
	return rc;
}

/* A commit without an answer may have been done or not. The caller ends, and what starts
 * in its place reads which it was. */
static enum ota_code commit(struct ledger *ledger, struct ota_error *err)
{
	struct pg_ledger *l = of(ledger);
	enum ota_code rc;

	l->in_transaction = false;
	rc = pg_commit(&l->pg, err);
	if (rc != OTA_OK && PQstatus(l->pg.conn) != CONNECTION_OK)
		return ota_wrap(err, rc, "no answer to a commit");
	return rc;
}

enum ota_code pg_ledger_write(struct ledger *ledger, enum pg_statement statement,
	const struct pg_args *args, PGresult **result, struct ota_error *err)
{
	bool alone = !of(ledger)->in_transaction;
	enum ota_code rc = alone ? begin(ledger, err) : OTA_OK;

	if (rc == OTA_OK)
		rc = pg_run(&of(ledger)->pg, statement, args, result, err);
	return rc == OTA_OK && alone ? commit(ledger, err) : rc;
}

/* ---- rows */

static enum ota_code put(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, ledger_table_text(table));
	pg_add_text(&args, key);
	pg_add_bytes(&args, value);
	return pg_ledger_write(ledger, P_PUT, &args, NULL, err);
}

static enum ota_code fill_arrays(const struct ledger_row *rows, size_t count,
	struct ota_buf *keys, struct ota_buf *values)
{
	enum ota_code rc = pg_array_begin(keys, PG_TEXT, count);

	if (rc == OTA_OK)
		rc = pg_array_begin(values, PG_BYTEA, count);
	for (size_t i = 0; i < count && rc == OTA_OK; i++) {
		rc = pg_array_add(keys, ota_bytes_of(rows[i].key));
		if (rc == OTA_OK)
			rc = pg_array_add(values, rows[i].value);
	}
	return rc;
}

static enum ota_code put_many(struct ledger *ledger, enum core_table table,
	const struct ledger_row *rows, size_t count, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf keys = { 0 }, values = { 0 };
	struct pg_args args = { 0 };

	if (fill_arrays(rows, count, &keys, &values) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "rows");
	pg_add_text(&args, ledger_table_text(table));
	pg_add_bytes(&args, ota_buf_bytes(&keys));
	pg_add_bytes(&args, ota_buf_bytes(&values));
	return pg_ledger_write(ledger, P_PUT_MANY, &args, NULL, err);
}

static enum ota_code drop(struct ledger *ledger, enum core_table table, const char *key,
	struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, ledger_table_text(table));
	pg_add_text(&args, key);
	return pg_ledger_write(ledger, P_DROP, &args, NULL, err);
}

static enum ota_code take_rows(const PGresult *page, enum core_table table,
	const struct ledger_visit *visit, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (int i = 0; i < PQntuples(page) && rc == OTA_OK; i++)
		rc = visit->take(visit->ctx, table, pg_text(page, i, 0),
			pg_bytes(page, i, 1), err);
	return rc;
}

static enum ota_code each_row(struct ledger *ledger, enum core_table table,
	const struct ledger_visit *visit, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *before = NULL;
	enum ota_code rc = OTA_OK;
	int count = ROWS_PAGE;

	while (rc == OTA_OK && count == ROWS_PAGE) {
		OTA_AUTO(pg_clear) PGresult *page = NULL;
		struct pg_args args = { 0 };

		pg_add_text(&args, ledger_table_text(table));
		pg_add_text(&args, before ? pg_text(before, count - 1, 0) : "");
		pg_add_u64(&args, ROWS_PAGE);
		rc = pg_run(pg_ledger_pg(ledger), P_ROWS, &args, &page, err);
		if (rc != OTA_OK)
			break;
		rc = take_rows(page, table, visit, err);
		count = PQntuples(page);
		pg_clear(&before);
		before = ota_take(&page);
	}
	return rc;
}

/* ---- audit */

static enum ota_code audit(
	struct ledger *ledger, const struct audit_entry *entry, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_u64(&args, entry->seq);
	pg_add_u64(&args, entry->at_utc_s);
	pg_add_text(&args, entry->who);
	pg_add_text(&args, entry->action);
	pg_add_text(&args, entry->detail);
	pg_add_bytes(&args, (struct ota_bytes){ entry->prev.at, OTA_DIGEST_LEN });
	pg_add_bytes(&args, (struct ota_bytes){ entry->hash.at, OTA_DIGEST_LEN });
	return pg_ledger_write(ledger, P_AUDIT, &args, NULL, err);
}

/* False once the visitor has seen enough; *after follows. */
static bool take_audits(
	const PGresult *page, const struct ledger_audit_visit *visit, uint64_t *after)
{
	bool more = true;

	for (int i = 0; i < PQntuples(page) && more; i++) {
		const struct audit_entry entry = {
			.seq = pg_u64(page, i, 0),
			.at_utc_s = pg_u64(page, i, 1),
			.who = pg_text(page, i, 2),
			.action = pg_text(page, i, 3),
			.detail = pg_text(page, i, 4),
			.prev = pg_digest(page, i, 5),
			.hash = pg_digest(page, i, 6),
		};

		more = visit->take(visit->ctx, &entry);
		*after = entry.seq;
	}
	return more;
}

static enum ota_code each_audit(struct ledger *ledger,
	const struct ledger_audit_visit *visit, struct ota_error *err)
{
	uint64_t after = visit->after;
	uint32_t left = visit->limit;
	bool more = left > 0;

	while (more) {
		OTA_AUTO(pg_clear) PGresult *page = NULL;
		struct pg_args args = { 0 };
		uint32_t want = left < AUDITS_PAGE ? left : AUDITS_PAGE;
		enum ota_code rc;

		pg_add_u64(&args, after);
		pg_add_u64(&args, want);
		rc = pg_run(pg_ledger_pg(ledger), P_AUDITS, &args, &page, err);
		if (rc != OTA_OK)
			return rc;
		left -= want;
		more = take_audits(page, visit, &after) && left > 0 &&
		       (uint32_t)PQntuples(page) == want;
	}
	return OTA_OK;
}

/* ---- opening */

static enum ota_code load_head(struct pg_ledger *l, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	const struct pg_args none = { 0 };
	enum ota_code rc = pg_run(&l->pg, P_HEAD, &none, &result, err);

	if (rc != OTA_OK || PQntuples(result) == 0)
		return rc;
	l->ledger.audit_seq = pg_u64(result, 0, 0);
	l->ledger.audit_head = pg_digest(result, 0, 1);
	return OTA_OK;
}

static enum ota_code read_schema(void *ctx, uint64_t *out, struct ota_error *err)
{
	char word[32] = "";
	enum ota_code rc = pg_run_text(
		ctx, "SELECT to_regclass('sluice.numbers')", word, sizeof(word), err);

	*out = 0;
	if (rc != OTA_OK || !word[0])
		return rc;
	rc = pg_run_text(ctx, "SELECT value FROM sluice.numbers WHERE name = 'schema'",
		word, sizeof(word), err);
	*out = strtoull(word, NULL, 10);
	if (rc == OTA_OK && *out == 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"the schema 'sluice' of the database is that of another program");
	return rc;
}

static enum ota_code run_step(void *ctx, const char *text, struct ota_error *err)
{
	return pg_run_text(ctx, text, NULL, 0, err);
}

static enum ota_code migrate(struct pg *pg, struct ota_error *err)
{
	const struct migration_target target = { pg, read_schema, run_step };

	return migrations_run(&target, steps, STEPS, err);
}

/* Several processes may start on an empty database at once. */
static enum ota_code create(struct pg *pg, struct ota_error *err)
{
	enum ota_code rc = pg_run_text(
		pg, "BEGIN; SELECT pg_advisory_xact_lock(5784385236123)", NULL, 0, err);

	if (rc == OTA_OK)
		rc = pg_run_text(pg, make_namespace, NULL, 0, err);
	if (rc == OTA_OK)
		rc = migrate(pg, err);
	return rc == OTA_OK ? pg_commit(pg, err) : rc;
}

/* One that an older version left is migrated by who leads: the leader may be that version
 * still. */
static enum ota_code set_up(struct pg_ledger *l, struct ota_error *err)
{
	uint64_t schema = 0;
	enum ota_code rc = read_schema(&l->pg, &schema, err);

	if (rc == OTA_OK && schema > migrations_newest(steps, STEPS))
		rc = migrations_too_new(schema, steps, STEPS, err);
	if (rc == OTA_OK && schema == 0)
		rc = create(&l->pg, err);
	return rc == OTA_OK ? pg_prepare(&l->pg, P_TAKE, P_PUT, err) : rc;
}

static void release(struct pg_ledger **ledger)
{
	if (!*ledger)
		return;
	pg_fini(&(*ledger)->pg);
	free(*ledger);
	*ledger = NULL;
}

/* ---- life */

static enum ota_code lead(struct ledger *ledger, const struct ledger_leader *self,
	bool *leads, struct ledger_leader *other, struct ota_error *err)
{
	struct pg_ledger *l = of(ledger);
	enum ota_code rc = pg_lease_take(l, self, other, err);

	*leads = rc == OTA_OK && l->epoch != 0;
	if (!*leads)
		return rc;
	rc = begin(ledger, err);
	if (rc == OTA_OK)
		rc = migrate(&l->pg, err);
	if (rc == OTA_OK)
		rc = commit(ledger, err);
	if (rc == OTA_OK)
		rc = pg_prepare(&l->pg, P_PUT, N_PG_STATEMENTS, err);
	return rc == OTA_OK ? load_head(l, err) : rc;
}

static enum ota_code hold(struct ledger *ledger, struct ota_error *err)
{
	return pg_lease_hold(of(ledger), err);
}

static void close_ledger(struct ledger *ledger)
{
	struct pg_ledger *l = of(ledger);

	pg_lease_give_up(l);
	release(&l);
}

static const struct ledger_backend backend = {
	.lead = lead,
	.hold = hold,
	.close = close_ledger,
	.begin = begin,
	.commit = commit,
	.put = put,
	.put_many = put_many,
	.drop = drop,
	.each_row = each_row,
	.audit = audit,
	.each_audit = each_audit,
	.outbox = &pg_outbox,
	.webhooks = &pg_webhooks,
	.answers = &pg_answers,
};

static enum ota_code connect_to(
	const char *url, struct pg_ledger **out, struct ota_error *err)
{
	OTA_AUTO(release) struct pg_ledger *l = calloc(1, sizeof(*l));
	enum ota_code rc;

	if (!l)
		return ota_fail(err, OTA_E_NOMEM, "ledger");
	l->ledger.backend = &backend;
	rc = pg_open(&l->pg, url, err);
	if (rc == OTA_OK)
		*out = ota_take(&l);
	return rc;
}

enum ota_code pg_ledger_open(const char *url, struct ledger **out, struct ota_error *err)
{
	OTA_AUTO(release) struct pg_ledger *l = NULL;
	enum ota_code rc = connect_to(url, &l, err);

	if (rc == OTA_OK)
		rc = set_up(l, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "PostgreSQL");
	*out = &l->ledger;
	l = NULL;
	return OTA_OK;
}

enum ota_code pg_ledger_check(const char *url, struct ota_error *err)
{
	OTA_AUTO(release) struct pg_ledger *l = NULL;
	uint64_t schema = 0;
	enum ota_code rc = connect_to(url, &l, err);

	if (rc == OTA_OK)
		rc = read_schema(&l->pg, &schema, err);
	if (rc == OTA_OK && schema == 0)
		return OTA_OK; /* the first start will make it */
	if (rc == OTA_OK && schema > migrations_newest(steps, STEPS))
		rc = migrations_too_new(schema, steps, STEPS, err);
	if (rc == OTA_OK)
		rc = pg_run_text(&l->pg,
			"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0, err);
	if (rc == OTA_OK)
		rc = pg_prepare(&l->pg, P_AUDITS, P_PUT, err);
	if (rc == OTA_OK)
		rc = load_head(l, err);
	if (rc == OTA_OK)
		rc = ledger_check_chain(&l->ledger, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "PostgreSQL");
}

/* How many reports a second become durable: the whole way of sluiced from an envelope
 * (its signature is checked) to the ledger, with a commit for each and in batches; beside
 * it SQLite alone with rows of the same length. The disk decides: run it where state_dir
 * is.
 *
 * usage: bench_reports DIRECTORY [postgresql://...] */
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/port/core_ports.h"
#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/unit/samples.h"

enum { DEVICES = 1000, ROUNDS = 5, ALONE = 1000, ROW_LEN = 700 };

/* What a run works on. */
struct bench {
	uv_loop_t loop;
	struct ledger *ledger;
	struct core_ports ports;
	struct core *core;
	struct ota_secret_key online;
	bool closed;
};

static struct ota_buf envelopes[ROUNDS][DEVICES];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "bench_reports: %s\n", what);
	exit(1);
}

static void name_of(int i, char out[static OTA_NAME_CAP])
{
	(void)snprintf(out, OTA_NAME_CAP, "gw-%d", i);
}

static void make_reports(void)
{
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < DEVICES; i++) {
			struct ota_report report = sample_report();

			name_of(i, report.device);
			report.counter = (uint64_t)round + 1;
			report.boot = 1;
			report.state = OTA_UPDATE_IDLE;
			report.rollout[0] = report.cohort[0] = report.error_text[0] = 0;
			report.error = report.wait = 0;
			report.order_seq = report.fresh_seq = report.assign_seq = 0;
			envelopes[round][i] = sample_sign(OTA_DOC_REPORT, &report,
				(char[]){ SAMPLE_DEVICE_KEY, 0 });
		}
}

/* ---- the orchestrator without broker and patches */

static void sign(
	void *ctx, enum ota_doc_type type, struct ota_bytes payload, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bare = { 0 };
	const struct ota_root root = sample_root();
	const struct ota_secret_key key = sample_key(SAMPLE_ONLINE_KEY);

	(void)ctx;
	must(ota_envelope_seal(type, root.fleet_id, payload, &bare, NULL) == OTA_OK &&
			ota_envelope_sign(ota_buf_bytes(&bare), &key, out, NULL) ==
				OTA_OK,
		"sign");
}

static void make_nothing(
	void *ctx, const struct ota_digest *from, const struct ota_digest *to)
{
	(void)ctx;
	(void)from;
	(void)to;
}

static void add_devices(struct core *core)
{
	const struct ota_public_key key = sample_public(SAMPLE_DEVICE_KEY);
	char hex[2 * OTA_PK_LEN + 1], id[OTA_NAME_CAP];

	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
	for (int i = 0; i < DEVICES; i++) {
		cJSON *tree = cJSON_CreateObject();

		name_of(i, id);
		must(cJSON_AddStringToObject(tree, "id", id) &&
				cJSON_AddStringToObject(tree, "key", hex) &&
				cJSON_AddArrayToObject(tree, "labels"),
			"memory");
		must(core_add_device(core, port_now(), "bench", tree, NULL) == OTA_OK,
			"register");
		cJSON_Delete(tree);
	}
}

static void start(struct bench *b, const char *database, bool batched)
{
	const struct ledger_leader self = { "bench", "" };
	struct publisher_config publisher = { "demo", "/nonexistent", NULL };
	struct ledger_leader other = { 0 };
	struct ota_root root = sample_root();
	struct ota_error err = { 0 };
	struct core_port port;
	bool leads = false;
	OTA_AUTO(ota_buf_fini) struct ota_buf anchor = { 0 };

	root.issued_utc_s = ota_clock_utc_s() - 60;
	root.expires_utc_s = root.issued_utc_s + 86400;
	anchor = sample_sign(OTA_DOC_ROOT, &root, (char[]){ SAMPLE_ROOT_KEY, 0 });
	(void)uv_loop_init(&b->loop);
	must(ledger_open(database, &b->ledger, &err) == OTA_OK, err.text);
	must(ledger_lead(b->ledger, &self, &leads, &other, &err) == OTA_OK && leads,
		"somebody leads");
	publisher.ledger = b->ledger;
	b->ports = (struct core_ports){ .ledger = b->ledger, .fleet = root.fleet };
	must(publisher_new(&b->loop, &publisher, &b->ports.publisher, NULL) == OTA_OK &&
			status_batch_new(&b->loop, b->ledger, &b->ports.slowest_ms,
				&b->ports.batch, NULL) == OTA_OK,
		"memory");
	port = core_ports_of(&b->ports);
	port.sign = sign;
	port.make_patch = make_nothing;
	b->core = core_new(&port, root.fleet);
	must(core_start(b->core, port_now(), ota_buf_bytes(&anchor), &err) == OTA_OK,
		err.text);
	add_devices(b->core);
	if (!batched)
		b->ports.batch = NULL;
}

static void print_rate(const char *what, int count, uint64_t from_ms)
{
	uint64_t took_ms = ota_clock_mono_ms() - from_ms;

	(void)printf("%-44s %8.0f /s\n", what,
		1000.0 * count / (double)(took_ms ? took_ms : 1));
}

static void run(const char *what, const char *database, bool batched)
{
	static struct bench b;
	struct ota_error err = { 0 };
	char id[OTA_NAME_CAP];
	uint64_t from_ms;

	b = (struct bench){ 0 };
	start(&b, database, batched);
	from_ms = ota_clock_mono_ms();
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < DEVICES; i++) {
			name_of(i, id);
			must(core_report(b.core, port_now(), id,
				     ota_buf_bytes(&envelopes[round][i]), &err) == OTA_OK,
				err.text);
		}
	print_rate(what, ROUNDS * DEVICES, from_ms);
	core_free(b.core);
	ledger_close(b.ledger);
}

/* ---- SQLite alone */

static void run_sqlite(const char *what, const char *path, int batch)
{
	static const uint8_t value[ROW_LEN];
	sqlite3 *db = NULL;
	sqlite3_stmt *put = NULL;
	uint64_t from_ms;
	int count = batch == 1 ? ALONE : ROUNDS * DEVICES;

	must(sqlite3_open(path, &db) == SQLITE_OK &&
			sqlite3_exec(db,
				"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				"CREATE TABLE IF NOT EXISTS rows(key TEXT PRIMARY KEY,"
				" value BLOB) WITHOUT ROWID",
				NULL, NULL, NULL) == SQLITE_OK &&
			sqlite3_prepare_v2(db, "REPLACE INTO rows VALUES(?1, ?2)", -1,
				&put, NULL) == SQLITE_OK,
		"SQLite");
	from_ms = ota_clock_mono_ms();
	for (int i = 0; i < count; i++) {
		char id[OTA_NAME_CAP];

		name_of(i % DEVICES, id);
		if (i % batch == 0)
			(void)sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
		(void)sqlite3_bind_text(put, 1, id, -1, SQLITE_TRANSIENT);
		(void)sqlite3_bind_blob(put, 2, value, ROW_LEN, SQLITE_STATIC);
		must(sqlite3_step(put) == SQLITE_DONE, "SQLite");
		(void)sqlite3_reset(put);
		if (i % batch == batch - 1)
			(void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	}
	print_rate(what, count, from_ms);
	(void)sqlite3_finalize(put);
	(void)sqlite3_close(db);
}

static void run_file(const char *dir, const char *name, const char *what, int batch)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char path[512], file[520];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	if (strcmp(name, "bare.db") == 0)
		run_sqlite(what, path, batch);
	else
		run(what, path, batch > 1);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(file, sizeof file, "%s%s", path, ends[i]);
		(void)unlink(file);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fputs(
			"usage: bench_reports DIRECTORY [postgresql://...]\n", stderr);
		return 1;
	}
	must(sodium_init() >= 0, "libsodium");
	make_reports();
	run_file(argv[1], "bare.db", "SQLite alone, a commit for each row", 1);
	run_file(argv[1], "ledger.db", "reports, a commit for each", 1);
	run_file(argv[1], "bare.db", "SQLite alone, 100 rows a commit", STATUS_BATCH_MAX);
	run_file(argv[1], "ledger.db", "reports, in batches", STATUS_BATCH_MAX);
	for (int i = 0; i < 2 && argc > 2; i++)
		run(i ? "PostgreSQL: reports, in batches"
		      : "PostgreSQL: reports, a commit for each",
			argv[2], i);
	return 0;
}

#include "orchestrator/port/pg.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"

enum { SERVER_MIN = 150000 };

/* Set where the URL says nothing else: a server that is gone is noticed well before the
 * lease runs out. */
static const char *const defaults[][2] = {
	{ "fallback_application_name", "sluiced" },
	{ "connect_timeout", "5" },
	{ "keepalives_idle", "3" },
	{ "keepalives_interval", "2" },
	{ "keepalives_count", "3" },
	{ "tcp_user_timeout", "8000" },
};

enum { DEFAULTS = sizeof(defaults) / sizeof(defaults[0]) };

static const char session[] = "SET search_path = sluice; SET synchronous_commit = on;"
			      "SET client_min_messages = warning; SET bytea_output = hex;"
			      "SET lock_timeout = '3s'; SET statement_timeout = '60s';"
			      "SET idle_in_transaction_session_timeout = '5s'";

/* ---- failures */

/* X(SQLSTATE, code) what does not stand here is OTA_E_IO. */
static const struct {
	const char *state;
	enum ota_code code;
} states[] = {
	{ "53100", OTA_E_NOSPACE }, /* disk_full */
	{ "53200", OTA_E_NOMEM },   /* out_of_memory */
	{ "55P03", OTA_E_BUSY },    /* lock_not_available */
};

static enum ota_code code_of(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	for (size_t i = 0; state && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(state, states[i].state) == 0)
			return states[i].code;
	return OTA_E_IO;
}

/* libpq's texts have lines; ours do not. */
static enum ota_code failed(
	const struct pg *pg, const PGresult *result, struct ota_error *err)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	char line[200];

	if (!text || !text[0])
		text = PQerrorMessage(pg->conn);
	(void)snprintf(line, sizeof(line), "%s", text);
	for (char *c = line; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	while (line[0] && line[strlen(line) - 1] == ' ')
		line[strlen(line) - 1] = '\0';
	return ota_fail(err, code_of(result), "database: %s", line);
}

/* ---- running */

void pg_clear(PGresult **result)
{
	PQclear(*result);
	*result = NULL;
}

static const char *name_of(enum pg_statement statement)
{
#define STATEMENT_NAME(name, text) [P_##name] = #name,
	static const char *const names[] = { PG_STATEMENTS(STATEMENT_NAME) };
#undef STATEMENT_NAME
	return names[statement];
}

static bool is_well(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
	       status == PGRES_EMPTY_QUERY;
}

enum ota_code pg_run(struct pg *pg, enum pg_statement statement,
	const struct pg_args *args, PGresult **result, struct ota_error *err)
{
	OTA_AUTO(pg_clear)
	PGresult *got = PQexecPrepared(pg->conn, name_of(statement), args->count,
		args->values, args->lens, args->formats, 1);

	if (!is_well(got))
		return failed(pg, got, err);
	if (result)
		*result = ota_take(&got);
	return OTA_OK;
}

enum ota_code pg_run_u64(struct pg *pg, enum pg_statement statement,
	const struct pg_args *args, uint64_t *out, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	enum ota_code rc = pg_run(pg, statement, args, &result, err);

	if (rc == OTA_OK)
		*out = PQntuples(result) > 0 ? pg_u64(result, 0, 0) : 0;
	return rc;
}

enum ota_code pg_run_text(
	struct pg *pg, const char *text, char *out, size_t cap, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = PQexec(pg->conn, text);
	bool any;

	if (!is_well(result))
		return failed(pg, result, err);
	any = PQntuples(result) > 0 && PQnfields(result) > 0;
	if (out)
		(void)snprintf(out, cap, "%s", any ? PQgetvalue(result, 0, 0) : "");
	return OTA_OK;
}

enum ota_code pg_commit(struct pg *pg, struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = PQexec(pg->conn, "COMMIT");

	if (!is_well(result))
		return failed(pg, result, err);
	if (strcmp(PQcmdStatus(result), "COMMIT") != 0)
		return ota_fail(err, OTA_E_IO,
			"database: the transaction had failed and was taken back");
	return OTA_OK;
}

/* ---- values */

void pg_add_u64(struct pg_args *args, uint64_t value)
{
	int i = args->count++;

	for (int b = 0; b < 8; b++)
		args->numbers[i][b] = (uint8_t)(value >> (56 - 8 * b));
	args->values[i] = (const char *)args->numbers[i];
	args->lens[i] = 8;
	args->formats[i] = 1;
}

void pg_add_text(struct pg_args *args, const char *text)
{
	int i = args->count++;

	args->values[i] = text;
	args->formats[i] = 0;
}

void pg_add_bytes(struct pg_args *args, struct ota_bytes bytes)
{
	int i = args->count++;

	args->values[i] = bytes.len ? (const char *)bytes.at : "";
	args->lens[i] = (int)bytes.len;
	args->formats[i] = 1;
}

static enum ota_code add_be32(struct ota_buf *buf, size_t value)
{
	const uint8_t be[] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
		(uint8_t)(value >> 8), (uint8_t)value };

	return ota_buf_add(buf, (struct ota_bytes){ be, sizeof(be) });
}

/* As array_recv() of PostgreSQL takes it: dimensions, whether there are nulls, type, then
 * for each dimension its length and first index; then each element after its length. */
enum ota_code pg_array_begin(struct ota_buf *array, enum pg_type type, size_t count)
{
	const size_t words[] = { 1, 0, type, count, 1 };
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && rc == OTA_OK; i++)
		rc = add_be32(array, words[i]);
	return rc;
}

enum ota_code pg_array_add(struct ota_buf *array, struct ota_bytes element)
{
	enum ota_code rc = add_be32(array, element.len);

	return rc == OTA_OK ? ota_buf_add(array, element) : rc;
}

struct ota_bytes pg_bytes(const PGresult *result, int row, int column)
{
	return (struct ota_bytes){ (const uint8_t *)PQgetvalue(result, row, column),
		(size_t)PQgetlength(result, row, column) };
}

uint64_t pg_u64(const PGresult *result, int row, int column)
{
	struct ota_bytes bytes = pg_bytes(result, row, column);
	uint64_t value = 0;

	for (size_t i = 0; i < bytes.len; i++)
		value = value << 8 | bytes.at[i];
	return value;
}

const char *pg_text(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column);
}

struct ota_digest pg_digest(const PGresult *result, int row, int column)
{
	struct ota_bytes bytes = pg_bytes(result, row, column);
	struct ota_digest digest = { 0 };

	if (bytes.len == OTA_DIGEST_LEN)
		memcpy(digest.at, bytes.at, OTA_DIGEST_LEN);
	return digest;
}

/* ---- connecting */

static void ignore_notice(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

/* Later words go before earlier ones. */
static PGconn *dial(const char *url)
{
	const char *keys[DEFAULTS + 3] = { 0 }, *values[DEFAULTS + 3] = { 0 };
	int count = 0;

	for (; count < DEFAULTS; count++) {
		keys[count] = defaults[count][0];
		values[count] = defaults[count][1];
	}
	keys[count] = "dbname";
	values[count++] = url;
	keys[count] = "client_encoding";
	values[count] = "UTF8";
	return PQconnectdbParams(keys, values, 1);
}

static enum ota_code check_server(struct pg *pg, struct ota_error *err)
{
	const char *encoding = PQparameterStatus(pg->conn, "server_encoding");
	char word[16] = "";
	enum ota_code rc;

	if (PQserverVersion(pg->conn) < SERVER_MIN)
		return ota_fail(err, OTA_E_CONFLICT,
			"the server is PostgreSQL %d.%d; 15 or newer is needed",
			PQserverVersion(pg->conn) / 10000,
			PQserverVersion(pg->conn) % 10000);
	if (!encoding || strcmp(encoding, "UTF8") != 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"the database has the encoding %s; create it with UTF8",
			encoding ? encoding : "unknown");
	rc = pg_run_text(pg, "SHOW fsync", word, sizeof(word), err);
	if (rc == OTA_OK && strcmp(word, "on") != 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"the server runs with fsync = %s and loses what it has "
			"committed; set it to on",
			word);
	return rc;
}

enum ota_code pg_open(struct pg *pg, const char *url, struct ota_error *err)
{
	enum ota_code rc;

	pg->conn = dial(url);
	if (!pg->conn)
		return ota_fail(err, OTA_E_NOMEM, "database");
	(void)PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
	if (PQstatus(pg->conn) != CONNECTION_OK)
		return failed(pg, NULL, err);
	rc = check_server(pg, err);
	return rc == OTA_OK ? pg_run_text(pg, session, NULL, 0, err) : rc;
}

void pg_fini(struct pg *pg)
{
	PQfinish(pg->conn);
	*pg = (struct pg){ 0 };
}

enum ota_code pg_prepare(struct pg *pg, enum pg_statement from, enum pg_statement to,
	struct ota_error *err)
{
#define STATEMENT_TEXT(name, text) [P_##name] = (text),
	static const char *const texts[] = { PG_STATEMENTS(STATEMENT_TEXT) };
#undef STATEMENT_TEXT

	for (unsigned i = from; i < to; i++) {
		OTA_AUTO(pg_clear)
		PGresult *result = PQprepare(
			pg->conn, name_of((enum pg_statement)i), texts[i], 0, NULL);

		if (!is_well(result))
			return failed(pg, result, err);
	}
	return OTA_OK;
}

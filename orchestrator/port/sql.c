#include "orchestrator/port/sql.h"

#include <stdio.h>
#include <string.h>

enum ota_code sql_failed(const struct sql *sql, struct ota_error *err)
{
	int rc = sqlite3_errcode(sql->db);
	enum ota_code code = OTA_E_IO;

	if (rc == SQLITE_FULL)
		code = OTA_E_NOSPACE;
	if (rc == SQLITE_NOMEM)
		code = OTA_E_NOMEM;
	return ota_fail(err, code, "database: %s", sqlite3_errmsg(sql->db));
}

sqlite3_stmt *sql_use(struct sql *sql, enum statement which)
{
	sqlite3_stmt *stmt = sql->prepared[which];

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return stmt;
}

void sql_bind_u64(sqlite3_stmt *stmt, int at, uint64_t value)
{
	(void)sqlite3_bind_int64(stmt, at, (sqlite3_int64)value);
}

void sql_bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	(void)sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

void sql_bind_bytes(sqlite3_stmt *stmt, int at, struct ota_bytes bytes)
{
	(void)sqlite3_bind_blob64(stmt, at, bytes.len ? (const void *)bytes.at : "",
		bytes.len, SQLITE_STATIC);
}

uint64_t sql_column_u64(sqlite3_stmt *stmt, int at)
{
	return (uint64_t)sqlite3_column_int64(stmt, at);
}

const char *sql_column_text(sqlite3_stmt *stmt, int at)
{
	const unsigned char *text = sqlite3_column_text(stmt, at);

	return text ? (const char *)text : "";
}

struct ota_bytes sql_column_bytes(sqlite3_stmt *stmt, int at)
{
	const void *bytes = sqlite3_column_blob(stmt, at);

	return (struct ota_bytes){ bytes, (size_t)sqlite3_column_bytes(stmt, at) };
}

struct ota_digest sql_column_digest(sqlite3_stmt *stmt, int at)
{
	struct ota_bytes bytes = sql_column_bytes(stmt, at);
	struct ota_digest digest = { 0 };

	if (bytes.len == OTA_DIGEST_LEN)
		memcpy(digest.at, bytes.at, OTA_DIGEST_LEN);
	return digest;
}

enum ota_code sql_run(struct sql *sql, sqlite3_stmt *stmt, struct ota_error *err)
{
	int rc = sqlite3_step(stmt);
	enum ota_code code = rc == SQLITE_DONE ? OTA_OK : sql_failed(sql, err);

	sqlite3_reset(stmt);
	return code;
}

enum ota_code sql_run_u64(
	struct sql *sql, sqlite3_stmt *stmt, uint64_t *out, struct ota_error *err)
{
	int rc = sqlite3_step(stmt);
	enum ota_code code = OTA_OK;

	if (rc == SQLITE_ROW)
		*out = sql_column_u64(stmt, 0);
	else if (rc == SQLITE_DONE)
		*out = 0;
	else
		code = sql_failed(sql, err);
	sqlite3_reset(stmt);
	return code;
}

enum ota_code sql_run_text(struct sql *sql, const char *text, struct ota_error *err)
{
	if (sqlite3_exec(sql->db, text, NULL, NULL, NULL) == SQLITE_OK)
		return OTA_OK;
	return sql_failed(sql, err);
}

enum ota_code sql_word(
	struct sql *sql, const char *text, char *out, size_t cap, struct ota_error *err)
{
	sqlite3_stmt *stmt = NULL;
	enum ota_code code = OTA_OK;

	if (sqlite3_prepare_v2(sql->db, text, -1, &stmt, NULL) != SQLITE_OK)
		return sql_failed(sql, err);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		(void)snprintf(out, cap, "%s", sql_column_text(stmt, 0));
	else
		code = sql_failed(sql, err);
	sqlite3_finalize(stmt);
	return code;
}

enum ota_code sql_prepare(struct sql *sql, struct ota_error *err)
{
#define STATEMENT_TEXT(name, text) [Q_##name] = (text),
	static const char *const texts[] = { STATEMENTS(STATEMENT_TEXT) };
#undef STATEMENT_TEXT

	for (int i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(sql->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &sql->prepared[i], NULL) != SQLITE_OK)
			return sql_failed(sql, err);
	return OTA_OK;
}

void sql_fini(struct sql *sql)
{
	for (int i = 0; i < N_STATEMENTS; i++)
		(void)sqlite3_finalize(sql->prepared[i]);
	(void)sqlite3_close(sql->db);
	*sql = (struct sql){ 0 };
}

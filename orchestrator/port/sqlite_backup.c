#include "orchestrator/port/sqlite_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { PATH_CAP = 1024, PAGES_PER_STEP = 1024, BUSY_MS = 5000 };

/* The copy while it is made: beside the name it shall have. */
struct copy {
	char path[PATH_CAP];
	bool is_there;
};

static void discard(struct copy *copy)
{
	static const char *const ends[] = { "", "-journal", "-wal", "-shm" };
	char name[PATH_CAP + 16];

	for (size_t i = 0; copy->is_there && i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", copy->path, ends[i]);
		(void)unlink(name);
	}
}

static void close_db(sqlite3 **db)
{
	(void)sqlite3_close(*db);
	*db = NULL;
}

static enum ota_code failed(sqlite3 *db, struct ota_error *err)
{
	const struct sql sql = { .db = db };

	return sql_failed(&sql, err);
}

static enum ota_code make_empty(
	const char *path, struct copy *copy, struct ota_error *err)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) == 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"%s is there already; a backup overwrites nothing", path);
	if (snprintf(copy->path, sizeof(copy->path), "%s.XXXXXX", path) >=
		(int)sizeof(copy->path))
		return ota_fail(err, OTA_E_LIMIT, "the path is too long");
	fd = mkostemp(copy->path, O_CLOEXEC);
	if (fd < 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", copy->path, strerror(errno));
	copy->is_there = true;
	(void)close(fd);
	return OTA_OK;
}

/* In one read transaction of the source: what others write meanwhile is not in it, and
 * they do not wait. The copy needs no log beside it. */
static enum ota_code copy_pages(sqlite3 *from, sqlite3 *to, struct ota_error *err)
{
	sqlite3_backup *backup;
	int rc;

	if (sqlite3_exec(from, "BEGIN; SELECT 1 FROM numbers", NULL, NULL, NULL) !=
		SQLITE_OK)
		return failed(from, err);
	backup = sqlite3_backup_init(to, "main", from, "main");
	if (!backup)
		return failed(to, err);
	do {
		rc = sqlite3_backup_step(backup, PAGES_PER_STEP);
	} while (rc == SQLITE_OK);
	(void)sqlite3_backup_finish(backup);
	if (rc != SQLITE_DONE || sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL,
					 NULL, NULL) != SQLITE_OK)
		return failed(to, err);
	return OTA_OK;
}

static enum ota_code fill(
	const char *database, const struct copy *copy, struct ota_error *err)
{
	OTA_AUTO(close_db) sqlite3 *from = NULL;
	OTA_AUTO(close_db) sqlite3 *to = NULL;
	enum ota_code rc;

	/* not read-only: the file of a sluiced that was killed may have to be recovered
	 */
	if (sqlite3_open_v2(database, &from, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return ota_wrap(err, failed(from, err), "open %s", database);
	(void)sqlite3_busy_timeout(from, BUSY_MS);
	if (sqlite3_open_v2(copy->path, &to, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return ota_wrap(err, failed(to, err), "open %s", copy->path);
	rc = copy_pages(from, to, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "copy %s", database);
}

/* Durable under a name that nothing had before. */
static enum ota_code name_it(struct copy *copy, const char *path, struct ota_error *err)
{
	ota_autoclose int fd = open(copy->path, O_RDONLY | O_CLOEXEC);
	char dir[PATH_CAP];
	enum ota_code rc;

	if (fd < 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", copy->path, strerror(errno));
	if (fsync(fd) != 0)
		return ota_fail(
			err, OTA_E_IO, "sync %s: %s", copy->path, strerror(errno));
	if (renameat2(AT_FDCWD, copy->path, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
		return ota_fail(err, errno == EEXIST ? OTA_E_CONFLICT : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	copy->is_there = false;
	(void)snprintf(dir, sizeof(dir), "%s", path);
	rc = ota_dir_sync(dirname(dir), err);
	return rc;
}

static enum ota_code count(const char *path, uint64_t *entries, struct ota_error *err)
{
	OTA_AUTO(close_db) sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
		sqlite3_prepare_v2(db, "SELECT count(*) FROM audit", -1, &stmt, NULL) !=
			SQLITE_OK)
		return failed(db, err);
	rc = sqlite3_step(stmt);
	*entries = rc == SQLITE_ROW ? sql_column_u64(stmt, 0) : 0;
	(void)sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? OTA_OK : failed(db, err);
}

enum ota_code sqlite_ledger_backup(
	const char *database, const char *path, uint64_t *entries, struct ota_error *err)
{
	OTA_AUTO(discard) struct copy copy = { 0 };
	enum ota_code rc = make_empty(path, &copy, err);

	if (rc == OTA_OK)
		rc = fill(database, &copy, err);
	if (rc == OTA_OK)
		rc = sqlite_ledger_check(copy.path, err);
	if (rc == OTA_OK)
		rc = count(copy.path, entries, err);
	if (rc == OTA_OK)
		rc = name_it(&copy, path, err);
	return rc;
}

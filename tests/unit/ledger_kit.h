#ifndef TESTS_UNIT_LEDGER_KIT_H
#define TESTS_UNIT_LEDGER_KIT_H

/* One ledger in a new directory or database, for the suites of tests about it. */

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/port/ledger.h"
#include "proto/base/own.h"
#include "tests/unit/postgres_kit.h"

/* As time would, which the tests do not wait for. */
#define FREE_LEASE "UPDATE sluice.lease SET expires = '-infinity'"

static char dir[] = "/tmp/ledger.XXXXXX";
static char path[POSTGRES_URL_CAP]; /* of the file, or the URL */
static struct ledger *ledger;
static struct postgres server;

static inline void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/l.db", dir);
}

static inline void remove_dir(void)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[300];

	ledger_close(ledger);
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, "%s/l.db%s", dir, ends[i]);
		(void)unlink(name);
	}
	(void)rmdir(dir);
}

/* A database of its own on the server that the process started which runs the tests. */
static inline void use_postgres(void)
{
	postgres_join(&server);
	(void)snprintf(path, sizeof path, "%s", server.url);
}

static inline void reopen(void)
{
	const struct ledger_leader self = { "test", "" };
	struct ledger_leader other = { 0 };
	struct ota_error err = { 0 };
	bool leads = false;

	ledger_close(ledger);
	ledger = NULL;
	cr_assert_eq(ledger_open(path, &ledger, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(
		ledger_lead(ledger, &self, &leads, &other, &err), OTA_OK, "%s", err.text);
	cr_assert(leads, "%s leads", other.owner);
}

static inline void note(const char *who, const char *action)
{
	const struct audit_entry entry = {
		.at_utc_s = 7, .who = who, .action = action, .detail = "{}"
	};

	cr_assert_eq(ledger_audit(ledger, &entry, NULL), OTA_OK);
}

static inline void retain(const char *topic, enum ledger_kind kind, const char *payload)
{
	cr_assert_eq(
		ledger_retain(ledger, topic, kind, ota_bytes_of(payload), NULL), OTA_OK);
}

/* Topics of the rows above a seq, in order, joined by blanks. */
static inline const char *topics_after(uint64_t after)
{
	static char text[4096];
	bool found = true;

	text[0] = '\0';
	while (found) {
		OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };

		cr_assert_eq(
			ledger_retained_next(ledger, after, &row, &found, NULL), OTA_OK);
		if (!found)
			break;
		after = row.seq;
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
			text[0] ? " " : "", row.topic);
	}
	return text;
}

static inline enum ota_code count_row(void *ctx, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	char *text = ctx;

	(void)err;
	(void)snprintf(text + strlen(text), 200 - strlen(text), "%d:%s=%.*s ", (int)table,
		key, (int)value.len, (const char *)value.at);
	return OTA_OK;
}

static inline enum ota_code add_row(void *ctx, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	(void)table;
	(void)key;
	(void)value;
	(void)err;
	++*(unsigned *)ctx;
	return OTA_OK;
}

#endif

/* What every database does that holds the ledger. */
#include <criterion/criterion.h>

#include <sqlite3.h>
#include <sys/wait.h>

#include "orchestrator/port/migrations.h"
#include "tests/unit/both_ledgers.h"

TestSuite(ledger, .init = make_dir, .fini = remove_dir);

#define ledger_test(name) both_ledgers(ledger, name)

static bool add_entry(void *ctx, const struct audit_entry *entry)
{
	(void)entry;
	++*(uint32_t *)ctx;
	return true;
}

ledger_test(rows_come_back_by_table_and_key_after_a_restart)
{
	char text[200] = "";

	open_ledger(*backend);
	cr_assert_eq(ledger_put(ledger, CORE_ROLLOUT, "r", ota_bytes_of("{3}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "b", ota_bytes_of("{2}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "a", ota_bytes_of("{0}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "a", ota_bytes_of("{1}"), NULL), 0);
	cr_assert_eq(ledger_put(ledger, CORE_DEVICE, "c", ota_bytes_of("{}"), NULL), 0);
	cr_assert_eq(ledger_drop(ledger, CORE_DEVICE, "c", NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_assert_str_eq(text, "3:a={1} 3:b={2} 6:r={3} ");
}

ledger_test(a_transaction_that_was_not_committed_is_not_there)
{
	char text[200] = "";
	pid_t child;

	if (*backend == POSTGRES)
		use_postgres();
	child = fork();
	if (child == 0) {
		reopen();
		if (ledger_begin(ledger, NULL) != OTA_OK ||
			ledger_put(ledger, CORE_META, "k", ota_bytes_of("{}"), NULL))
			_exit(1);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	if (*backend == POSTGRES)
		cr_assert(postgres_run(&server, FREE_LEASE));
	reopen();
	cr_assert_eq(ledger_was_unclean(ledger), *backend == SQLITE);
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_assert_str_eq(text, "");
	reopen();
	cr_assert_not(ledger_was_unclean(ledger));
}

ledger_test(the_audit_chain_goes_on_after_a_restart)
{
	struct audit_walk walk = { 0 };
	struct ota_digest head;
	uint64_t seq;

	open_ledger(*backend);
	note("ann", "fleet.set");
	note("core", "rollout.halt");
	reopen();
	note("bob", "rollout.resume");
	ledger_audit_head(ledger, &seq, &head);
	cr_assert_eq(ledger_audit_verify(ledger, &walk, NULL), OTA_OK);
	cr_assert_eq(walk.broken_at, 0);
	cr_assert_eq(walk.entries, 3);
	cr_assert_eq(seq, 3);
	cr_assert(ota_digest_equal(&walk.head, &head));
}

ledger_test(an_audit_entry_can_be_neither_changed_nor_removed)
{
	static const char *const attempts[] = { "UPDATE audit SET who = 'x'",
		"DELETE FROM audit WHERE seq = 1", "UPDATE sluice.audit SET who = 'x'",
		"DELETE FROM sluice.audit WHERE seq = 1", "TRUNCATE sluice.audit" };
	sqlite3 *db = NULL;

	open_ledger(*backend);
	note("ann", "fleet.set");
	for (size_t i = 2; i < 5 && *backend == POSTGRES; i++)
		cr_expect_not(postgres_run(&server, attempts[i]), "%s", attempts[i]);
	if (*backend == POSTGRES)
		return;
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(sqlite3_exec(db, attempts[i], NULL, NULL, NULL),
			SQLITE_CONSTRAINT, "%s", attempts[i]);
	(void)sqlite3_close(db);
}

ledger_test(a_transaction_is_all_there_or_not_at_all)
{
	char text[200] = "";

	open_ledger(*backend);
	cr_assert_eq(ledger_begin(ledger, NULL), OTA_OK);
	cr_assert_eq(ledger_put(ledger, CORE_META, "k", ota_bytes_of("{}"), NULL), 0);
	note("core", "x");
	retain("a", LEDGER_MESSAGE, "1");
	cr_assert_eq(ledger_commit(ledger, NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_expect_str_eq(text, "0:k={} ");
	cr_expect_str_eq(topics_after(0), "a");
}

ledger_test(any_number_of_rows_and_entries_is_walked)
{
	enum { MANY = 1201 };
	struct audit_walk walk = { 0 };
	unsigned rows = 0;

	open_ledger(*backend);
	cr_assert_eq(ledger_begin(ledger, NULL), OTA_OK);
	for (int i = 0; i < MANY; i++) {
		char key[16];

		(void)snprintf(key, sizeof key, "gw-%d", i);
		cr_assert_eq(ledger_put(ledger, CORE_STATUS, key, ota_bytes_of("{}"), 0),
			OTA_OK);
		note("core", "x");
	}
	cr_assert_eq(ledger_commit(ledger, NULL), OTA_OK);
	cr_assert_eq(ledger_each_row(ledger, add_row, &rows, NULL), OTA_OK);
	cr_expect_eq(rows, MANY);
	cr_assert_eq(ledger_audit_verify(ledger, &walk, NULL), OTA_OK);
	cr_expect(walk.entries == MANY && walk.broken_at == 0);
}

ledger_test(rows_that_are_stored_together_replace_others_too)
{
	const struct ledger_row rows[] = { { "b", ota_bytes_of("{2}") },
		{ "a", ota_bytes_of("{1}") }, { "c", { 0 } } };
	char text[200] = "";

	open_ledger(*backend);
	cr_assert_eq(ledger_put(ledger, CORE_STATUS, "a", ota_bytes_of("{0}"), NULL), 0);
	cr_assert_eq(ledger_put_many(ledger, CORE_STATUS, rows, 3, NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_expect_str_eq(text, "4:a={1} 4:b={2} 4:c= ");
}

ledger_test(a_walk_of_entries_ends_at_its_limit)
{
	uint32_t seen = 0;

	open_ledger(*backend);
	for (int i = 0; i < 5; i++)
		note("core", "x");
	cr_assert_eq(ledger_each_audit(ledger, 1, 3, add_entry, &seen, NULL), OTA_OK);
	cr_expect_eq(seen, 3);
	cr_assert_eq(ledger_each_audit(ledger, 4, 9, add_entry, &seen, NULL), OTA_OK);
	cr_expect_eq(seen, 4);
}

ledger_test(the_outbox_keeps_the_order_of_the_calls)
{
	open_ledger(*backend);
	retain("a", LEDGER_MESSAGE, "1");
	retain("b", LEDGER_PATCH, "2");
	retain("c", LEDGER_MESSAGE, "3");
	cr_assert_str_eq(topics_after(0), "a b c");
	retain("a", LEDGER_MESSAGE, "4");
	cr_assert_str_eq(topics_after(0), "b c a");
	retain("b", LEDGER_PATCH, "2");
	cr_assert_str_eq(topics_after(0), "b c a", "the same again changes nothing");
	cr_assert_eq(ledger_outbox_len(ledger), 3);
}

ledger_test(what_was_acknowledged_is_clean_unless_it_was_replaced)
{
	OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
	bool found;

	open_ledger(*backend);
	retain("a", LEDGER_MESSAGE, "1");
	cr_assert_eq(ledger_retained_next(ledger, 0, &row, &found, NULL), OTA_OK);
	retain("a", LEDGER_MESSAGE, "2");
	cr_assert_eq(ledger_retained_done(ledger, row.seq, NULL), OTA_OK);
	cr_assert_eq(ledger_outbox_len(ledger), 1, "the new one is not out");
	ledger_retained_fini(&row);
	cr_assert_eq(ledger_retained_next(ledger, row.seq, &row, &found, NULL), OTA_OK);
	cr_assert_eq(ledger_retained_done(ledger, row.seq, NULL), OTA_OK);
	cr_assert_eq(ledger_outbox_len(ledger), 0);
	cr_assert_str_eq(topics_after(0), "a", "it is still in force");
}

ledger_test(a_clear_is_gone_once_it_is_done)
{
	OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
	bool found;

	open_ledger(*backend);
	retain("p", LEDGER_PATCH, "x");
	retain("p", LEDGER_RELEASE, "x");
	cr_assert_eq(ledger_retained_next(ledger, 0, &row, &found, NULL), OTA_OK);
	cr_assert_eq(row.kind, LEDGER_RELEASE);
	cr_assert_eq(ledger_retained_done(ledger, row.seq, NULL), OTA_OK);
	cr_assert_str_eq(topics_after(0), "");
}

ledger_test(a_patch_counts_as_published_once_for_ever)
{
	struct ota_digest one = { { 1 } }, two = { { 2 } };
	uint64_t published, again;

	open_ledger(*backend);
	cr_assert_eq(ledger_count_patch(ledger, &one, 100, NULL), OTA_OK);
	cr_assert_eq(ledger_count_patch(ledger, &two, 50, NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_count_patch(ledger, &one, 100, NULL), OTA_OK);
	cr_assert_eq(ledger_count_again(ledger, 7, NULL), OTA_OK);
	cr_assert_eq(ledger_counts(ledger, &published, &again, NULL), OTA_OK);
	cr_assert_eq(published, 150);
	cr_assert_eq(again, 107);
}

/* ---- migrations */

/* A database that is nothing but a number. */
struct fake_database {
	uint64_t schema;
	char ran[64];
};

static enum ota_code fake_schema(void *ctx, uint64_t *out, struct ota_error *err)
{
	struct fake_database *fake = ctx;

	(void)err;
	*out = fake->schema;
	return OTA_OK;
}

static enum ota_code fake_run(void *ctx, const char *text, struct ota_error *err)
{
	struct fake_database *fake = ctx;

	if (strcmp(text, "bad") == 0)
		return ota_fail(err, OTA_E_IO, "no such table");
	(void)strncat(fake->ran, text, sizeof fake->ran - strlen(fake->ran) - 1);
	return OTA_OK;
}

Test(migrations, the_steps_that_are_missing_run_in_order)
{
	static const struct migration steps[] = { { 1, "a" }, { 2, "b" }, { 3, "c" } };
	static const char *const expected[] = { "abc", "bc", "c", "" };

	for (uint64_t i = 0; i < 4; i++) {
		struct fake_database fake = { .schema = i };
		const struct migration_target target = { &fake, fake_schema, fake_run };

		cr_assert_eq(migrations_run(&target, steps, 3, NULL), OTA_OK);
		cr_expect_str_eq(fake.ran, expected[i]);
	}
}

Test(migrations, a_step_that_fails_is_the_last_and_is_named)
{
	static const struct migration steps[] = { { 1, "a" }, { 2, "bad" }, { 3, "c" } };
	struct fake_database fake = { 0 };
	const struct migration_target target = { &fake, fake_schema, fake_run };
	struct ota_error err = { 0 };

	cr_assert_eq(migrations_run(&target, steps, 3, &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "to schema 2: no such table");
	cr_expect_str_eq(fake.ran, "a");
}

static enum ota_code print_webhook(
	void *ctx, const struct ledger_webhook *webhook, struct ota_error *err)
{
	char *text = ctx;

	(void)err;
	(void)snprintf(text + strlen(text), 200 - strlen(text), "%s=%llu,%llu,%llu,%llu ",
		webhook->name, (unsigned long long)webhook->cursor,
		(unsigned long long)webhook->tries,
		(unsigned long long)webhook->failing_s,
		(unsigned long long)webhook->disabled_s);
	return OTA_OK;
}

ledger_test(webhooks_go_on_where_they_were_after_a_restart)
{
	struct ledger_webhook hook = { .name = "pager", .cursor = 7 };
	char text[200] = "";

	open_ledger(*backend);
	cr_assert_eq(ledger_put_webhook(ledger, &hook, NULL), OTA_OK);
	hook = (struct ledger_webhook){ "pager", 9, 3, 1000, 2000 };
	cr_assert_eq(ledger_put_webhook(ledger, &hook, NULL), OTA_OK);
	hook = (struct ledger_webhook){ .name = "chat", .cursor = 1 };
	cr_assert_eq(ledger_put_webhook(ledger, &hook, NULL), OTA_OK);
	hook = (struct ledger_webhook){ .name = "gone", .cursor = 1 };
	cr_assert_eq(ledger_put_webhook(ledger, &hook, NULL), OTA_OK);
	cr_assert_eq(ledger_drop_webhook(ledger, "gone", NULL), OTA_OK);
	cr_assert_eq(ledger_drop_webhook(ledger, "never-there", NULL), OTA_OK);
	reopen();
	cr_assert_eq(ledger_each_webhook(ledger, print_webhook, text, NULL), OTA_OK);
	cr_assert_str_eq(text, "chat=1,0,0,0 pager=9,3,1000,2000 ");
}

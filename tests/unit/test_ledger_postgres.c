/* The ledger in PostgreSQL: who leads, and what a lost connection means. */
#include <criterion/criterion.h>

#include "tests/unit/ledger_server.h"

TestSuite(postgres, .init = make_dir, .fini = remove_dir);

static struct ledger *open_another(void)
{
	struct ledger *other = NULL;
	struct ota_error err = { 0 };

	cr_assert_eq(ledger_open(path, &other, &err), OTA_OK, "%s", err.text);
	return other;
}

static bool take_lease(struct ledger *other, struct ledger_leader *leader)
{
	const struct ledger_leader self = { "second", "[::1]:1" };
	struct ota_error err = { 0 };
	bool leads = false;

	cr_assert_eq(
		ledger_lead(other, &self, &leads, leader, &err), OTA_OK, "%s", err.text);
	return leads;
}

Test(postgres, one_leads_and_the_next_when_it_gives_up)
{
	struct ledger_leader leader = { 0 };
	struct ledger *other;

	use_postgres();
	reopen();
	other = open_another();
	cr_assert_not(take_lease(other, &leader));
	cr_expect_str_eq(leader.owner, "test");
	ledger_close(ledger);
	ledger = NULL;
	cr_assert(take_lease(other, &leader));
	ledger_close(other);
}

Test(postgres, who_lost_the_lease_commits_nothing_more)
{
	struct ledger_leader leader = { 0 };
	struct ota_error err = { 0 };
	struct ledger *other;
	char text[200] = "";

	use_postgres();
	reopen();
	other = open_another();
	cr_assert(postgres_run(&server, FREE_LEASE));
	cr_assert(take_lease(other, &leader));
	cr_assert_eq(ledger_begin(ledger, &err), OTA_E_STATE);
	cr_expect_not_null(strstr(err.text, "another sluiced leads"), "%s", err.text);
	cr_assert_eq(ledger_put(ledger, CORE_META, "k", ota_bytes_of("{}"), NULL),
		OTA_E_STATE);
	cr_assert_eq(ledger_each_row(other, count_row, text, NULL), OTA_OK);
	cr_expect_str_eq(text, "");
	ledger_close(ledger); /* and does not give up what it does not have */
	ledger = NULL;
	cr_assert_eq(ledger_put(other, CORE_META, "k", ota_bytes_of("{}"), NULL), OTA_OK);
	ledger_close(other);
}

Test(postgres, a_lease_is_not_taken_while_its_leader_commits)
{
	struct ledger_leader leader = { 0 };
	struct ledger *other;

	use_postgres();
	reopen();
	other = open_another();
	cr_assert_eq(ledger_begin(ledger, NULL), OTA_OK);
	cr_assert(
		postgres_run(&server, "SET lock_timeout = '200ms';" FREE_LEASE) == false,
		"nobody changes the row while it is looked at");
	cr_assert_not(take_lease(other, &leader));
	cr_assert_eq(ledger_commit(ledger, NULL), OTA_OK);
	ledger_close(other);
}

Test(postgres, what_is_in_doubt_is_an_error_and_read_again)
{
	struct ota_error err = { 0 };
	char text[200] = "";

	use_postgres();
	postgres_start(&server);
	(void)snprintf(path, sizeof path, "%s", server.url);
	reopen();
	cr_assert_eq(ledger_put(ledger, CORE_META, "kept", ota_bytes_of("{}"), NULL), 0);
	cr_assert_eq(ledger_begin(ledger, NULL), OTA_OK);
	cr_assert_eq(ledger_put(ledger, CORE_META, "lost", ota_bytes_of("{}"), NULL), 0);
	postgres_kill(&server);
	cr_assert_eq(ledger_commit(ledger, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "no answer to a commit"), "%s", err.text);
	cr_assert_eq(ledger_hold(ledger, NULL), OTA_OK, "not due yet");
	postgres_restart(&server);
	cr_assert(postgres_run(&server, FREE_LEASE));
	reopen();
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	cr_expect_str_eq(text, "0:kept={} ");
	ledger_close(ledger);
	ledger = NULL;
	postgres_fini(&server);
}

Test(postgres, a_broken_chain_is_found_by_a_check)
{
	struct audit_walk walk = { 0 };
	struct ota_error err = { 0 };

	use_postgres();
	cr_assert_eq(ledger_check(path, &err), OTA_OK, "nothing there: %s", err.text);
	reopen();
	note("ann", "a");
	note("bob", "b");
	cr_assert_eq(ledger_check(path, &err), OTA_OK, "%s", err.text);
	cr_assert(postgres_run(&server,
		"ALTER TABLE sluice.audit DISABLE TRIGGER ALL;"
		"UPDATE sluice.audit SET who = 'eve' WHERE seq = 2"));
	cr_assert_eq(ledger_audit_verify(ledger, &walk, NULL), OTA_OK);
	cr_expect_eq(walk.broken_at, 2);
	cr_assert_eq(ledger_check(path, &err), OTA_E_CONFLICT);
	cr_expect_not_null(strstr(err.text, "broken at entry 2"), "%s", err.text);
}

Test(postgres, what_cannot_hold_the_ledger_is_refused)
{
	static const struct {
		const char *sql, *text;
	} rows[] = {
		{ "UPDATE sluice.numbers SET value = 9 WHERE name = 'schema'",
			"has schema 9" },
		{ "DELETE FROM sluice.numbers", "another program" },
	};

	use_postgres();
	reopen();
	ledger_close(ledger);
	ledger = NULL;
	for (size_t i = 0; i < 2; i++) {
		struct ota_error err = { 0 };

		cr_assert(postgres_run(&server, rows[i].sql));
		cr_assert_eq(ledger_open(path, &ledger, &err), OTA_E_CONFLICT);
		cr_expect_not_null(strstr(err.text, rows[i].text), "%s", err.text);
		cr_assert_eq(ledger_check(path, &err), OTA_E_CONFLICT);
	}
}

Test(postgres, a_server_that_is_not_there_is_told_in_one_line)
{
	struct ota_error err = { 0 };

	cr_assert_eq(ledger_open("postgresql://x@/x?host=/nonexistent", &ledger, &err),
		OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "PostgreSQL: database:"), "%s", err.text);
	cr_expect_null(strchr(err.text, '\n'), "%s", err.text);
}

/* As the version before left it. */
Test(postgres, an_older_schema_is_checked_as_it_is_and_migrated_by_who_leads)
{
	struct ota_error err = { 0 };

	use_postgres();
	reopen();
	note("ann", "fleet.set");
	ledger_close(ledger);
	ledger = NULL;
	cr_assert(postgres_run(&server, "DROP TABLE sluice.answers, sluice.webhooks;"
					"UPDATE sluice.numbers SET value = 1"
					" WHERE name = 'schema'"));
	cr_assert_eq(ledger_check(path, &err), OTA_OK, "%s", err.text);
	cr_assert_not(
		postgres_run(&server, "SELECT 1 FROM sluice.answers"), "only looked");
	reopen();
	cr_assert(postgres_run(&server, "SELECT 1 FROM sluice.answers"));
	note("ann", "fleet.set");
}

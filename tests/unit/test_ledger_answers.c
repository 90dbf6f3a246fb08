/* Answers that are kept for who asks the same again, in both databases. */
#include <criterion/criterion.h>

#include "tests/unit/both_ledgers.h"

#define DAY UINT64_C(86400)
#define NOW UINT64_C(1800000000)

TestSuite(answers, .init = make_dir, .fini = remove_dir);

#define answers_test(name) both_ledgers(answers, name)

static void keep(const char *who, unsigned key, uint64_t at_utc_s, const char *text)
{
	const struct ledger_answer answer = { .who = who,
		.key = ota_digest_of((struct ota_bytes){ (uint8_t *)&key, sizeof key }),
		.request = ota_digest_of(ota_bytes_of(text)),
		.at_utc_s = at_utc_s,
		.status = 200,
		.sealed = ota_bytes_of(text) };
	struct ota_error err = { .text = "" };

	cr_assert_eq(ledger_answer_keep(ledger, &answer, &err), OTA_OK, "%s", err.text);
}

/* What is kept; NULL if nothing is. */
static const char *find(const char *who, unsigned key, uint64_t now_utc_s)
{
	static char text[64];
	OTA_AUTO(ota_buf_fini) struct ota_buf body = { 0 };
	struct ledger_answer answer = { .who = who,
		.key = ota_digest_of((struct ota_bytes){ (uint8_t *)&key, sizeof key }) };
	struct ota_error err = { .text = "" };
	struct ota_digest request;
	bool found = false;

	cr_assert_eq(ledger_answer_find(ledger, now_utc_s, &answer, &body, &found, &err),
		OTA_OK, "%s", err.text);
	if (!found)
		return NULL;
	(void)snprintf(text, sizeof text, "%s", ota_buf_text(&body));
	request = ota_digest_of(ota_bytes_of(text));
	cr_assert(ota_digest_equal(&answer.request, &request));
	cr_assert_eq(answer.status, 200);
	return text;
}

answers_test(an_answer_is_found_by_who_and_key_after_a_restart)
{
	open_ledger(*backend);
	keep("ann", 1, NOW, "one");
	keep("bob", 1, NOW, "other");
	reopen();
	cr_expect_str_eq(find("ann", 1, NOW), "one");
	cr_expect_str_eq(find("bob", 1, NOW), "other");
	cr_expect_null(find("ann", 2, NOW));
	cr_expect_null(find("eve", 1, NOW));
	keep("ann", 1, NOW + 1, "newer");
	cr_expect_str_eq(find("ann", 1, NOW), "newer");
}

answers_test(an_answer_shares_the_fate_of_its_transaction)
{
	struct ota_error err = { .text = "" };

	open_ledger(*backend);
	cr_assert_eq(ledger_begin(ledger, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(
		ledger_put(ledger, CORE_META, "k", ota_bytes_of("{}"), NULL), OTA_OK);
	keep("ann", 1, NOW, "one");
	ledger_close(ledger); /* without a commit */
	ledger = NULL;
	if (*backend == POSTGRES)
		cr_assert(postgres_run(&server, FREE_LEASE));
	reopen();
	cr_expect_null(find("ann", 1, NOW));
	cr_assert_eq(ledger_begin(ledger, &err), OTA_OK, "%s", err.text);
	keep("ann", 1, NOW, "one");
	cr_assert_eq(ledger_commit(ledger, &err), OTA_OK, "%s", err.text);
	reopen();
	cr_expect_str_eq(find("ann", 1, NOW), "one");
}

answers_test(an_answer_is_kept_for_a_day)
{
	open_ledger(*backend);
	keep("ann", 1, NOW, "one");
	cr_expect_str_eq(find("ann", 1, NOW + DAY - 1), "one");
	cr_expect_null(find("ann", 1, NOW + DAY));
	cr_expect_str_eq(find("ann", 1, NOW - DAY), "one", "a clock that went back");
	cr_expect_str_eq(find("ann", 1, 1), "one");
}

/* How many of the keys 1 to count are in the database at all. */
static unsigned kept(const char *who, unsigned count)
{
	unsigned found = 0;

	for (unsigned key = 1; key <= count; key++)
		found += find(who, key, 1) != NULL;
	return found;
}

answers_test(what_is_old_is_removed_a_few_at_a_time)
{
	const unsigned many = 3 * LEDGER_ANSWERS_AT_ONCE;

	open_ledger(*backend);
	for (unsigned key = 1; key <= many; key++)
		keep("ann", key, NOW + key, "old");
	cr_expect_eq(kept("ann", many), many);
	keep("bob", 1, NOW + DAY, "new");
	cr_expect_eq(kept("ann", many), many, "none of them is a day old");
	keep("bob", 2, NOW + DAY + many, "new");
	cr_expect_eq(kept("ann", many), many - LEDGER_ANSWERS_AT_ONCE);
	cr_expect_null(find("ann", LEDGER_ANSWERS_AT_ONCE, 1), "the oldest went first");
	keep("bob", 3, NOW + DAY + many, "new");
	keep("bob", 4, NOW + DAY + many, "new");
	cr_expect_eq(kept("ann", many), 0);
	cr_expect_eq(kept("bob", 4), 4);
}

answers_test(of_too_many_the_oldest_make_room)
{
	struct ota_error err = { .text = "" };

	open_ledger(*backend);
	keep("bob", 1, NOW, "other");
	cr_assert_eq(ledger_begin(ledger, &err), OTA_OK, "%s", err.text);
	for (unsigned key = 1; key <= LEDGER_ANSWERS_MAX; key++)
		keep("ann", key, NOW, "one");
	cr_assert_eq(ledger_commit(ledger, &err), OTA_OK, "%s", err.text);
	cr_expect_not_null(find("ann", 1, NOW));
	keep("ann", LEDGER_ANSWERS_MAX + 1, NOW, "one");
	cr_expect_null(find("ann", 1, NOW));
	cr_expect_not_null(find("ann", 2, NOW));
	cr_expect_not_null(find("ann", LEDGER_ANSWERS_MAX + 1, NOW));
	cr_expect_str_eq(find("bob", 1, NOW), "other", "nobody else's");
}

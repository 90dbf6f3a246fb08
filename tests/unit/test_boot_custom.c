#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/boot_custom.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static char command[512];
static struct boot_custom custom;
static struct boot_loader loader;
static struct ota_error err;

/* A boot loader that keeps its answers in files. */
static const char WHOLE[] =
	"#!/bin/sh\n"
	"cd \"${0%/*}\" || exit 9\n"
	"case \"$1 $#\" in\n"
	"'get-current 1') cat current ;;\n"
	"'get-primary 1') cat primary ;;\n"
	"'set-primary 3') echo \"$2\" >primary; echo \"$3\" >tries ;;\n"
	"'get-state 2') cat \"state-$2\" ;;\n"
	"'set-state 3') echo \"$3\" >\"state-$2\" ;;\n"
	"*) echo \"no verb $1\" >&2; exit 2 ;;\n"
	"esac\n";

static void use(const char *text)
{
	temporary_write("boot", text);
	cr_assert_eq(chmod(command, 0755), 0);
}

static void set_up(void)
{
	temporary_make();
	(void)snprintf(command, sizeof command, "%s/boot", temporary_dir);
	temporary_write("current", "a\n");
	temporary_write("primary", "a\n");
	temporary_write("state-a", "good\n");
	temporary_write("state-b", "bad\n");
	use(WHOLE);
	custom = (struct boot_custom){ command, 10000 };
	loader = boot_custom_loader(&custom);
}

TestSuite(boot_custom, .init = set_up, .fini = temporary_remove, .timeout = 60);

Test(boot_custom, the_verbs_are_spoken)
{
	enum slot_state state = SLOT_GOOD;
	unsigned slot = 9;

	cr_expect_eq(loader.get_current(loader.ctx, &slot, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slot, 0);
	cr_expect_eq(loader.get_state(loader.ctx, 1, &state, &err), OTA_OK);
	cr_expect_eq(state, SLOT_BAD);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK);
	cr_expect_eq(loader.get_state(loader.ctx, 1, &state, &err), OTA_OK);
	cr_expect_eq(state, SLOT_TRIAL);
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_OK);
	cr_expect_eq(slot, 1);
}

Test(boot_custom, a_change_that_does_not_read_back_is_an_error)
{
	use("#!/bin/sh\ncase $1 in get-primary) echo a ;; get-state) echo good ;; "
	    "esac\n");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_E_MEDIA);
	cr_expect(strstr(err.text, "get-primary says a after set-primary b") != NULL,
		"%s", err.text);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_E_MEDIA);
	cr_expect(strstr(err.text, "get-state b says good after set-state bad") != NULL,
		"%s", err.text);
}

Test(boot_custom, a_failure_is_told_with_verb_status_and_complaint)
{
	unsigned slot = 9;

	use("#!/bin/sh\necho no such partition >&2\nexit 3\n");
	cr_expect_eq(loader.get_current(loader.ctx, &slot, &err), OTA_E_IO);
	cr_expect(strstr(err.text, "boot: exit status 3: no such partition") != NULL,
		"%s", err.text);
	cr_expect_eq(strncmp(err.text, "get-current: /", 14), 0);
	custom.deadline_ms = 100;
	use("#!/bin/sh\nsleep 1000\n");
	cr_expect_eq(loader.get_current(loader.ctx, &slot, &err), OTA_E_TIMEOUT);
	cr_expect_eq(slot, 9);
}

Test(boot_custom, an_answer_is_one_word)
{
	static const char *const words[] = { "a", "b" };
	static const struct {
		const char *text;
		enum ota_code code;
	} rows[] = { { "a", OTA_OK }, { "b\n", OTA_OK }, { "", OTA_E_FORMAT },
		{ "\n", OTA_E_FORMAT }, { "A\n", OTA_E_FORMAT }, { "a \n", OTA_E_FORMAT },
		{ "a\n\n", OTA_E_FORMAT },
		{ "a_word_that_is_longer_than_it_can_be", OTA_E_FORMAT },
		{ "ab", OTA_E_FORMAT } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned out = 9;

		cr_expect_eq(boot_custom_answer_parse(
				     ota_bytes_of(rows[i].text), words, 2, &out, &err),
			rows[i].code, "row %zu", i);
	}
	cr_expect_str_eq(err.text, "answered 'ab', not a or b");
}

Test(boot_custom, an_answer_that_is_none_is_told_with_what_was_asked)
{
	enum slot_state state = SLOT_GOOD;

	use("#!/bin/sh\necho perhaps, who knows that well\n");
	cr_expect_eq(loader.get_state(loader.ctx, 1, &state, &err), OTA_E_FORMAT);
	cr_expect_not_null(
		strstr(err.text,
			"boot get-state b: answered 'perhaps, who knows t', not "),
		"%s", err.text);
	cr_expect_eq(state, SLOT_GOOD);
}

Test(boot_custom, any_call_may_fail)
{
	struct faults walk = { 0 };
	unsigned refused = 0, slot;

	temporary_remove();
	temporary_in_memory = true;
	set_up();
	while (faults_next(&walk)) {
		enum ota_code rc;

		faults_arm(&walk);
		rc = loader.set_primary(loader.ctx, 1, 3, &err);
		if (rc == OTA_OK)
			rc = loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err);
		(void)faults_disarm(&walk);
		refused += rc != OTA_OK;
		cr_assert_eq(loader.get_current(loader.ctx, &slot, &err), OTA_OK,
			"after %s: %s", faults_text(&walk), err.text);
	}
	cr_expect_gt(refused, 8);
}

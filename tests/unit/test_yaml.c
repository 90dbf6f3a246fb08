#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/yaml.h"

struct yaml_row {
	const char *text, *errors;
};

/* Every row is refused with exactly these words. */
static const struct yaml_row refused[] = {
	{ "", "f:1:1: error: the file is empty\n" },
	{ "# nothing\n", "f:2:1: error: the file is empty\n" },
	{ "a: &x 1\nb: *x\n",
		"f:1:4: error: anchors ('&') are not allowed\n  a: &x 1\n     ^\n"
		"f:2:4: error: aliases ('*') are not allowed\n  b: *x\n     ^\n" },
	{ "a: !!str 1\n",
		"f:1:4: error: tags ('!') are not allowed\n  a: !!str 1\n     ^\n" },
	{ "%YAML 1.1\n---\na: 1\n",
		"f:1:1: error: directives ('%') are not allowed\n  %YAML 1.1\n  ^\n" },
	{ "a: 1\n---\nb: 1\n",
		"f:2:1: error: a file holds one document only\n  ---\n  ^\n" },
	{ "a: 1\nb: 2\na: 3\n",
		"f:3:1: error: duplicate key 'a' (first at line 1)\n  a: 3\n  ^\n" },
	{ "? [a]\n: 1\n", "f:1:3: error: a key must be a word, not a list or a map\n  ? "
			  "[a]\n    ^\n" },
	{ "a:\n\t- 1\n",
		"f:2:1: error: a tab cannot indent a line, use spaces\n  \t- 1\n  ^\n" },
	{ "a: b: c\n", "f:1:5: error: mapping values are not allowed in this context\n"
		       "  a: b: c\n      ^\n" },
	{ "k: [1, 2\nb: 3\n",
		"f:2:2: error: did not find expected ',' or ']' while parsing a flow "
		"sequence\n  b: 3\n   ^\n" },
	{ "a: \"x\\0y\"\n",
		"f:1:4: error: a NUL is not allowed\n  a: \"x\\0y\"\n     ^\n" },
	{ "a: x\x1b[31m\n", "f:1:5: error: control characters are not allowed\n  a: "
			    "x?[31m\n      ^\n" },
	{ "gr\xc3\xbc\xc3\x9f: 1\ngr\xc3\xbc\xc3\x9f: \xff\n",
		"f:2:7: error: invalid leading UTF-8 octet\n"
		"  gr\xc3\xbc\xc3\x9f: \xff\n        ^\n" },
	{ "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n",
		"f:1:17: error: nested more than 16 levels deep\n"
		"  [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n                  ^\n" },
};

Test(yaml, what_is_not_allowed_is_named_with_its_place)
{
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct ota_yaml *doc = NULL;

		cr_assert_eq(ota_yaml_parse("f", ota_bytes_of(refused[i].text), &doc),
			OTA_E_CONFIG, "row %zu", i);
		cr_expect_str_eq(ota_yaml_errors(doc), refused[i].errors,
			"row %zu said\n%s", i, ota_yaml_errors(doc));
		ota_yaml_free(doc);
	}
}

static struct ota_yaml *parse(const char *text)
{
	struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_parse("f", ota_bytes_of(text), &doc), OTA_OK, "%s",
		ota_yaml_errors(doc));
	return doc;
}

Test(yaml, nodes_know_their_kind_and_place)
{
	struct ota_yaml *doc =
		parse("---\nname: one\nlist:\n  - 'two'\n  - [3, {x: y}]\n...\n");
	const struct ota_yaml_node *root = ota_yaml_root(doc);
	const struct ota_yaml_node *list = ota_yaml_get(root, "list");

	cr_expect_eq(root->kind, OTA_YAML_MAP);
	cr_expect_eq(root->count, 2);
	cr_expect_str_eq(ota_yaml_get(root, "name")->text, "one");
	cr_expect_not(ota_yaml_get(root, "name")->quoted);
	cr_assert_eq(list->count, 2);
	cr_expect_str_eq(list->items[0]->text, "two");
	cr_expect(list->items[0]->quoted);
	cr_expect_eq(list->items[0]->line, 4);
	cr_expect_eq(list->items[0]->column, 5);
	cr_expect_str_eq(ota_yaml_get(list->items[1]->items[1], "x")->text, "y");
	cr_expect_null(ota_yaml_get(root, "nothing"));
	ota_yaml_free(doc);
}

Test(yaml, sixteen_levels_are_deep_enough)
{
	struct ota_yaml *doc = parse("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n");

	cr_expect_eq(ota_yaml_error_count(doc), 0);
	ota_yaml_free(doc);
}

Test(yaml, twenty_errors_are_shown_and_the_rest_counted)
{
	struct ota_yaml *doc = parse("a: 1\n");
	size_t lines = 0;

	for (unsigned i = 0; i < 30; i++)
		ota_yaml_error(doc, ota_yaml_root(doc), "number %u", i);
	cr_expect_eq(ota_yaml_error_count(doc), 30);
	for (const char *at = ota_yaml_errors(doc); *at != '\0'; at++)
		lines += *at == '\n';
	cr_expect_eq(lines, 20 * 3 + 1);
	cr_expect_not_null(
		strstr(ota_yaml_errors(doc), "f: error: there are more errors\n"));
	ota_yaml_free(doc);
}

Test(yaml, a_very_long_line_is_not_repeated)
{
	struct ota_yaml *doc = NULL;
	char text[512];

	memset(text, 'x', sizeof text);
	memcpy(text, "a: &", 4);
	cr_assert_eq(ota_yaml_parse("f",
			     (struct ota_bytes){ (uint8_t *)text, sizeof text }, &doc),
		OTA_E_CONFIG);
	cr_expect_str_eq(
		ota_yaml_errors(doc), "f:1:4: error: anchors ('&') are not allowed\n");
	ota_yaml_free(doc);
}

Test(yaml, a_file_that_cannot_be_read_is_an_error_of_the_same_form)
{
	struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_load("/nowhere/x.yaml", &doc), OTA_E_CONFIG);
	cr_expect_str_eq(ota_yaml_errors(doc),
		"/nowhere/x.yaml: error: open: No such file or directory\n");
	ota_yaml_free(doc);
	cr_assert_eq(ota_yaml_load("/proc/kallsyms", &doc), OTA_E_CONFIG);
	cr_expect_not_null(strstr(ota_yaml_errors(doc), "longer than 1048576 bytes"),
		"%s", ota_yaml_errors(doc));
	ota_yaml_free(doc);
}

Test(yaml, too_many_keys_are_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	struct ota_yaml *doc = NULL;

	for (unsigned i = 0; i <= 1000; i++)
		cr_assert_eq(ota_buf_printf(&text, "k%u: 1\n", i), OTA_OK);
	cr_assert_eq(ota_yaml_parse("f", ota_buf_bytes(&text), &doc), OTA_E_CONFIG);
	cr_expect_str_eq(ota_yaml_errors(doc),
		"f:1001:1: error: too many keys in one map\n  k1000: 1\n  ^\n");
	ota_yaml_free(doc);
}

/* How a row of the table of readers is read. */
enum reader { U64, BOOL, TEXT, NAME, DURATION, PERMILLE, CHOICE };

static const struct read_row {
	enum reader reader;
	const char *value; /* as written behind "k: " */
	uint64_t want;     /* the fallback is 77 (true for BOOL) */
	const char *error; /* NULL: none */
} reads[] = {
	{ U64, "0", 77, "'k' must be a whole number from 1 to 90, not '0'" },
	{ U64, "1", 1, NULL },
	{ U64, "90", 90, NULL },
	{ U64, "91", 77, "'k' must be a whole number from 1 to 90, not '91'" },
	{ U64, "99999999999999999999", 77,
		"'k' must be a whole number from 1 to 90, not '99999999999999999999'" },
	{ U64, "-1", 77, "'k' must be a whole number from 1 to 90, not '-1'" },
	{ U64, "1x", 77, "'k' must be a whole number from 1 to 90, not '1x'" },
	{ U64, "'5'", 77, "'k' must be a whole number from 1 to 90, not '5' in quotes" },
	{ U64, "", 77, "'k' must be a whole number from 1 to 90, but it is empty" },
	{ U64, "[5]", 77, "'k' must be a whole number from 1 to 90, not a list" },
	{ BOOL, "true", 1, NULL },
	{ BOOL, "false", 0, NULL },
	{ BOOL, "yes", 1, "'k' must be true or false, not 'yes'" },
	{ BOOL, "{}", 1, "'k' must be true or false, not a map" },
	{ TEXT, "any thing", 9, NULL },
	{ TEXT, "''", 0, NULL },
	{ TEXT, "", 2, "'k' must be text, but it is empty" },
	{ TEXT, "{a: b}", 2, "'k' must be text, not a map" },
	{ NAME, "gw-1", 4, NULL },
	{ NAME, "Gw", 0, "k name 'Gw' must begin with a lower-case letter or a digit" },
	{ NAME, "a/b", 0, "k name 'a/b' may hold only a-z, 0-9, '.', '_' and '-'" },
	{ NAME, "[a]", 0, "'k' must be a name, not a list" },
	{ DURATION, "0s", 0, NULL },
	{ DURATION, "90s", 90, NULL },
	{ DURATION, "15m", 900, NULL },
	{ DURATION, "4h", 14400, NULL },
	{ DURATION, "2d", 172800, NULL },
	{ DURATION, "3d", 77,
		"'k' must be a duration like 90s, 15m, 4h or 2d, at most 2d, not '3d'" },
	{ DURATION, "99999999999999999999d", 77,
		"'k' must be a duration like 90s, 15m, 4h or 2d, at most 2d, not "
		"'99999999999999999999d'" },
	{ DURATION, "90", 77,
		"'k' must be a duration like 90s, 15m, 4h or 2d, at most 2d, not '90'" },
	{ DURATION, "1h30m", 77,
		"'k' must be a duration like 90s, 15m, 4h or 2d, at most 2d, not "
		"'1h30m'" },
	{ PERMILLE, "0%", 0, NULL },
	{ PERMILLE, "12.5%", 125, NULL },
	{ PERMILLE, "100%", 1000, NULL },
	{ PERMILLE, "100.0%", 1000, NULL },
	{ PERMILLE, "100.1%", 77,
		"'k' must be a percentage from 0% to 100%, like 12.5%, not '100.1%'" },
	{ PERMILLE, "12.55%", 77,
		"'k' must be a percentage from 0% to 100%, like 12.5%, not '12.55%'" },
	{ PERMILLE, "12.%", 77,
		"'k' must be a percentage from 0% to 100%, like 12.5%, not '12.%'" },
	{ PERMILLE, "one", 77,
		"'k' must be a percentage from 0% to 100%, like 12.5%, not 'one'" },
	{ CHOICE, "pause", 0, NULL },
	{ CHOICE, "abort", 2, NULL },
	{ CHOICE, "revrt", 77,
		"'k' must be pause, revert or abort, not 'revrt'; did you mean "
		"'revert'?" },
	{ CHOICE, "nothing", 77, "'k' must be pause, revert or abort, not 'nothing'" },
	{ CHOICE, "[pause]", 77, "'k' must be pause, revert or abort, not a list" },
};

static uint64_t read_as(
	struct ota_yaml *doc, const struct ota_yaml_node *node, enum reader reader)
{
	static const char *const words[] = { "pause", "revert", "abort", NULL };
	char name[OTA_NAME_CAP];

	switch (reader) {
	case U64:
		return ota_yaml_u64(doc, node, "k", 1, 90, 77);
	case BOOL:
		return ota_yaml_bool(doc, node, "k", true);
	case TEXT:
		return strlen(ota_yaml_text(doc, node, "k", "77"));
	case NAME:
		ota_yaml_name(doc, node, "k", name);
		return strlen(name);
	case DURATION:
		return ota_yaml_duration_s(doc, node, "k", 172800, 77);
	case PERMILLE:
		return ota_yaml_permille(doc, node, "k", 77);
	case CHOICE:
		return ota_yaml_choice(doc, node, "k", words, 77);
	}
	return 0;
}

Test(yaml, values_are_read_or_said_to_be_wrong)
{
	for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
		const struct read_row *row = &reads[i];
		char text[128], want[256] = "";
		struct ota_yaml *doc;

		(void)snprintf(text, sizeof text, "k: %s\n", row->value);
		doc = parse(text);
		cr_expect_eq(
			read_as(doc, ota_yaml_get(ota_yaml_root(doc), "k"), row->reader),
			row->want, "row %zu: %s", i, row->value);
		if (row->error != NULL)
			(void)snprintf(want, sizeof want, "error: %s\n", row->error);
		cr_expect_not_null(strstr(ota_yaml_errors(doc), want), "row %zu said %s",
			i, ota_yaml_errors(doc));
		cr_expect_eq(ota_yaml_error_count(doc), row->error != NULL, "row %zu", i);
		ota_yaml_free(doc);
	}
}

Test(yaml, a_missing_value_is_its_fallback_without_a_word)
{
	static const uint64_t fallbacks[] = { 77, 1, 2, 0, 77, 77, 77 };
	struct ota_yaml *doc = parse("a: 1\n");

	for (enum reader reader = U64; reader <= CHOICE; reader++)
		cr_expect_eq(read_as(doc, NULL, reader), fallbacks[reader]);
	cr_expect_eq(ota_yaml_error_count(doc), 0);
	ota_yaml_free(doc);
}

Test(yaml, unknown_keys_get_a_suggestion)
{
	static const char *const keys[] = { "name", "percent", "soak", NULL };
	struct ota_yaml *doc = parse("name: x\npercnet: 1\ncolour: 2\n");

	cr_expect(ota_yaml_map(doc, ota_yaml_root(doc), "a stage", keys));
	cr_expect_str_eq(ota_yaml_errors(doc),
		"f:2:1: error: unknown key 'percnet' in a stage; did you mean "
		"'percent'?\n"
		"  percnet: 1\n  ^\n"
		"f:3:1: error: unknown key 'colour' in a stage\n  colour: 2\n  ^\n");
	ota_yaml_free(doc);
}

Test(yaml, a_map_is_needed_where_a_map_is_needed)
{
	static const char *const keys[] = { "name", NULL };
	struct ota_yaml *doc = parse("- 1\n");

	cr_expect_not(ota_yaml_map(doc, ota_yaml_root(doc), "a stage", keys));
	cr_expect_not(ota_yaml_map(doc, NULL, "a stage", keys));
	cr_expect_str_eq(ota_yaml_errors(doc),
		"f:1:1: error: a stage must be a map of 'key: value' lines, not a list\n"
		"  - 1\n  ^\n");
	ota_yaml_free(doc);
}

Test(yaml, a_needed_key_that_is_missing_is_told_at_its_map)
{
	struct ota_yaml *doc = parse("stages:\n  - name: x\n");
	const struct ota_yaml_node *stage =
		ota_yaml_get(ota_yaml_root(doc), "stages")->items[0];

	cr_expect_not_null(ota_yaml_need(doc, stage, "name"));
	cr_expect_null(ota_yaml_need(doc, stage, "share"));
	cr_expect_null(ota_yaml_need(doc, NULL, "share"));
	cr_expect_str_eq(ota_yaml_errors(doc),
		"f:2:5: error: 'share' is missing here\n    - name: x\n      ^\n");
	ota_yaml_free(doc);
}

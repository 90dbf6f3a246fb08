#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "orchestrator/port/etag.h"

/* Lists of ETags as headers have them, against the one in force. */

static const struct {
	const char *list, *current;
	bool strong, weak;
} cases[] = {
	{ "\"a1\"", "a1", true, true },
	{ "\"a1\"", "a2", false, false },
	{ "\"a1\"", "a", false, false },
	{ "\"a\"", "a1", false, false },
	{ "\"\"", "", true, true },
	{ "W/\"a1\"", "a1", false, true },
	{ "\"x\", \"a1\"", "a1", true, true },
	{ " \t\"x\" ,\t,\"a1\" , ", "a1", true, true },
	{ ",\"a1\"", "a1", true, true },
	{ "\"x\",W/\"a1\",\"y\"", "a1", false, true },
	{ "\"a,b\"", "a,b", true, true },
	{ "\"\xc3\xa9\"", "\xc3\xa9", true, true },
	{ "*", "a1", true, true },
	{ " * ", "a1", true, true },
	{ "*", NULL, false, false },
	{ "\"a1\"", NULL, false, false },
};

ParameterizedTestParameters(etag, a_list_has_what_is_in_it)
{
	static size_t at[sizeof cases / sizeof cases[0]];

	for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
		at[i] = i;
	return cr_make_param_array(size_t, at, sizeof at / sizeof at[0], NULL);
}

ParameterizedTest(size_t *at, etag, a_list_has_what_is_in_it)
{
	bool strong = !cases[*at].strong, weak = !cases[*at].weak;
	const char *list = cases[*at].list, *current = cases[*at].current;

	cr_assert_eq(etag_list_has(list, current, ETAG_STRONG, &strong, NULL), OTA_OK,
		"%s", list);
	cr_assert_eq(etag_list_has(list, current, ETAG_WEAK, &weak, NULL), OTA_OK);
	cr_expect_eq(strong, cases[*at].strong, "strong: %s", list);
	cr_expect_eq(weak, cases[*at].weak, "weak: %s", list);
}

static const char *const malformed[] = { "", " ", ",", "a1", "\"a1", "a1\"",
	"\"a1\" \"x\"", "\"a1\"x", "w/\"a1\"", "W\"a1\"", "W/", "W/a1", "*, \"a1\"",
	"\"a1\", *", "**", "\"a b\"", "\"a\tb\"", "\"a\x7f\"" };

ParameterizedTestParameters(etag, what_is_no_list_is_refused)
{
	static size_t at[sizeof malformed / sizeof malformed[0]];

	for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
		at[i] = i;
	return cr_make_param_array(size_t, at, sizeof at / sizeof at[0], NULL);
}

ParameterizedTest(size_t *at, etag, what_is_no_list_is_refused)
{
	struct ota_error err = { .text = "" };
	bool out = true;

	cr_expect_eq(etag_list_has(malformed[*at], "a1", ETAG_WEAK, &out, &err),
		OTA_E_FORMAT, "%s", malformed[*at]);
	cr_expect_str_eq(err.text,
		"If-Match and If-None-Match take * or ETags in their quotes, with commas "
		"between them");
	cr_expect(out, "it keeps its value");
}

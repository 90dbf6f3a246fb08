#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/json.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Bytes of a literal, with any NUL inside. */
#define B(text)                                           \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

static const struct ota_bytes accepted[] = {
	/* clang-format off */
	B("{}"), B("[]"), B("\"\""), B("0"), B("7"), B("10"), B("true"), B("false"),
	B("9007199254740991"), B("1000000000000000"),
	B("{\"a\":1,\"b\":[true,false,\"x\"],\"c\":{\"a\":{}}}"),
	B("[{\"a\":1},{\"a\":1}]"), B("{\"a\":{\"a\":{\"a\":1}}}"),
	B("{\"\":0}"), B("{\"a\":1,\"A\":2}"),
	B("\"\\\"\\\\\""), B("\"/\""), B("\"\x7e\""),
	B("\"\xc2\xa0\""), B("\"\xc3\xa4\""), B("\"\xdf\xbf\""),
	B("\"\xe0\xa0\x80\""), B("\"\xed\x9f\xbf\""), B("\"\xee\x80\x80\""), B("\"\xef\xbf\xbf\""),
	B("\"\xf0\x90\x80\x80\""), B("\"\xf4\x8f\xbf\xbf\""),
	B("[[[[[[[[]]]]]]]]"), B("{\"a\":[{\"a\":[{\"a\":[{\"a\":[]}]}]}]}"),
	/* clang-format on */
};

Test(json, what_is_strict_is_accepted_and_printed_as_it_was)
{
	for (size_t i = 0; i < COUNT(accepted); i++) {
		OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
		OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
		struct ota_error err = { 0 };

		cr_assert_eq(ota_json_parse(accepted[i], true, &tree, &err), OTA_OK,
			"row %zu: %s", i, err.text);
		cr_expect_eq(ota_json_print(tree, &out, &err), OTA_OK, "%s", err.text);
		cr_expect(
			ota_bytes_equal(ota_buf_bytes(&out), accepted[i]), "row %zu", i);
	}
}

Test(json, every_prefix_of_an_object_is_refused)
{
	static const char text[] =
		"{\"a\":1,\"b\":[true,\"\\\"\xc3\xa4\",{}],\"c\":{\"d\":10}}";

	for (size_t len = 0; len + 1 < sizeof text; len++) {
		struct ota_bytes in = { (const uint8_t *)text, len };

		cr_expect_eq(ota_json_scan(in, true, NULL), OTA_E_FORMAT, "%zu", len);
	}
	cr_expect_eq(ota_json_scan(ota_bytes_of(text), true, NULL), OTA_OK);
}

static const struct refusal {
	struct ota_bytes in;
	enum ota_code code;
	const char *text;
} refusals[] = {
	/* clang-format off */
	{ B(""), OTA_E_FORMAT, "empty" },
	{ B(" "), OTA_E_FORMAT, "no value at byte 0" },
	{ B("\xef\xbb\xbf{}"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("{}\0"), OTA_E_FORMAT, "something follows the value at byte 2" },
	{ B("\0{}"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("\"a\0b\""), OTA_E_FORMAT, "control character at byte 2" },
	{ B("{}{}"), OTA_E_FORMAT, "something follows the value at byte 2" },
	{ B("{}x"), OTA_E_FORMAT, "something follows the value at byte 2" },
	{ B("1 "), OTA_E_FORMAT, "something follows the value at byte 1" },
	{ B("{ }"), OTA_E_FORMAT, "no string at byte 1" },
	{ B("{\"a\": 1}"), OTA_E_FORMAT, "no value at byte 5" },
	{ B("{\"a\" :1}"), OTA_E_FORMAT, "no ':' at byte 4" },
	{ B("[1, 2]"), OTA_E_FORMAT, "no value at byte 3" },
	{ B("null"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("[null]"), OTA_E_FORMAT, "no value at byte 1" },
	{ B("True"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("truex"), OTA_E_FORMAT, "something follows the value at byte 4" },
	{ B("-1"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("-0"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("+1"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("01"), OTA_E_FORMAT, "leading zero at byte 2" },
	{ B("00"), OTA_E_FORMAT, "leading zero at byte 2" },
	{ B("1.0"), OTA_E_FORMAT, "not an integer at byte 1" },
	{ B("1e2"), OTA_E_FORMAT, "not an integer at byte 1" },
	{ B("1E2"), OTA_E_FORMAT, "not an integer at byte 1" },
	{ B(".5"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("0x1"), OTA_E_FORMAT, "something follows the value at byte 1" },
	{ B("NaN"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("Infinity"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("9007199254740992"), OTA_E_LIMIT, "number over 2^53 - 1 at byte 15" },
	{ B("18446744073709551617"), OTA_E_LIMIT, "number over 2^53 - 1 at byte 16" },
	{ B("99999999999999999999999999999999999999"), OTA_E_LIMIT,
	  "number over 2^53 - 1 at byte 15" },
	{ B("[1,]"), OTA_E_FORMAT, "no value at byte 3" },
	{ B("[,1]"), OTA_E_FORMAT, "no value at byte 1" },
	{ B("[1 2]"), OTA_E_FORMAT, "no ',' or ']' at byte 2" },
	{ B("[1}"), OTA_E_FORMAT, "no ',' or ']' at byte 2" },
	{ B("{\"a\":1,}"), OTA_E_FORMAT, "no string at byte 7" },
	{ B("{\"a\"}"), OTA_E_FORMAT, "no ':' at byte 4" },
	{ B("{a:1}"), OTA_E_FORMAT, "no string at byte 1" },
	{ B("{'a':1}"), OTA_E_FORMAT, "no string at byte 1" },
	{ B("{1:1}"), OTA_E_FORMAT, "no string at byte 1" },
	{ B("{\"a\":1]"), OTA_E_FORMAT, "no ',' or '}' at byte 6" },
	{ B("/**/{}"), OTA_E_FORMAT, "no value at byte 0" },
	{ B("\"a"), OTA_E_FORMAT, "string without an end at byte 2" },
	{ B("\"a\\\""), OTA_E_FORMAT, "string without an end at byte 4" },
	{ B("\"\\n\""), OTA_E_FORMAT, "escape at byte 1" },
	{ B("\"\\/\""), OTA_E_FORMAT, "escape at byte 1" },
	{ B("\"\\u0041\""), OTA_E_FORMAT, "escape at byte 1" },
	{ B("\"\\u0000\""), OTA_E_FORMAT, "escape at byte 1" },
	{ B("\"\\"), OTA_E_FORMAT, "escape at byte 1" },
	{ B("\"\n\""), OTA_E_FORMAT, "control character at byte 1" },
	{ B("\"\t\""), OTA_E_FORMAT, "control character at byte 1" },
	{ B("\"\x7f\""), OTA_E_FORMAT, "control character at byte 1" },
	{ B("\"\xc2\x9b\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\x80\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xc0\xaf\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xc1\xbf\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xc3\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xc3"), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xe0\x9f\xbf\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xed\xa0\x80\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xe2\x82\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xf0\x8f\xbf\xbf\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xf4\x90\x80\x80\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xf5\x80\x80\x80\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("\"\xff\""), OTA_E_FORMAT, "not a printable UTF-8 character at byte 1" },
	{ B("[[[[[[[[[]]]]]]]]]"), OTA_E_LIMIT, "nested over 8 deep at byte 8" },
	{ B("{\"a\":1,\"a\":1}"), OTA_E_DUPKEY, "duplicate key 'a' at byte 8" },
	{ B("{\"a\":1,\"b\":2,\"a\":3}"), OTA_E_DUPKEY, "duplicate key 'a' at byte 14" },
	{ B("{\"x\":[{\"y\":{\"k\":1,\"j\":{\"k\":2},\"k\":3}}]}"), OTA_E_DUPKEY,
	  "duplicate key 'k' at byte 31" },
	{ B("{\"\\\"\":1,\"\\\"\":1}"), OTA_E_DUPKEY, "duplicate key '\\x5c\"' at byte 9" },
	{ B("{\"\":1,\"\":1}"), OTA_E_DUPKEY, "duplicate key '' at byte 7" },
	/* clang-format on */
};

Test(json, what_is_not_strict_is_refused_with_code_and_place)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const struct refusal *row = &refusals[i];
		struct ota_error err = { 0 };
		cJSON *tree = NULL;

		cr_expect_eq(ota_json_parse(row->in, true, &tree, &err), row->code,
			"row %zu '%s': %s", i, row->in.at, ota_code_name(err.code));
		cr_expect_str_eq(
			err.text, row->text, "row %zu '%s': %s", i, row->in.at, err.text);
		cr_expect_null(tree);
	}
}

Test(json, white_space_is_allowed_where_nothing_is_signed)
{
	struct ota_bytes in = ota_bytes_of(" {\t\"a\" :\r\n[ 1 , 2 ] , \"b\":{ } }\n");

	cr_expect_eq(ota_json_scan(in, false, NULL), OTA_OK);
	cr_expect_eq(ota_json_scan(in, true, NULL), OTA_E_FORMAT);
	cr_expect_eq(ota_json_scan(ota_bytes_of("{}\f"), false, NULL), OTA_E_FORMAT);
	cr_expect_eq(ota_json_scan(ota_bytes_of("1 2"), false, NULL), OTA_E_FORMAT);
}

Test(json, keys_are_bounded)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct ota_error err = { 0 };

	for (int i = 0; i < OTA_JSON_KEYS_MAX; i++)
		cr_assert_eq(
			ota_buf_printf(&buf, "%s\"%d\":0", i > 0 ? "," : "{", i), OTA_OK);
	cr_assert_eq(ota_buf_add_u8(&buf, '}'), OTA_OK);
	cr_expect_eq(ota_json_scan(ota_buf_bytes(&buf), true, &err), OTA_OK);
	buf.len--;
	cr_assert_eq(ota_buf_printf(&buf, ",\"more\":0}"), OTA_OK);
	cr_expect_eq(ota_json_scan(ota_buf_bytes(&buf), true, &err), OTA_E_LIMIT);
}

Test(json, closed_objects_give_their_keys_back)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };

	for (int i = 0; i < 2 * OTA_JSON_KEYS_MAX; i++)
		cr_assert_eq(
			ota_buf_printf(&buf, "%s{\"a\":0}", i > 0 ? "," : "["), OTA_OK);
	cr_assert_eq(ota_buf_add_u8(&buf, ']'), OTA_OK);
	cr_expect_eq(ota_json_scan(ota_buf_bytes(&buf), true, NULL), OTA_OK);
}

/* Printing */

Test(json, what_the_scan_would_refuse_is_not_printed)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	static const double numbers[] = { -1, 0.5, 9007199254740992.0, 1e300 };

	for (size_t i = 0; i < COUNT(numbers); i++) {
		OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateNumber(numbers[i]);

		cr_expect_neq(ota_json_print(tree, &out, NULL), OTA_OK, "%zu", i);
	}
	OTA_AUTO(ota_json_fini) cJSON *null = cJSON_CreateNull();
	OTA_AUTO(ota_json_fini) cJSON *control = cJSON_CreateString("a\nb");
	OTA_AUTO(ota_json_fini) cJSON *twice = cJSON_CreateObject();

	(void)cJSON_AddTrueToObject(twice, "a");
	(void)cJSON_AddTrueToObject(twice, "a");
	cr_expect_eq(ota_json_print(null, &out, NULL), OTA_E_FORMAT);
	cr_expect_eq(ota_json_print(control, &out, NULL), OTA_E_FORMAT);
	cr_expect_eq(ota_json_print(twice, &out, NULL), OTA_E_DUPKEY);
	cr_expect_eq(out.len, 0);
}

Test(json, json_within_a_tree_is_printed_as_it_is_and_checked)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *good = cJSON_CreateObject();
	OTA_AUTO(ota_json_fini) cJSON *bad = cJSON_CreateObject();

	cr_assert_not_null(cJSON_AddRawToObject(good, "a", "{\"b\":[1,true]}"));
	cr_assert_not_null(cJSON_AddNumberToObject(good, "c", 2));
	cr_assert_eq(ota_json_print(good, &out, NULL), OTA_OK);
	cr_expect_str_eq(ota_buf_text(&out), "{\"a\":{\"b\":[1,true]},\"c\":2}");
	cr_assert_not_null(cJSON_AddRawToObject(bad, "a", "1,\"a\":2"));
	cr_expect_eq(ota_json_print(bad, &out, NULL), OTA_E_DUPKEY);
}

Test(json, a_tree_too_deep_is_not_printed)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateArray();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	cJSON *at = tree;

	for (int depth = 1; depth < 1000; depth++) {
		cJSON *inner = cJSON_CreateArray();

		(void)cJSON_AddItemToArray(at, inner);
		at = inner;
	}
	cr_expect_eq(ota_json_print(tree, &out, NULL), OTA_E_LIMIT);
}

Test(json, what_was_added_is_printed)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_digest zero = { { 0 } };

	cr_assert_not_null(ota_json_add_u64(tree, "n", OTA_JSON_NUMBER_MAX));
	cr_assert_not_null(ota_json_add_hex(tree, "h", ota_bytes_of("\xab")));
	cr_assert_not_null(ota_json_add_digest(tree, "d", &zero));
	cr_assert_eq(ota_json_print(tree, &out, NULL), OTA_OK);
	cr_expect_str_eq(ota_buf_text(&out),
		"{\"n\":9007199254740991,\"h\":\"ab\",\"d\":\""
		"0000000000000000000000000000000000000000000000000000000000000000\"}");
	cr_assert_not_null(ota_json_add_u64(tree, "big", OTA_JSON_NUMBER_MAX + 1));
	cr_expect_eq(ota_json_print(tree, &out, NULL), OTA_E_LIMIT);
}

/* Reading */

static cJSON *tree_of(const char *text)
{
	cJSON *tree = NULL;

	cr_assert_eq(ota_json_parse(ota_bytes_of(text), false, &tree, NULL), OTA_OK);
	return tree;
}

Test(json_reader, it_reads_each_kind_of_member)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = tree_of("{\"n\": 7, \"b\": true, \"t\": \"x\", \"name\": \"gw-1\", "
			      "\"h\": \"0aff\","
			      " \"a\": [1, 2], \"o\": {}}");
	struct ota_json_reader r = ota_json_read(tree, NULL);
	char copy[2] = "", name[OTA_NAME_CAP] = "";
	uint8_t hex[2] = { 0 };

	cr_expect_eq(ota_json_u64(&r, "n"), 7);
	cr_expect(ota_json_bool(&r, "b"));
	cr_expect_str_eq(ota_json_text(&r, "t"), "x");
	ota_json_text_copy(&r, "t", copy, sizeof copy);
	cr_expect_str_eq(copy, "x");
	ota_json_name(&r, "name", name);
	cr_expect_str_eq(name, "gw-1");
	ota_json_hex(&r, "h", hex, sizeof hex);
	cr_expect_eq(hex[1], 0xff);
	cr_expect_not_null(ota_json_array(&r, "a", 2));
	cr_expect(ota_json_has(&r, "o"));
	cr_expect_eq(r.taken, 0x3f);
	cr_expect_not_null(ota_json_object(&r, "o"));
	cr_expect_eq(ota_json_finish(&r), OTA_OK);
}

static void read_as(struct ota_json_reader *r, char kind)
{
	char text[4] = "", name[OTA_NAME_CAP];
	struct ota_digest digest;

	switch (kind) {
	case 'n':
		cr_expect_eq(ota_json_u64(r, "k"), 0);
		break;
	case 'b':
		cr_expect_not(ota_json_bool(r, "k"));
		break;
	case 't':
		cr_expect_str_eq(ota_json_text(r, "k"), "");
		break;
	case 'c':
		ota_json_text_copy(r, "k", text, sizeof text);
		cr_expect_str_eq(text, "");
		break;
	case 'm':
		ota_json_name(r, "k", name);
		break;
	case 'd':
		ota_json_digest(r, "k", &digest);
		break;
	case 'a':
		cr_expect_null(ota_json_array(r, "k", 2));
		break;
	case 'o':
		cr_expect_null(ota_json_object(r, "k"));
		break;
	}
}

static const struct misread {
	char kind;
	const char *json;
	enum ota_code code;
	const char *text;
} misreads[] = {
	/* clang-format off */
	{ 'n', "{}", OTA_E_FORMAT, "member 'k' is missing" },
	{ 'n', "{\"K\":1}", OTA_E_FORMAT, "member 'k' is missing" },
	{ 'n', "{\"k\":\"1\"}", OTA_E_FORMAT, "member 'k' is not a number" },
	{ 'b', "{\"k\":1}", OTA_E_FORMAT, "member 'k' is not true or false" },
	{ 't', "{\"k\":1}", OTA_E_FORMAT, "member 'k' is not a string" },
	{ 'c', "{\"k\":\"four\"}", OTA_E_LIMIT, "member 'k': 4 bytes, at most 3" },
	{ 'c', "{\"k\":{}}", OTA_E_FORMAT, "member 'k' is not a string" },
	{ 'm', "{\"k\":\"a/b\"}", OTA_E_NAME,
	  "k name 'a/b' may hold only a-z, 0-9, '.', '_' and '-'" },
	{ 'd', "{\"k\":\"ab\"}", OTA_E_FORMAT, "member 'k' is not 64 lower-case hex digits" },
	{ 'a', "{\"k\":[1,2,3]}", OTA_E_LIMIT, "member 'k': 3 entries, at most 2" },
	{ 'a', "{\"k\":{}}", OTA_E_FORMAT, "member 'k' is not an array" },
	{ 'o', "{\"k\":[]}", OTA_E_FORMAT, "member 'k' is not an object" },
	{ 'o', "[]", OTA_E_FORMAT, "not an object" },
	/* clang-format on */
};

Test(json_reader, a_wrong_member_is_refused_by_name)
{
	for (size_t i = 0; i < COUNT(misreads); i++) {
		const struct misread *row = &misreads[i];
		OTA_AUTO(ota_json_fini) cJSON *tree = tree_of(row->json);
		struct ota_error err = { 0 };
		struct ota_json_reader r = ota_json_read(tree, &err);

		read_as(&r, row->kind);
		cr_expect_eq(ota_json_finish(&r), row->code, "row %zu", i);
		cr_expect_str_eq(err.text, row->text);
	}
}

Test(json_reader, a_member_nobody_asked_for_is_refused)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = tree_of("{\"a\":1,\"wat\":2,\"b\":3}");
	struct ota_error err = { 0 };
	struct ota_json_reader r = ota_json_read(tree, &err);

	(void)ota_json_u64(&r, "a");
	(void)ota_json_u64(&r, "a");
	(void)ota_json_u64(&r, "b");
	cr_expect_eq(ota_json_finish(&r), OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "unknown member 'wat'");
}

Test(json_reader, the_first_failure_sticks)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = tree_of("{\"a\":1,\"b\":2}");
	struct ota_error err = { 0 };
	struct ota_json_reader r = ota_json_read(tree, &err);

	ota_json_fail(&r, OTA_E_LIMIT, "%s is too %s", "a", "big");
	(void)ota_json_text(&r, "b");
	ota_json_fail(&r, OTA_E_FORMAT, "later");
	cr_expect_eq(ota_json_u64(&r, "a"), 0, "a failed reader reads nothing");
	cr_expect_eq(ota_json_finish(&r), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "a is too big");
}

Test(json_reader, an_object_of_over_64_members_is_refused)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	char key[12];

	for (int i = 0; i < OTA_JSON_MEMBERS_MAX + 1; i++) {
		struct ota_json_reader r = ota_json_read(tree, NULL);

		cr_expect_eq(r.rc, OTA_OK);
		(void)snprintf(key, sizeof key, "%d", i);
		(void)cJSON_AddTrueToObject(tree, key);
	}
	struct ota_json_reader r = ota_json_read(tree, NULL);

	cr_expect_eq(ota_json_finish(&r), OTA_E_LIMIT);
	r = ota_json_read(NULL, NULL);
	cr_expect_eq(ota_json_finish(&r), OTA_E_FORMAT);
	cr_expect_not(ota_json_has(&r, "a"));
}

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/error.h"
#include "proto/base/fsm.h"
#include "proto/base/names.h"
#include "proto/base/own.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* bytes */

Test(bytes, a_reader_yields_little_endian_numbers_in_order)
{
	const uint8_t in[] = { 7, 1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 0, 0x80, 9 };
	struct ota_reader r = ota_reader_of((struct ota_bytes){ in, sizeof in });

	cr_expect_eq(ota_read_u8(&r), 7);
	cr_expect_eq(ota_read_le32(&r), 0x04030201);
	cr_expect_eq(ota_read_le64(&r), UINT64_C(0x8000000000000001));
	cr_expect_eq(r.left, 1);
	cr_expect_not(r.bad);
}

Test(bytes, a_reader_that_was_short_once_stays_failed)
{
	const uint8_t in[] = { 1, 2, 3 };
	struct ota_reader r = ota_reader_of((struct ota_bytes){ in, sizeof in });

	cr_expect_eq(ota_read_le32(&r), 0);
	cr_expect(r.bad);
	cr_expect_eq(ota_read_u8(&r), 0);
	cr_expect_null(ota_read(&r, 1));
	cr_expect_null(ota_read(&r, 0));
}

Test(bytes, a_reader_cannot_be_wrapped_by_a_huge_length)
{
	const uint8_t in[] = { 1, 2, 3 };
	struct ota_reader r = ota_reader_of((struct ota_bytes){ in, sizeof in });

	cr_expect_eq(ota_read_u8(&r), 1);
	cr_expect_null(ota_read(&r, SIZE_MAX));
	cr_expect(r.bad);
}

Test(bytes, a_buffer_gives_back_what_was_added)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	uint8_t block[300];

	memset(block, 'x', sizeof block);
	cr_assert_eq(ota_buf_add_u8(&buf, 0xab), OTA_OK);
	cr_assert_eq(ota_buf_add_le32(&buf, 0x01020304), OTA_OK);
	cr_assert_eq(ota_buf_add_le64(&buf, 5), OTA_OK);
	cr_assert_eq(ota_buf_printf(&buf, "%s-%d", "n", 42), OTA_OK);
	cr_assert_eq(
		ota_buf_add(&buf, (struct ota_bytes){ block, sizeof block }), OTA_OK);
	cr_assert_eq(ota_buf_add(&buf, (struct ota_bytes){ 0 }), OTA_OK);
	cr_expect_eq(buf.len, 1 + 4 + 8 + 4 + sizeof block);
	cr_expect_arr_eq(buf.at, "\xab\x04\x03\x02\x01\x05\0\0\0\0\0\0\0n-42x", 18);
}

Test(bytes, the_text_of_a_buffer_ends_in_a_nul_that_is_not_counted)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };

	cr_expect_str_eq(ota_buf_text(&buf), "");
	cr_assert_eq(ota_buf_add(&buf, ota_bytes_of("abc")), OTA_OK);
	cr_expect_str_eq(ota_buf_text(&buf), "abc");
	cr_expect_eq(buf.len, 3);
	cr_expect_eq(ota_buf_bytes(&buf).len, 3);
}

Test(bytes, a_buffer_refuses_what_no_memory_can_hold)
{
	struct ota_buf buf = { 0 };
	struct ota_bytes huge = { (const uint8_t *)"x", SIZE_MAX };

	cr_expect_eq(ota_buf_add(&buf, huge), OTA_E_NOMEM);
	cr_expect_eq(buf.len, 0);
	ota_buf_fini(&buf);
	cr_expect_null(buf.at);
}

Test(bytes, equal_means_same_length_and_content)
{
	struct ota_bytes none = { 0 };

	cr_expect(ota_bytes_equal(ota_bytes_of("ab"), ota_bytes_of("ab")));
	cr_expect_not(ota_bytes_equal(ota_bytes_of("ab"), ota_bytes_of("abc")));
	cr_expect_not(ota_bytes_equal(ota_bytes_of("ab"), ota_bytes_of("ac")));
	cr_expect(ota_bytes_equal(none, ota_bytes_of("")));
}

Test(bytes, hex_goes_there_and_back)
{
	uint8_t all[256], back[256];
	char text[2 * sizeof all + 1];

	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)i;
	ota_hex_encode((struct ota_bytes){ all, sizeof all }, text);
	cr_expect_eq(strncmp(text, "000102", 6), 0);
	cr_assert_eq(ota_hex_decode(text, back, sizeof back), OTA_OK);
	cr_expect_arr_eq(all, back, sizeof all);
}

Test(bytes, hex_refuses_another_length_or_spelling_and_leaves_the_output)
{
	static const char *const bad[] = { "", "0", "00112", "001", "0011223", "00AA",
		"00g0", "0x00", "00 1", "-001" };
	uint8_t out[2] = { 7, 7 };

	for (size_t i = 0; i < COUNT(bad); i++)
		cr_expect_eq(ota_hex_decode(bad[i], out, sizeof out), OTA_E_FORMAT, "%s",
			bad[i]);
	cr_expect_eq(out[0], 7);
	cr_expect_eq(out[1], 7);
}

/* errors */

#define NUMBER(name, number, remedy, text) number,
static const unsigned numbers[] = { OTA_ERRORS(NUMBER) };
#undef NUMBER

Test(error, each_number_stands_for_one_code)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		cr_expect_eq(ota_code_of_number(numbers[i]), numbers[i]);
		cr_expect_str_neq(ota_code_name(numbers[i]), "UNKNOWN");
		cr_expect_str_neq(ota_code_text(numbers[i]), "unknown");
		for (size_t j = 0; j < i; j++)
			cr_expect_lt(numbers[j], numbers[i], "numbers must rise");
	}
}

Test(error, an_unknown_number_is_a_format_error_and_rejected)
{
	cr_expect_eq(ota_code_of_number(9999), OTA_E_FORMAT);
	cr_expect_eq(ota_code_of_number(UINT64_C(1) << 32), OTA_E_FORMAT);
	cr_expect_eq(ota_code_remedy(9999), OTA_REJECT);
	cr_expect_str_eq(ota_code_text(9999), "unknown");
	cr_expect_str_eq(ota_code_name(9999), "UNKNOWN");
	cr_expect_str_eq(ota_code_name(OTA_OK), "OK");
}

Test(error, the_remedy_says_who_moves_next)
{
	cr_expect_eq(ota_code_remedy(OTA_E_LINK), OTA_RETRY);
	cr_expect_eq(ota_code_remedy(OTA_E_DIGEST), OTA_REFETCH);
	cr_expect_eq(ota_code_remedy(OTA_E_SIGNATURE), OTA_REJECT);
	cr_expect_eq(ota_code_remedy(OTA_E_STATE), OTA_IGNORE);
	cr_expect_eq(ota_code_remedy(OTA_OK), OTA_NOTHING);
}

Test(error, the_text_grows_from_the_outside_in)
{
	struct ota_error err = { 0 };

	cr_expect_eq(ota_fail(&err, OTA_E_LIMIT, "length %d", 9), OTA_E_LIMIT);
	cr_expect_eq(ota_wrap(&err, OTA_E_LIMIT, "chunk %d", 3), OTA_E_LIMIT);
	cr_expect_eq(ota_wrap(&err, OTA_E_LIMIT, "manifest"), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "manifest: chunk 3: length 9");
	cr_expect_eq(err.code, OTA_E_LIMIT);
}

Test(error, a_long_text_is_cut_and_nobody_need_listen)
{
	struct ota_error err = { 0 };
	char lengthy[400];

	memset(lengthy, 'x', sizeof lengthy);
	lengthy[sizeof lengthy - 1] = '\0';
	cr_expect_eq(ota_fail(&err, OTA_E_IO, "%s", lengthy), OTA_E_IO);
	cr_expect_eq(strlen(err.text), sizeof err.text - 1);
	cr_expect_eq(ota_wrap(&err, OTA_E_IO, "read"), OTA_E_IO);
	cr_expect_eq(strncmp(err.text, "read: xxx", 9), 0);
	cr_expect_eq(strlen(err.text), sizeof err.text - 1);
	cr_expect_eq(ota_fail(NULL, OTA_E_IO, "x"), OTA_E_IO);
	cr_expect_eq(ota_wrap(NULL, OTA_E_IO, "x"), OTA_E_IO);
}

/* names */

static const struct name_row {
	const char *text;
	bool ok;
} name_rows[] = {
	{ "a", true },
	{ "0", true },
	{ "gw-0001.berlin_2", true },
	{ "1234567890123456789012345678901234567890123456789012345678901234", true },
	{ "12345678901234567890123456789012345678901234567890123456789012345", false },
	{ "", false },
	{ ".", false },
	{ "..", false },
	{ "a..b", false },
	{ "a.", true },
	{ ".a", false },
	{ "-a", false },
	{ "_a", false },
	{ "A", false },
	{ "aB", false },
	{ "a/b", false },
	{ "a+b", false },
	{ "+", false },
	{ "#", false },
	{ "a#", false },
	{ "a b", false },
	{ "a%b", false },
	{ "a\nb", false },
	{ "\xc3\xa4", false },
};

Test(names, only_the_allowed_form_is_a_name)
{
	for (size_t i = 0; i < COUNT(name_rows); i++) {
		const struct name_row *row = &name_rows[i];
		char out[OTA_NAME_CAP] = "kept";
		enum ota_code rc = ota_name_copy(row->text, "device", out, NULL);

		cr_expect_eq(ota_name_is_valid(row->text), row->ok, "'%s'", row->text);
		cr_expect_eq(rc, row->ok ? OTA_OK : OTA_E_NAME, "'%s'", row->text);
		cr_expect_str_eq(out, row->ok ? row->text : "kept");
	}
}

Test(names, a_refusal_names_the_noun_the_text_and_the_reason)
{
	char out[OTA_NAME_CAP];
	struct ota_error err = { 0 };

	cr_assert_eq(ota_name_copy("a\n/", "cohort", out, &err), OTA_E_NAME);
	cr_expect_str_eq(err.text,
		"cohort name 'a\\x0a/' may hold only a-z, 0-9, '.', '_' and '-'");
}

Test(names, a_label_is_two_names)
{
	static const struct name_row rows[] = { { "site=berlin", true }, { "a=1", true },
		{ "site", false }, { "=x", false }, { "x=", false }, { "a=b=c", false },
		{ "a=b/c", false }, { "A=b", false }, { "", false } };

	for (size_t i = 0; i < COUNT(rows); i++)
		cr_expect_eq(ota_label_check(rows[i].text, NULL),
			rows[i].ok ? OTA_OK : OTA_E_NAME, "'%s'", rows[i].text);
}

Test(names, escaped_text_is_printable_and_fits)
{
	char out[9];

	ota_escape("a\x1b[\xff\\", out, sizeof out);
	cr_expect_str_eq(out, "a\\x1b[");
	ota_escape("plain", out, sizeof out);
	cr_expect_str_eq(out, "plain");
	ota_escape("x", out, 1);
	cr_expect_str_eq(out, "");
}

Test(names, the_nearest_word_is_offered_only_for_a_slip)
{
	static const char *const words[] = { "percent", "cohort", "soak" };

	cr_expect_str_eq(ota_nearest("percnet", words, COUNT(words)), "percent");
	cr_expect_str_eq(ota_nearest("cohorts", words, COUNT(words)), "cohort");
	cr_expect_str_eq(ota_nearest("sok", words, COUNT(words)), "soak");
	cr_expect_null(ota_nearest("deadline", words, COUNT(words)));
	cr_expect_null(ota_nearest("pxxxent", words, COUNT(words)), "three apart");
	cr_expect_null(ota_nearest("x", words, 0));
}

/* fsm */

enum { DOOR_OPEN, DOOR_SHUT };
enum { PUSH, PULL, KICK };

static const char *const door_states[] = { "open", "shut" };
static const char *const door_events[] = { "push", "pull", "kick" };
static const struct ota_fsm_row door_rows[] = {
	{ DOOR_OPEN, PUSH, DOOR_SHUT },
	{ DOOR_SHUT, PULL, DOOR_OPEN },
};
static const struct ota_fsm_spec door = { "door", door_states, door_events, door_rows, 2,
	3, 2 };

Test(fsm, a_row_leads_on)
{
	unsigned to = 99;

	cr_expect_eq(ota_fsm_next(&door, DOOR_OPEN, PUSH, &to, NULL), OTA_OK);
	cr_expect_eq(to, DOOR_SHUT);
	cr_expect_eq(ota_fsm_next(&door, DOOR_SHUT, PULL, &to, NULL), OTA_OK);
	cr_expect_eq(to, DOOR_OPEN);
}

Test(fsm, what_has_no_row_is_refused_by_name)
{
	struct ota_error err = { 0 };
	unsigned to = 99;

	cr_expect_eq(ota_fsm_next(&door, DOOR_SHUT, KICK, &to, &err), OTA_E_STATE);
	cr_expect_str_eq(err.text, "door: kick in shut");
	cr_expect_eq(ota_fsm_next(&door, DOOR_OPEN, 77, &to, &err), OTA_E_STATE);
	cr_expect_str_eq(err.text, "door: ? in open");
	cr_expect_eq(to, 99);
}

/* ownership */

Test(own, a_taken_pointer_is_not_freed_twice)
{
	ota_autofree char *owned = malloc(1);
	char *taken = ota_take(&owned);

	cr_expect_null(owned);
	cr_expect_not_null(taken);
	free(taken);
}

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/doc_table.h"
#include "tests/unit/samples.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* The payload of a sample as text. */
static struct ota_buf text_of(enum ota_doc_type type)
{
	struct ota_buf out = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(
		sample_encode(type, sample_of(type), &out, &err), OTA_OK, "%s", err.text);
	return out;
}

/* text with its first `from` replaced by `to`. */
static struct ota_buf replaced(struct ota_buf *text, const char *from, const char *to)
{
	const char *begin = ota_buf_text(text), *at = strstr(begin, from);
	struct ota_buf out = { 0 };

	cr_assert_not_null(at, "%s is not in %s", from, begin);
	cr_assert_eq(ota_buf_printf(&out, "%.*s%s%s", (int)(at - begin), begin, to,
			     at + strlen(from)),
		OTA_OK);
	return out;
}

Test(documents, encode_of_parse_is_the_same_bytes)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(type), again = { 0 };
		union sample_doc doc;
		struct ota_error err = { 0 };

		cr_assert_eq(sample_parse(type, ota_buf_bytes(&text), &doc, &err), OTA_OK,
			"%s", err.text);
		cr_assert_eq(sample_encode(type, &doc, &again, &err), OTA_OK);
		cr_expect(ota_bytes_equal(ota_buf_bytes(&text), ota_buf_bytes(&again)),
			"%s", ota_doc_type_text(type));
	}
}

Test(documents, every_prefix_is_refused_and_leaves_the_output)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(type);
		union sample_doc doc, before;

		memset(&doc, 0x5a, sizeof doc);
		before = doc;
		for (size_t len = 0; len < text.len; len++)
			cr_expect_neq(
				sample_parse(type, (struct ota_bytes){ text.at, len },
					&doc, NULL),
				OTA_OK, "%s cut at %zu", ota_doc_type_text(type), len);
		cr_expect_eq(memcmp(&doc, &before, sizeof doc), 0);
	}
}

Test(documents, a_missing_a_foreign_and_a_misplaced_member_are_refused)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(type);
		OTA_AUTO(ota_buf_fini)
		struct ota_buf more = replaced(&text, "{", "{\"zz\":1,");
		OTA_AUTO(ota_buf_fini) struct ota_buf cased = { 0 };
		union sample_doc doc;

		cr_assert_eq(ota_buf_add(&cased, ota_buf_bytes(&text)), OTA_OK);
		cased.at[2] = (uint8_t)(cased.at[2] - 'a' + 'A');
		cr_expect_eq(sample_parse(type, ota_buf_bytes(&more), &doc, NULL),
			OTA_E_FORMAT, "%s", ota_doc_type_text(type));
		cr_expect_eq(sample_parse(type, ota_buf_bytes(&cased), &doc, NULL),
			OTA_E_FORMAT, "names are case-sensitive");
		text.len--;
		cr_assert_eq(ota_buf_printf(&text, ",\"zz\":1}"), OTA_OK);
		cr_expect_eq(sample_parse(type, ota_buf_bytes(&text), &doc, NULL),
			OTA_E_FORMAT, "%s", ota_doc_type_text(type));
	}
}

Test(documents, one_is_not_another)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++)
		for (unsigned as = OTA_DOC_ROOT; as <= OTA_DOC_REPORT; as++) {
			OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(type);
			union sample_doc doc;
			enum ota_code rc =
				sample_parse(as, ota_buf_bytes(&text), &doc, NULL);

			cr_expect_eq(rc == OTA_OK, type == as, "%s as %s",
				ota_doc_type_text(type), ota_doc_type_text(as));
		}
}

/* In a sample's payload, one text replaced by another, and what its reader says. */
static const struct change {
	enum ota_doc_type type;
	const char *from, *to;
	enum ota_code code;
	const char *text;
} changes[] = {
	/* clang-format off */
	{ OTA_DOC_ROOT, "\"version\":1", "\"version\":0", OTA_E_LIMIT,
	  "root: version: 0 is not in 1 .. 9007199254740991" },
	{ OTA_DOC_ROOT, "\"version\":1", "\"version\":1,\"version\":1", OTA_E_DUPKEY,
	  "root: duplicate key 'version' at byte 14" },
	{ OTA_DOC_ROOT, "\"threshold\":1", "\"threshold\":0", OTA_E_LIMIT,
	  "root: roles: root: threshold: 0 is not in 1 .. 16" },
	{ OTA_DOC_ROOT, "\"threshold\":1", "\"threshold\":2", OTA_E_LIMIT,
	  "root: roles: root: threshold 2 of 1 distinct keys" },
	{ OTA_DOC_ROOT, "\"epoch\":1", "\"epoch\":1,\"wide\":1", OTA_E_FORMAT,
	  "root: roles: root: unknown member 'wide'" },
	{ OTA_DOC_ROOT, "\"threshold\":1", "\"threshold\":17", OTA_E_LIMIT,
	  "root: roles: root: threshold: 17 is not in 1 .. 16" },
	{ OTA_DOC_ROOT, "\"epoch\":1", "\"epoch\":0", OTA_E_LIMIT,
	  "root: roles: root: epoch: 0 is not in 1 .. 9007199254740991" },
	{ OTA_DOC_ROOT, "\"fleet\":\"example\"", "\"fleet\":\"a/b\"", OTA_E_NAME,
	  "root: fleet: fleet name 'a/b' may hold only a-z, 0-9, '.', '_' and '-'" },
	{ OTA_DOC_ROOT, "\"fleet_id\":\"00", "\"fleet_id\":\"", OTA_E_FORMAT,
	  "root: fleet_id: not 32 lower-case hex digits" },
	{ OTA_DOC_ROOT, "\"expires\":17915", "\"expires\":14", OTA_E_FORMAT,
	  "root: expires is not after issued" },
	{ OTA_DOC_ROOT, "\"release\":{", "\"other\":{", OTA_E_FORMAT,
	  "root: roles: member 'other' where 'release' belongs" },
	{ OTA_DOC_RELEASE, "\"counter\":14", "\"counter\":12", OTA_E_LIMIT,
	  "release: floor 13 is above counter 12" },
	{ OTA_DOC_RELEASE, "\"counter\":14", "\"counter\":\"14\"", OTA_E_FORMAT,
	  "release: counter: not a number" },
	{ OTA_DOC_RELEASE, "[\"gw-1\",\"gw-2\"]", "[]", OTA_E_LIMIT,
	  "release: hardware: under 1 entries" },
	{ OTA_DOC_RELEASE, "[\"gw-1\",\"gw-2\"]", "\"gw-1\"", OTA_E_FORMAT,
	  "release: hardware: not an array" },
	{ OTA_DOC_RELEASE, "\"gw-2\"]", "\"gw/2\"]", OTA_E_NAME,
	  "release: hardware: entry 1: hardware name 'gw/2' may hold only a-z, 0-9, '.', "
	  "'_' and '-'" },
	{ OTA_DOC_RELEASE, "\"security\"", "\"urgent\"", OTA_E_FORMAT,
	  "release: class: 'urgent' is none of its values" },
	{ OTA_DOC_RELEASE, "\"image_len\":104857600", "\"image_len\":0", OTA_E_LIMIT,
	  "release: image_len: 0 is not in 1 .. 9007199254740991" },
	{ OTA_DOC_RELEASE, "\"notes\":\"", "\"notes\":[\"", OTA_E_FORMAT,
	  "release: no ',' or ']' at byte 263" },
	{ OTA_DOC_CATALOG, "\"seq\":7", "\"seq\":0", OTA_E_LIMIT,
	  "catalog: seq: 0 is not in 1 .. 9007199254740991" },
	{ OTA_DOC_CATALOG, "\"counter\":12}", "\"counter\":12},{\"product\":\"gateway\","
	  "\"counter\":1}", OTA_E_FORMAT, "catalog: minimum: product 'gateway' twice" },
	{ OTA_DOC_CATALOG, "\"minimum\":[{", "\"minimum\":[7,{", OTA_E_FORMAT,
	  "catalog: minimum: entry 0: not an object" },
	{ OTA_DOC_GRANT, "\"max_permille\":1000", "\"max_permille\":1001", OTA_E_LIMIT,
	  "grant: max_permille: 1001 is not in 0 .. 1000" },
	{ OTA_DOC_GRANT, "\"salt\":\"5a", "\"salt\":\"5A", OTA_E_FORMAT,
	  "grant: salt: not 32 lower-case hex digits" },
	{ OTA_DOC_FRESH, "\"orders\":[{\"cohort\":\"fleet\"", "\"orders\":[{\"cohort\":\"..\"",
	  OTA_E_NAME, "fresh: orders: entry 0: cohort: cohort name '..' must begin with a "
	  "lower-case letter or a digit" },
	{ OTA_DOC_FRESH, "\"issued\":1760000000", "\"issued\":1860000000", OTA_E_FORMAT,
	  "fresh: expires is not after issued" },
	{ OTA_DOC_ORDER, "\"state\":\"go\"", "\"state\":\"GO\"", OTA_E_FORMAT,
	  "order: state: 'GO' is none of its values" },
	{ OTA_DOC_ORDER, "\"permille\":1000", "\"permille\":1001", OTA_E_LIMIT,
	  "order: permille: 1001 is not in 0 .. 1000" },
	{ OTA_DOC_ORDER, "\"to_min\":300", "\"to_min\":1440", OTA_E_LIMIT,
	  "order: window: to_min: 1440 is not in 0 .. 1439" },
	{ OTA_DOC_ORDER, "\"prove_s\":900", "\"prove_s\":0", OTA_E_LIMIT,
	  "order: prove_s: 0 is not in 1 .. 604800" },
	{ OTA_DOC_ASSIGN, "\"site=berlin\"", "\"site\"", OTA_E_NAME,
	  "assign: labels: entry 0: label 'site' is not key=value" },
	{ OTA_DOC_ASSIGN, "\"gw-0001\"", "\"gw+0001\"", OTA_E_NAME,
	  "assign: device: device name 'gw+0001' may hold only a-z, 0-9, '.', '_' and '-'" },
	{ OTA_DOC_ASSIGN, "\"cohort\":\"fleet\"", "\"cohort\":\"\"", OTA_E_NAME,
	  "assign: cohort: cohort name '' is empty" },
	{ OTA_DOC_REPORT, "\"confirmed\":true", "\"confirmed\":1", OTA_E_FORMAT,
	  "report: confirmed: neither true nor false" },
	{ OTA_DOC_REPORT, "\"error\":0", "\"error\":65536", OTA_E_LIMIT,
	  "report: error: 65536 is not in 0 .. 65535" },
	{ OTA_DOC_REPORT, "\"state\":\"fetching\"", "\"state\":7", OTA_E_FORMAT,
	  "report: state: not a string" },
	/* clang-format on */
};

Test(documents, each_wrong_value_is_refused_by_name)
{
	for (size_t i = 0; i < COUNT(changes); i++) {
		const struct change *row = &changes[i];
		OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(row->type);
		OTA_AUTO(ota_buf_fini)
		struct ota_buf bad = replaced(&text, row->from, row->to);
		union sample_doc doc;
		struct ota_error err = { 0 };

		cr_expect_eq(sample_parse(row->type, ota_buf_bytes(&bad), &doc, &err),
			row->code, "row %zu", i);
		cr_expect_str_eq(err.text, row->text, "row %zu: %s", i, err.text);
	}
}

/* One operator more, and so many for wide grants. */
static enum ota_code encode_wide(uint32_t wide, struct ota_root *back)
{
	struct ota_root root = sample_root();
	struct ota_role_keys *operators = &root.roles[OTA_ROLE_OPERATOR];
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	enum ota_code rc;

	operators->set.keys[1] = sample_public(SAMPLE_OPERATOR_KEY_2);
	operators->set.count = 2;
	operators->wide = wide;
	rc = ota_root_encode(&root, &out, NULL);
	return rc == OTA_OK ? ota_root_parse(ota_buf_bytes(&out), back, NULL) : rc;
}

Test(documents, a_root_says_how_many_sign_a_wide_grant)
{
	struct ota_root back = { 0 };

	for (uint32_t wide = 0; wide <= 2; wide++) {
		cr_expect_eq(encode_wide(wide, &back), OTA_OK);
		cr_expect_eq(back.roles[OTA_ROLE_OPERATOR].wide, wide);
	}
	cr_expect_eq(encode_wide(3, &back), OTA_E_LIMIT);
}

Test(documents, a_wide_grant_never_needs_fewer_than_others)
{
	struct ota_root root = sample_root();
	struct ota_role_keys *operators = &root.roles[OTA_ROLE_OPERATOR];
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_error err = { 0 };

	operators->set.keys[1] = sample_public(SAMPLE_OPERATOR_KEY_2);
	operators->set.count = operators->set.threshold = 2;
	operators->wide = 1;
	cr_expect_eq(ota_root_encode(&root, &out, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "encode: root: roles: operator: wide 1 is not in "
				   "threshold 2 .. 2 keys");
}

Test(documents, a_key_listed_twice_does_not_meet_a_threshold_of_two)
{
	struct ota_root root = sample_root();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_keyset *set = &root.roles[OTA_ROLE_RELEASE].set;
	struct ota_error err = { 0 };

	set->keys[1] = set->keys[0];
	set->count = 2;
	cr_expect_eq(ota_root_encode(&root, &out, &err), OTA_OK);
	set->threshold = 2;
	cr_expect_eq(ota_root_encode(&root, &out, &err), OTA_E_LIMIT);
	cr_expect_str_eq(
		err.text, "encode: root: roles: release: threshold 2 of 1 distinct keys");
}

Test(documents, a_fresh_lists_a_cohort_once)
{
	struct ota_fresh fresh = sample_fresh();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	fresh.orders[1] = fresh.orders[0];
	fresh.order_count = 2;
	cr_expect_eq(ota_fresh_encode(&fresh, &out, NULL), OTA_E_FORMAT);
	fresh.orders[1].cohort[0] = 'x';
	cr_expect_eq(ota_fresh_encode(&fresh, &out, NULL), OTA_OK);
}

Test(documents, an_order_has_one_patch_for_each_image)
{
	struct ota_order order = sample_order();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_error err = { 0 };

	order.patches[1].from = order.patches[0].from;
	cr_expect_eq(ota_order_encode(&order, &out, &err), OTA_E_FORMAT);
	cr_expect_str_eq(
		err.text, "encode: order: patches: entries 0 and 1 are from one image");
	order = sample_order();
	order.patches[1].patch = (struct ota_digest){ { 0 } };
	cr_expect_eq(ota_order_encode(&order, &out, &err), OTA_E_FORMAT);
}

Test(documents, a_list_beyond_its_bounds_is_not_encoded)
{
	struct ota_grant grant = sample_grant();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_error err = { 0 };

	grant.canary_count = OTA_CANARIES_MAX + 1;
	memset(grant.canaries, 0, sizeof grant.canaries);
	for (int i = 0; i < OTA_CANARIES_MAX; i++)
		grant.canaries[i][0] = 'a';
	cr_expect_eq(ota_grant_encode(&grant, &out, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "encode: grant: canaries: over 64 entries");
	grant.canary_count = OTA_CANARIES_MAX;
	cr_expect_eq(ota_grant_encode(&grant, &out, &err), OTA_OK);
}

Test(documents, a_value_that_json_cannot_carry_is_not_encoded)
{
	struct ota_release release = sample_release();
	struct ota_order order = sample_order();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	(void)snprintf(release.notes, sizeof release.notes, "two\nlines");
	cr_expect_eq(ota_release_encode(&release, &out, NULL), OTA_E_FORMAT);
	release = sample_release();
	release.counter = OTA_JSON_NUMBER_MAX + 1;
	cr_expect_eq(ota_release_encode(&release, &out, NULL), OTA_E_LIMIT);
	release = sample_release();
	release.image = (struct ota_digest){ { 0 } };
	cr_expect_eq(ota_release_encode(&release, &out, NULL), OTA_E_FORMAT);
	order.state = OTA_N_ORDER_STATES;
	cr_expect_eq(ota_order_encode(&order, &out, NULL), OTA_E_FORMAT);
	cr_expect_eq(out.len, 0);
}

Test(documents, the_largest_lists_go_there_and_back)
{
	static struct ota_catalog catalog, back;
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	catalog = sample_catalog();
	catalog.release_count = catalog.revoked_count = OTA_RELEASES_MAX;
	cr_assert_eq(ota_catalog_encode(&catalog, &out, NULL), OTA_OK);
	cr_assert_eq(ota_catalog_parse(ota_buf_bytes(&out), &back, NULL), OTA_OK);
	cr_expect_eq(back.release_count, OTA_RELEASES_MAX);
	cr_expect_leq(out.len, (size_t)OTA_PAYLOAD_LEN_MAX);
}

Test(documents, optional_names_may_be_empty)
{
	struct ota_report report = sample_report(), back;
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	report.cohort[0] = report.rollout[0] = report.version[0] = '\0';
	cr_assert_eq(ota_report_encode(&report, &out, NULL), OTA_OK);
	cr_assert_eq(ota_report_parse(ota_buf_bytes(&out), &back, NULL), OTA_OK);
	cr_expect_str_eq(back.cohort, "");
	report.device[0] = '\0';
	cr_expect_eq(ota_report_encode(&report, &out, NULL), OTA_E_NAME);
}

Test(documents, a_report_claims_an_image_or_says_nothing_of_it)
{
	struct ota_report report = sample_report(), back;
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 }, silent = { 0 };

	cr_assert_eq(ota_report_encode(&report, &silent, NULL), OTA_OK);
	cr_expect_null(strstr(ota_buf_text(&silent), "claims"));
	report.claims = sample_digest("image 1.2.0");
	cr_assert_eq(ota_report_encode(&report, &out, NULL), OTA_OK);
	cr_expect_not_null(strstr(ota_buf_text(&out), ",\"claims\":\""));
	cr_assert_eq(ota_report_parse(ota_buf_bytes(&out), &back, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&back.claims, &report.claims));
}

Test(documents, a_claim_of_nothing_and_what_follows_a_claim_are_refused)
{
#define CLAIM(text) "\"refetched\":0,\"claims\":\"" text "\""
#define ZEROS       "00000000000000000000000000000000"
#define ONES        "11111111111111111111111111111111"
	static const struct {
		const char *with, *text;
	} rows[] = {
		{ CLAIM(ZEROS ZEROS), "report: claims: zero, and so to be left out" },
		{ CLAIM(ONES), "report: claims: not 64 lower-case hex digits" },
		{ CLAIM(ONES ONES) ",\"more\":1", "report: unknown member 'more'" },
		{ "\"refetched\":0,\"clams\":1", "report: unknown member 'clams'" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(OTA_DOC_REPORT);
		OTA_AUTO(ota_buf_fini)
		struct ota_buf bad = replaced(&text, "\"refetched\":0", rows[i].with);
		struct ota_report back;
		struct ota_error err = { 0 };

		cr_expect_eq(
			ota_report_parse(ota_buf_bytes(&bad), &back, &err), OTA_E_FORMAT);
		cr_expect_str_eq(err.text, rows[i].text, "%s", err.text);
	}
}

Test(documents, a_payload_over_the_limit_is_refused_unread)
{
	static uint8_t big[OTA_PAYLOAD_LEN_MAX + 1];
	struct ota_grant out;

	cr_expect_eq(ota_grant_parse((struct ota_bytes){ big, sizeof big }, &out, NULL),
		OTA_E_LIMIT);
}

Test(documents, a_text_may_fill_its_room_and_not_a_byte_more)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = text_of(OTA_DOC_REPORT);
	char member[OTA_ERROR_TEXT_CAP + 20], filling[OTA_ERROR_TEXT_CAP + 1];
	struct ota_report report;
	struct ota_error err = { 0 };

	memset(filling, 'x', sizeof filling);
	filling[OTA_ERROR_TEXT_CAP - 1] = '\0';
	(void)snprintf(member, sizeof member, "\"error_text\":\"%s", filling);
	OTA_AUTO(ota_buf_fini)
	struct ota_buf most = replaced(&text, "\"error_text\":\"", member);

	cr_expect_eq(ota_report_parse(ota_buf_bytes(&most), &report, &err), OTA_OK);
	cr_expect_str_eq(report.error_text, filling);
	OTA_AUTO(ota_buf_fini) struct ota_buf over = replaced(&most, "xxx", "xxxx");

	cr_expect_eq(ota_report_parse(ota_buf_bytes(&over), &report, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "report: error_text: 200 bytes, at most 199");
}

Test(documents, states_have_texts)
{
	cr_expect_str_eq(ota_update_state_text(OTA_UPDATE_ROLLING_BACK), "rolling-back");
	cr_expect_str_eq(ota_update_state_text(OTA_N_UPDATE_STATES), "unknown");
	cr_expect_str_eq(ota_order_state_text(OTA_ORDER_REVERT), "revert");
	cr_expect_str_eq(ota_order_state_text(OTA_N_ORDER_STATES), "unknown");
}

/* What a row says of its field's size must be what its kind needs. */
static void expect_fits(const struct ota_doc_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct ota_doc_member *m = &table->members[i];
		size_t want = m->size;

		if (m->kind == OTA_DOC_NUMBER && m->size != sizeof(uint32_t))
			want = sizeof(uint64_t);
		else if (m->kind == OTA_DOC_BOOL)
			want = sizeof(bool);
		else if (m->kind == OTA_DOC_NAME)
			want = OTA_NAME_CAP;
		else if (m->kind == OTA_DOC_LABEL)
			want = OTA_LABEL_CAP;
		else if (m->kind == OTA_DOC_TEXT)
			want = m->max + 1;
		else if (m->kind == OTA_DOC_CHOICE)
			want = sizeof(enum ota_order_state);
		else if (m->kind == OTA_DOC_OBJECT)
			expect_fits(m->object);
		cr_expect_eq(m->size, want, "%s", m->key);
	}
}

Test(documents, every_row_of_the_tables_fits_its_field)
{
	expect_fits(&ota_doc_root.table);
	expect_fits(&ota_doc_release.table);
	expect_fits(&ota_doc_catalog.table);
	expect_fits(&ota_doc_grant.table);
	expect_fits(&ota_doc_fresh.table);
	expect_fits(&ota_doc_order.table);
	expect_fits(&ota_doc_assign.table);
	expect_fits(&ota_doc_report.table);
}

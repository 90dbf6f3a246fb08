#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/samples.h"

static const char ROOT_PAIR[] = { SAMPLE_ROOT_KEY, SAMPLE_ROOT_KEY_2, '\0' };
static const char ROOT_ONE[] = { SAMPLE_ROOT_KEY, '\0' };
static const char STRANGER[] = { SAMPLE_STRANGER_KEY, '\0' };

/* Two different keys, both needed. */
static struct ota_keyset pair_of_keys(void)
{
	return (struct ota_keyset){
		.keys = { sample_public(SAMPLE_ROOT_KEY),
			sample_public(SAMPLE_ROOT_KEY_2) },
		.count = 2,
		.threshold = 2,
	};
}

static struct ota_buf sealed(const char *keys)
{
	return sample_seal(OTA_DOC_RELEASE, ota_bytes_of("{\"a\":1}"), keys);
}

/* Parse, then verify against keys, as every reader does. */
static enum ota_code judge(
	struct ota_bytes in, const struct ota_keyset *keys, struct ota_error *err)
{
	struct ota_root root = sample_root();
	struct ota_envelope envelope = { 0 };
	enum ota_code rc = ota_envelope_parse(in, &envelope, err);

	return rc != OTA_OK ? rc
			    : ota_envelope_verify(&envelope, root.fleet_id, keys, err);
}

Test(envelope, signed_by_all_its_keys_it_verifies)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_PAIR);
	struct ota_keyset keys = pair_of_keys();
	struct ota_error err = { 0 };

	cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(buf.len, 27 + 7 + 2 * 80);
}

Test(envelope, every_bit_flip_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_PAIR);
	struct ota_keyset keys = pair_of_keys();

	for (size_t bit = 0; bit < 8 * buf.len; bit++) {
		buf.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect_neq(judge(ota_buf_bytes(&buf), &keys, NULL), OTA_OK,
			"bit %zu of byte %zu", bit % 8, bit / 8);
		buf.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, NULL), OTA_OK);
}

Test(envelope, every_prefix_is_refused_and_so_is_one_byte_more)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_PAIR);
	struct ota_envelope out = { .nsig = 77 };

	for (size_t len = 0; len < buf.len; len++)
		cr_expect_eq(
			ota_envelope_parse((struct ota_bytes){ buf.at, len }, &out, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_assert_eq(ota_buf_add_u8(&buf, 0), OTA_OK);
	cr_expect_eq(ota_envelope_parse(ota_buf_bytes(&buf), &out, NULL), OTA_E_FORMAT);
	cr_expect_eq(out.nsig, 77, "out touched on failure");
}

static const struct refusal {
	size_t at; /* byte to overwrite */
	uint8_t with;
	enum ota_code code;
	const char *text;
} refusals[] = {
	{ 0, 'X', OTA_E_FORMAT, "envelope: not an envelope" },
	{ 4, 0, OTA_E_DOCTYPE, "envelope: type 0 version 1" },
	{ 4, 9, OTA_E_DOCTYPE, "envelope: type 9 version 1" },
	{ 5, 2, OTA_E_DOCTYPE, "envelope: type 2 version 2" },
	{ 22, 1, OTA_E_FORMAT, "envelope: payload of 1 bytes" },
	{ 22, 8, OTA_E_LIMIT, "envelope: 138 signatures, at most 16" },
	{ 23, 1, OTA_E_FORMAT, "envelope: cut short" },
	{ 24, 1, OTA_E_LIMIT, "envelope: payload of 65543 bytes, at most 49152" },
	{ 25, 255, OTA_E_LIMIT, "envelope: payload of 4278190087 bytes, at most 49152" },
	{ 33, 17, OTA_E_LIMIT, "envelope: 17 signatures, at most 16" },
	{ 33, 0, OTA_E_FORMAT, "envelope: 80 trailing bytes" },
	{ 33, 2, OTA_E_FORMAT, "envelope: cut short" },
};

Test(envelope, each_malformed_field_is_refused_by_name)
{
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		const struct refusal *row = &refusals[i];
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_ONE);
		struct ota_envelope out;
		struct ota_error err = { 0 };

		buf.at[34] = 138; /* a first byte of a hash that is known */
		buf.at[row->at] = row->with;
		cr_expect_eq(ota_envelope_parse(ota_buf_bytes(&buf), &out, &err),
			row->code, "row %zu: %s", i, err.text);
		cr_expect_str_eq(err.text, row->text);
	}
}

Test(envelope, one_key_counts_once_however_often_it_signed)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_ONE);
	struct ota_keyset keys = pair_of_keys();
	struct ota_error err = { 0 };
	uint8_t again[80];

	memcpy(again, buf.at + 34, sizeof again);
	cr_assert_eq(
		ota_buf_add(&buf, (struct ota_bytes){ again, sizeof again }), OTA_OK);
	buf.at[33] = 2;
	cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, &err), OTA_E_THRESHOLD);
	cr_expect_str_eq(err.text, "release: signed by 1 of 2 keys");
}

Test(envelope, one_key_listed_twice_in_the_role_counts_once)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_ONE);
	struct ota_keyset keys = pair_of_keys();

	keys.keys[1] = keys.keys[0];
	cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, NULL), OTA_E_THRESHOLD);
}

Test(envelope, two_ids_of_one_key_count_once)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_PAIR);
	struct ota_keyset keys = pair_of_keys();

	/* the second key's id, but the first key's signature: no longer its own */
	memcpy(buf.at + 34 + 80 + 16, buf.at + 34 + 16, OTA_SIG_LEN);
	cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, NULL), OTA_E_SIGNATURE);
	/* an id of no key: passed over */
	buf.at[34 + 80] ^= 1;
	cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, NULL), OTA_E_THRESHOLD);
}

Test(envelope, signatures_of_strangers_are_passed_over)
{
	static const char both[] = { SAMPLE_STRANGER_KEY, SAMPLE_ROOT_KEY, '\0' };
	OTA_AUTO(ota_buf_fini) struct ota_buf mixed = sealed(both);
	OTA_AUTO(ota_buf_fini) struct ota_buf alone = sealed(STRANGER);
	struct ota_keyset keys = pair_of_keys();
	struct ota_error err = { 0 };

	keys.threshold = 1;
	cr_expect_eq(judge(ota_buf_bytes(&mixed), &keys, NULL), OTA_OK);
	cr_expect_eq(judge(ota_buf_bytes(&alone), &keys, &err), OTA_E_SIGNATURE);
	cr_expect_str_eq(err.text, "release: no key of the role signed");
}

Test(envelope, a_threshold_outside_its_keys_is_refused)
{
	static const struct {
		uint32_t threshold, count;
	} rows[] = { { 0, 1 }, { 0, 0 }, { 2, 1 }, { 17, 16 }, { 1, 17 } };
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_PAIR);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ota_keyset keys = pair_of_keys();
		struct ota_error err = { 0 };
		char text[64];

		keys.threshold = rows[i].threshold;
		keys.count = rows[i].count;
		cr_expect_eq(judge(ota_buf_bytes(&buf), &keys, &err), OTA_E_THRESHOLD);
		(void)snprintf(text, sizeof text, "release: threshold %u of %u keys",
			rows[i].threshold, rows[i].count);
		cr_expect_str_eq(err.text, text);
	}
}

Test(envelope, another_fleet_is_refused_before_any_signature)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sealed(ROOT_PAIR);
	struct ota_keyset keys = pair_of_keys();
	struct ota_envelope envelope;
	uint8_t other[OTA_FLEET_ID_LEN] = { 1 };

	cr_assert_eq(ota_envelope_parse(ota_buf_bytes(&buf), &envelope, NULL), OTA_OK);
	cr_expect_eq(ota_envelope_verify(&envelope, other, &keys, NULL), OTA_E_FLEET);
}

Test(envelope, its_name_covers_all_but_the_signatures)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf none = sealed("");
	OTA_AUTO(ota_buf_fini) struct ota_buf pair = sealed(ROOT_PAIR);
	struct ota_envelope a, b;
	struct ota_digest name, other;

	cr_assert_eq(ota_envelope_parse(ota_buf_bytes(&none), &a, NULL), OTA_OK);
	cr_assert_eq(ota_envelope_parse(ota_buf_bytes(&pair), &b, NULL), OTA_OK);
	name = ota_envelope_digest(&a);
	other = ota_envelope_digest(&b);
	cr_expect(ota_digest_equal(&name, &other));
	a.type = OTA_DOC_CATALOG;
	other = ota_envelope_digest(&a);
	cr_expect_not(ota_digest_equal(&name, &other));
	b.fleet_id[0] ^= 1;
	other = ota_envelope_digest(&b);
	cr_expect_not(ota_digest_equal(&name, &other));
}

Test(envelope, a_key_that_signs_again_replaces_its_signature)
{
	static const char twice[] = { SAMPLE_ROOT_KEY, SAMPLE_ROOT_KEY_2, SAMPLE_ROOT_KEY,
		'\0' };
	OTA_AUTO(ota_buf_fini) struct ota_buf once = sealed(ROOT_PAIR);
	OTA_AUTO(ota_buf_fini) struct ota_buf again = sealed(twice);

	cr_expect(ota_bytes_equal(ota_buf_bytes(&once), ota_buf_bytes(&again)));
}

Test(envelope, sixteen_keys_may_sign_and_no_more)
{
	char keys[OTA_SIGS_MAX + 1] = "";
	struct ota_secret_key one_more = sample_key(99);
	struct ota_error err = { 0 };
	struct ota_buf out = { 0 };

	for (int i = 0; i < OTA_SIGS_MAX; i++)
		keys[i] = (char)(i + 1);
	OTA_AUTO(ota_buf_fini) struct ota_buf full = sealed(keys);

	cr_expect_eq(ota_envelope_sign(ota_buf_bytes(&full), &one_more, &out, &err),
		OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "16 keys have signed already");
	cr_expect_eq(out.len, 0);
}

/* joining */

static const struct ota_keyset *two_operators(void)
{
	static struct ota_keyset keys;

	keys = (struct ota_keyset){
		.keys = { sample_public(SAMPLE_OPERATOR_KEY),
			sample_public(SAMPLE_OPERATOR_KEY_2) },
		.count = 2,
		.threshold = 2,
	};
	return &keys;
}

static struct ota_buf grant_by(const char *keys)
{
	struct ota_grant grant = sample_grant();

	return sample_sign(OTA_DOC_GRANT, &grant, keys);
}

Test(envelope, what_two_signed_apart_is_joined)
{
	const char first[] = { SAMPLE_OPERATOR_KEY, SAMPLE_STRANGER_KEY, '\0' };
	const char second[] = { SAMPLE_OPERATOR_KEY_2, '\0' };
	OTA_AUTO(ota_buf_fini) struct ota_buf a = grant_by(first);
	OTA_AUTO(ota_buf_fini) struct ota_buf b = grant_by(second);
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_root root = sample_root();
	struct ota_envelope envelope;
	bool by[OTA_KEYS_MAX];

	cr_assert_eq(ota_envelope_join(ota_buf_bytes(&a), ota_buf_bytes(&b),
			     two_operators(), &out, NULL),
		OTA_OK);
	cr_assert_eq(ota_envelope_parse(ota_buf_bytes(&out), &envelope, NULL), OTA_OK);
	cr_expect_eq(envelope.nsig, 2, "the stranger's is left out");
	cr_expect_eq(ota_envelope_verify(&envelope, root.fleet_id, two_operators(), NULL),
		OTA_OK);
	cr_expect_eq(ota_envelope_signed_by(&envelope, two_operators(), by), 2);
}

Test(envelope, one_key_in_both_is_joined_to_one_signature)
{
	const char first[] = { SAMPLE_OPERATOR_KEY_2, '\0' };
	OTA_AUTO(ota_buf_fini) struct ota_buf a = grant_by(first);
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_envelope envelope;
	bool by[OTA_KEYS_MAX];

	cr_assert_eq(ota_envelope_join(ota_buf_bytes(&a), ota_buf_bytes(&a),
			     two_operators(), &out, NULL),
		OTA_OK);
	cr_assert_eq(ota_envelope_parse(ota_buf_bytes(&out), &envelope, NULL), OTA_OK);
	cr_expect_eq(ota_envelope_signed_by(&envelope, two_operators(), by), 1);
	cr_expect_not(by[0]);
	cr_expect(by[1]);
}

Test(envelope, two_documents_are_not_joined)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf a = sample_envelope(OTA_DOC_GRANT);
	OTA_AUTO(ota_buf_fini) struct ota_buf b = sample_envelope(OTA_DOC_RELEASE);
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	cr_expect_eq(ota_envelope_join(ota_buf_bytes(&a), ota_buf_bytes(&b),
			     two_operators(), &out, NULL),
		OTA_E_CONFLICT);
	cr_expect_eq(out.len, 0);
}

Test(envelope, a_payload_of_the_wrong_size_is_not_sealed)
{
	static uint8_t big[OTA_PAYLOAD_LEN_MAX + 1];
	struct ota_root root = sample_root();
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	struct ota_bytes in = { big, sizeof big };

	cr_expect_eq(ota_envelope_seal(OTA_DOC_ROOT, root.fleet_id, in, &out, NULL),
		OTA_E_LIMIT);
	in.len = 1;
	cr_expect_eq(ota_envelope_seal(OTA_DOC_ROOT, root.fleet_id, in, &out, NULL),
		OTA_E_LIMIT);
	in.len = OTA_PAYLOAD_LEN_MAX;
	cr_expect_eq(
		ota_envelope_seal(OTA_DOC_ROOT, root.fleet_id, in, &out, NULL), OTA_OK);
	cr_expect_eq(out.len, 27 + OTA_PAYLOAD_LEN_MAX);
}

Test(envelope, the_largest_one_fits_a_message_of_64_kib)
{
	cr_expect_leq((int)OTA_ENVELOPE_LEN_MAX, 65536);
}

Test(envelope, types_and_roles_have_texts)
{
	enum ota_doc_type type = OTA_DOC_ROOT;

	cr_expect_str_eq(ota_doc_type_text(OTA_DOC_FRESH), "fresh");
	cr_expect_str_eq(ota_doc_type_text(99), "unknown");
	cr_expect_eq(ota_doc_type_of("assign", &type, NULL), OTA_OK);
	cr_expect_eq(type, OTA_DOC_ASSIGN);
	cr_expect_eq(ota_doc_type_of("Assign", &type, NULL), OTA_E_DOCTYPE);
	cr_expect_eq(ota_doc_role(OTA_DOC_CATALOG), OTA_ROLE_RELEASE);
	cr_expect_eq(ota_doc_role(OTA_DOC_REPORT), OTA_ROLE_DEVICE);
	cr_expect_str_eq(ota_role_text(OTA_ROLE_OPERATOR), "operator");
	cr_expect_str_eq(ota_role_text(OTA_ROLE_DEVICE), "device");
}

Test(envelope, a_secret_key_is_wiped)
{
	struct ota_secret_key key = sample_key(1);
	struct ota_secret_key zero = { { 0 } };

	ota_secret_key_fini(&key);
	cr_expect_arr_eq(key.at, zero.at, OTA_SK_LEN);
}

/* RFC 8032, 7.1, test 1 */
Test(envelope, a_key_from_a_seed_is_that_of_rfc_8032)
{
	struct ota_public_key public_key, want;
	struct ota_secret_key key;
	uint8_t seed[32];

	cr_assert_eq(ota_hex_decode("9d61b19deffd5a60ba844af492ec2cc4"
				    "4449c5697b326919703bac031cae7f60",
			     seed, sizeof seed),
		OTA_OK);
	cr_assert_eq(ota_hex_decode("d75a980182b10ab7d54bfed3c964073a"
				    "0ee172f3daa62325af021a68f707511a",
			     want.at, sizeof want.at),
		OTA_OK);
	key = ota_secret_key_from_seed(seed);
	public_key = ota_secret_key_public(&key);
	cr_expect(ota_public_key_equal(&public_key, &want));
}

/* digests */

Test(digest, of_nothing_is_blake2b_256_of_nothing)
{
	char hex[OTA_DIGEST_HEX_CAP];
	struct ota_digest digest = ota_digest_of((struct ota_bytes){ 0 });

	ota_digest_hex(&digest, hex);
	cr_expect_str_eq(hex, "0e5751c026e543b2e8ab2eb06099daa1"
			      "d1e5df47778f7787faab45cdf12fe3a8");
}

Test(digest, piece_by_piece_is_the_same_as_at_once)
{
	struct ota_digest whole = sample_digest("abcdef"), pieces;
	struct ota_hasher hasher;

	ota_hasher_init(&hasher);
	ota_hasher_add(&hasher, ota_bytes_of("ab"));
	ota_hasher_add(&hasher, ota_bytes_of(""));
	ota_hasher_add(&hasher, ota_bytes_of("cdef"));
	pieces = ota_hasher_result(&hasher);
	cr_expect(ota_digest_equal(&whole, &pieces));
}

Test(digest, text_goes_there_and_back_in_lower_case_only)
{
	struct ota_digest digest = sample_digest("x"), back = { { 0 } };
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&digest, hex);
	cr_expect(ota_digest_is_zero(&back));
	cr_expect_eq(ota_digest_parse(hex, &back, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&digest, &back));
	cr_expect_not(ota_digest_is_zero(&back));
	hex[63] = 'A';
	cr_expect_eq(ota_digest_parse(hex, &back, NULL), OTA_E_FORMAT);
	cr_expect_eq(ota_digest_parse("00", &back, NULL), OTA_E_FORMAT);
}

#include <criterion/criterion.h>

#include <string.h>

#include "agent/core/decode_wire.h"

static struct decode_head sample(void)
{
	struct decode_head head = { .ram_max = 9, .source_len = UINT64_MAX };

	head.manifest = (struct ota_manifest){ .codec = OTA_CODEC_PREDICT,
		.window_log = 21,
		.patch_len = 1,
		.raw_len = UINT64_C(1) << 40,
		.from_len = 2,
		.to_len = 3,
		.decoder_ram = 4,
		.to = { { 5, 6, 7 } } };
	return head;
}

Test(decode_wire, a_head_says_what_was_put_into_it)
{
	const struct decode_head head = sample();
	struct decode_head got = { 0 };
	uint8_t bytes[DECODE_HEAD_LEN];

	decode_head_encode(&head, bytes);
	cr_assert_eq(
		decode_head_parse((struct ota_bytes){ bytes, sizeof bytes }, &got, NULL),
		OTA_OK);
	cr_expect_eq(got.manifest.codec, OTA_CODEC_PREDICT);
	cr_expect_eq(got.manifest.window_log, 21);
	cr_expect_eq(got.manifest.patch_len, 1);
	cr_expect_eq(got.manifest.raw_len, UINT64_C(1) << 40);
	cr_expect_eq(got.manifest.from_len, 2);
	cr_expect_eq(got.manifest.to_len, 3);
	cr_expect_eq(got.manifest.decoder_ram, 4);
	cr_expect_eq(got.ram_max, 9);
	cr_expect_eq(got.source_len, UINT64_MAX);
	cr_expect_eq(memcmp(&got.manifest.to, &head.manifest.to, OTA_DIGEST_LEN), 0);
}

Test(decode_wire, a_head_of_another_shape_is_refused)
{
	const struct decode_head head = sample();
	struct decode_head got;
	uint8_t bytes[DECODE_HEAD_LEN + 1] = { 0 };
	static const size_t fixed[] = { 0, 1, 2, 3, 6, 7 };

	decode_head_encode(&head, bytes);
	for (size_t len = 0; len <= sizeof bytes; len++)
		cr_expect_eq(
			decode_head_parse((struct ota_bytes){ bytes, len }, &got, NULL),
			len == DECODE_HEAD_LEN ? OTA_OK : OTA_E_FORMAT);
	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		bytes[fixed[i]] ^= 1;
		cr_expect_eq(
			decode_head_parse(
				(struct ota_bytes){ bytes, DECODE_HEAD_LEN }, &got, NULL),
			OTA_E_FORMAT);
		bytes[fixed[i]] ^= 1;
	}
}

Test(decode_wire, an_answer_has_a_length_that_its_kind_may_have)
{
	static const uint32_t least[] = { 0, 0, 1, 8, 4, 0 },
			      most[] = { 0, 0, DECODE_DATA_MAX, 8, 259, 0 };
	struct decode_answer got;
	uint8_t bytes[DECODE_ANSWER_LEN];

	for (unsigned kind = 0; kind < 6; kind++)
		for (uint32_t len = 0; len <= DECODE_DATA_MAX + 1; len++) {
			struct decode_answer answer = { (enum decode_answer_kind)kind,
				len };
			bool right = kind >= DECODE_READY && kind <= DECODE_FAILED &&
				     len >= least[kind] && len <= most[kind];

			decode_answer_encode(&answer, bytes);
			if ((decode_answer_parse(
				     (struct ota_bytes){ bytes, sizeof bytes }, &got,
				     NULL) == OTA_OK) != right)
				cr_expect(false, "kind %u of %u bytes", kind, len);
		}
}

Test(decode_wire, an_answer_of_another_shape_is_refused)
{
	uint8_t bytes[DECODE_ANSWER_LEN + 1] = { DECODE_READY };
	struct decode_answer got;

	for (size_t len = 0; len <= sizeof bytes; len++)
		cr_expect_eq(
			decode_answer_parse((struct ota_bytes){ bytes, len }, &got, NULL),
			len == DECODE_ANSWER_LEN ? OTA_OK : OTA_E_FORMAT);
	bytes[2] = 1;
	cr_expect_eq(decode_answer_parse(
			     (struct ota_bytes){ bytes, DECODE_ANSWER_LEN }, &got, NULL),
		OTA_E_FORMAT);
}

Test(decode_wire, a_failure_says_what_was_put_into_it)
{
	struct ota_error error = { .code = OTA_E_NORAM }, got = { 0 };
	uint8_t bytes[DECODE_PAYLOAD_MAX];
	size_t len;

	memset(error.text, 'x', sizeof error.text - 1);
	len = decode_failed_encode(&error, bytes);
	cr_expect_eq(len, sizeof bytes);
	cr_expect_eq(
		decode_failed_parse((struct ota_bytes){ bytes, len }, &got), OTA_E_NORAM);
	cr_expect_eq(got.code, OTA_E_NORAM);
	cr_expect_str_eq(got.text, error.text);
}

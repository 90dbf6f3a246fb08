#include "agent/core/decode_wire.h"

#include <string.h>

#include "proto/base/le.h"

static const uint8_t magic[4] = "OTW1";

void decode_head_encode(
	const struct decode_head *head, uint8_t out[static DECODE_HEAD_LEN])
{
	const struct ota_manifest *m = &head->manifest;
	const uint64_t numbers[] = { m->patch_len, m->raw_len, m->from_len, m->to_len,
		m->decoder_ram, head->ram_max, head->source_len };
	uint8_t *at = out + 8;

	memset(out, 0, DECODE_HEAD_LEN);
	memcpy(out, magic, sizeof magic);
	out[4] = m->codec;
	out[5] = m->window_log;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++, at += 8)
		ota_le64_set(at, numbers[i]);
	memcpy(at, m->to.at, OTA_DIGEST_LEN);
}

static void read_numbers(struct ota_reader *r, struct decode_head *out)
{
	struct ota_manifest *m = &out->manifest;

	m->patch_len = ota_read_le64(r);
	m->raw_len = ota_read_le64(r);
	m->from_len = ota_read_le64(r);
	m->to_len = ota_read_le64(r);
	m->decoder_ram = ota_read_le64(r);
	out->ram_max = ota_read_le64(r);
	out->source_len = ota_read_le64(r);
}

enum ota_code decode_head_parse(
	struct ota_bytes in, struct decode_head *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	struct decode_head head = { 0 };

	if (in.len != DECODE_HEAD_LEN ||
		memcmp(ota_read(&r, sizeof magic), magic, sizeof magic) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not the head of a decoder's work");
	head.manifest.codec = ota_read_u8(&r);
	head.manifest.window_log = ota_read_u8(&r);
	if (ota_read_u8(&r) != 0 || ota_read_u8(&r) != 0)
		return ota_fail(err, OTA_E_FORMAT, "head: bytes 6 and 7 are not zero");
	read_numbers(&r, &head);
	memcpy(head.manifest.to.at, ota_read(&r, OTA_DIGEST_LEN), OTA_DIGEST_LEN);
	*out = head;
	return OTA_OK;
}

void decode_answer_encode(
	const struct decode_answer *answer, uint8_t out[static DECODE_ANSWER_LEN])
{
	memset(out, 0, DECODE_ANSWER_LEN);
	out[0] = (uint8_t)answer->kind;
	ota_le32_set(out + 4, answer->len);
}

/* The lengths that each kind may have; all zero for what is no kind. */
static const struct answer_limits {
	uint32_t min, max; /* bytes of the payload */
	bool known;
} limits[] = {
	[DECODE_READY] = { 0, 0, true },
	[DECODE_DATA] = { 1, DECODE_DATA_MAX, true },
	[DECODE_DONE] = { DECODE_DONE_LEN, DECODE_DONE_LEN, true },
	[DECODE_FAILED] = { DECODE_FAILED_MIN, DECODE_PAYLOAD_MAX, true },
};

enum ota_code decode_answer_parse(
	struct ota_bytes in, struct decode_answer *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	uint8_t kind = ota_read_u8(&r);
	const uint8_t *zero = ota_read(&r, 3);
	uint32_t len = ota_read_le32(&r);

	if (r.bad || r.left != 0 || kind >= sizeof limits / sizeof limits[0] ||
		!limits[kind].known || memcmp(zero, "\0\0\0", 3) != 0)
		return ota_fail(err, OTA_E_FORMAT, "no answer of a decoder");
	if (len < limits[kind].min || len > limits[kind].max)
		return ota_fail(err, OTA_E_LIMIT, "answer %u of %u bytes", kind, len);
	*out = (struct decode_answer){ (enum decode_answer_kind)kind, len };
	return OTA_OK;
}

size_t decode_failed_encode(
	const struct ota_error *error, uint8_t out[static DECODE_PAYLOAD_MAX])
{
	size_t len = strnlen(error->text, DECODE_TEXT_MAX);

	ota_le32_set(out, (uint32_t)error->code);
	memcpy(out + DECODE_FAILED_MIN, error->text, len);
	return DECODE_FAILED_MIN + len;
}

enum ota_code decode_failed_parse(struct ota_bytes in, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	uint32_t number = ota_read_le32(&r);
	enum ota_code code = ota_code_of_number(number);
	char text[DECODE_TEXT_MAX + 1] = { 0 };
	size_t len = r.left < DECODE_TEXT_MAX ? r.left : DECODE_TEXT_MAX;

	for (size_t i = 0; i < len; i++)
		text[i] = r.at[i] >= ' ' && r.at[i] <= '~' ? (char)r.at[i] : '?';
	if (code == OTA_OK || (uint32_t)code != number)
		code = OTA_E_DECODER;
	return ota_fail(err, code, "%s", text);
}

#include "tests/unit/patch_kit.h"

#include <string.h>

#include "proto/base/own.h"

static enum ota_code sink_write(void *ctx, struct ota_bytes data)
{
	struct kit_sink *sink = ctx;

	if (sink->fail_at != 0 && sink->bytes.len + data.len >= sink->fail_at)
		return sink->fail_code;
	return ota_buf_add(&sink->bytes, data);
}

struct ota_sink kit_sink_port(struct kit_sink *sink)
{
	return (struct ota_sink){ sink, sink_write };
}

void kit_patch_fini(struct kit_patch *kit)
{
	ota_buf_fini(&kit->from);
	ota_buf_fini(&kit->to);
	ota_buf_fini(&kit->patch);
	ota_manifest_fini(&kit->manifest);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void kit_noise(struct ota_buf *out, size_t len, uint64_t seed)
{
	while (len > 0) {
		uint64_t word = next_random(&seed);
		size_t n = len < sizeof word ? len : sizeof word;

		if (ota_buf_add(out, (struct ota_bytes){ (uint8_t *)&word, n }) != OTA_OK)
			abort();
		len -= n;
	}
}

/* The old bytes rotated by a third, with one byte in about 5000 changed. */
static void add_related(struct ota_buf *to, const struct ota_buf *from, size_t len)
{
	size_t begin = to->len;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = from->at[(i + from->len / 3) % from->len];

		if (ota_buf_add_u8(to, byte) != OTA_OK)
			abort();
	}
	for (size_t i = 1000; i < len; i += 5000)
		to->at[begin + i] ^= 0x55;
}

void kit_images(struct kit_patch *kit, size_t from_len, size_t to_len, bool related)
{
	kit_noise(&kit->from, from_len, 1);
	if (related && from_len > 0)
		add_related(&kit->to, &kit->from, to_len);
	else
		kit_noise(&kit->to, to_len, 2);
}

enum ota_code kit_encode(struct kit_patch *kit, uint8_t codec, struct ota_error *err)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from), to = ota_buf_bytes(&kit->to);
	struct ota_source from_port = ota_source_of(&from), to_port = ota_source_of(&to);
	struct ota_encode_job job = { .codec = codec,
		.from = &from_port,
		.to = &to_port,
		.options = { .level = 1, .chunk_len = OTA_CHUNK_LEN_MIN } };
	struct kit_sink sink = { 0 };
	struct ota_sink out = kit_sink_port(&sink);
	enum ota_code rc;

	ota_buf_fini(&kit->patch);
	ota_manifest_fini(&kit->manifest);
	rc = ota_patch_encode(&job, &out, &kit->manifest, err);
	kit->patch = sink.bytes;
	return rc;
}

static void decoder_freep(struct ota_decoder **decoder)
{
	ota_decoder_free(*decoder);
}

static enum ota_code feed_all(struct ota_decoder *decoder, struct ota_bytes patch,
	size_t piece_len, struct ota_error *err)
{
	while (patch.len > 0) {
		struct ota_bytes piece = { patch.at,
			patch.len < piece_len ? patch.len : piece_len };
		enum ota_code rc = ota_decoder_feed(decoder, piece, err);

		if (rc != OTA_OK)
			return rc;
		patch.at += piece.len;
		patch.len -= piece.len;
	}
	return OTA_OK;
}

enum ota_code kit_decode(
	const struct kit_patch *kit, struct kit_decoding *run, struct ota_error *err)
{
	OTA_AUTO(decoder_freep) struct ota_decoder *decoder = NULL;
	struct ota_bytes from = ota_buf_bytes(&kit->from);
	struct ota_source from_port = ota_source_of(&from);
	struct kit_sink sink = { 0 };
	struct ota_sink out = kit_sink_port(&sink);
	enum ota_code rc;

	ota_buf_fini(&run->image);
	rc = ota_decoder_new(&kit->manifest, &from_port, &out,
		run->ram_max != 0 ? run->ram_max : OTA_DECODER_RAM, &decoder, err);
	if (rc != OTA_OK)
		return rc;
	rc = feed_all(decoder, ota_buf_bytes(&kit->patch),
		run->piece_len != 0 ? run->piece_len : SIZE_MAX, err);
	if (rc == OTA_OK)
		rc = ota_decoder_finish(decoder, err);
	run->image = sink.bytes;
	run->peak = ota_decoder_ram_peak(decoder);
	return rc;
}

void kit_decoding_fini(struct kit_decoding *run)
{
	ota_buf_fini(&run->image);
}

bool kit_same(const struct ota_buf *a, const struct ota_buf *b)
{
	return ota_bytes_equal(ota_buf_bytes(a), ota_buf_bytes(b));
}

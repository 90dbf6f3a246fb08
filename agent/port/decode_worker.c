#include "agent/port/decode_worker.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "agent/core/decode_wire.h"
#include "agent/core/overlay.h"
#include "agent/port/decode_sandbox.h"
#include "proto/base/le.h"
#include "proto/base/own.h"
#include "proto/delta/decode.h"
#include "proto/io/files.h"

enum { PIECE_LEN = 64 << 10 }; /* bytes fed to the decoder at a time */

/* All of this process. It is not on the stack, which must not grow. */
struct worker {
	struct decode_head head;
	struct overlay overlay;      /* of the source */
	struct ota_decoder *decoder; /* never released: the process ends */
	uint8_t piece[PIECE_LEN];
	uint8_t data[DECODE_ANSWER_LEN + DECODE_DATA_MAX]; /* an answer DATA */
	uint32_t data_len;                                 /* bytes of image in it */
};

/* OTA_E_CANCELLED: nobody listens any more. */
static OTA_CHECKED enum ota_code write_all(struct ota_bytes bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(DECODE_FD_OUT, bytes.at, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return OTA_E_CANCELLED;
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
	return OTA_OK;
}

/* OTA_E_CANCELLED: nobody speaks any more. */
static OTA_CHECKED enum ota_code read_all(uint8_t *out, size_t len)
{
	while (len > 0) {
		ssize_t n = read(DECODE_FD_IN, out, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return OTA_E_CANCELLED;
		out += n;
		len -= (size_t)n;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code answer(
	enum decode_answer_kind kind, const uint8_t *payload, size_t len)
{
	const struct decode_answer head = { kind, (uint32_t)len };
	uint8_t bytes[DECODE_ANSWER_LEN + DECODE_PAYLOAD_MAX];

	decode_answer_encode(&head, bytes);
	memcpy(bytes + DECODE_ANSWER_LEN, payload, len);
	return write_all((struct ota_bytes){ bytes, DECODE_ANSWER_LEN + len });
}

static OTA_CHECKED enum ota_code flush(struct worker *w)
{
	const struct decode_answer head = { DECODE_DATA, w->data_len };
	enum ota_code rc = OTA_OK;

	if (w->data_len == 0)
		return OTA_OK;
	decode_answer_encode(&head, w->data);
	rc = write_all((struct ota_bytes){ w->data, DECODE_ANSWER_LEN + w->data_len });
	w->data_len = 0;
	return rc;
}

static enum ota_code take_image(void *ctx, struct ota_bytes data)
{
	struct worker *w = ctx;
	enum ota_code rc = OTA_OK;

	while (data.len > 0 && rc == OTA_OK) {
		size_t room = DECODE_DATA_MAX - w->data_len;
		size_t n = data.len < room ? data.len : room;

		memcpy(w->data + DECODE_ANSWER_LEN + w->data_len, data.at, n);
		w->data_len += (uint32_t)n;
		data = (struct ota_bytes){ data.at + n, data.len - n };
		if (w->data_len == DECODE_DATA_MAX)
			rc = flush(w);
	}
	return rc;
}

/* From the slot, or from what stands for it. */
static enum ota_code read_from(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	const struct worker *w = ctx;

	while (len > 0) {
		struct overlay_piece piece = overlay_find(&w->overlay, offset, len);
		enum ota_code rc =
			ota_fd_read_at(piece.is_over ? DECODE_FD_OVER : DECODE_FD_FROM,
				piece.offset, out, piece.len, NULL);

		if (rc != OTA_OK)
			return rc;
		offset += piece.len;
		out += piece.len;
		len -= piece.len;
	}
	return OTA_OK;
}

/* An empty file covers nothing, as one that is not there. */
static OTA_CHECKED enum ota_code read_overlay(struct worker *w, struct ota_error *err)
{
	uint8_t *index = w->piece;
	size_t len;
	enum ota_code rc;

	if (pread(DECODE_FD_OVER, index, 1, 0) != 1)
		return OTA_OK;
	rc = ota_fd_read_at(DECODE_FD_OVER, 0, index, OVERLAY_HEAD_LEN, err);
	if (rc == OTA_OK)
		rc = overlay_parse_head(
			(struct ota_bytes){ index, OVERLAY_HEAD_LEN }, &w->overlay, err);
	if (rc != OTA_OK)
		return rc;
	len = w->overlay.count * sizeof(uint32_t);
	rc = ota_fd_read_at(DECODE_FD_OVER, OVERLAY_HEAD_LEN, index, len, err);
	return rc == OTA_OK ? overlay_parse_index(
				      (struct ota_bytes){ index, len }, &w->overlay, err)
			    : rc;
}

/* What is in place comes in order, and is asked for in order. */
static enum ota_code read_have(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	(void)ctx;
	(void)offset;
	return read_all(out, len);
}

static OTA_CHECKED enum ota_code resume(struct worker *w, struct ota_error *err)
{
	uint8_t len[DECODE_HAVE_LEN];
	struct ota_source have = { .read = read_have };
	enum ota_code rc = read_all(len, sizeof len);

	if (rc != OTA_OK)
		return rc;
	have.len = ota_le64(len);
	return have.len == 0 ? OTA_OK : ota_decoder_resume(w->decoder, &have, err);
}

static OTA_CHECKED enum ota_code feed_all(struct worker *w, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;
	size_t len;

	for (uint64_t left = w->head.manifest.patch_len; left > 0 && rc == OTA_OK;
		left -= len) {
		len = left < PIECE_LEN ? (size_t)left : PIECE_LEN;
		rc = read_all(w->piece, len);
		if (rc == OTA_OK)
			rc = ota_decoder_feed(
				w->decoder, (struct ota_bytes){ w->piece, len }, err);
	}
	return rc == OTA_OK ? ota_decoder_finish(w->decoder, err) : rc;
}

static OTA_CHECKED enum ota_code prepare(struct worker *w, struct ota_error *err)
{
	uint8_t bytes[DECODE_HEAD_LEN];
	const struct ota_manifest *m = &w->head.manifest;
	enum ota_code rc = decode_sandbox_close(err);

	if (rc == OTA_OK)
		rc = read_all(bytes, sizeof bytes);
	if (rc == OTA_OK)
		rc = decode_head_parse(
			(struct ota_bytes){ bytes, sizeof bytes }, &w->head, err);
	if (rc == OTA_OK && sodium_init() < 0)
		rc = ota_fail(err, OTA_E_IO, "libsodium");
	if (rc == OTA_OK)
		rc = decode_sandbox_enter(
			&(struct decode_limits){ .heap_bytes = w->head.ram_max,
				.cpu_s = decode_cpu_s(w->head.source_len, m->to_len) },
			err);
	return rc;
}

static OTA_CHECKED enum ota_code work(struct worker *w, struct ota_error *err)
{
	const struct ota_sink out = { .ctx = w, .write = take_image };
	const struct ota_source from = {
		.ctx = w, .len = w->head.source_len, .read = read_from
	};
	uint8_t peak[DECODE_DONE_LEN] = { 0 };
	enum ota_code rc = read_overlay(w, err);

	if (rc == OTA_OK)
		rc = ota_decoder_new(&w->head.manifest, &from, &out, w->head.ram_max,
			&w->decoder, err);
	if (rc == OTA_OK)
		rc = answer(DECODE_READY, peak, 0);
	if (rc == OTA_OK)
		rc = resume(w, err);
	if (rc == OTA_OK)
		rc = feed_all(w, err);
	if (rc == OTA_OK)
		rc = flush(w);
	if (rc != OTA_OK)
		return rc;
	ota_le64_set(peak, ota_decoder_ram_peak(w->decoder));
	return answer(DECODE_DONE, peak, sizeof peak);
}

int decode_worker_run(void)
{
	static struct worker worker;
	struct ota_error err = { 0 };
	uint8_t payload[DECODE_PAYLOAD_MAX] = { 0 };
	size_t payload_len;
	enum ota_code rc = prepare(&worker, &err);

	if (rc == OTA_OK)
		rc = work(&worker, &err);
	if (rc != OTA_OK) {
		err.code = rc;
		rc = flush(&worker);
	}
	if (rc == OTA_OK && err.code != OTA_OK) {
		payload_len = decode_failed_encode(&err, payload);
		rc = answer(DECODE_FAILED, payload, payload_len);
	}
	_exit(rc == OTA_OK ? 0 : 1);
}

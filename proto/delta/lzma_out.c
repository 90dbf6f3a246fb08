#include "proto/delta/lzma_out.h"

#include <stdlib.h>

enum {
	PIECE_LEN = 65536, /* bytes */
	/* Bits of the byte before that literals depend on, and bits of the position. Much
	 * context wants much content to learn from, and a patch is small; columns of
	 * varints have no alignment. Measured over the corpus of tests/bench. */
	LITERAL_CONTEXT_BITS = 1,
	LITERAL_POSITION_BITS = 0,
	POSITION_BITS = 0,
	PRESET = 9,
	NICE_LEN = 273, /* the longest match there is: none is cut short */
};

static enum ota_code refuse(lzma_ret status, struct ota_error *err)
{
	if (status == LZMA_MEM_ERROR)
		return ota_fail(err, OTA_E_NOMEM, "no memory for LZMA");
	return ota_fail(err, OTA_E_LIMIT, "LZMA refuses: code %d", (int)status);
}

enum ota_code ota_lzma_out_init(struct ota_lzma_out *out, int window_log,
	struct ota_stage next, struct ota_error *err)
{
	uint32_t dictionary = UINT32_C(1) << window_log;
	lzma_options_lzma options;
	lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options },
		{ LZMA_VLI_UNKNOWN, NULL } };
	lzma_ret status;

	*out = (struct ota_lzma_out){
		.lzma = LZMA_STREAM_INIT, .piece = malloc(PIECE_LEN), .next = next
	};
	if (out->piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for LZMA");
	if (lzma_lzma_preset(&options, PRESET | LZMA_PRESET_EXTREME))
		return ota_fail(err, OTA_E_LIMIT, "LZMA has no preset %d", PRESET);
	options.dict_size =
		dictionary < LZMA_DICT_SIZE_MIN ? LZMA_DICT_SIZE_MIN : dictionary;
	options.lc = LITERAL_CONTEXT_BITS;
	options.lp = LITERAL_POSITION_BITS;
	options.pb = POSITION_BITS;
	options.nice_len = NICE_LEN;
	status = lzma_raw_encoder(&out->lzma, filters);
	return status == LZMA_OK ? OTA_OK : refuse(status, err);
}

void ota_lzma_out_fini(struct ota_lzma_out *out)
{
	lzma_end(&out->lzma);
	free(out->piece);
	*out = (struct ota_lzma_out){ 0 };
}

/* One call into LZMA. */
static enum ota_code step(struct ota_lzma_out *out, lzma_action action, lzma_ret *status,
	struct ota_error *err)
{
	struct ota_bytes made = { out->piece, 0 };

	out->lzma.next_out = out->piece;
	out->lzma.avail_out = PIECE_LEN;
	*status = lzma_code(&out->lzma, action);
	if (*status != LZMA_OK && *status != LZMA_STREAM_END)
		return refuse(*status, err);
	made.len = PIECE_LEN - out->lzma.avail_out;
	if (made.len == 0)
		return OTA_OK;
	out->given += made.len;
	return out->next.take(out->next.ctx, made, err);
}

enum ota_code ota_lzma_out_feed(
	struct ota_lzma_out *out, struct ota_bytes data, struct ota_error *err)
{
	lzma_ret status;

	out->lzma.next_in = data.at;
	out->lzma.avail_in = data.len;
	while (out->lzma.avail_in > 0) {
		enum ota_code rc = step(out, LZMA_RUN, &status, err);

		if (rc != OTA_OK)
			return rc;
	}
	out->taken += data.len;
	return OTA_OK;
}

enum ota_code ota_lzma_out_finish(struct ota_lzma_out *out, struct ota_error *err)
{
	lzma_ret status = LZMA_OK;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && status != LZMA_STREAM_END)
		rc = step(out, LZMA_FINISH, &status, err);
	return rc;
}

/* The nth allocation fails, for every n until a run gets through: our code and xdelta3
 * are linked with --wrap, and zstd takes its decoder's memory from us. */

#include <criterion/criterion.h>

#include "proto/base/own.h"
#include "tests/unit/nomem_kit.h"
#include "tests/unit/predict_kit.h"

static enum ota_code ignore(void *ctx, struct ota_bytes data)
{
	(void)ctx;
	(void)data;
	return OTA_OK;
}

static enum ota_code ignore_item(void *ctx, const struct ota_explain_item *item)
{
	(void)ctx;
	(void)item;
	return OTA_OK;
}

static void ignore_parts(void *ctx, const struct ota_explain_parts *parts)
{
	(void)ctx;
	(void)parts;
}

/* Encode with the nth allocation failing. */
static enum ota_code encode(struct kit_patch *kit, uint8_t codec, long nth)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from), to = ota_buf_bytes(&kit->to);
	struct ota_source from_port = ota_source_of(&from), to_port = ota_source_of(&to);
	struct ota_encode_job job = {
		.codec = codec,
		.from = &from_port,
		.to = &to_port,
		.options.level = 1,
		.explain = { NULL, ignore_item, ignore_parts },
	};
	struct ota_sink out = { .write = ignore };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	enum ota_code rc;

	nomem_arm(nth);
	rc = ota_patch_encode(&job, &out, &manifest, NULL);
	if (!nomem_disarm() && rc != OTA_OK)
		rc = OTA_E_STATE; /* failed although no allocation did */
	return rc;
}

static enum ota_code decode(struct kit_patch *kit, long nth)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from);
	struct ota_source from_port = ota_source_of(&from);
	struct ota_sink out = { .write = ignore };
	struct ota_decoder *decoder = NULL;
	enum ota_code rc;

	nomem_arm(nth);
	rc = ota_decoder_new(
		&kit->manifest, &from_port, &out, OTA_DECODER_RAM, &decoder, NULL);
	if (rc == OTA_OK)
		rc = ota_decoder_feed(decoder, ota_buf_bytes(&kit->patch), NULL);
	if (rc == OTA_OK)
		rc = ota_decoder_finish(decoder, NULL);
	(void)nomem_disarm();
	ota_decoder_free(decoder);
	return rc;
}

Test(delta_nomem, an_encoder_survives_every_allocation_that_fails, .timeout = 60)
{
	for (uint8_t codec = OTA_CODEC_FULL; codec <= OTA_CODEC_PREDICT; codec++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		enum ota_code rc = OTA_E_NOMEM;
		long nth = 0;

		kit_images(&kit, 300000, 300000, true);
		kit_noise(&kit.to, 100000, 7);
		for (; rc == OTA_E_NOMEM; nth++)
			rc = encode(&kit, codec, nth);
		cr_assert_eq(rc, OTA_OK, "allocation %ld: %s", nth, ota_code_text(rc));
		cr_assert_gt(nth, 8);
	}
}

Test(delta_nomem, an_encoder_that_explains_survives_every_allocation_that_fails)
{
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	enum ota_code rc = OTA_E_NOMEM;
	long nth = 0;

	kit_images(&kit, 4000, 4000, true);
	kit_noise(&kit.to, 1000, 7);
	for (; rc == OTA_E_NOMEM; nth++)
		rc = encode(&kit, OTA_CODEC_PREDICT, nth);
	cr_assert_eq(rc, OTA_OK, "allocation %ld: %s", nth, ota_code_text(rc));
	cr_assert_gt(nth, 40);
}

Test(delta_nomem, a_decoder_survives_every_allocation_that_fails)
{
	for (uint8_t codec = OTA_CODEC_FULL; codec <= OTA_CODEC_PREDICT; codec++) {
		OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
		enum ota_code rc = OTA_E_NOMEM;
		long nth = 0;

		kit_images(&kit, 300000, 300000, true);
		kit_noise(&kit.to, 100000, 7);
		cr_assert(kit_encode(&kit, codec, NULL) == OTA_OK);
		for (; rc == OTA_E_NOMEM; nth++)
			rc = decode(&kit, nth);
		cr_assert_eq(rc, OTA_OK, "allocation %ld: %s", nth, ota_code_text(rc));
		cr_assert_gt(nth, 4);
	}
}

Test(delta_nomem, a_decoder_of_predict_survives_every_allocation_that_fails)
{
	static const struct kit_program program = {
		.functions = 700, .cut = 300, .moved = 444, .stray = KIT_NO_STRAY
	};
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	OTA_AUTO(kit_making_fini) struct kit_making making = { .segment_len = 9000 };
	struct kit_tables tables = { 0 };
	enum ota_code rc = OTA_E_NOMEM;
	long nth = 0;

	kit_program_add(&kit, &tables, &program);
	cr_assert(kit_predict(&kit, &tables, &making, NULL) == OTA_OK);
	for (; rc == OTA_E_NOMEM; nth++)
		rc = decode(&kit, nth);
	cr_assert_eq(rc, OTA_OK, "allocation %ld: %s", nth, ota_code_text(rc));
	cr_assert_gt(nth, 15);
}

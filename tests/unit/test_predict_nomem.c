/* The encoder of predict, with the nth allocation failing: the first ones each, then a
 * sample of the rest. */

#include <criterion/criterion.h>

#include "proto/base/own.h"
#include "tests/unit/nomem_kit.h"
#include "tests/unit/plan_kit.h"

static enum ota_code ignore(void *ctx, struct ota_bytes data)
{
	(void)ctx;
	(void)data;
	return OTA_OK;
}

/* True in *failed if an allocation did. */
static enum ota_code encode(struct kit_patch *kit, long nth, bool *failed)
{
	struct ota_bytes from = ota_buf_bytes(&kit->from), to = ota_buf_bytes(&kit->to);
	struct ota_source from_port = ota_source_of(&from), to_port = ota_source_of(&to);
	struct ota_encode_job job = {
		.codec = OTA_CODEC_PREDICT, .from = &from_port, .to = &to_port
	};
	struct ota_sink out = { .write = ignore };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	enum ota_code rc;

	nomem_arm(nth);
	rc = ota_patch_encode(&job, &out, &manifest, NULL);
	*failed = nomem_disarm();
	return rc;
}

Test(predict_nomem, an_encoder_survives_allocations_that_fail, .timeout = 60)
{
	enum { EACH = 60, STEP = 7 };
	OTA_AUTO(kit_patch_fini) struct kit_patch kit = { 0 };
	bool failed = true;
	long nth;

	kit_archives(&kit);
	for (nth = 0; failed; nth += nth < EACH ? 1 : STEP) {
		enum ota_code rc = encode(&kit, nth, &failed);

		cr_assert_eq(rc, failed ? OTA_E_NOMEM : OTA_OK, "allocation %ld: %s", nth,
			ota_code_text(rc));
	}
	cr_assert_gt(nth, EACH);
}

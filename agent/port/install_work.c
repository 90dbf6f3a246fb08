#include "agent/port/install_work.h"

#include <string.h>

#include "agent/port/install_decode.h"
#include "agent/port/install_patch.h"
#include "agent/port/install_source.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

static OTA_CHECKED enum ota_code check_stop(
	const struct install_work *work, struct ota_error *err)
{
	return atomic_load(&work->stop) ? ota_fail(err, OTA_E_CANCELLED, "told to stop")
					: OTA_OK;
}

enum ota_code install_work_verify(const struct install_work *work, struct ota_error *err)
{
	OTA_AUTO(install_patch_fini) struct install_patch patch = { .fd = -1 };
	enum ota_code rc = install_patch_open(work->spool_dir, &work->patch, &patch, err);
	struct ota_bytes data;

	for (uint32_t i = 0; rc == OTA_OK && i < patch.manifest.chunk_count; i++) {
		rc = check_stop(work, err);
		if (rc == OTA_OK)
			rc = install_patch_read(&patch, i, &data, err);
	}
	return rc == OTA_OK && work->repairs ? install_source_verify(work, err) : rc;
}

/* What the decoder asks for chunks; it looks itself whether it is told to stop. */
static enum ota_code next_chunk(
	void *ctx, uint32_t i, struct ota_bytes *out, struct ota_error *err)
{
	enum ota_code rc = install_patch_read(ctx, i, out, err);

	return rc == OTA_OK ? rc
			    : ota_wrap(err, OTA_E_MEDIA, "changed after it was verified");
}

static OTA_CHECKED enum ota_code decode(const struct install_work *work,
	struct install_patch *patch, struct install_target *target, struct ota_error *err)
{
	OTA_AUTO(install_source_fini) struct install_source from = { .overlay_fd = -1 };
	const struct ota_source have = install_target_have(target);
	const struct ota_sink sink = install_target_sink(target);
	const struct install_decode how = { .manifest = &patch->manifest,
		.from = &from.image,
		.overlay_fd = &from.overlay_fd,
		.have = &have,
		.out = &sink,
		.ram_max = work->ram_max,
		.program = work->decoder,
		.stop = &work->stop,
		.ctx = patch,
		.chunk = next_chunk };
	enum ota_code rc = install_source_open(work, &patch->manifest, &from, err);

	if (rc != OTA_OK)
		return rc;
	rc = install_decode_run(&how, err);
	if (rc != OTA_OK && target->error.code != OTA_OK)
		return ota_fail(err, target->error.code, "%s", target->error.text);
	return rc;
}

/* Write what is missing, and prove that all of it is there. */
static OTA_CHECKED enum ota_code fill(const struct install_work *work,
	struct install_patch *patch, struct install_target *target, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (target->count.kept < patch->manifest.to_len)
		rc = decode(work, patch, target, err);
	if (rc == OTA_OK)
		rc = install_target_finish(target, err);
	return rc == OTA_OK ? install_target_read_back(target, &patch->manifest.to, err)
			    : rc;
}

enum ota_code install_work_apply(struct install_work *work, struct ota_error *err)
{
	OTA_AUTO(install_patch_fini) struct install_patch patch = { .fd = -1 };
	OTA_AUTO(install_target_fini)
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	struct install_mark_head head = { .slot = work->to.slot, .patch = work->patch };
	const struct slot_medium *medium = slot_medium_of(work->to.config);
	char mark_path[AGENT_PATH_CAP + 16];
	enum ota_code rc = install_patch_open(work->spool_dir, &work->patch, &patch, err);

	if (rc == OTA_OK)
		rc = ota_path_join(
			work->state_dir, "install", mark_path, sizeof mark_path, err);
	if (rc != OTA_OK)
		return rc;
	head.to_len = patch.manifest.to_len;
	rc = install_target_open(&work->to, &head, mark_path, &work->stop, &target, err);
	if (rc == OTA_OK)
		rc = fill(work, &patch, &target, err);
	work->count = target.count;
	if (rc == OTA_OK && medium->settle != NULL)
		rc = medium->settle(&work->to, head.to_len, &work->stop, err);
	return rc;
}

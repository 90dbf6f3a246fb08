#include "agent/port/install_decode.h"

#include "agent/port/decode_child.h"
#include "proto/base/own.h"

static void free_child(struct decode_child **child)
{
	decode_child_free(*child);
}

enum ota_code install_decode_run(const struct install_decode *d, struct ota_error *err)
{
	OTA_AUTO(free_child) struct decode_child *child = NULL;
	const struct decode_job job = { .manifest = d->manifest,
		.from_fd = d->from->fd,
		.from_len = d->from->len,
		.overlay_fd = *d->overlay_fd,
		.out = *d->out,
		.ram_max = d->ram_max,
		.stop = d->stop,
		.program = d->program };
	struct ota_bytes data;
	enum ota_code rc = decode_child_new(&job, &child, err);

	if (rc == OTA_OK && d->have->len > 0)
		rc = decode_child_resume(child, d->have, err);
	for (uint32_t i = 0; rc == OTA_OK && i < d->manifest->chunk_count; i++) {
		rc = d->chunk(d->ctx, i, &data, err);
		if (rc == OTA_OK)
			rc = decode_child_feed(child, data, err);
	}
	return rc == OTA_OK ? decode_child_finish(child, err) : rc;
}

#include "agent/port/slot_medium.h"

#include <inttypes.h>

#include "proto/base/own.h"

static const struct slot_medium *const media[] = {
	[AGENT_SLOT_FILE] = &slot_file_medium,
	[AGENT_SLOT_DIRECTORY] = &slot_dir_medium,
	[AGENT_SLOT_BLOCK] = &slot_block_medium,
};

const struct slot_medium *slot_medium_of(const struct agent_slot_config *config)
{
	return media[config->type];
}

enum ota_code slot_image_open(const struct slot_place *place, uint64_t len,
	struct image_file *out, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	const struct slot_medium *medium = slot_medium_of(place->config);
	char path[AGENT_PATH_CAP];
	enum ota_code rc = medium->image_path(place, path, err);

	if (rc == OTA_OK && len == 0)
		rc = medium->find_len(place, &len, err);
	if (rc == OTA_OK)
		rc = image_file_open(path, &image, err);
	if (rc != OTA_OK)
		return rc;
	if (len > image.len)
		return ota_fail(err, OTA_E_LIMIT,
			"%s: holds %" PRIu64 " bytes, its image has %" PRIu64, path,
			image.len, len);
	if (len > 0)
		image.len = len;
	*out = image;
	image = (struct image_file){ 0 };
	return OTA_OK;
}

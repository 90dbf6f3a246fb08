#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/slot_file.h"
#include "agent/port/tree.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

/* The type `directory`: an image is a tar archive, kept as it is, because the next delta
 * is made from it; and unpacked beside it, because that is what applications run. */

enum { FRESH_CAP = AGENT_PATH_CAP + sizeof ".new" }; /* bytes with the NUL */

static void fresh_path(const char *tree, char out[static FRESH_CAP])
{
	(void)snprintf(out, FRESH_CAP, "%s.new", tree);
}

/* Put a whole tree where its name is; there is none of that name, or one that is over. */
static OTA_CHECKED enum ota_code put_in_place(const struct slot_place *place,
	const char *fresh, const char *tree, struct ota_error *err)
{
	enum ota_code rc = tree_remove(tree, err);

	if (rc == OTA_OK && rename(fresh, tree) != 0)
		rc = ota_fail(err, OTA_E_IO, "%s: %s", tree, strerror(errno));
	return rc == OTA_OK ? ota_dir_sync(place->config->dir, err) : rc;
}

static OTA_CHECKED enum ota_code unpack(const struct slot_place *place, uint64_t len,
	const atomic_bool *stop, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file archive = { 0 };
	const struct tree_limits limits = { .bytes_max = len,
		.entries_max = TREE_ENTRIES_MAX,
		.special_files = place->config->special_files,
		.stop = stop };
	char tree[AGENT_PATH_CAP], fresh[FRESH_CAP];
	enum ota_code rc = slot_file_use_path(place, tree, err);

	if (rc != OTA_OK)
		return rc;
	fresh_path(tree, fresh);
	rc = tree_remove(fresh, err);
	if (rc == OTA_OK)
		rc = slot_image_open(place, len, &archive, err);
	if (rc != OTA_OK)
		return rc;
	rc = tree_unpack(archive.fd, fresh, &limits, err);
	return rc == OTA_OK ? put_in_place(place, fresh, tree, err)
			    : ota_wrap(err, rc, "unpack into %s", tree);
}

static enum ota_code settle(const struct slot_place *place, uint64_t len,
	const atomic_bool *stop, struct ota_error *err)
{
	return unpack(place, len, stop, err);
}

/* What runs may have been provisioned as an archive alone. */
static enum ota_code point(const struct slot_place *place, struct ota_error *err)
{
	char tree[AGENT_PATH_CAP], path[AGENT_PATH_CAP];
	struct stat st;
	enum ota_code rc = slot_file_use_path(place, tree, err);

	if (rc == OTA_OK)
		rc = slot_file_image_path(place, path, err);
	if (rc == OTA_OK && stat(tree, &st) != 0) {
		if (stat(path, &st) != 0)
			return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
		rc = unpack(place, (uint64_t)st.st_size, NULL, err);
	}
	return rc == OTA_OK ? slot_file_point(place, err) : rc;
}

/* Once as an archive, once unpacked, which is not longer. */
static enum ota_code room(
	const struct slot_place *place, uint64_t *out, struct ota_error *err)
{
	char tree[AGENT_PATH_CAP];
	uint64_t bytes;
	enum ota_code rc = slot_file_use_path(place, tree, err);

	if (rc == OTA_OK)
		rc = slot_file_room(place, &bytes, err);
	if (rc == OTA_OK)
		*out = (bytes + tree_bytes(tree)) / 2;
	return rc;
}

/* The old tree makes room: it is not what runs, and will not be again. */
static enum ota_code open_target(
	const struct slot_place *place, uint64_t len, int *out, struct ota_error *err)
{
	char tree[AGENT_PATH_CAP], fresh[FRESH_CAP];
	ota_autoclose int fd = -1;
	enum ota_code rc = slot_file_open_target(place, len, &fd, err);

	if (rc == OTA_OK)
		rc = slot_file_use_path(place, tree, err);
	if (rc != OTA_OK)
		return rc;
	fresh_path(tree, fresh);
	rc = tree_remove(fresh, err);
	if (rc == OTA_OK)
		rc = tree_remove(tree, err);
	if (rc != OTA_OK)
		return rc;
	*out = fd;
	fd = -1;
	return OTA_OK;
}

const struct slot_medium slot_dir_medium = {
	.record_path = slot_file_record_path,
	.image_path = slot_file_image_path,
	.use_path = slot_file_use_path,
	.find_running = slot_file_find_running,
	.provision = slot_file_provision,
	.find_len = slot_file_find_len,
	.point = point,
	.room = room,
	.open_target = open_target,
	.settle = settle,
};

#include "agent/port/install_patch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/config.h"
#include "agent/port/spool.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

void install_patch_fini(struct install_patch *patch)
{
	ota_manifest_fini(&patch->manifest);
	if (patch->fd >= 0)
		(void)close(patch->fd);
	free(patch->chunk);
	*patch = (struct install_patch){ .fd = -1 };
}

static OTA_CHECKED enum ota_code open_data(const char *spool_dir,
	const struct ota_digest *patch, int *out, struct ota_error *err)
{
	char path[AGENT_PATH_CAP + OTA_DIGEST_HEX_CAP + sizeof SPOOL_DATA + 1];
	char hex[OTA_DIGEST_HEX_CAP], dir[sizeof path];
	ota_autoclose int fd = -1;
	struct stat st;
	enum ota_code rc;

	ota_digest_hex(patch, hex);
	rc = ota_path_join(spool_dir, hex, dir, sizeof dir, err);
	if (rc == OTA_OK)
		rc = ota_path_join(dir, SPOOL_DATA, path, sizeof path, err);
	if (rc != OTA_OK)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a file", path);
	*out = fd;
	fd = -1;
	return OTA_OK;
}

enum ota_code install_patch_open(const char *spool_dir, const struct ota_digest *digest,
	struct install_patch *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(install_patch_fini) struct install_patch patch = { .fd = -1 };
	enum ota_code rc = spool_manifest_read(spool_dir, digest, &bytes, err);

	if (rc == OTA_OK)
		rc = ota_manifest_parse(ota_buf_bytes(&bytes), &patch.manifest, err);
	if (rc == OTA_OK)
		rc = open_data(spool_dir, digest, &patch.fd, err);
	if (rc != OTA_OK)
		return rc;
	patch.chunk = malloc(patch.manifest.chunk_len);
	if (patch.chunk == NULL)
		return ota_fail(err, OTA_E_NOMEM, "chunk");
	*out = patch;
	patch = (struct install_patch){ .fd = -1 };
	return OTA_OK;
}

/* A chunk that is not there is as wrong as one that is changed. */
enum ota_code install_patch_read(struct install_patch *patch, uint32_t i,
	struct ota_bytes *out, struct ota_error *err)
{
	uint32_t len = ota_manifest_chunk_len(&patch->manifest, i);
	struct ota_bytes data = { patch->chunk, len };
	struct ota_digest digest;
	enum ota_code rc = ota_fd_read_at(patch->fd,
		(uint64_t)i * patch->manifest.chunk_len, patch->chunk, len, NULL);

	if (rc == OTA_OK)
		digest = ota_digest_of(data);
	if (rc != OTA_OK || !ota_digest_equal(&digest, &patch->manifest.chunks[i]))
		return ota_fail(err, OTA_E_DIGEST, "chunk %u in the spool", i);
	*out = data;
	return OTA_OK;
}

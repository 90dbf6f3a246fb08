#include "orchestrator/port/cached_patch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/port/cache_dir.h"
#include "proto/base/own.h"
#include "proto/delta/codec.h"
#include "proto/io/files.h"

enum { RECIPE_CAP = 160 }; /* bytes of a recipe's file name */

void cached_patch_fini(struct cached_patch *file)
{
	if (file->bytes.len > 0 && file->fd >= 0)
		(void)close(file->fd);
	ota_buf_fini(&file->bytes);
	ota_manifest_fini(&file->manifest);
	*file = (struct cached_patch){ 0 };
}

static enum ota_code read_manifest(
	const char *dir, struct cached_patch *file, struct ota_error *err)
{
	char hex[OTA_DIGEST_HEX_CAP], path[CACHE_PATH_CAP];
	struct ota_digest got;
	enum ota_code rc;

	ota_digest_hex(&file->name, hex);
	(void)snprintf(path, sizeof(path), "%s/%s.manifest", dir, hex);
	rc = ota_file_read(path, OTA_MANIFEST_LEN_MAX, &file->bytes, err);
	if (rc != OTA_OK)
		return rc;
	got = ota_digest_of(ota_buf_bytes(&file->bytes));
	if (!ota_digest_equal(&got, &file->name))
		return ota_fail(err, OTA_E_DIGEST, "%s is damaged", path);
	return ota_manifest_parse(ota_buf_bytes(&file->bytes), &file->manifest, err);
}

static enum ota_code open_bytes(
	const char *dir, struct cached_patch *file, struct ota_error *err)
{
	char hex[OTA_DIGEST_HEX_CAP], path[CACHE_PATH_CAP];
	struct stat st;

	ota_digest_hex(&file->name, hex);
	(void)snprintf(path, sizeof(path), "%s/%s.patch", dir, hex);
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file->fd < 0 || fstat(file->fd, &st) != 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if ((uint64_t)st.st_size != file->manifest.patch_len)
		return ota_fail(err, OTA_E_DIGEST, "%s is damaged", path);
	return OTA_OK;
}

enum ota_code cached_patch_open(const char *dir, const struct ota_digest *patch,
	struct cached_patch *out, struct ota_error *err)
{
	OTA_AUTO(cached_patch_fini)
	struct cached_patch file = { .name = *patch, .fd = -1 };
	enum ota_code rc = read_manifest(dir, &file, err);

	if (rc == OTA_OK)
		rc = open_bytes(dir, &file, err);
	if (rc != OTA_OK)
		return rc;
	*out = file;
	file = (struct cached_patch){ 0 };
	return OTA_OK;
}

enum ota_code cached_patch_chunk(const struct cached_patch *file, uint32_t index,
	struct ota_buf *out, struct ota_error *err)
{
	const struct ota_manifest *m = &file->manifest;
	uint32_t len = ota_manifest_chunk_len(m, index);
	ota_autofree uint8_t *data = malloc(len);
	struct ota_digest got;
	enum ota_code rc;

	if (!data)
		return ota_fail(err, OTA_E_NOMEM, "chunk");
	rc = ota_fd_read_at(file->fd, (uint64_t)index * m->chunk_len, data, len, err);
	if (rc != OTA_OK)
		return rc;
	got = ota_digest_of((struct ota_bytes){ data, len });
	if (!ota_digest_equal(&got, &m->chunks[index]))
		return ota_fail(err, OTA_E_DIGEST, "chunk %u in the cache is damaged",
			(unsigned)index);
	rc = ota_chunk_encode(index, (struct ota_bytes){ data, len }, out);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "chunk");
}

/* ---- recipes */

static void recipe_name(const struct patch_recipe *recipe, char out[static RECIPE_CAP])
{
	char from[OTA_DIGEST_HEX_CAP], to[OTA_DIGEST_HEX_CAP];
	const char *codec = ota_codec_text(recipe->codec);

	ota_digest_hex(&recipe->from, from);
	ota_digest_hex(&recipe->to, to);
	if (ota_digest_is_zero(&recipe->from))
		(void)snprintf(out, RECIPE_CAP, "%s-%s", codec, to);
	else
		(void)snprintf(out, RECIPE_CAP, "%s-%s-%s", codec, from, to);
}

enum ota_code patch_recipe_find(const char *dir, const struct patch_recipe *recipe,
	struct ota_digest *patch, uint64_t *took_ms, struct ota_error *err)
{
	char name[RECIPE_CAP];

	recipe_name(recipe, name);
	return cache_note_find(dir, name, patch, took_ms, err);
}

enum ota_code patch_recipe_store(const char *dir, const struct patch_recipe *recipe,
	const struct ota_digest *patch, uint64_t took_ms, struct ota_error *err)
{
	char name[RECIPE_CAP];

	recipe_name(recipe, name);
	return cache_note_store(dir, name, patch, took_ms, err);
}

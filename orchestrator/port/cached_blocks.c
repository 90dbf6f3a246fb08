#include "orchestrator/port/cached_blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/port/cache_dir.h"
#include "proto/base/own.h"
#include "proto/delta/block_pack.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum { NAME_CAP = OTA_DIGEST_HEX_CAP + 16 }; /* bytes of a file's name */

void cached_blocks_fini(struct cached_blocks *file)
{
	if (file->bytes.len > 0 && file->fd >= 0)
		(void)close(file->fd);
	ota_buf_fini(&file->bytes);
	ota_block_table_fini(&file->table);
	*file = (struct cached_blocks){ 0 };
}

static void print_path(const char *dir, const struct ota_digest *name, const char *ending,
	char out[static CACHE_PATH_CAP])
{
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(name, hex);
	(void)snprintf(out, CACHE_PATH_CAP, "%s/%s.%s", dir, hex, ending);
}

static OTA_CHECKED enum ota_code read_table(
	const char *dir, struct cached_blocks *file, struct ota_error *err)
{
	char path[CACHE_PATH_CAP];
	struct ota_digest got;
	enum ota_code rc;

	print_path(dir, &file->name, "table", path);
	rc = ota_file_read(path, OTA_BLOCK_TABLE_LEN_MAX, &file->bytes, err);
	if (rc != OTA_OK)
		return rc;
	got = ota_digest_of(ota_buf_bytes(&file->bytes));
	if (!ota_digest_equal(&got, &file->name))
		return ota_fail(err, OTA_E_DIGEST, "%s is damaged", path);
	return ota_block_table_parse(ota_buf_bytes(&file->bytes), &file->table, err);
}

/* Where a block begins among the packed ones; count: where they end. */
static uint64_t offset_of(const struct ota_block_table *table, uint32_t index)
{
	uint64_t offset = 0;

	for (uint32_t i = 0; i < index; i++)
		offset += table->blocks[i].packed_len;
	return offset;
}

static OTA_CHECKED enum ota_code open_packed(
	const char *dir, struct cached_blocks *file, struct ota_error *err)
{
	char path[CACHE_PATH_CAP];
	struct stat st;

	print_path(dir, &file->name, "blocks", path);
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file->fd < 0 || fstat(file->fd, &st) != 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if ((uint64_t)st.st_size != offset_of(&file->table, file->table.count))
		return ota_fail(err, OTA_E_DIGEST, "%s is damaged", path);
	return OTA_OK;
}

enum ota_code cached_blocks_open(const char *dir, const struct ota_digest *table,
	struct cached_blocks *out, struct ota_error *err)
{
	OTA_AUTO(cached_blocks_fini)
	struct cached_blocks file = { .name = *table, .fd = -1 };
	enum ota_code rc = read_table(dir, &file, err);

	if (rc == OTA_OK)
		rc = open_packed(dir, &file, err);
	if (rc != OTA_OK)
		return rc;
	*out = file;
	file = (struct cached_blocks){ 0 };
	return OTA_OK;
}

enum ota_code cached_blocks_message(const struct cached_blocks *file, uint32_t index,
	struct ota_buf *out, struct ota_error *err)
{
	const struct ota_block *block = &file->table.blocks[index];
	ota_autofree uint8_t *data = malloc(block->packed_len);
	struct ota_bytes packed = { data, block->packed_len };
	struct ota_digest got;
	enum ota_code rc;

	if (!data)
		return ota_fail(err, OTA_E_NOMEM, "block");
	rc = ota_fd_read_at(
		file->fd, offset_of(&file->table, index), data, packed.len, err);
	if (rc != OTA_OK)
		return rc;
	got = ota_digest_of(packed);
	if (!ota_digest_equal(&got, &block->packed))
		return ota_fail(err, OTA_E_DIGEST, "block %u in the cache is damaged",
			(unsigned)index);
	rc = ota_chunk_encode(index, packed, out);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "block");
}

/* ---- making one */

/* A temporary file that packed blocks go to. */
struct packed_file {
	int fd; /* owned */
	char tmp[CACHE_PATH_CAP];
	uint64_t offset; /* bytes written */
};

static void packed_file_fini(struct packed_file *file)
{
	if (file->fd < 0)
		return;
	(void)close(file->fd);
	(void)unlink(file->tmp); /* gone already if it got its name */
}

static enum ota_code take_packed(void *ctx, struct ota_bytes data)
{
	struct packed_file *file = ctx;
	enum ota_code rc = ota_fd_write_at(file->fd, file->offset, data, NULL);

	file->offset += data.len;
	return rc;
}

/* The files get their names, the one that finds them last. */
static OTA_CHECKED enum ota_code keep(const struct blocks_job *job,
	const struct packed_file *file, const struct ota_buf *bytes,
	struct ota_digest *name, struct ota_error *err)
{
	char hex[OTA_DIGEST_HEX_CAP], packed[NAME_CAP], path[CACHE_PATH_CAP];
	enum ota_code rc;

	*name = ota_digest_of(ota_buf_bytes(bytes));
	ota_digest_hex(name, hex);
	(void)snprintf(packed, sizeof(packed), "%s.blocks", hex);
	rc = cache_commit(file->fd, file->tmp, job->dir, packed, err);
	if (rc != OTA_OK)
		return rc;
	print_path(job->dir, name, "table", path);
	return ota_file_replace(path, ota_buf_bytes(bytes), 0600, err);
}

static OTA_CHECKED enum ota_code pack(const struct blocks_job *job,
	struct packed_file *file, struct ota_buf *bytes, struct ota_error *err)
{
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	OTA_AUTO(images_source_fini) struct ota_source image = { 0 };
	struct ota_sink sink = { file, take_packed };
	enum ota_code rc = images_source(job->images, &job->image, &image, err);

	if (rc == OTA_OK)
		rc = ota_block_table_make(&image, &sink, &job->progress, &table, err);
	if (rc == OTA_OK && !ota_digest_equal(&table.image, &job->image))
		rc = ota_fail(err, OTA_E_DIGEST, "the stored image is damaged");
	return rc == OTA_OK ? ota_block_table_encode(&table, bytes, err) : rc;
}

static OTA_CHECKED enum ota_code make(
	const struct blocks_job *job, struct ota_digest *out, struct ota_error *err)
{
	OTA_AUTO(packed_file_fini) struct packed_file file = { .fd = -1 };
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	enum ota_code rc = cache_tmp(job->dir, file.tmp, &file.fd, err);

	if (rc == OTA_OK)
		rc = pack(job, &file, &bytes, err);
	return rc == OTA_OK ? keep(job, &file, &bytes, out, err) : rc;
}

enum ota_code cached_blocks_make(
	const struct blocks_job *job, struct ota_digest *out, struct ota_error *err)
{
	OTA_AUTO(cached_blocks_fini) struct cached_blocks file = { 0 };
	uint64_t began_ms = ota_clock_mono_ms(), took_ms;
	char hex[OTA_DIGEST_HEX_CAP], note[NAME_CAP];
	struct ota_digest name;
	enum ota_code rc;

	ota_digest_hex(&job->image, hex);
	(void)snprintf(note, sizeof(note), "blocks-%s", hex);
	if (cache_note_find(job->dir, note, &name, &took_ms, NULL) == OTA_OK &&
		cached_blocks_open(job->dir, &name, &file, NULL) == OTA_OK) {
		*out = name;
		return OTA_OK;
	}
	rc = make(job, &name, err);
	if (rc == OTA_OK)
		rc = cache_note_store(
			job->dir, note, &name, ota_clock_mono_ms() - began_ms, err);
	if (rc == OTA_OK)
		*out = name;
	return rc;
}

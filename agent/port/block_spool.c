#include "agent/port/block_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { FILE_MODE = 0640 };

/* ---- the table ---- */

enum ota_code block_table_name(const char *root, const struct ota_digest *patch,
	struct ota_digest *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	enum ota_code rc = spool_manifest_read(root, patch, &bytes, err);

	if (rc == OTA_OK)
		rc = ota_manifest_parse(ota_buf_bytes(&bytes), &manifest, err);
	if (rc == OTA_OK)
		*out = manifest.blocks;
	return rc;
}

enum ota_code block_table_read(const char *root, const struct ota_digest *patch,
	const struct ota_digest *name, struct ota_block_table *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char path[SPOOL_PATH_CAP];
	struct ota_digest found;
	enum ota_code rc = spool_file(root, patch, SPOOL_TABLE, path, err);

	if (rc != OTA_OK)
		return rc;
	rc = ota_file_read_plain(path, OTA_BLOCK_TABLE_LEN_MAX, &bytes, err);
	if (rc != OTA_OK && rc != OTA_E_LIMIT)
		return rc;
	found = ota_digest_of(ota_buf_bytes(&bytes));
	if (rc == OTA_E_LIMIT || !ota_digest_equal(&found, name))
		return ota_fail(err, OTA_E_DIGEST, "%s: damaged", path);
	return ota_block_table_parse(ota_buf_bytes(&bytes), out, err);
}

enum ota_code block_table_write(const char *root, const struct ota_digest *patch,
	struct ota_bytes bytes, struct ota_error *err)
{
	char path[SPOOL_PATH_CAP];
	enum ota_code rc = spool_file(root, patch, SPOOL_TABLE, path, err);

	return rc != OTA_OK ? rc : ota_file_replace(path, bytes, FILE_MODE, err);
}

/* ---- the blocks ---- */

static OTA_CHECKED enum ota_code open_blocks(const char *root,
	const struct ota_digest *patch, int flags, int *out, struct ota_error *err)
{
	char path[SPOOL_PATH_CAP];
	ota_autoclose int fd = -1;
	struct stat st;
	enum ota_code rc = spool_file(root, patch, SPOOL_BLOCKS, path, err);

	if (rc != OTA_OK)
		return rc;
	fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, FILE_MODE);
	if (fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ota_fail(err, OTA_E_IO, "%s: not a file", path);
	*out = fd;
	fd = -1;
	return OTA_OK;
}

enum ota_code block_file_open(
	const char *root, const struct ota_digest *patch, int *out, struct ota_error *err)
{
	return open_blocks(root, patch, O_RDONLY, out, err);
}

enum ota_code block_file_read(int fd, const struct ota_block_table *table, uint32_t i,
	uint8_t *room, struct ota_error *err)
{
	const struct ota_block *block = &table->blocks[i];
	struct ota_digest found = { 0 };
	enum ota_code rc = ota_fd_read_at(
		fd, (uint64_t)i * table->block_len, room, block->packed_len, NULL);

	if (rc == OTA_OK)
		found = ota_digest_of((struct ota_bytes){ room, block->packed_len });
	return rc == OTA_OK && ota_digest_equal(&found, &block->packed)
		       ? OTA_OK
		       : ota_fail(err, OTA_E_DIGEST, "block %u in the spool", i);
}

static bool is_wanted(struct ota_bytes wanted, uint32_t i)
{
	return i / 8 < wanted.len && (wanted.at[i / 8] >> i % 8 & 1) != 0;
}

/* What is wanted, and of that what is not there. */
static OTA_CHECKED enum ota_code look(
	struct block_spool *spool, struct ota_bytes wanted, struct ota_error *err)
{
	ota_autofree uint8_t *room = malloc(OTA_BLOCK_LEN_MAX);

	spool->lacking = calloc(spool->table.count, 1);
	if (room == NULL || spool->lacking == NULL)
		return ota_fail(err, OTA_E_NOMEM, "blocks of the spool");
	for (uint32_t i = 0; i < spool->table.count; i++) {
		bool held;

		if (!is_wanted(wanted, i))
			continue;
		held = block_file_read(spool->fd, &spool->table, i, room, NULL) == OTA_OK;
		spool->wanted++;
		spool->held += held;
		spool->bytes += held ? spool->table.blocks[i].packed_len : 0;
		spool->lacking[i] = !held;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_room(const struct block_spool *spool,
	const struct block_want *want, struct ota_error *err)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < spool->table.count; i++)
		if (is_wanted(want->blocks, i))
			bytes += spool->table.blocks[i].packed_len;
	return bytes <= want->max_bytes
		       ? OTA_OK
		       : ota_fail(err, OTA_E_NOSPACE,
				 "blocks of %llu bytes, the spool may hold "
				 "%llu bytes",
				 (unsigned long long)bytes,
				 (unsigned long long)want->max_bytes);
}

enum ota_code block_spool_open(const char *root, const struct block_want *want,
	struct block_spool *out, struct ota_error *err)
{
	OTA_AUTO(block_spool_fini) struct block_spool spool = { 0 };
	enum ota_code rc =
		block_table_read(root, &want->patch, &want->table, &spool.table, err);

	if (rc == OTA_OK)
		rc = check_room(&spool, want, err);
	if (rc == OTA_OK)
		rc = open_blocks(root, &want->patch, O_RDWR | O_CREAT, &spool.fd, err);
	if (rc == OTA_OK)
		rc = look(&spool, want->blocks, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "spool");
	*out = spool;
	spool = (struct block_spool){ 0 };
	return OTA_OK;
}

void block_spool_fini(struct block_spool *spool)
{
	if (spool->fd > 0)
		(void)close(spool->fd);
	free(spool->lacking);
	ota_block_table_fini(&spool->table);
	*spool = (struct block_spool){ 0 };
}

enum ota_code block_spool_put(struct block_spool *spool, uint32_t i,
	struct ota_bytes packed, struct ota_error *err)
{
	enum ota_code rc = ota_fd_write_at(
		spool->fd, (uint64_t)i * spool->table.block_len, packed, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "spool: block %u", i);
	spool->held += spool->lacking[i] != 0;
	spool->lacking[i] = false;
	spool->bytes += packed.len;
	return OTA_OK;
}

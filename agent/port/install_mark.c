#include "agent/port/install_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "proto/base/le.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { DIGEST_AT = 48, DISTRUST = 1 };

static const char MAGIC[4] = { 'O', 'T', 'M', '1' };

uint64_t install_mark_blocks(uint64_t to_len)
{
	return to_len / INSTALL_BLOCK_LEN + (to_len % INSTALL_BLOCK_LEN != 0);
}

/* ---- the head ---- */

enum ota_code install_mark_encode(
	const struct install_mark_head *head, struct ota_buf *out)
{
	uint8_t bytes[INSTALL_MARK_HEAD_LEN] = { 0 };
	struct ota_digest digest;

	memcpy(bytes, MAGIC, sizeof MAGIC);
	bytes[4] = (uint8_t)head->slot;
	bytes[5] = head->distrust ? DISTRUST : 0;
	ota_le64_set(bytes + 8, head->to_len);
	memcpy(bytes + 16, head->patch.at, OTA_DIGEST_LEN);
	digest = ota_digest_of((struct ota_bytes){ bytes, DIGEST_AT });
	memcpy(bytes + DIGEST_AT, digest.at, OTA_DIGEST_LEN);
	return ota_buf_add(out, (struct ota_bytes){ bytes, sizeof bytes });
}

enum ota_code install_mark_parse(
	struct ota_bytes in, struct install_mark_head *out, struct ota_error *err)
{
	struct install_mark_head head = { 0 };
	struct ota_digest digest;

	if (in.len < INSTALL_MARK_HEAD_LEN || memcmp(in.at, MAGIC, sizeof MAGIC) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not a mark");
	digest = ota_digest_of((struct ota_bytes){ in.at, DIGEST_AT });
	if (memcmp(in.at + DIGEST_AT, digest.at, OTA_DIGEST_LEN) != 0)
		return ota_fail(err, OTA_E_FORMAT, "mark is damaged");
	if (in.at[4] > 1 || in.at[5] > DISTRUST || in.at[6] != 0 || in.at[7] != 0)
		return ota_fail(err, OTA_E_FORMAT, "mark: slot or flags");
	head.slot = in.at[4];
	head.distrust = in.at[5] == DISTRUST;
	head.to_len = ota_le64(in.at + 8);
	memcpy(head.patch.at, in.at + 16, OTA_DIGEST_LEN);
	*out = head;
	return OTA_OK;
}

/* ---- the file ---- */

static bool is_same(const struct install_mark_head *a, const struct install_mark_head *b)
{
	return a->slot == b->slot && a->to_len == b->to_len &&
	       ota_digest_equal(&a->patch, &b->patch);
}

enum ota_code install_mark_begin(
	const char *path, const struct install_mark_head *head, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	uint64_t blocks = install_mark_blocks(head->to_len);
	size_t len = INSTALL_MARK_BLOCKS_AT + (size_t)blocks * OTA_DIGEST_LEN;
	enum ota_code rc;

	if (blocks > INSTALL_MARK_BLOCKS_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "image of %" PRIu64 " bytes", head->to_len);
	rc = install_mark_encode(head, &bytes);
	while (rc == OTA_OK && bytes.len < len) {
		static const uint8_t zeros[INSTALL_MARK_BLOCKS_AT];
		size_t left = len - bytes.len;

		rc = ota_buf_add(
			&bytes, (struct ota_bytes){ zeros,
					left < sizeof zeros ? left : sizeof zeros });
	}
	if (rc != OTA_OK)
		return ota_fail(err, rc, "%s: out of memory", path);
	return ota_file_replace(path, ota_buf_bytes(&bytes), 0600, err);
}

/* What stands in the file; a file that is not there or is damaged says nothing. */
static OTA_CHECKED enum ota_code read_head(
	const char *path, int *fd, struct install_mark_head *out, struct ota_error *err)
{
	uint8_t bytes[INSTALL_MARK_HEAD_LEN];

	*out = (struct install_mark_head){ 0 };
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0 && errno != ENOENT)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (*fd >= 0 && ota_fd_read_at(*fd, 0, bytes, sizeof bytes, NULL) == OTA_OK)
		(void)(install_mark_parse((struct ota_bytes){ bytes, sizeof bytes }, out,
			       NULL) == OTA_OK);
	return OTA_OK;
}

enum ota_code install_mark_open(const char *path, const struct install_mark_head *head,
	struct install_mark *out, struct ota_error *err)
{
	ota_autoclose int fd = -1;
	struct install_mark_head found, wanted = *head;
	enum ota_code rc = read_head(path, &fd, &found, err);

	if (rc != OTA_OK)
		return rc;
	wanted.distrust = head->distrust || found.distrust;
	if (fd < 0 || !is_same(&found, &wanted) || found.distrust != wanted.distrust) {
		if (fd >= 0)
			(void)close(fd);
		fd = -1;
		rc = install_mark_begin(path, &wanted, err);
		if (rc == OTA_OK)
			rc = read_head(path, &fd, &found, err);
		if (rc == OTA_OK && fd < 0)
			rc = ota_fail(err, OTA_E_IO, "%s: is gone", path);
		if (rc != OTA_OK)
			return rc;
	}
	*out = (struct install_mark){ .fd = fd, .head = wanted };
	fd = -1;
	return OTA_OK;
}

void install_mark_fini(struct install_mark *mark)
{
	if (mark->fd >= 0)
		(void)close(mark->fd);
	mark->fd = -1;
}

static uint64_t offset_of(uint64_t block)
{
	return INSTALL_MARK_BLOCKS_AT + block * OTA_DIGEST_LEN;
}

struct ota_digest install_mark_get(const struct install_mark *mark, uint64_t block)
{
	struct ota_digest digest = { { 0 } };

	if (ota_fd_read_at(mark->fd, offset_of(block), digest.at, OTA_DIGEST_LEN, NULL) !=
		OTA_OK)
		return (struct ota_digest){ { 0 } };
	return digest;
}

enum ota_code install_mark_put(struct install_mark *mark, uint64_t block,
	const struct ota_digest *digest, struct ota_error *err)
{
	return ota_fd_write_at(mark->fd, offset_of(block),
		(struct ota_bytes){ digest->at, OTA_DIGEST_LEN }, err);
}

enum ota_code install_mark_sync(struct install_mark *mark, struct ota_error *err)
{
	return ota_fd_sync(mark->fd, err);
}

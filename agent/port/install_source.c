#include "agent/port/install_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/overlay.h"
#include "agent/port/block_spool.h"
#include "proto/base/own.h"
#include "proto/delta/block.h"
#include "proto/io/files.h"

enum { TEMPORARY_MODE = 0600 };

/* A slot beside the table of what it should hold. */
struct comparison {
	const struct install_work *work; /* borrowed */
	struct image_file image;         /* owned; the slot */
	struct ota_block_table table;    /* owned */
	uint8_t *raw;                    /* owned; one block */
	uint8_t *packed;                 /* owned; one block of the spool */
	int blocks_fd;                   /* owned; -1: none */
	struct ota_hasher hasher;        /* of the whole source */
	struct overlay *overlay;         /* owned, or NULL */
	int overlay_fd;                  /* borrowed */
	struct agent_scan scan;
};

static void comparison_fini(struct comparison *c)
{
	image_file_fini(&c->image);
	ota_block_table_fini(&c->table);
	free(c->raw);
	free(c->packed);
	free(c->overlay);
	if (c->blocks_fd >= 0)
		(void)close(c->blocks_fd);
	*c = (struct comparison){ .blocks_fd = -1 };
}

static OTA_CHECKED enum ota_code read_table(const struct install_work *work,
	struct ota_block_table *out, struct ota_error *err)
{
	struct ota_digest name;
	enum ota_code rc = block_table_name(work->spool_dir, &work->patch, &name, err);

	if (rc == OTA_OK)
		rc = block_table_read(work->spool_dir, &work->patch, &name, out, err);
	return rc;
}

static OTA_CHECKED enum ota_code comparison_open(
	const struct install_work *work, struct comparison *out, struct ota_error *err)
{
	OTA_AUTO(comparison_fini)
	struct comparison c = { .work = work, .blocks_fd = -1, .overlay_fd = -1 };
	enum ota_code rc = read_table(work, &c.table, err);

	if (rc == OTA_OK)
		rc = slot_image_open(&work->from, work->from_len, &c.image, err);
	if (rc != OTA_OK)
		return rc;
	c.raw = malloc(OTA_BLOCK_LEN_MAX);
	c.packed = malloc(OTA_BLOCK_LEN_MAX);
	if (c.raw == NULL || c.packed == NULL)
		return ota_fail(err, OTA_E_NOMEM, "blocks");
	*out = c;
	c = (struct comparison){ .blocks_fd = -1 };
	return OTA_OK;
}

static OTA_CHECKED enum ota_code open_blocks(struct comparison *c, struct ota_error *err)
{
	const struct install_work *work = c->work;
	struct ota_error why = { 0 };
	enum ota_code rc =
		block_file_open(work->spool_dir, &work->patch, &c->blocks_fd, &why);

	/* Nothing may be lacking: then no block was fetched. */
	return rc == OTA_OK || rc == OTA_E_NOTFOUND ? OTA_OK
						    : ota_fail(err, rc, "%s", why.text);
}

/* A block that cannot be read differs as well. */
static bool differs(struct comparison *c, uint32_t i)
{
	uint64_t at = (uint64_t)i * c->table.block_len;
	uint32_t len = ota_block_len(&c->table, i);
	struct ota_digest found;

	if (at + len > c->image.len ||
		ota_fd_read_at(c->image.fd, at, c->raw, len, NULL) != OTA_OK)
		return true;
	found = ota_digest_of((struct ota_bytes){ c->raw, len });
	return !ota_digest_equal(&found, &c->table.blocks[i].raw);
}

/* What is done with block i, which comparison.raw holds if it is right in the slot. */
struct visitor {
	enum ota_code (*visit)(
		struct comparison *c, uint32_t i, bool differs, struct ota_error *err);
};

static OTA_CHECKED enum ota_code compare(
	struct comparison *c, struct visitor visitor, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (uint32_t i = 0; i < c->table.count && rc == OTA_OK; i++) {
		if (atomic_load(&c->work->stop))
			return ota_fail(err, OTA_E_CANCELLED, "told to stop");
		rc = visitor.visit(c, i, differs(c, i), err);
	}
	return rc;
}

/* ---- what is done with a block ---- */

static enum ota_code count(
	struct comparison *c, uint32_t i, bool differs, struct ota_error *err)
{
	struct agent_scan *scan = &c->scan;

	(void)err;
	scan->blocks++;
	if (!differs)
		return OTA_OK;
	scan->count++;
	scan->packed_len += c->table.blocks[i].packed_len;
	scan->raw_len += ota_block_len(&c->table, i);
	scan->bits[i / 8] |= (uint8_t)(1u << i % 8);
	return OTA_OK;
}

static enum ota_code check_spooled(
	struct comparison *c, uint32_t i, bool differs, struct ota_error *err)
{
	if (!differs)
		return OTA_OK;
	if (c->blocks_fd < 0)
		return ota_fail(err, OTA_E_DIGEST, "block %u is not in the spool", i);
	return block_file_read(c->blocks_fd, &c->table, i, c->packed, err);
}

static enum ota_code lay_over(
	struct comparison *c, uint32_t i, bool differs, struct ota_error *err)
{
	uint32_t len = ota_block_len(&c->table, i);
	struct ota_bytes packed = { c->packed, c->table.blocks[i].packed_len };
	enum ota_code rc = OTA_OK;

	if (differs) {
		rc = check_spooled(c, i, true, err);
		if (rc != OTA_OK)
			return ota_wrap(err, OTA_E_PRECURSOR,
				"the running image changed while it was repaired");
		rc = ota_block_unpack(&c->table, i, packed, c->raw, err);
		if (rc == OTA_OK)
			rc = ota_fd_write_at(c->overlay_fd, overlay_add(c->overlay, i),
				(struct ota_bytes){ c->raw, len }, err);
	}
	if (rc == OTA_OK)
		ota_hasher_add(&c->hasher, (struct ota_bytes){ c->raw, len });
	return rc;
}

/* ---- exported ---- */

enum ota_code install_source_scan(
	const struct install_work *work, struct agent_scan *out, struct ota_error *err)
{
	OTA_AUTO(comparison_fini) struct comparison c = { .blocks_fd = -1 };
	enum ota_code rc = comparison_open(work, &c, err);

	if (rc == OTA_OK)
		rc = compare(&c, (struct visitor){ count }, err);
	if (rc == OTA_OK)
		*out = c.scan;
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "scan");
}

enum ota_code install_source_verify(
	const struct install_work *work, struct ota_error *err)
{
	OTA_AUTO(comparison_fini) struct comparison c = { .blocks_fd = -1 };
	enum ota_code rc = comparison_open(work, &c, err);

	if (rc == OTA_OK)
		rc = open_blocks(&c, err);
	return rc == OTA_OK ? compare(&c, (struct visitor){ check_spooled }, err) : rc;
}

/* A file that goes with its descriptor. */
static OTA_CHECKED enum ota_code open_nameless(
	const char *dir, int *out, struct ota_error *err)
{
	char path[SPOOL_PATH_CAP];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, TEMPORARY_MODE);

	if (fd < 0 && errno == EOPNOTSUPP) {
		(void)snprintf(path, sizeof path, "%.1100s/overlay.XXXXXX", dir);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path);
	}
	if (fd < 0)
		return ota_fail(err, OTA_E_IO, "%s: a file for the repaired source: %s",
			dir, strerror(errno));
	*out = fd;
	return OTA_OK;
}

/* Beside the spool, whose room was looked at. A service may be kept from writing there:
 * then with its own state. */
static OTA_CHECKED enum ota_code open_overlay(
	const struct install_work *work, int *out, struct ota_error *err)
{
	if (open_nameless(work->spool_dir, out, NULL) == OTA_OK)
		return OTA_OK;
	return open_nameless(work->state_dir, out, err);
}

static OTA_CHECKED enum ota_code write_index(
	const struct comparison *c, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };

	if (overlay_encode(c->overlay, &bytes) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "overlay");
	return ota_fd_write_at(c->overlay_fd, 0, ota_buf_bytes(&bytes), err);
}

static OTA_CHECKED enum ota_code check_source(
	struct comparison *c, const struct ota_manifest *manifest, struct ota_error *err)
{
	struct ota_digest found = ota_hasher_result(&c->hasher);

	if (!ota_digest_equal(&found, &manifest->from) ||
		c->table.image_len != manifest->from_len)
		return ota_fail(err, OTA_E_PRECURSOR,
			"the repaired source is not the image that the patch applies to");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code repair(const struct install_work *work,
	const struct ota_manifest *manifest, struct install_source *out,
	struct ota_error *err)
{
	OTA_AUTO(comparison_fini) struct comparison c = { .blocks_fd = -1 };
	ota_autoclose int fd = -1;
	enum ota_code rc = comparison_open(work, &c, err);

	if (rc == OTA_OK)
		rc = open_blocks(&c, err);
	if (rc == OTA_OK)
		rc = open_overlay(work, &fd, err);
	if (rc != OTA_OK)
		return rc;
	c.overlay_fd = fd;
	c.overlay = calloc(1, sizeof *c.overlay);
	if (c.overlay == NULL)
		return ota_fail(err, OTA_E_NOMEM, "overlay");
	c.overlay->block_len = c.table.block_len;
	ota_hasher_init(&c.hasher);
	rc = compare(&c, (struct visitor){ lay_over }, err);
	if (rc == OTA_OK)
		rc = check_source(&c, manifest, err);
	if (rc == OTA_OK)
		rc = write_index(&c, err);
	if (rc != OTA_OK)
		return rc;
	out->image = c.image;
	out->image.len = c.table.image_len;
	out->overlay_fd = fd;
	c.image = (struct image_file){ 0 };
	fd = -1;
	return OTA_OK;
}

enum ota_code install_source_open(const struct install_work *work,
	const struct ota_manifest *manifest, struct install_source *out,
	struct ota_error *err)
{
	struct install_source source = { .overlay_fd = -1 };
	enum ota_code rc = work->repairs ? repair(work, manifest, &source, err)
					 : slot_image_open(&work->from, work->from_len,
						   &source.image, err);

	if (rc != OTA_OK)
		return work->repairs ? ota_wrap(err, rc, "repair the source") : rc;
	*out = source;
	return OTA_OK;
}

void install_source_fini(struct install_source *source)
{
	image_file_fini(&source->image);
	if (source->overlay_fd >= 0)
		(void)close(source->overlay_fd);
	*source = (struct install_source){ .overlay_fd = -1 };
}

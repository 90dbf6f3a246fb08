#ifndef AGENT_PORT_INSTALL_MARK_H
#define AGENT_PORT_INSTALL_MARK_H

/* How far an install got, durably: a digest for each block of the new image that is known
 * to be on the medium. What is found there later counts only as far as it has those
 * digests, so a mark can be wrong, torn or stale without harm. One file:
 *
 *   offset  size  field
 *        0     4  magic    "OTM1"
 *        4     1  slot     that is written, 0 or 1
 *        5     1  flags    bit 0: a write into a slot failed; what it holds is not
 * believed 6     2  zero 8     8  to_len   bytes of the new image, u64le 16    32  patch
 * digest of the manifest 48    32  BLAKE2b-256 of all before it 4096    32  digest of the
 * block 0 of the image, zero: not written 4128    32  ... of block 1, and so on; each
 * INSTALL_BLOCK_LEN bytes, the last less
 *
 * It has its final length from the start, so that a digest is one write in place. */

#include "proto/base/bytes.h"
#include "proto/wire/digest.h"

enum {
	INSTALL_BLOCK_LEN = 4 << 20,   /* bytes of the image between two checkpoints */
	INSTALL_MARK_HEAD_LEN = 80,    /* bytes */
	INSTALL_MARK_BLOCKS_AT = 4096, /* offset of the first digest */
	INSTALL_MARK_BLOCKS_MAX = 1 << 18, /* an image of 1 TiB */
};

/** What is installed where. */
struct install_mark_head {
	unsigned slot;
	bool distrust; /* write everything again, whatever the slot seems to hold */
	uint64_t to_len;
	struct ota_digest patch;
};

struct install_mark {
	int fd; /* owned; -1: none */
	struct install_mark_head head;
};

/** Append INSTALL_MARK_HEAD_LEN bytes to out. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code install_mark_encode(
	const struct install_mark_head *head, struct ota_buf *out);

/** Parse an untrusted head. OTA_OK or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code install_mark_parse(
	struct ota_bytes in, struct install_mark_head *out, struct ota_error *err);

/** Blocks of an image. */
uint64_t install_mark_blocks(uint64_t to_len);

/**
 * Open the mark of an install, or begin one without blocks if the file speaks of another
 * or is damaged. A distrust that stands there is kept.
 *
 * path  of the file; its directory exists
 * head  what is installed; distrust adds to what stands there
 * out   filled on success only; close with install_mark_fini()
 *
 * Returns OTA_OK, OTA_E_LIMIT for an image of too many blocks, OTA_E_IO, OTA_E_NOSPACE or
 * OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code install_mark_open(const char *path,
	const struct install_mark_head *head, struct install_mark *out,
	struct ota_error *err);

/** Close. */
void install_mark_fini(struct install_mark *mark);

/** The digest kept of a block; zero: none. */
struct ota_digest install_mark_get(const struct install_mark *mark, uint64_t block);

/** Keep the digest of a block that is durable. OTA_OK, OTA_E_NOSPACE or OTA_E_IO. */
OTA_CHECKED enum ota_code install_mark_put(struct install_mark *mark, uint64_t block,
	const struct ota_digest *digest, struct ota_error *err);

/** Make durable what was put. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code install_mark_sync(
	struct install_mark *mark, struct ota_error *err);

/** Begin anew, without blocks. Returns as install_mark_open(). */
OTA_CHECKED enum ota_code install_mark_begin(
	const char *path, const struct install_mark_head *head, struct ota_error *err);

#endif

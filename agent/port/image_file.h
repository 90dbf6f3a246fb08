#ifndef AGENT_PORT_IMAGE_FILE_H
#define AGENT_PORT_IMAGE_FILE_H

/* Images as files: read at random for the decoder, and digested whole. */

#include <stdatomic.h>

#include "proto/delta/codec.h"

enum { IMAGE_PIECE_LEN = 1 << 18 }; /* bytes read at a time */

struct image_file {
	int fd;         /* owned */
	uint64_t len;   /* bytes */
	bool is_direct; /* opened past the page cache */
};

/** Open an image to read it. OTA_OK, OTA_E_NOTFOUND or OTA_E_IO. Close with
 *  image_file_fini(). */
OTA_CHECKED enum ota_code image_file_open(
	const char *path, struct image_file *out, struct ota_error *err);

/** Close. */
void image_file_fini(struct image_file *image);

/** Read the image from the medium from now on, past the page cache: with O_DIRECT where
 * the file system takes it, or after dropping what the cache holds. For image_file_read()
 * and image_file_digest() alone. */
void image_file_bypass_cache(struct image_file *image);

/** Memory for image_file_read(), IMAGE_PIECE_LEN bytes; NULL if there is none. Released
 *  with free(). */
uint8_t *image_file_piece(void);

/** Read len bytes, at most IMAGE_PIECE_LEN, to the start of a piece. `at` is a multiple
 * of 4096. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code image_file_read(const struct image_file *image, uint64_t at,
	uint8_t *piece, size_t len, struct ota_error *err);

/** The image as a source of the decoder; borrows it. */
struct ota_source image_file_source(struct image_file *image);

/** Digest all of it. stop ends it early with OTA_E_CANCELLED, may be NULL. Drops what it
 *  read from the page cache, so that the next read comes from the medium. */
OTA_CHECKED enum ota_code image_file_digest(const struct image_file *image,
	const atomic_bool *stop, struct ota_digest *out, struct ota_error *err);

/** Digest the image at a path. */
OTA_CHECKED enum ota_code image_path_digest(const char *path, const atomic_bool *stop,
	struct ota_digest *out, uint64_t *len, struct ota_error *err);

#endif

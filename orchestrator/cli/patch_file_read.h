#ifndef ORCHESTRATOR_CLI_PATCH_FILE_READ_H
#define ORCHESTRATOR_CLI_PATCH_FILE_READ_H

/* Reading what patch_file.h works on: images, and patch files as untrusted input. */

#include "proto/delta/codec.h"

#define PATCH_FILE_MAGIC "OTAP"

/** An image in a file or on a block device. `= { .fd = -1 }` owns nothing. */
struct image_file {
	int fd;                   /* owned */
	struct ota_source source; /* reads it; bound to this struct's address */
};

/** Open an image. OTA_OK, OTA_E_NOTFOUND, OTA_E_USAGE for anything but a file or block
 *  device, or OTA_E_IO. */
OTA_CHECKED enum ota_code image_file_open(
	struct image_file *image, const char *path, struct ota_error *err);

/** Close it. */
void image_file_fini(struct image_file *image);

/** A patch file under way. `= { .fd = -1 }` owns nothing. */
struct patch_file_reader {
	int fd;                       /* owned */
	uint64_t patch_at;            /* bytes before the patch's own */
	struct ota_manifest manifest; /* owned */
	uint8_t *chunk;               /* owned, manifest.chunk_len bytes */
};

/** Open a patch file and parse its manifest. OTA_OK, OTA_E_NOTFOUND, OTA_E_FORMAT,
 *  OTA_E_LIMIT, OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code patch_file_reader_open(
	struct patch_file_reader *reader, const char *path, struct ota_error *err);

/** Read chunk index, below manifest.chunk_count, and check its digest. data is borrowed
 *  until the next call. OTA_OK, OTA_E_DIGEST or OTA_E_IO. */
OTA_CHECKED enum ota_code patch_file_reader_chunk(struct patch_file_reader *reader,
	uint32_t index, struct ota_bytes *data, struct ota_error *err);

/** Close it. */
void patch_file_reader_fini(struct patch_file_reader *reader);

#endif

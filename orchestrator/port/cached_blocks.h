#ifndef ORCHESTRATOR_PORT_CACHED_BLOCKS_H
#define ORCHESTRATOR_PORT_CACHED_BLOCKS_H

/* Block tables in the cache directory, with what is published of the blocks. Each is two
 * files named by the digest of the table:
 *
 *   <digest>.blocks   all packed blocks, one behind the other
 *   <digest>.table    the table
 *
 * and a small file that says which is that of an image, written last: "blocks-<image>"
 * holds "<digest> <ms it took>\n". */

#include "orchestrator/port/images.h"
#include "proto/wire/block_table.h"

/** A table, open for reading. `= { 0 }` is closed. */
struct cached_blocks {
	struct ota_digest name;
	struct ota_block_table table; /* owned */
	struct ota_buf bytes;         /* of the table; owned */
	int fd;                       /* of the blocks; owned while bytes.len > 0 */
};

/** Open a table; it is checked against its name, each block when it is read. OTA_OK,
 *  OTA_E_NOTFOUND, OTA_E_DIGEST, OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code cached_blocks_open(const char *dir,
	const struct ota_digest *table, struct cached_blocks *out, struct ota_error *err);

/** Close it. Accepts a zeroed struct; leaves one behind. */
void cached_blocks_fini(struct cached_blocks *file);

/** Append the message of a block. OTA_OK, OTA_E_DIGEST if the cache is damaged, OTA_E_IO
 *  or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code cached_blocks_message(const struct cached_blocks *file,
	uint32_t index, struct ota_buf *out, struct ota_error *err);

/** What to make a table of; all borrowed. */
struct blocks_job {
	const char *dir; /* of the cache */
	const struct images *images;
	struct ota_digest image;
	struct ota_progress progress; /* asked between blocks whether to go on */
};

/** The digest of an image's table, from the cache, or made into it, which takes some
 *  seconds for each 100 MB. Any thread. Returns what ota_block_table_make() and
 *  images_source() return, OTA_E_DIGEST if the stored image is damaged, OTA_E_NOSPACE or
 *  OTA_E_IO; out is written on success only. */
OTA_CHECKED enum ota_code cached_blocks_make(
	const struct blocks_job *job, struct ota_digest *out, struct ota_error *err);

#endif

#ifndef AGENT_PORT_BLOCK_SPOOL_H
#define AGENT_PORT_BLOCK_SPOOL_H

/* The part of a patch's spool (agent/core/spool_layout.h) that repairs its source: the
 * block table and packed blocks. As with chunks nothing found in it is believed but what
 * has the digest that the manifest, and then the table, gives it. */

#include "agent/port/spool.h"
#include "proto/wire/block_table.h"

/** What is to be fetched. */
struct block_want {
	struct ota_digest patch, table; /* table: digest of it */
	struct ota_bytes blocks; /* borrowed; bitmap, bit i % 8 of byte i / 8; may be
				    shorter than the table */
	uint64_t max_bytes;      /* that packed blocks may take */
};

/** The blocks of one patch's source, as `net` fetches them. */
struct block_spool {
	struct ota_block_table table; /* owned */
	int fd;                       /* owned; 0: not open */
	uint8_t *lacking;             /* owned, a byte for each block of the table */
	uint32_t wanted, held;        /* blocks; held: of those wanted */
	uint64_t bytes;     /* packed, of those held and what came for nothing */
	uint64_t refetched; /* held blocks that were delivered once more */
};

/** The digest of the block table that the spooled manifest of a patch names, zero: none.
 *  Returns as spool_manifest_read() and ota_manifest_parse(). */
OTA_CHECKED enum ota_code block_table_name(const char *root,
	const struct ota_digest *patch, struct ota_digest *out, struct ota_error *err);

/** Read the table of that digest from the spool of a patch. OTA_OK, OTA_E_NOTFOUND,
 *  OTA_E_DIGEST (damaged), OTA_E_IO, OTA_E_NOMEM or a code of ota_block_table_parse().
 *  Release with ota_block_table_fini(). */
OTA_CHECKED enum ota_code block_table_read(const char *root,
	const struct ota_digest *patch, const struct ota_digest *name,
	struct ota_block_table *out, struct ota_error *err);

/** Keep a table's bytes, durably. OTA_OK, OTA_E_NOSPACE, OTA_E_LIMIT or OTA_E_IO. */
OTA_CHECKED enum ota_code block_table_write(const char *root,
	const struct ota_digest *patch, struct ota_bytes bytes, struct ota_error *err);

/** Open the file of packed blocks of a patch to read it. OTA_OK, OTA_E_NOTFOUND,
 *  OTA_E_LIMIT or OTA_E_IO. */
OTA_CHECKED enum ota_code block_file_open(const char *root,
	const struct ota_digest *patch, int *out, struct ota_error *err);

/** Read packed block i into room, of OTA_BLOCK_LEN_MAX bytes, and look at its digest.
 *  OTA_OK, or OTA_E_DIGEST also for a block that is not there. */
OTA_CHECKED enum ota_code block_file_read(int fd, const struct ota_block_table *table,
	uint32_t i, uint8_t *room, struct ota_error *err);

/**
 * Open the spool of blocks to fill it; the table is there. Hashes what is there of those
 * wanted; made for a worker thread.
 *
 * out  filled on success only; release with block_spool_fini()
 *
 * Returns as block_table_read(), and OTA_E_NOSPACE or OTA_E_LIMIT.
 */
OTA_CHECKED enum ota_code block_spool_open(const char *root,
	const struct block_want *want, struct block_spool *out, struct ota_error *err);

/** Close. Accepts a zeroed struct and leaves one behind. */
void block_spool_fini(struct block_spool *spool);

/** Keep packed bytes that were checked against the table. OTA_OK, OTA_E_NOSPACE or
 *  OTA_E_IO. */
OTA_CHECKED enum ota_code block_spool_put(struct block_spool *spool, uint32_t i,
	struct ota_bytes packed, struct ota_error *err);

#endif

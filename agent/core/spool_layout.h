#ifndef AGENT_CORE_SPOOL_LAYOUT_H
#define AGENT_CORE_SPOOL_LAYOUT_H

/* The spool: what `net` has fetched, which `install` reads (and trusts in nothing).
 *
 *   <spool>/<patch digest in hex>/manifest   the manifest's bytes
 *   <spool>/<patch digest in hex>/data       patch_len bytes; chunk i at i * chunk_len
 *   <spool>/<patch digest in hex>/bitmap     spool head, then one bit per chunk held
 *   <spool>/<patch digest in hex>/table      block table of its source, if that is
 * repaired <spool>/<patch digest in hex>/blocks     packed block i at i * block_len;
 * sparse
 *
 * The bitmap file:
 *        0     4  magic       "OTB1"
 *        4     4  chunk_count u32le
 *        8     8  bytes       u64le, chunk payload bytes received, ever
 *       16     8  refetched   u64le, held chunks delivered on request again, ever
 *       24     .  bitmap      bit i % 8 of byte i / 8
 *
 * A bit is written after its chunk's bytes (pwrite, then pwrite): so a killed process
 * loses nothing that it had. Both are synced every SPOOL_SYNC_CHUNKS chunks and at the
 * end, data before bitmap. A power cut can still leave a bit whose bytes never reached
 * the disk, since the kernel writes back in its own order: `net` hashes every chunk that
 * it opens a spool with, and FETCH opens it anew. */

enum {
	SPOOL_HEAD_LEN = 24,
	SPOOL_SYNC_CHUNKS = 16,
};

#define SPOOL_MANIFEST "manifest"
#define SPOOL_DATA     "data"
#define SPOOL_BITMAP   "bitmap"
#define SPOOL_TABLE    "table"
#define SPOOL_BLOCKS   "blocks"

#endif

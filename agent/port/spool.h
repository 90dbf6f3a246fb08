#ifndef AGENT_PORT_SPOOL_H
#define AGENT_PORT_SPOOL_H

/* The spool directory of agent/core/spool_layout.h, as `net` keeps it. Nothing found in
 * it is believed: a manifest counts if it has its digest, a chunk if it has the one that
 * the manifest gives it. So a spool survives a killed process, a power cut, a damaged
 * bitmap and bit rot alike: what is whole is kept, the rest is fetched. */

#include "agent/core/spool_layout.h"
#include "proto/wire/manifest.h"

enum { SPOOL_PATH_CAP = 1200 }; /* bytes with the NUL */

struct spool {
	char dir[SPOOL_PATH_CAP];
	struct ota_manifest manifest; /* owned */
	int data_fd, bitmap_fd;       /* owned; 0: not open */
	uint8_t *bits;                /* owned, (chunk_count + 7) / 8 bytes */
	uint32_t held;                /* chunks */
	uint64_t bytes;               /* received for this patch, ever */
	uint64_t refetched;           /* held chunks delivered on request again, ever */
	uint32_t unsynced;            /* chunks put since the last spool_sync_start() */
};

/** The path of one of a patch's files below root. OTA_OK or OTA_E_LIMIT. */
OTA_CHECKED enum ota_code spool_file(const char *root, const struct ota_digest *patch,
	const char *name, char out[static SPOOL_PATH_CAP], struct ota_error *err);

/** Read the manifest of a patch from the spool below root; appended to out. OTA_OK,
 *  OTA_E_NOTFOUND, OTA_E_DIGEST (damaged), OTA_E_LIMIT, OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code spool_manifest_read(const char *root,
	const struct ota_digest *patch, struct ota_buf *out, struct ota_error *err);

/** Keep a manifest whose digest is `patch`, durably. OTA_OK, OTA_E_NOSPACE, OTA_E_LIMIT
 *  (path) or OTA_E_IO. */
OTA_CHECKED enum ota_code spool_manifest_write(const char *root,
	const struct ota_digest *patch, struct ota_bytes bytes, struct ota_error *err);

/**
 * Open the spool of a patch whose manifest is there: take room for all of its chunks and
 * hash those that it says it holds. Reads all of them; made for a worker thread.
 *
 * max_bytes  most bytes that a patch may take
 * out        filled on success only; release with spool_fini()
 *
 * Returns OTA_OK, OTA_E_NOTFOUND (no manifest), OTA_E_DIGEST, OTA_E_FORMAT, OTA_E_LIMIT,
 * OTA_E_NOSPACE with the numbers, OTA_E_IO or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code spool_open(const char *root, const struct ota_digest *patch,
	uint64_t max_bytes, struct spool *out, struct ota_error *err);

/** Close. Accepts a zeroed struct and leaves one behind. */
void spool_fini(struct spool *spool);

/** True if the chunk is in the spool. */
bool spool_holds(const struct spool *spool, uint32_t index);

/** Keep a chunk that was checked against the manifest: its bytes, then its bit. It is
 *  then safe from a killed process; from a power cut after the next sync. OTA_OK,
 *  OTA_E_NOSPACE or OTA_E_IO; the spool is then not to be used any more. */
OTA_CHECKED enum ota_code spool_put(struct spool *spool, uint32_t index,
	struct ota_bytes data, struct ota_error *err);

/** Count bytes that came for nothing: `refetched` chunks that were held already, or 0
 *  for wrong content. Returns as spool_put(). */
OTA_CHECKED enum ota_code spool_count(
	struct spool *spool, uint64_t bytes, uint32_t refetched, struct ota_error *err);

/** What one sync needs, free of the spool: for a worker thread. */
struct spool_sync {
	int data_fd, bitmap_fd; /* owned; 0: none */
};

/** Begin to make durable what was put so far. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code spool_sync_start(
	struct spool *spool, struct spool_sync *out, struct ota_error *err);

/** Finish it; any thread. Closes what the sync holds. OTA_OK or OTA_E_IO: the spool is
 *  then lost and must be purged. */
OTA_CHECKED enum ota_code spool_sync_run(struct spool_sync *sync, struct ota_error *err);

/** Remove every patch below root but `keep` (NULL: keep none). A spool that is open goes
 *  on working in files without names. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code spool_purge(
	const char *root, const struct ota_digest *keep, struct ota_error *err);

/** Remove one patch. OTA_OK (also if it was not there) or OTA_E_IO. */
OTA_CHECKED enum ota_code spool_remove(
	const char *root, const struct ota_digest *patch, struct ota_error *err);

#endif

#ifndef PROTO_IO_FILES_H
#define PROTO_IO_FILES_H

/* Files, durably: nothing is acted on before it would survive a power cut. An fsync that
 * fails is the end of that file: it is never repeated on the same descriptor. */

#include <sys/types.h>

#include "proto/base/bytes.h"

/** Read a whole file of at most max bytes into out (appended). OTA_OK, OTA_E_NOTFOUND,
 *  OTA_E_LIMIT, OTA_E_IO or OTA_E_NOMEM, with the path and errno's text. */
OTA_CHECKED enum ota_code ota_file_read(
	const char *path, size_t max, struct ota_buf *out, struct ota_error *err);

/** The same for a file that somebody less trusted put there: a link is not followed, a
 *  pipe or device is OTA_E_IO and never waited for. */
OTA_CHECKED enum ota_code ota_file_read_plain(
	const char *path, size_t max, struct ota_buf *out, struct ota_error *err);

/** Replace a file atomically and durably: write a temporary beside it, fsync, rename,
 *  fsync the directory. After a cut the path holds the old or the new bytes, whole.
 *  mode is that of the new file (0600 for secrets). OTA_OK, OTA_E_NOSPACE or OTA_E_IO. */
OTA_CHECKED enum ota_code ota_file_replace(
	const char *path, struct ota_bytes data, mode_t mode, struct ota_error *err);

/** Make a directory and its parents; existing ones are fine. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code ota_dir_make(
	const char *path, mode_t mode, struct ota_error *err);

/** fsync a directory by path. */
OTA_CHECKED enum ota_code ota_dir_sync(const char *path, struct ota_error *err);

/** Remove a file if it is there, and sync its directory. */
OTA_CHECKED enum ota_code ota_file_remove(const char *path, struct ota_error *err);

/** Write all of data at offset, through short writes and EINTR. OTA_OK, OTA_E_NOSPACE or
 *  OTA_E_IO. Not yet durable. */
OTA_CHECKED enum ota_code ota_fd_write_at(
	int fd, uint64_t offset, struct ota_bytes data, struct ota_error *err);

/** Fill out from offset. OTA_OK, or OTA_E_IO also when the file ends before. */
OTA_CHECKED enum ota_code ota_fd_read_at(
	int fd, uint64_t offset, uint8_t *out, size_t len, struct ota_error *err);

/** fdatasync. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code ota_fd_sync(int fd, struct ota_error *err);

/** Bytes free for this user on the file system that holds path. */
OTA_CHECKED enum ota_code ota_disk_free(
	const char *path, uint64_t *out, struct ota_error *err);

/** Join a directory and a name that is already known to be safe. OTA_OK or OTA_E_LIMIT.
 */
OTA_CHECKED enum ota_code ota_path_join(
	const char *dir, const char *name, char *out, size_t cap, struct ota_error *err);

/* Two fixed records in one file, for state that must survive any cut: each 4096 bytes,
 * magic | sequence | length | payload | BLAKE2b-256; the older one is overwritten. */

enum { OTA_RECORD_PAYLOAD_MAX = 4000 }; /* bytes */

struct ota_record_file {
	int fd;       /* owned */
	uint64_t seq; /* of the newest valid record; 0: none */
	bool lost;    /* both records were damaged although the file existed */
};

/** Open or create the file and read the newest valid record into out (appended; empty if
 *  there is none). The file has its final size and is synced before this returns. */
OTA_CHECKED enum ota_code ota_record_open(const char *path, struct ota_record_file *file,
	struct ota_buf *out, struct ota_error *err);

/** Write the next record over the older one and sync. On failure the newest record still
 *  stands; the file must be re-opened before another write. */
OTA_CHECKED enum ota_code ota_record_write(
	struct ota_record_file *file, struct ota_bytes payload, struct ota_error *err);

/** Close. Accepts a zeroed struct whose fd is -1 or 0 unused. */
void ota_record_fini(struct ota_record_file *file);

#endif

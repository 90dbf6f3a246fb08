#ifndef ORCHESTRATOR_CLI_FILE_OUT_H
#define ORCHESTRATOR_CLI_FILE_OUT_H

/* A file that appears whole or not at all: it has no name while it is written, so that an
 * interrupted program leaves nothing behind. */

#include "proto/delta/codec.h"

/** `= { .fd = -1 }` owns nothing. */
struct file_out {
	int fd;       /* owned; readable as well */
	char *path;   /* owned, the name it shall have */
	char *temp;   /* owned, its name beside it while it has one; else NULL */
	uint64_t len; /* bytes written */
};

/** Begin a file that shall become path. An existing path must be a regular file. OTA_OK,
 *  OTA_E_USAGE, OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code file_out_begin(
	struct file_out *out, const char *path, struct ota_error *err);

/** Append. OTA_OK, OTA_E_NOSPACE or OTA_E_IO. */
OTA_CHECKED enum ota_code file_out_add(
	struct file_out *out, struct ota_bytes data, struct ota_error *err);

/** The file as a sink. out is borrowed for the life of the sink. */
struct ota_sink file_out_sink(struct file_out *out);

/** Make it durable and give it its name, in place of what had it. OTA_OK, OTA_E_NOSPACE
 *  or OTA_E_IO; on failure the old file still stands. */
OTA_CHECKED enum ota_code file_out_commit(struct file_out *out, struct ota_error *err);

/** Release; what was not committed is gone. */
void file_out_fini(struct file_out *out);

#endif

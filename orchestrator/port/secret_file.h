#ifndef ORCHESTRATOR_PORT_SECRET_FILE_H
#define ORCHESTRATOR_PORT_SECRET_FILE_H

/* Files that nobody else may read. */

#include "proto/base/bytes.h"
#include "proto/base/error.h"

/** Read a file of at most max bytes into out, which secret_wipe() is to release. OTA_OK,
 *  OTA_E_CONFIG if it is not there or others may read it (mode 0600 is good), or what
 *  ota_file_read() returns. err begins with the path. */
OTA_CHECKED enum ota_code secret_file_read(
	const char *path, size_t max, struct ota_buf *out, struct ota_error *err);

/** Overwrite and release. */
void secret_wipe(struct ota_buf *secret);

#endif

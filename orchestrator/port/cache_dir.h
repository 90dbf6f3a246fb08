#ifndef ORCHESTRATOR_PORT_CACHE_DIR_H
#define ORCHESTRATOR_PORT_CACHE_DIR_H

/* Directories of files that are whole or not there: a file is written under a name that
 * begins with "tmp-" and renamed once it is durable. */

#include "proto/base/error.h"

enum { CACHE_PATH_CAP = 1280 }; /* bytes with the NUL */

/** Make the directory if need be, and remove the temporary files of a process before. */
OTA_CHECKED enum ota_code cache_dir_open(const char *dir, struct ota_error *err);

/** A new temporary file; path gets its name. *fd is owned by the caller. OTA_OK,
 *  OTA_E_NOSPACE or OTA_E_IO. Any thread. */
OTA_CHECKED enum ota_code cache_tmp(const char *dir, char path[static CACHE_PATH_CAP],
	int *fd, struct ota_error *err);

/** Make fd's bytes durable and give the temporary file its name in dir. OTA_OK,
 *  OTA_E_NOSPACE or OTA_E_IO. Any thread. */
OTA_CHECKED enum ota_code cache_commit(int fd, const char *tmp, const char *dir,
	const char *name, struct ota_error *err);

#endif

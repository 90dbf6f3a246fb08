#ifndef ORCHESTRATOR_PORT_CACHE_DIR_H
#define ORCHESTRATOR_PORT_CACHE_DIR_H

/* Directories of files that are whole or not there: a file is written under a name that
 * begins with "tmp-" and renamed once it is durable. A note is a small one among them
 * that names another: "<digest> <ms it took>\n". */

#include "proto/wire/digest.h"

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

/** Find a note: digest and took_ms are written on
 *  success only. OTA_OK, OTA_E_NOTFOUND, OTA_E_FORMAT or OTA_E_IO. */
OTA_CHECKED enum ota_code cache_note_find(const char *dir, const char *name,
	struct ota_digest *digest, uint64_t *took_ms, struct ota_error *err);

/** Write a note. What it names is durable already. Any thread. */
OTA_CHECKED enum ota_code cache_note_store(const char *dir, const char *name,
	const struct ota_digest *digest, uint64_t took_ms, struct ota_error *err);

#endif

#ifndef AGENT_PORT_COMMAND_H
#define AGENT_PORT_COMMAND_H

/* Commands of others, run to their end: no shell, a deadline, bounded output. */

#include "proto/base/bytes.h"

enum { COMMAND_OUTPUT_MAX = 4096 }; /* bytes */

/** What to run; everything is borrowed for the call. */
struct command {
	const char *const *argv; /* NULL-terminated; argv[0] a path, or found in PATH */
	struct ota_bytes input;  /* of its standard input */
	uint32_t deadline_ms;
};

/**
 * Run a command and wait for its end. It leads a session of its own, which is killed when
 * the deadline has passed, and what it left behind when it ends.
 *
 * Its environment is PATH and LC_ALL=C. Of our descriptors, which are all close-on-exec,
 * it gets none.
 *
 * out  its standard output is appended, at most COMMAND_OUTPUT_MAX bytes; on failure it
 *      keeps what it held
 *
 * Returns OTA_OK if it exited with 0; OTA_E_IO with its exit status or signal and the
 * first line of its standard error, or if it cannot be run; OTA_E_TIMEOUT; OTA_E_LIMIT if
 * it said more than COMMAND_OUTPUT_MAX; OTA_E_NOMEM. Every text begins with argv[0].
 */
OTA_CHECKED enum ota_code command_run(
	const struct command *command, struct ota_buf *out, struct ota_error *err);

/** Find a command as command_run() would: a path, or a name in PATH. path gets where it
 *  is. OTA_OK, or OTA_E_NOTFOUND. */
OTA_CHECKED enum ota_code command_find(
	const char *name, char *path, size_t cap, struct ota_error *err);

#endif

#ifndef ORCHESTRATOR_CLI_COMPLETE_H
#define ORCHESTRATOR_CLI_COMPLETE_H

/* What a shell offers for a word of a call, told from the table of verbs that is also the
 * parser and --help. It asks nobody: where names or files belong, it says so. */

#include "orchestrator/cli/command.h"
#include "proto/base/bytes.h"

/** In place of offers, at the begin of a line: what only others know. The rest of the
 * line is what has to stand before each of them ("--out="). */
#define COMPLETE_FILES    ":files"
#define COMPLETE_DIRS     ":dirs"
#define COMPLETE_DEVICES  ":devices"
#define COMPLETE_ROLLOUTS ":rollouts"
#define COMPLETE_WEBHOOKS ":webhooks"

/**
 * Append what may stand in place of the last word, a line each: the word, and after a tab
 * what it is, if that is known. Nothing is appended if nothing fits.
 *
 * commands  ends with a row whose name is NULL
 * words     those after `sluice`, as far as the one that is completed, which may be ""
 *
 * Returns OTA_OK, or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code cli_complete(const struct cli_command *commands,
	const char *const *words, size_t count, struct ota_buf *out);

#endif

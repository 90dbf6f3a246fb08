#ifndef ORCHESTRATOR_CLI_OUTPUT_H
#define ORCHESTRATOR_CLI_OUTPUT_H

/* What a person or a program sees: aligned tables, JSON, progress. */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/error.h"

enum { TABLE_COLUMNS_MAX = 12 };

/** A table that is printed when all rows are known, each column as wide as its widest. */
struct table;

/** A new table with these headings (NULL-terminated, at most TABLE_COLUMNS_MAX). */
struct table *table_new(const char *const *headings);

/** Start the next row. */
void table_row(struct table *table);

/** Fill the next cell of the row; control characters are escaped. */
void table_cell(struct table *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Print on stdout and release. */
void table_print(struct table *table);

/** Print a tree indented on stdout, with a newline. The tree stays the caller's. */
void output_json(const cJSON *tree);

/** Bytes for people: "1.3 MB". Returns out. */
const char *output_bytes(uint64_t bytes, char out[static 24]);

/** A duration for people: "2 h 5 min", "12 s". Returns out. */
const char *output_duration(uint64_t seconds, char out[static 32]);

/** A time as ISO 8601 in UTC; "never" for 0. Returns out. */
const char *output_time(uint64_t utc_s, char out[static 32]);

/** Progress of long work on stderr: a bar on a terminal, else a line every 10 %. Nothing
 *  is shown during the first second. */
struct progress_bar {
	const char *what; /* borrowed */
	uint64_t started_ms, drawn_ms;
	unsigned tenth; /* last tenth printed on a plain stream */
	bool shown;
};

/** Begin. */
void progress_begin(struct progress_bar *bar, const char *what);

/** Show where it stands. The form of struct ota_progress: ctx is the bar; never cancels.
 */
bool progress_tick(void *ctx, uint64_t done, uint64_t total);

/** End; leaves a clean line. */
void progress_end(struct progress_bar *bar);

#endif

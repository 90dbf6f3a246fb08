#ifndef ORCHESTRATOR_PORT_MIGRATIONS_H
#define ORCHESTRATOR_PORT_MIGRATIONS_H

/* How a database of an older version becomes one of ours: numbered steps, of which those
 * that it lacks are run in one transaction. A step that was released is never changed. */

#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"

/** From the schema before to this one. */
struct migration {
	uint64_t schema;  /* 1, 2, ... without a gap */
	const char *text; /* SQL; notes the number in the database as well */
};

/** The database that is to change. */
struct migration_target {
	void *ctx;
	/** The schema it has; 0: nothing of ours. */
	enum ota_code (*schema)(void *ctx, uint64_t *out, struct ota_error *err);
	enum ota_code (*run)(void *ctx, const char *text, struct ota_error *err);
};

/** The number of the last step. */
uint64_t migrations_newest(const struct migration *steps, size_t count);

/** OTA_E_CONFLICT, and what to do about a database with a schema newer than the last
 * step. */
enum ota_code migrations_too_new(uint64_t schema, const struct migration *steps,
	size_t count, struct ota_error *err);

/** Run the steps that target lacks, inside a transaction of the caller. OTA_E_CONFLICT
 * and nothing run if its schema is newer than the last step; else what target returns. */
OTA_CHECKED enum ota_code migrations_run(const struct migration_target *target,
	const struct migration *steps, size_t count, struct ota_error *err);

#endif

#include "orchestrator/port/migrations.h"

#include <inttypes.h>

uint64_t migrations_newest(const struct migration *steps, size_t count)
{
	return steps[count - 1].schema;
}

enum ota_code migrations_too_new(uint64_t schema, const struct migration *steps,
	size_t count, struct ota_error *err)
{
	return ota_fail(err, OTA_E_CONFLICT,
		"the database has schema %" PRIu64 ", this version knows up to %" PRIu64
		"; install the newer sluiced again, or restore a backup",
		schema, migrations_newest(steps, count));
}

enum ota_code migrations_run(const struct migration_target *target,
	const struct migration *steps, size_t count, struct ota_error *err)
{
	uint64_t have = 0;
	enum ota_code rc = target->schema(target->ctx, &have, err);

	if (rc == OTA_OK && have > migrations_newest(steps, count))
		return migrations_too_new(have, steps, count, err);
	for (size_t i = 0; i < count && rc == OTA_OK; i++) {
		if (steps[i].schema <= have)
			continue;
		rc = target->run(target->ctx, steps[i].text, err);
		if (rc != OTA_OK)
			rc = ota_wrap(err, rc, "to schema %" PRIu64, steps[i].schema);
	}
	return rc;
}

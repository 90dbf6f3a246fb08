#ifndef ORCHESTRATOR_CORE_SPEC_CHECK_H
#define ORCHESTRATOR_CORE_SPEC_CHECK_H

/* Shared by the checks of both files: a failure with its place. */

#include "orchestrator/core/spec.h"

/** A check under way: where it is, and where failures go. */
struct spec_check {
	struct spec_place here;   /* of the rule being looked at */
	struct spec_place *place; /* borrowed, may be NULL */
	struct ota_error *err;    /* borrowed, may be NULL */
};

/** Fail at c->here with key, the text led by the place: "stages[1].permille: ...". */
enum ota_code spec_fail(struct spec_check *c, enum ota_code code, const char *key,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** The member key holds a name, or OTA_E_NAME at its place. */
OTA_CHECKED enum ota_code spec_name(
	struct spec_check *c, const char *key, const char *name);

#endif

#ifndef PROTO_BASE_NAMES_H
#define PROTO_BASE_NAMES_H

/* Names that become topics, paths and keys: devices, cohorts, rollouts, fleets, products.
 *
 *   [a-z0-9][a-z0-9._-]{0,63}, and never ".." inside
 *
 * So a name can hold no '/', '+', '#', '%', NUL or leading dot, in any place it is put.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/error.h"

enum {
	OTA_NAME_LEN_MAX = 64,                    /* bytes without the NUL */
	OTA_NAME_CAP = OTA_NAME_LEN_MAX + 1,      /* bytes with it */
	OTA_LABEL_CAP = 2 * OTA_NAME_LEN_MAX + 2, /* "key=value" and its NUL */
};

/** True if text is a name of the form above. text is NUL-terminated. */
bool ota_name_is_valid(const char *text);

/**
 * Copy a name that came from outside into a struct.
 *
 * what  the noun for the message: "device", "cohort"
 * out   OTA_NAME_CAP bytes, written on success only
 *
 * Returns OTA_OK or OTA_E_NAME with "<what> name '<text>': <why>"; text is escaped.
 */
OTA_CHECKED enum ota_code ota_name_copy(const char *text, const char *what,
	char out[static OTA_NAME_CAP], struct ota_error *err);

/**
 * Check a label "key=value": both sides are names.
 *
 * Returns OTA_OK or OTA_E_NAME.
 */
OTA_CHECKED enum ota_code ota_label_check(const char *text, struct ota_error *err);

/** Copy text to out with every byte outside printable ASCII, and '\\', as \xNN; cut to
 *  fit. out is always terminated. For messages and logs that carry untrusted text. */
void ota_escape(const char *text, char *out, size_t cap);

/** The candidate closest to text by edit distance, if it is close enough to be a slip of
 *  the finger (distance at most 2, or a third of the length); NULL otherwise. For "did
 *  you mean". candidates is an array of count strings. */
const char *ota_nearest(const char *text, const char *const *candidates, size_t count);

#endif

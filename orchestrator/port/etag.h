#ifndef ORCHESTRATOR_PORT_ETAG_H
#define ORCHESTRATOR_PORT_ETAG_H

/* Lists of entity tags, as If-Match and If-None-Match have them (RFC 9110, 8.8.3, 13.1):
 *
 *   "*" / [ tag ] *( "," [ tag ] )     tag = [ "W/" ] DQUOTE *%x21,23-7E,80-FF DQUOTE
 */

#include <stdbool.h>

#include "proto/base/error.h"

/** How two tags are compared: RFC 9110, 8.8.3.2. */
enum etag_comparison {
	ETAG_STRONG, /* a weak one never matches: If-Match */
	ETAG_WEAK,   /* weak or not is all the same: If-None-Match */
};

/**
 * Is a tag among those of a list?
 *
 * list     text of a header, untrusted
 * current  the strong tag in force, without its quotes; NULL: there is none, which
 *          nothing matches
 * out      set on success; "*" matches whatever there is
 *
 * Returns OTA_OK, or OTA_E_FORMAT for what is no such list.
 */
OTA_CHECKED enum ota_code etag_list_has(const char *list, const char *current,
	enum etag_comparison comparison, bool *out, struct ota_error *err);

#endif

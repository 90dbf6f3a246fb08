#ifndef ORCHESTRATOR_PORT_ASSETS_H
#define ORCHESTRATOR_PORT_ASSETS_H

/* The dashboard's files, compressed, inside the program; orchestrator/web/embed.py makes
 * the table. They hold nothing of any fleet, so nobody is asked for a key. */

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct asset {
	const char *path, *type; /* "/assets/app.js"; its Content-Type */
	const char *etag;        /* weak, quoted: W/"..." */
	const unsigned char *at; /* gzip, len bytes */
	size_t len, plain_len;   /* bytes; those after unpacking */
};

extern const struct asset assets[];
extern const size_t asset_count;

/** The file at a path, or NULL. */
const struct asset *asset_find(const char *path);

/** True if an Accept-Encoding header allows gzip. NULL: it does not. */
bool asset_may_be_gzip(const char *accept);

/** True if an If-None-Match header names the file as it is. NULL: it does not. */
bool asset_is_known(const struct asset *asset, const char *if_none_match);

/** The file as it was before it was compressed: plain_len bytes that the caller frees, or
 *  NULL when memory is short. */
unsigned char *asset_unpack(const struct asset *asset);

/** Answer GET or HEAD with it: 200, or 304 to whoever has it already. */
enum MHD_Result asset_answer(
	const struct asset *asset, struct MHD_Connection *connection);

#endif

#include "orchestrator/port/assets.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "proto/base/own.h"

enum { GZIP_WINDOW_BITS = 15 + 16 }; /* zlib: expect the header of gzip */

/* Nothing but our own files, no inline script or style, no frame around us, and no text
 * that becomes markup. Strict-Transport-Security is the TLS proxy's to send: over plain
 * HTTP browsers must ignore it (RFC 6797, 7.2). */
/* clang-format off */
static const struct { const char *name, *value; } headers[] = {
	{ "Content-Security-Policy",
	  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
	  "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
	  "require-trusted-types-for 'script'; trusted-types 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Referrer-Policy", "no-referrer" },
	{ "X-Frame-Options", "DENY" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cache-Control", "no-cache" }, /* kept, and asked about each time */
	{ "Vary", "Accept-Encoding" },
};
/* clang-format on */

const struct asset *asset_find(const char *path)
{
	for (size_t i = 0; i < asset_count; i++)
		if (strcmp(assets[i].path, path) == 0)
			return &assets[i];
	return NULL;
}

/* Whether an element of an Accept-Encoding list is of that coding. */
static bool is_coding(const char *item, const char *coding)
{
	size_t len = strlen(coding);

	return strcspn(item, ";, \t") == len && strncasecmp(item, coding, len) == 0;
}

/* An element is wanted but with ";q=0". */
static bool is_wanted(const char *item, size_t len)
{
	const char *q = memchr(item, '=', len);

	return !q || strtod(q + 1, NULL) > 0;
}

bool asset_may_be_gzip(const char *accept)
{
	bool any = false;

	while (accept && *accept) {
		size_t len;

		accept += strspn(accept, ", \t");
		len = strcspn(accept, ",");
		if (is_coding(accept, "gzip"))
			return is_wanted(accept, len); /* whatever is said of any other */
		any = any || (is_coding(accept, "*") && is_wanted(accept, len));
		accept += len;
	}
	return any;
}

bool asset_is_known(const struct asset *asset, const char *if_none_match)
{
	if (!if_none_match)
		return false;
	return strcmp(if_none_match, "*") == 0 ||
	       strstr(if_none_match, strchr(asset->etag, '"')) != NULL;
}

unsigned char *asset_unpack(const struct asset *asset)
{
	ota_autofree unsigned char *out = malloc(asset->plain_len + 1);
	z_stream z = { .next_in = (z_const Bytef *)asset->at,
		.avail_in = (uInt)asset->len,
		.next_out = out,
		.avail_out = (uInt)asset->plain_len };
	int rc;

	if (!out || inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
		return NULL;
	rc = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	return rc == Z_STREAM_END ? ota_take(&out) : NULL;
}

static struct MHD_Response *whole(const struct asset *asset, bool gzip)
{
	struct MHD_Response *response;
	unsigned char *plain;

	if (gzip) {
		response = MHD_create_response_from_buffer(
			asset->len, (void *)asset->at, MHD_RESPMEM_PERSISTENT);
		if (response)
			(void)MHD_add_response_header(
				response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
		return response;
	}
	plain = asset_unpack(asset);
	if (!plain)
		return NULL;
	response = MHD_create_response_from_buffer(
		asset->plain_len, plain, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(plain);
	return response;
}

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

enum MHD_Result asset_answer(const struct asset *asset, struct MHD_Connection *connection)
{
	bool known = asset_is_known(
		asset, header_of(connection, MHD_HTTP_HEADER_IF_NONE_MATCH));
	bool gzip =
		asset_may_be_gzip(header_of(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING));
	struct MHD_Response *response =
		known ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
		      : whole(asset, gzip);
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		(void)MHD_add_response_header(
			response, headers[i].name, headers[i].value);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, asset->etag);
	if (!known)
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_CONTENT_TYPE, asset->type);
	queued = MHD_queue_response(
		connection, known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return queued;
}

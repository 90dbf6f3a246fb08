#ifndef ORCHESTRATOR_CLI_CLIENT_H
#define ORCHESTRATOR_CLI_CLIENT_H

/* The HTTP API of sluiced, through libcurl. A failure that the server explains becomes an
 * error with the server's own number and text. */

#include <cjson/cJSON.h>

#include "orchestrator/cli/context.h"
#include "proto/delta/codec.h"

/** A request. */
struct client_request {
	const char *method; /* "GET", "POST", "PUT", "HEAD" */
	const char *path;   /* below /api/v1, "/status"; already safe to put in a URL */
	struct ota_bytes body;    /* empty: none */
	const char *content_type; /* NULL: application/json */
	const char *if_match;     /* revision; NULL: whatever there is */
};

/** What --if is of a call: the revision that was seen, or NULL. */
#define CLIENT_IF_OPTION                                                               \
	{                                                                              \
		"if", 0, "REVISION", "only if this revision is still the one in force" \
	}

/** Send a request and take the answer's bytes. The codes are those of the server's error,
 *  OTA_E_LINK when it cannot be reached, OTA_E_LIMIT for an answer over 16 MiB. */
OTA_CHECKED enum ota_code client_send(const struct context *context,
	const struct client_request *request, struct ota_buf *answer,
	struct ota_error *err);

enum { DEVICES_PAGE = 200 }; /* devices in one answer */

/** Append all devices of a cohort, or of the fleet if it is "", to an array. */
OTA_CHECKED enum ota_code client_devices(const struct context *context,
	const char *cohort, cJSON *all, struct ota_error *err);

/** The revision that --if gives, for struct client_request: NULL without it. OTA_OK, or
 *  OTA_E_USAGE for what is no revision. */
OTA_CHECKED enum ota_code client_if(
	const struct cli_call *call, const char **out, struct ota_error *err);

/** GET a JSON answer; *out is the caller's. This and all below that give a tree add
 *  "revision" to it, which is its ETag, if it has one. */
OTA_CHECKED enum ota_code client_get(const struct context *context, const char *path,
	cJSON **out, struct ota_error *err);

/** POST or PUT a JSON body (NULL: an empty object) and take a JSON answer (may be NULL).
 */
OTA_CHECKED enum ota_code client_put_json(const struct context *context,
	const struct client_request *request, const cJSON *body, cJSON **out,
	struct ota_error *err);

/** GET, or POST a JSON body (NULL: an empty object) to, "/devices/ID" and what is below,
 * for the device that the first operand of a call names; under --if, if there is one. */
OTA_CHECKED enum ota_code client_device(const struct cli_call *call, const char *method,
	const char *below, const cJSON *body, cJSON **out, struct ota_error *err);

/** POST a signed document and take the answer (may be NULL). */
OTA_CHECKED enum ota_code client_post_document(const struct context *context,
	struct ota_bytes envelope, cJSON **out, struct ota_error *err);

/** PUT a file's content as an image unless the server has it. *sent tells. */
OTA_CHECKED enum ota_code client_put_image(const struct context *context,
	const char *path, const struct ota_digest *digest, bool *sent,
	struct ota_error *err);

#endif

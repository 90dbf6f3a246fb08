#ifndef ORCHESTRATOR_PORT_API_H
#define ORCHESTRATOR_PORT_API_H

/* The HTTP API as functions: a request goes in, a reply comes out. Nothing here knows of
 * sockets; http.c brings both. orchestrator/README.md has the routes for people. */

#include "orchestrator/core/core.h"
#include "orchestrator/port/api_keys.h"
#include "orchestrator/port/core_ports.h"
#include "orchestrator/port/images.h"
#include "orchestrator/port/ledger.h"
#include "orchestrator/port/mqtt_in.h"
#include "orchestrator/port/patches.h"
#include "orchestrator/port/publisher.h"
#include "orchestrator/port/webhooks.h"

#define API_RETRY_AFTER "5" /* s, until who got a 503 may ask again */

enum {
	API_BODY_MAX = 1 << 20, /* bytes of a JSON body */
	API_PARAMS_MAX = 8,     /* query parameters */
	API_SEGMENTS_MAX = 2,   /* variable parts of a path */
	API_SEGMENT_CAP = 129,  /* bytes of one with the NUL */
	API_CLAIM_MAX = 4096,   /* bytes of a body that comes without a key */
	API_PAGE = 100,         /* entries of a list by default */
	API_PAGE_MAX = 1000,
	API_ROUTES_MAX = 64,
	API_STATUSES_MAX = 16, /* that are ever answered */
	API_ETAG_CAP = 68,     /* bytes of an ETag with its quotes and the NUL */
};

/** Answers by route and status (api_count()). */
struct api_counts {
	uint64_t answers[API_ROUTES_MAX][API_STATUSES_MAX];
	unsigned streams; /* open now */
};

/** What the handlers act on; everything is borrowed. */
struct api {
	struct core *core;
	struct core_ports *ports; /* of the core */
	struct ledger *ledger;
	struct images *images;
	struct patches *patches;
	struct publisher *publisher;
	struct ota_mqtt *link;
	const char *broker_url;
	const struct ledger_leader *standby; /* NULL: this one leads. Else who does, ""
					      * while that is not known; nothing of the
					      * above is there */
	struct mqtt_in *in;
	struct webhooks *webhooks; /* NULL: there are none */
	struct api_counts counts;  /* of all answers, whoever leads */
};

struct api_param {
	const char *name, *value; /* borrowed */
};

struct api_request {
	const char *method;          /* borrowed */
	const char *path;            /* below /api/v1, decoded; borrowed */
	char who[OTA_NAME_CAP];      /* id of the API key */
	uint64_t body_len;           /* bytes announced */
	struct ota_bytes body;       /* borrowed; of all routes but uploads */
	struct image_upload *upload; /* borrowed; of uploads, all bytes in */
	/* Headers, borrowed; NULL: not there. */
	const char *if_match, *if_none_match, *idempotency_key;
	struct api_param params[API_PARAMS_MAX];
	size_t param_count;
	char segments[API_SEGMENTS_MAX][API_SEGMENT_CAP]; /* filled by api_route_of() */
};

/** `= { 0 }` is empty; release with api_reply_fini(). */
struct api_reply {
	unsigned status;         /* of HTTP */
	const char *type;        /* of the body, borrowed; NULL: JSON */
	struct ota_buf body;     /* owned */
	char etag[API_ETAG_CAP]; /* of what the path names, after the answer; "" none */
	bool replayed;           /* the answer that was given before */
};

/** Release what a reply owns. */
void api_reply_fini(struct api_reply *reply);

/** A whole number of at most 16 digits; false for anything else. */
bool api_read_u64(const char *text, uint64_t *out);

/** One row of the table of routes. Opaque. */
struct api_route;

/** The route of a request, whose method and path are set; NULL if there is none. Fills
 *  request->segments. */
const struct api_route *api_route_of(struct api_request *request);

/** What a key must be allowed to do. */
enum api_scope api_route_scope(const struct api_route *route);

/** True if the body is an image, streamed to disk. */
bool api_route_is_upload(const struct api_route *route);

/** True if the answer is a stream of events, which api_answer() knows nothing of. */
bool api_route_is_stream(const struct api_route *route);

/** The image that an upload names, and room for it. Returns OTA_OK, OTA_E_FORMAT for a
 *  bad digest, or a code of image_upload_new(). */
OTA_CHECKED enum ota_code api_upload_new(const struct api *api,
	const struct api_request *request, struct image_upload **out,
	struct ota_error *err);

/** Answer a request whose body is whole. */
void api_answer(struct api *api, const struct api_route *route,
	const struct api_request *request, struct api_reply *reply);

/** Count an answer. route: NULL if it was not looked for, or there is none. */
void api_count(struct api *api, const struct api_route *route, unsigned status);

/** True if this sluiced does what it is for: it leads, and the broker is there and
 *  takes what is published. (A ledger that cannot be written ends the process.) */
void api_ready(const struct api *api, struct api_reply *reply);

/** Answer with a failure, in the one form all failures have. */
void api_fail(struct api_reply *reply, const struct ota_error *err);

/** As api_fail(), for what cannot be had here, or now: status 503. */
void api_unavailable(struct api_reply *reply, const char *text);

/** As api_unavailable(), where another leads; "leader" of the error says who. */
void api_stand_by(const struct ledger_leader *leader, struct api_reply *reply);

/** As api_fail(), for who cannot be told apart from anybody: status 401. */
void api_unauthorized(struct api_reply *reply);

#endif

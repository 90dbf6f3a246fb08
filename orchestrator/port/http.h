#ifndef ORCHESTRATOR_PORT_HTTP_H
#define ORCHESTRATOR_PORT_HTTP_H

/* HTTP on our loop: libmicrohttpd in external-epoll mode, one thread, bounded in every
 * direction (header, body, connections, time to send a header, requests per key). Who
 * asks and whether he may is settled here; what is asked goes to api.h. */

#include <uv.h>

#include "orchestrator/port/api.h"

enum {
	HTTP_HEADER_MAX = 8192,     /* bytes of all header lines */
	HTTP_CONNECTIONS_MAX = 256, /* beside streams (streams.h) */
	HTTP_WAITING_MAX = 128,     /* of them with a deadline: then the one that has
				     * waited longest makes room */
	HTTP_HEADER_S = 10,         /* to send a header, or idle between requests */
	HTTP_ANSWER_S = 20,         /* to take an answer that needed no key */
	HTTP_IDLE_S = 60,           /* without a byte in a body or an answer */
	HTTP_ADDRESS_CAP = 80,      /* bytes of "address:port" with the NUL */
};

struct http_config {
	const char *host;      /* numeric address */
	uint16_t port;         /* 0: any */
	struct api *api;       /* borrowed for its life */
	struct api_keys *keys; /* borrowed for its life */
};

struct http;

/** Listen. address gets what was bound ("127.0.0.1:8470", "[::1]:8470"). OTA_OK, OTA_E_IO
 *  with the reason, or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code http_new(uv_loop_t *loop, const struct http_config *config,
	struct http **out, char address[static HTTP_ADDRESS_CAP], struct ota_error *err);

/** Stop at once; closed runs once libuv holds nothing. NULL: closed runs at once. */
void http_close(struct http *http, void (*closed)(void *ctx), void *ctx);

#endif

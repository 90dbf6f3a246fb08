#ifndef ORCHESTRATOR_PORT_EXCHANGE_H
#define ORCHESTRATOR_PORT_EXCHANGE_H

/* One request and its answer, on their way through libmicrohttpd. */

#include <microhttpd.h>

#include "orchestrator/port/api.h"
#include "orchestrator/port/bucket.h"
#include "orchestrator/port/sessions.h"
#include "orchestrator/port/streams.h"

enum { EXCHANGE_KEY_SLOTS = 64, EXCHANGE_ADDRESS_SLOTS = 256 };

/** What all exchanges share. */
struct exchange_ground {
	struct api *api;                             /* borrowed */
	struct api_keys *keys;                       /* borrowed */
	struct streams *streams;                     /* borrowed */
	struct bucket strangers;                     /* requests without a valid key */
	struct bucket claims;                        /* requests that need none */
	struct bucket by_key[EXCHANGE_KEY_SLOTS];    /* by a hash of the key's id */
	struct bucket wrong[EXCHANGE_ADDRESS_SLOTS]; /* keys not in force, by address */
	struct sessions sessions;                    /* of the dashboard */
};

struct exchange;

/** The header is in: judge it. NULL when memory is short. path is copied. */
struct exchange *exchange_new(struct exchange_ground *ground,
	struct MHD_Connection *connection, const char *method, const char *path);

/** True if the answer is settled and the body is not worth waiting for. */
bool exchange_is_hopeless(const struct exchange *exchange);

/** True if the body is wanted, and who sends it is known. */
bool exchange_may_take_time(const struct exchange *exchange);

/** Take bytes of the body. */
void exchange_body(struct exchange *exchange, struct ota_bytes data);

/** The body is whole, or not wanted: answer. */
enum MHD_Result exchange_answer(
	struct exchange *exchange, struct MHD_Connection *connection);

/** Release. NULL is allowed. */
void exchange_free(struct exchange *exchange);

#endif

#ifndef ORCHESTRATOR_PORT_API_ONCE_H
#define ORCHESTRATOR_PORT_API_ONCE_H

/* Requests with an Idempotency-Key: done once, however often they come.
 *
 * The answer is kept in the transaction of what was done, so there is never the one
 * without the other. It is found by a digest of the key and the id of the API key, and is
 * sealed under another one, for an answer may hold a secret (a claim token): who reads
 * the ledger and does not know the key learns what was asked for from the audit log, and
 * nothing more. */

#include <sodium.h>

#include "orchestrator/port/api.h"

enum {
	API_ONCE_KEY_MIN = 16, /* characters, of A-Z a-z 0-9 . _ ~ : + / = - */
	API_ONCE_KEY_MAX = 128,
};

/** A request under way. `= { 0 }`: it has no Idempotency-Key. */
struct api_once {
	bool wanted;
	struct ota_digest key;                   /* under which its answer is kept */
	struct ota_digest request;               /* what is asked */
	uint8_t seal[crypto_secretbox_KEYBYTES]; /* secret; of the answer */
};

/**
 * Look for the answer to a request, and fill reply with it, reply->replayed being true;
 * else, with an Idempotency-Key, nothing that follows is committed until api_once_end().
 *
 * Returns OTA_OK, OTA_E_FORMAT for what is no Idempotency-Key, OTA_E_REUSED if it is that
 * of another request, or a code of ledger_answer_find().
 */
OTA_CHECKED enum ota_code api_once_begin(struct api *api,
	const struct api_request *request, struct api_once *out, struct api_reply *reply,
	struct ota_error *err);

/** The request is answered: keep that, unless it was refused and changed nothing, and
 *  commit. Ends the process if that cannot be made durable. */
void api_once_end(struct api *api, const struct api_request *request,
	struct api_once *once, const struct api_reply *reply);

#endif

#ifndef ORCHESTRATOR_CORE_TOKENS_H
#define ORCHESTRATOR_CORE_TOKENS_H

/* Claim tokens: who holds one may present the key of one device. Made for people by
 * sluiced, told once, kept as a hash, good for one use until they expire. A token is
 *
 *   claim_<id: 12 hex digits>_<secret: 32 hex digits, 128 random bits>  */

#include "orchestrator/core/state.h"

enum {
	TOKENS_MAX = 4096,           /* kept at once */
	TOKEN_KEEP_S = 604800,       /* an expired one is remembered so long, to say so */
	TOKEN_VALID_MAX_S = 7776000, /* 90 days */
};

/** As core_add_token(). */
OTA_CHECKED enum ota_code tokens_make(struct core *core, const char *who,
	const cJSON *json, cJSON **out, struct ota_error *err);

/** The token of that text, used or expired or not; NULL if there is none. */
struct token *token_find(const struct core *core, const char *text);

/** Record what it was used for. */
void token_use(struct core *core, struct token *token, const char *device,
	const struct ota_public_key *key);

/** A zeroed one, for what was stored. */
struct token *token_add(struct core *core);

#endif

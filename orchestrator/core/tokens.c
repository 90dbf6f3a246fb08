#include "orchestrator/core/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/fleet.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"

enum {
	ID_LEN = (TOKEN_ID_CAP - 1) / 2, /* bytes */
	SECRET_LEN = 16,                 /* bytes */
	TOKEN_TEXT_CAP = sizeof "claim__" + TOKEN_ID_CAP + 2 * SECRET_LEN,
};

static const char prefix[] = "claim_";

struct token *token_add(struct core *core)
{
	struct token *token = core_alloc(1, sizeof *token);

	core->tokens = core_grow(core->tokens, core->token_count, sizeof *core->tokens);
	core->tokens[core->token_count++] = token;
	return token;
}

/* Compared are hashes of what cannot be guessed: how long that takes tells nothing. */
struct token *token_find(const struct core *core, const char *text)
{
	struct ota_digest hash = ota_digest_of(ota_bytes_of(text));

	for (size_t i = 0; i < core->token_count; i++)
		if (ota_digest_equal(&core->tokens[i]->hash, &hash))
			return core->tokens[i];
	return NULL;
}

void token_use(struct core *core, struct token *token, const char *device,
	const struct ota_public_key *key)
{
	token->used_s = core->now.utc_s;
	memcpy(token->device, device, strlen(device) + 1);
	token->key = *key;
	store_token(core, token);
}

static void forget_old(struct core *core)
{
	for (size_t i = core->token_count; i-- > 0;) {
		struct token *token = core->tokens[i];

		if (core->now.utc_s < token->expires_s + TOKEN_KEEP_S)
			continue;
		core->tokens[i] = core->tokens[--core->token_count];
		store_drop_token(core, token);
		free(token);
	}
}

static void make_text(struct core *core, struct token *token, char out[TOKEN_TEXT_CAP])
{
	uint8_t id[ID_LEN], secret[SECRET_LEN];
	char hex[2 * SECRET_LEN + 1];

	core->port.random(core->port.ctx, id, sizeof id);
	core->port.random(core->port.ctx, secret, sizeof secret);
	ota_hex_encode((struct ota_bytes){ id, sizeof id }, token->id);
	ota_hex_encode((struct ota_bytes){ secret, sizeof secret }, hex);
	(void)snprintf(out, TOKEN_TEXT_CAP, "%s%s_%s", prefix, token->id, hex);
	token->hash = ota_digest_of(ota_bytes_of(out));
}

static void audit_token(struct core *core, const char *who, const struct token *token)
{
	cJSON *detail = tree_object(), *labels;

	tree_text(detail, "id", token->id);
	labels = tree_add(detail, "labels", tree_array());
	for (uint32_t i = 0; i < token->labels.count; i++)
		tree_push_text(labels, token->labels.at[i]);
	tree_u64(detail, "expires", token->expires_s);
	store_audit(core, who, "token.add", detail);
}

enum ota_code tokens_make(struct core *core, const char *who, const cJSON *json,
	cJSON **out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);
	char text[TOKEN_TEXT_CAP];
	struct token *token;
	struct labels labels = { 0 };
	uint64_t valid_s = ota_json_u64(&r, "valid_s");
	enum ota_code rc;

	fleet_read_labels(&r, &labels);
	rc = ota_json_finish(&r);
	if (rc == OTA_OK && (valid_s == 0 || valid_s > TOKEN_VALID_MAX_S))
		rc = ota_fail(err, OTA_E_LIMIT, "valid_s: %" PRIu64 " is not in 1 .. %d",
			valid_s, TOKEN_VALID_MAX_S);
	if (rc != OTA_OK)
		return rc;
	forget_old(core);
	if (core->token_count == TOKENS_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "there are %d tokens already", TOKENS_MAX);
	token = token_add(core);
	token->labels = labels;
	token->expires_s = core->now.utc_s + valid_s;
	make_text(core, token, text);
	store_token(core, token);
	audit_token(core, who, token);
	*out = tree_object();
	tree_text(*out, "id", token->id);
	tree_text(*out, "token", text);
	tree_u64(*out, "expires", token->expires_s);
	return OTA_OK;
}

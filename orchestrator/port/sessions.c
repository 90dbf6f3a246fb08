#include "orchestrator/port/sessions.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { TOKEN_LEN = 32 }; /* random bytes */

static void make_token(char out[static SESSION_TOKEN_CAP])
{
	uint8_t random[TOKEN_LEN];

	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2base64(out, SESSION_TOKEN_CAP, random, sizeof(random),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
}

static bool is_live(const struct session *session, uint64_t now_ms)
{
	return session->until_ms > now_ms;
}

/* All last equally long, so the one that ends first began first; one that has ended, or
 * never was, goes before all others. key_id: only those of that key. */
static struct session *oldest(struct sessions *sessions, const char *key_id)
{
	struct session *found = NULL;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &sessions->slots[i];

		if (key_id && strcmp(s->key_id, key_id) != 0)
			continue;
		if (!found || s->until_ms < found->until_ms)
			found = s;
	}
	return found;
}

static size_t count_of(const struct sessions *sessions, const char *key_id)
{
	size_t count = 0;

	for (size_t i = 0; i < SESSIONS_MAX; i++)
		count += strcmp(sessions->slots[i].key_id, key_id) == 0;
	return count;
}

const struct session *sessions_begin(struct sessions *sessions, const char *key,
	const char *key_id, uint64_t now_ms, char token[static SESSION_TOKEN_CAP])
{
	bool many = count_of(sessions, key_id) >= SESSIONS_PER_KEY;
	struct session *s = oldest(sessions, many ? key_id : NULL);

	session_end(s);
	make_token(token);
	make_token(s->csrf);
	(void)snprintf(s->key_id, sizeof(s->key_id), "%s", key_id);
	s->key_hash = ota_digest_of(ota_bytes_of(key));
	s->token = ota_digest_of(ota_bytes_of(token));
	s->until_ms = now_ms + UINT64_C(1000) * SESSION_S;
	return s;
}

struct session *sessions_find(struct sessions *sessions, const struct api_keys *keys,
	const char *token, uint64_t now_ms, enum api_scope *scope)
{
	struct ota_digest wanted = ota_digest_of(ota_bytes_of(token));
	struct session *found = NULL;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &sessions->slots[i];

		if (sodium_memcmp(s->token.at, wanted.at, OTA_DIGEST_LEN) == 0)
			found = s;
	}
	if (!found)
		return NULL;
	if (is_live(found, now_ms) &&
		api_keys_has(keys, found->key_id, &found->key_hash, scope))
		return found;
	session_end(found);
	return NULL;
}

bool sessions_has(const struct sessions *sessions, const struct api_keys *keys,
	const struct ota_digest *token, uint64_t now_ms)
{
	enum api_scope scope;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		const struct session *s = &sessions->slots[i];

		if (ota_digest_equal(&s->token, token))
			return is_live(s, now_ms) &&
			       api_keys_has(keys, s->key_id, &s->key_hash, &scope);
	}
	return false;
}

bool session_has_csrf(const struct session *session, const char *given)
{
	return given && strlen(given) == SESSION_TOKEN_CAP - 1 &&
	       sodium_memcmp(given, session->csrf, SESSION_TOKEN_CAP - 1) == 0;
}

void session_end(struct session *session)
{
	sodium_memzero(session, sizeof(*session));
}

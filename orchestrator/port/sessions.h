#ifndef ORCHESTRATOR_PORT_SESSIONS_H
#define ORCHESTRATOR_PORT_SESSIONS_H

/* Who is signed in to the dashboard. A session stands for the API key it began with and
 * can do no more: it ends with that key, after 12 hours, when it is signed out, and with
 * the process. The browser has a token in a cookie, of which only the digest is here,
 * and a second one that each request that changes anything has to bring in a header, so
 * that no other page can make the browser ask for it. */

#include "orchestrator/port/api_keys.h"

enum {
	SESSIONS_MAX = 256,
	SESSIONS_PER_KEY = 32,  /* the one that began first makes room */
	SESSION_S = 12 * 3600,  /* how long one lasts */
	SESSION_TOKEN_CAP = 44, /* 256 bits as base64url, and the NUL */
};

struct session {
	char key_id[OTA_NAME_CAP];
	struct ota_digest key_hash; /* as in the file of API keys */
	struct ota_digest token;    /* digest of what the cookie holds */
	char csrf[SESSION_TOKEN_CAP];
	uint64_t until_ms; /* monotonic; 0: no session */
};

/** `= { 0 }` holds none. */
struct sessions {
	struct session slots[SESSIONS_MAX];
};

/** Begin one for a key that was just shown. token gets what goes into the cookie, which
 *  is not to be had again. Never fails: where all are taken the oldest ends. */
const struct session *sessions_begin(struct sessions *sessions, const char *key,
	const char *key_id, uint64_t now_ms, char token[static SESSION_TOKEN_CAP]);

/** The session of a cookie whose key is still in the file; NULL if there is none. *scope
 *  is what that key may do now, written on success only. */
struct session *sessions_find(struct sessions *sessions, const struct api_keys *keys,
	const char *token, uint64_t now_ms, enum api_scope *scope);

/** True if the session of a token with that digest is still what sessions_find() would
 *  find. */
bool sessions_has(const struct sessions *sessions, const struct api_keys *keys,
	const struct ota_digest *token, uint64_t now_ms);

/** True if a request brought the session's second token; takes the same time whatever
 *  was given. NULL: false. */
bool session_has_csrf(const struct session *session, const char *given);

/** Sign out. */
void session_end(struct session *session);

#endif

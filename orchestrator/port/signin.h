#ifndef ORCHESTRATOR_PORT_SIGNIN_H
#define ORCHESTRATOR_PORT_SIGNIN_H

/* Requests of the dashboard: a cookie instead of an API key, and the three requests that
 * give, show and take that cookie (/session). */

#include <microhttpd.h>

#include "orchestrator/port/api.h"
#include "orchestrator/port/sessions.h"

#define SIGNIN_COOKIE "__Host-sluice"
#define SIGNIN_CSRF   "X-CSRF-Token"

enum { SIGNIN_SET_COOKIE_CAP = 160 }; /* bytes of a Set-Cookie header */

/** What a request brought, and who asks by it. */
struct signin {
	struct sessions *sessions;   /* borrowed */
	const struct api_keys *keys; /* borrowed */
	const char *key;             /* borrowed: the API key shown; NULL: a cookie */
	struct session *session;     /* borrowed: of the cookie */
	char who[OTA_NAME_CAP];      /* id of the key, also of the session's */
	enum api_scope scope;        /* what it may do */
	char set_cookie[SIGNIN_SET_COOKIE_CAP]; /* to be answered; empty: none */
};

/** Who asks by cookie: OTA_OK with session, who and scope; OTA_E_NOTFOUND where there is
 *  no cookie or nobody it belongs to; OTA_E_DENIED for a request that another site may
 *  have made the browser send. */
OTA_CHECKED enum ota_code signin_by_cookie(struct signin *signin,
	struct MHD_Connection *connection, const char *method, struct ota_error *err);

/** True if a path below /api/v1 and its method are one of the three. */
bool signin_is_asked(const char *method, const char *path);

/** Answer it, for one of whom is known who asks: POST signs in by the API key, GET shows
 *  the session, DELETE ends it. */
void signin_answer(struct signin *signin, const char *method, struct api_reply *reply);

#endif

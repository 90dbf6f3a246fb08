#include "orchestrator/port/signin.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/api_handlers.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"
#include "proto/wire/json.h"

enum { MS_PER_S = 1000 };

/* ---- whose request it is */

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool changes_nothing(const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* Fetch metadata: where the page is that asks. Browsers send it, pages cannot set it.
 * "none" is the address bar, which only ever reads. */
static bool site_is_ours(struct MHD_Connection *connection, bool reads)
{
	const char *site = header_of(connection, "Sec-Fetch-Site");

	return !site || strcmp(site, "same-origin") == 0 ||
	       (reads && strcmp(site, "none") == 0);
}

/* RFC 6454: "https://host:port" of the page, which has to be this host. A proxy in front
 * may speak TLS, so the scheme may differ. */
static bool origin_is_ours(struct MHD_Connection *connection)
{
	const char *origin = header_of(connection, "Origin");
	const char *host = header_of(connection, MHD_HTTP_HEADER_HOST);
	const char *at;

	if (!origin)
		return true;
	at = strstr(origin, "://");
	return at && host && strcmp(at + 3, host) == 0;
}

static enum ota_code check_request(const struct session *session,
	struct MHD_Connection *connection, const char *method, struct ota_error *err)
{
	bool reads = changes_nothing(method);

	if (!site_is_ours(connection, reads) || !origin_is_ours(connection))
		return ota_fail(err, OTA_E_DENIED,
			"this request comes from a page of another site");
	if (!reads && !session_has_csrf(session, header_of(connection, SIGNIN_CSRF)))
		return ota_fail(err, OTA_E_DENIED,
			"header " SIGNIN_CSRF " is not that of GET /api/v1/session; "
			"reload the page");
	return OTA_OK;
}

enum ota_code signin_by_cookie(struct signin *signin, struct MHD_Connection *connection,
	const char *method, struct ota_error *err)
{
	const char *token =
		MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, SIGNIN_COOKIE);
	struct session *session;

	if (!token)
		return ota_fail(err, OTA_E_NOTFOUND, "no cookie");
	session = sessions_find(signin->sessions, signin->keys, token,
		ota_clock_mono_ms(), &signin->scope);
	if (!session)
		return ota_fail(err, OTA_E_NOTFOUND, "no session");
	signin->session = session;
	(void)snprintf(signin->who, sizeof(signin->who), "%s", session->key_id);
	return check_request(session, connection, method, err);
}

/* ---- /session */

bool signin_is_asked(const char *method, const char *path)
{
	return strcmp(path, "/session") == 0 &&
	       (strcmp(method, "POST") == 0 || strcmp(method, "GET") == 0 ||
		       strcmp(method, "DELETE") == 0);
}

static void set_cookie(struct signin *signin, const char *token, unsigned max_age_s)
{
	(void)snprintf(signin->set_cookie, sizeof(signin->set_cookie),
		SIGNIN_COOKIE "=%s; Path=/; Max-Age=%u; HttpOnly; Secure; "
			      "SameSite=Strict",
		token, max_age_s);
}

static enum ota_code show(const struct signin *signin, const struct session *session,
	struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	uint64_t now_ms = ota_clock_mono_ms();
	uint64_t left_s =
		session->until_ms > now_ms ? (session->until_ms - now_ms) / MS_PER_S : 0;

	if (!tree || !cJSON_AddStringToObject(tree, "id", signin->who) ||
		!cJSON_AddStringToObject(tree, "scope", api_scope_text(signin->scope)) ||
		!cJSON_AddStringToObject(tree, "csrf", session->csrf) ||
		!ota_json_add_u64(tree, "expires", ota_clock_utc_s() + left_s))
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return api_reply_json(reply, ota_take(&tree), err);
}

static enum ota_code begin(
	struct signin *signin, struct api_reply *reply, struct ota_error *err)
{
	char token[SESSION_TOKEN_CAP];
	const struct session *session;

	if (!signin->key)
		return ota_fail(err, OTA_E_DENIED,
			"a session begins with an API key, not with another session");
	session = sessions_begin(
		signin->sessions, signin->key, signin->who, ota_clock_mono_ms(), token);
	set_cookie(signin, token, SESSION_S);
	ota_log(OTA_LOG_NOTICE, "session.begun", "who=%s scope=%s", signin->who,
		api_scope_text(signin->scope));
	return show(signin, session, reply, err);
}

static enum ota_code end(
	struct signin *signin, struct api_reply *reply, struct ota_error *err)
{
	ota_log(OTA_LOG_NOTICE, "session.ended", "who=%s", signin->who);
	session_end(signin->session);
	signin->session = NULL;
	set_cookie(signin, "", 0);
	return api_reply_json(reply, cJSON_CreateObject(), err);
}

void signin_answer(struct signin *signin, const char *method, struct api_reply *reply)
{
	struct ota_error err = { 0 };

	if (strcmp(method, "POST") == 0)
		err.code = begin(signin, reply, &err);
	else if (!signin->session)
		err.code = ota_fail(&err, OTA_E_NOTFOUND,
			"no session: this request brought an API key, not a cookie");
	else if (strcmp(method, "GET") == 0)
		err.code = show(signin, signin->session, reply, &err);
	else
		err.code = end(signin, reply, &err);
	if (err.code != OTA_OK)
		api_fail(reply, &err);
}

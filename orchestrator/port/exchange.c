#include "orchestrator/port/exchange.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "orchestrator/port/assets.h"
#include "orchestrator/port/http.h"
#include "orchestrator/port/safe_headers.h"
#include "orchestrator/port/signin.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum {
	PATH_CAP = 1024,
	IPV4_LEN = 4,         /* bytes of an address */
	IPV6_NETWORK_LEN = 8, /* bytes of what a network has in common */
	DISCARD_MAX =
		API_BODY_MAX, /* a refused body up to this long is read to its end */
};

static const struct bucket_rate key_rate = { .burst = 200, .each_ms = 10 };
static const struct bucket_rate stranger_rate = { .burst = 20, .each_ms = 1000 };
static const struct bucket_rate wrong_rate = { .burst = 5, .each_ms = 12000 };
static const char prefix[] = "/api/v1";

struct exchange {
	struct exchange_ground *ground; /* borrowed */
	const struct api_route *route;  /* NULL: settled already */
	const struct asset *asset;      /* borrowed; what is answered instead */
	struct signin signin;
	struct streams_reader reader;  /* of a stream */
	const struct api_route *asked; /* may be refused; NULL: none, or not known yet */
	struct api_request request;
	struct api_reply reply; /* owned */
	bool closes;            /* what follows on the connection is not to be believed */
	bool endless;           /* nor is where the body ends */
	unsigned retry_after_s; /* of 429; 0: nothing to say */
	bool settled;           /* reply stands; what still comes is thrown away */
	char path[PATH_CAP], method[16];
	struct ota_buf body;                                     /* owned */
	struct ota_buf if_match, if_none_match, idempotency_key; /* owned; header lines */
	struct image_upload *upload;                             /* owned */
};

static void settle(struct exchange *x, enum ota_code code, const char *text)
{
	struct ota_error err = { .code = code };

	(void)snprintf(err.text, sizeof(err.text), "%s", text);
	api_fail(&x->reply, &err);
	x->settled = true;
}

/* ---- the header */

struct header_look {
	size_t len;
	unsigned lengths; /* Content-Length lines */
	bool transfer_encoding;
	const char *content_length;
};

static enum MHD_Result look_at_header(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct header_look *look = cls;

	look->len += strlen(name) + (value ? strlen(value) : 0) + 4;
	if (kind != MHD_HEADER_KIND)
		return MHD_YES;
	if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
		look->transfer_encoding = true;
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		look->lengths++;
		look->content_length = value;
	}
	return MHD_YES;
}

/* RFC 9112, 6.1 and 6.3: two ways to say where the body ends are an attack. We take one:
 * Content-Length, once. */
static void check_header(struct exchange *x, struct MHD_Connection *connection)
{
	struct header_look look = { 0 };

	(void)MHD_get_connection_values(connection,
		MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, look_at_header, &look);
	if (look.len > HTTP_HEADER_MAX)
		settle(x, OTA_E_LIMIT, "header and query are over 8 KiB");
	else if (look.transfer_encoding)
		settle(x, OTA_E_FORMAT,
			"Transfer-Encoding is not taken; send Content-Length");
	else if (look.lengths > 1 ||
		 (look.lengths == 1 &&
			 !api_read_u64(look.content_length, &x->request.body_len)))
		settle(x, OTA_E_FORMAT, "Content-Length");
	x->closes = x->settled;
	x->endless = look.transfer_encoding;
}

static enum MHD_Result take_param(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct api_request *request = cls;

	(void)kind;
	if (request->param_count == API_PARAMS_MAX)
		return MHD_NO;
	request->params[request->param_count++] =
		(struct api_param){ name, value ? value : "" };
	return MHD_YES;
}

/* ---- conditions */

struct header_lines {
	const char *name;
	struct ota_buf text; /* owned */
	bool short_of_memory;
};

/* RFC 9110, 5.3: lines of one name are one list. */
static enum MHD_Result join_line(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct header_lines *lines = cls;

	(void)kind;
	if (strcasecmp(name, lines->name) == 0 &&
		ota_buf_printf(&lines->text, "%s%s", lines->text.len ? ", " : "",
			value ? value : "") != OTA_OK)
		lines->short_of_memory = true;
	return MHD_YES;
}

/* Lines of a header joined in out, which owns them; NULL if there is none. */
static const char *header_text(struct exchange *x, struct MHD_Connection *connection,
	const char *name, struct ota_buf *out)
{
	struct header_lines lines = { .name = name };
	const char *text = NULL;

	if (!MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name))
		return NULL;
	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, join_line, &lines);
	*out = lines.text;
	text = ota_buf_text(out);
	if (!text || lines.short_of_memory)
		settle(x, OTA_E_NOMEM, name);
	return text;
}

static void take_conditions(struct exchange *x, struct MHD_Connection *connection)
{
	x->request.idempotency_key =
		header_text(x, connection, "Idempotency-Key", &x->idempotency_key);
	x->request.if_match =
		header_text(x, connection, MHD_HTTP_HEADER_IF_MATCH, &x->if_match);
	x->request.if_none_match = header_text(
		x, connection, MHD_HTTP_HEADER_IF_NONE_MATCH, &x->if_none_match);
}

/* ---- who asks */

/* Its bucket has another one after that time. */
static void settle_429(struct exchange *x, const struct bucket_rate *rate)
{
	settle(x, OTA_E_BUSY, "too many requests, try again");
	x->reply.status = 429;
	x->retry_after_s = (unsigned)(rate->each_ms + 999) / 1000;
}

static void refresh_keys(struct exchange_ground *ground)
{
	struct ota_error err = { 0 };
	char why[256];

	if (api_keys_refresh(ground->keys, &err) != OTA_OK)
		ota_log(OTA_LOG_ERR, "keys.failed", "why=%s",
			ota_log_quote(err.text, why));
}

/* True if it is known who asks, by an API key or by the cookie of the dashboard. */
static bool is_known(struct exchange *x, struct MHD_Connection *connection)
{
	static const char bearer[] = "Bearer ";
	struct signin *signin = &x->signin;
	const char *given = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
	struct ota_error err = { 0 };

	signin->sessions = &x->ground->sessions;
	signin->keys = x->ground->keys;
	if (given) {
		if (strncmp(given, bearer, sizeof(bearer) - 1) != 0 ||
			!api_keys_check(signin->keys, given + sizeof(bearer) - 1,
				signin->who, &signin->scope))
			return false;
		signin->key = given + sizeof(bearer) - 1;
		return true;
	}
	err.code = signin_by_cookie(signin, connection, x->method, &err);
	if (err.code == OTA_E_NOTFOUND)
		return false;
	if (err.code != OTA_OK)
		settle(x, err.code, err.text);
	return true;
}

/* True if something was shown that could have been right. */
static bool has_tried(struct MHD_Connection *connection)
{
	return MHD_lookup_connection_value(
		       connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION) ||
	       MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, SIGNIN_COOKIE);
}

/* What is wrong counts by address; one network of IPv6 is one address. */
static struct bucket *wrong_bucket(
	struct exchange_ground *ground, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct ota_bytes address = { 0 };
	struct ota_digest slot;

	if (info && info->client_addr->sa_family == AF_INET)
		address = (struct ota_bytes){
			(const uint8_t *)&((const struct sockaddr_in *)(const void *)
						   info->client_addr)
				->sin_addr,
			IPV4_LEN
		};
	else if (info && info->client_addr->sa_family == AF_INET6)
		address = (struct ota_bytes){
			(const uint8_t *)&((const struct sockaddr_in6 *)(const void *)
						   info->client_addr)
				->sin6_addr,
			IPV6_NETWORK_LEN
		};
	slot = ota_digest_of(address);
	return &ground->wrong[slot.at[0] % EXCHANGE_ADDRESS_SLOTS];
}

static void check_key(struct exchange *x, struct MHD_Connection *connection)
{
	struct exchange_ground *ground = x->ground;
	uint64_t now_ms = ota_clock_mono_ms();
	struct ota_digest slot;
	bool tried;

	refresh_keys(ground);
	if (is_known(x, connection)) {
		(void)snprintf(
			x->request.who, sizeof(x->request.who), "%s", x->signin.who);
		slot = ota_digest_of(ota_bytes_of(x->request.who));
		if (!bucket_take(&ground->by_key[slot.at[0] % EXCHANGE_KEY_SLOTS],
			    &key_rate, now_ms))
			settle_429(x, &key_rate);
		return;
	}
	tried = has_tried(connection);
	if (tried ? bucket_take(wrong_bucket(ground, connection), &wrong_rate, now_ms)
		  : bucket_take(&ground->strangers, &stranger_rate, now_ms))
		api_unauthorized(&x->reply);
	else
		settle_429(x, tried ? &wrong_rate : &stranger_rate);
	x->settled = true;
}

/* ---- what is asked */

/* Below our prefix or without it, as probes and Prometheus ask for it. */
static const char *below_prefix(const struct exchange *x)
{
	const size_t len = sizeof(prefix) - 1;

	return strncmp(x->path, prefix, len) == 0 ? x->path + len : x->path;
}

/* What anybody may know. */
static bool is_health(struct exchange *x)
{
	const char *alive = x->ground->api->standby ? "{\"ok\":true,\"standby\":true}"
						    : "{\"ok\":true}";
	const char *path = below_prefix(x);

	if (strcmp(x->method, "GET") != 0)
		return false;
	if (strcmp(path, "/readyz") == 0) {
		api_ready(x->ground->api, &x->reply);
		x->settled = true;
	} else if (strcmp(path, "/healthz") == 0) {
		x->settled = ota_buf_add(&x->reply.body, ota_bytes_of(alive)) == OTA_OK;
		x->reply.status = 200;
	}
	return x->settled;
}

/* The dashboard itself: for everybody, as there is nothing of the fleet in it. */
static bool is_asset(struct exchange *x)
{
	if (strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0)
		x->asset = asset_find(x->path);
	x->settled = x->asset != NULL;
	return x->settled;
}

/* What the dashboard begins and ends with. */
static bool is_signin(struct exchange *x)
{
	if (strncmp(x->path, prefix, sizeof(prefix) - 1) != 0 ||
		!signin_is_asked(x->method, x->path + sizeof(prefix) - 1))
		return false;
	signin_answer(&x->signin, x->method, &x->reply);
	streams_weed(x->ground->streams);
	x->settled = true;
	return true;
}

static const struct api_route *route_of(struct exchange *x)
{
	x->request.path = below_prefix(x);
	if (x->request.path == x->path && strcmp(x->path, "/metrics") != 0)
		return NULL;
	x->asked = api_route_of(&x->request);
	return x->asked;
}

/* True if what is asked needs no key: the one who asks may be anybody, and all of them
 * together are kept slow. */
static bool is_open(struct exchange *x)
{
	const struct api_route *route = route_of(x);

	if (!route || api_route_scope(route) != API_NOBODY)
		return false;
	(void)snprintf(x->request.who, sizeof(x->request.who), "nobody");
	if (!bucket_take(&x->ground->claims, &stranger_rate, ota_clock_mono_ms()))
		settle_429(x, &stranger_rate);
	else if (x->request.body_len > API_CLAIM_MAX)
		settle(x, OTA_E_LIMIT, "body is over 4 KiB");
	return true;
}

static void find_route(struct exchange *x, enum api_scope scope)
{
	const struct api_route *route = route_of(x);
	char text[200], shown[128];

	if (!route) {
		ota_escape(x->path, shown, sizeof(shown));
		(void)snprintf(text, sizeof(text), "no route %s %s", x->method, shown);
		settle(x, OTA_E_NOTFOUND, text);
	} else if (!api_scope_allows(scope, api_route_scope(route))) {
		settle(x, OTA_E_DENIED, "the scope of this API key does not allow that");
	} else if (x->ground->api->standby) {
		api_stand_by(x->ground->api->standby, &x->reply);
		x->settled = true;
	} else {
		x->route = route;
	}
}

/* Before a body comes, by the end of which the session may be another's. */
static void note_reader(struct exchange *x)
{
	struct streams_reader *reader = &x->reader;

	(void)snprintf(reader->key_id, sizeof(reader->key_id), "%s", x->signin.who);
	reader->has_session = x->signin.session != NULL;
	if (x->signin.session)
		reader->token = x->signin.session->token;
	else if (x->signin.key)
		reader->key_hash = ota_digest_of(ota_bytes_of(x->signin.key));
}

static void prepare_body(struct exchange *x)
{
	struct ota_error err = { 0 };

	if (!api_route_is_upload(x->route)) {
		if (x->request.body_len > API_BODY_MAX)
			settle(x, OTA_E_LIMIT, "body is over 1 MiB");
		return;
	}
	err.code = api_upload_new(x->ground->api, &x->request, &x->upload, &err);
	if (err.code != OTA_OK)
		settle(x, err.code, err.text);
}

struct exchange *exchange_new(struct exchange_ground *ground,
	struct MHD_Connection *connection, const char *method, const char *path)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->ground = ground;
	x->request.method = x->method;
	(void)snprintf(x->method, sizeof(x->method), "%s", method);
	if (strlen(path) < sizeof(x->path))
		(void)snprintf(x->path, sizeof(x->path), "%s", path);
	else
		settle(x, OTA_E_LIMIT, "path is too long");
	if (!x->settled)
		check_header(x, connection);
	if (!x->settled && (is_health(x) || is_asset(x)))
		return x;
	if (!x->settled && is_open(x))
		x->signin.scope = API_NOBODY;
	else if (!x->settled)
		check_key(x, connection);
	if (!x->settled && !is_signin(x))
		find_route(x, x->signin.scope);
	if (!x->settled)
		prepare_body(x);
	if (!x->settled && api_route_is_stream(x->route))
		note_reader(x);
	if (!x->settled)
		(void)MHD_get_connection_values(
			connection, MHD_GET_ARGUMENT_KIND, take_param, &x->request);
	if (!x->settled)
		take_conditions(x, connection);
	return x;
}

bool exchange_is_hopeless(const struct exchange *x)
{
	return x->settled && (x->endless || x->request.body_len > DISCARD_MAX);
}

bool exchange_may_take_time(const struct exchange *x)
{
	return !x->settled && x->signin.scope != API_NOBODY;
}

void exchange_body(struct exchange *x, struct ota_bytes data)
{
	struct ota_error err = { 0 };

	if (x->settled)
		return;
	if (x->upload)
		err.code = image_upload_add(x->upload, data, &err);
	else if (data.len > API_BODY_MAX - x->body.len)
		err.code = ota_fail(&err, OTA_E_LIMIT, "body is over 1 MiB");
	else
		err.code = ota_buf_add(&x->body, data);
	if (err.code != OTA_OK)
		settle(x, err.code, err.text);
}

/* ---- the answer */

static void add_headers(const struct exchange *x, struct MHD_Response *response)
{
	char seconds[16];

	if (x->reply.status != MHD_HTTP_NOT_MODIFIED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
			x->reply.type ? x->reply.type : "application/json");
	if (x->reply.replayed)
		(void)MHD_add_response_header(response, "Idempotency-Replayed", "true");
	if (x->reply.etag[0])
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_ETAG, x->reply.etag);
	safe_headers_add(response);
	(void)snprintf(seconds, sizeof(seconds), "%u", x->retry_after_s);
	if (x->retry_after_s > 0)
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	if (x->reply.status == 503)
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_RETRY_AFTER, API_RETRY_AFTER);
	if (x->closes)
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (x->signin.set_cookie[0])
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_SET_COOKIE, x->signin.set_cookie);
	if (x->reply.status == 401)
		(void)MHD_add_response_header(
			response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
}

/* True if it is a stream, of one who may still read it, and there is room for it now. */
static bool is_stream(struct exchange *x)
{
	char text[64];

	if (x->settled || !api_route_is_stream(x->route))
		return false;
	x->settled = true;
	if (!streams_lets(x->ground->streams, &x->reader)) {
		api_unauthorized(&x->reply);
		return false;
	}
	if (!streams_is_full(x->ground->streams))
		return true;
	(void)snprintf(text, sizeof(text), "%d streams are open already, try again later",
		STREAMS_MAX);
	api_unavailable(&x->reply, text);
	return false;
}

static enum MHD_Result answer_stream(
	struct exchange *x, struct MHD_Connection *connection)
{
	const char *last_id =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Last-Event-ID");

	api_count(x->ground->api, x->asked, MHD_HTTP_OK);
	return streams_open(x->ground->streams, connection, &x->reader, last_id);
}

enum MHD_Result exchange_answer(struct exchange *x, struct MHD_Connection *connection)
{
	struct MHD_Response *response;
	enum MHD_Result queued;

	if (x->asset)
		return asset_answer(x->asset, connection);
	if (is_stream(x))
		return answer_stream(x, connection);
	if (!x->settled) {
		x->request.body = ota_buf_bytes(&x->body);
		x->request.upload = x->upload;
		api_answer(x->ground->api, x->route, &x->request, &x->reply);
		x->settled = true;
	}
	api_count(x->ground->api, x->asked, x->reply.status);
	response = MHD_create_response_from_buffer(
		x->reply.body.len, x->reply.body.at, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	add_headers(x, response);
	queued = MHD_queue_response(connection, x->reply.status, response);
	MHD_destroy_response(response);
	return queued;
}

void exchange_free(struct exchange *x)
{
	if (!x)
		return;
	image_upload_free(x->upload);
	ota_buf_fini(&x->body);
	ota_buf_fini(&x->if_match);
	ota_buf_fini(&x->if_none_match);
	ota_buf_fini(&x->idempotency_key);
	api_reply_fini(&x->reply);
	free(x);
}

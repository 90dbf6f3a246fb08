#include "orchestrator/port/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "orchestrator/port/exchange.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum {
	POOL_LEN = 32768, /* bytes of memory of one connection */
	SWEEP_MS = 500,
};

/* A connection that is between requests, sends a header or a body that nobody asked for,
 * or takes what anybody may have; with a deadline, so that a client who takes his time
 * does not hold it for ever. */
struct visitor {
	struct visitor *next, **from; /* in the list of those with a deadline */
	int fd;                       /* borrowed from libmicrohttpd */
	uint64_t deadline_ms;         /* monotonic */
};

struct http {
	struct MHD_Daemon *daemon; /* owned */
	uv_poll_t poll;
	uv_prepare_t prepare;
	uv_timer_t timer; /* what libmicrohttpd wants to wake up for */
	uv_timer_t sweep;
	struct visitor *waiting; /* the newest first */
	size_t waiting_count;
	struct streams *streams; /* owned */
	struct exchange_ground ground;
	unsigned handles; /* of libuv, still open */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* ---- visitors */

static void stop_waiting(struct http *http, struct visitor *v)
{
	if (!v->from)
		return;
	http->waiting_count--;
	*v->from = v->next;
	if (v->next)
		v->next->from = v->from;
	v->from = NULL;
}

/* libmicrohttpd sees it close. */
static void send_away(struct http *http, struct visitor *v)
{
	stop_waiting(http, v);
	(void)shutdown(v->fd, SHUT_RDWR);
}

/* Who comes with a request is done at once, so he is not the one who waits longest. */
static void make_room(struct http *http)
{
	struct visitor *v = http->waiting;

	if (http->waiting_count <= HTTP_WAITING_MAX)
		return;
	while (v->next)
		v = v->next;
	send_away(http, v);
}

static void start_waiting(struct http *http, struct visitor *v, unsigned seconds)
{
	stop_waiting(http, v);
	v->deadline_ms = ota_clock_mono_ms() + UINT64_C(1000) * seconds;
	v->next = http->waiting;
	v->from = &http->waiting;
	if (v->next)
		v->next->from = &v->next;
	http->waiting = v;
	http->waiting_count++;
	make_room(http);
}

static void came_or_left(void *cls, struct MHD_Connection *connection,
	void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct visitor *v = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED && info) {
		v = calloc(1, sizeof(*v));
		*socket_context = v;
		if (!v)
			return;
		v->fd = info->connect_fd;
		start_waiting(cls, v, HTTP_HEADER_S);
	} else if (code == MHD_CONNECTION_NOTIFY_CLOSED && v) {
		stop_waiting(cls, v);
		free(v);
		*socket_context = NULL;
	}
}

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void sweep(uv_timer_t *timer)
{
	struct http *http = timer->data;
	uint64_t now_ms = ota_clock_mono_ms();

	streams_turn(http->streams);
	for (struct visitor *v = http->waiting, *next; v; v = next) {
		next = v->next;
		if (now_ms >= v->deadline_ms)
			send_away(http, v);
	}
	(void)MHD_run(http->daemon);
}

/* ---- requests */

static enum MHD_Result answer(
	struct http *http, struct MHD_Connection *connection, struct exchange *x)
{
	struct visitor *v = visitor_of(connection);

	if (v && exchange_may_take_time(x))
		stop_waiting(http, v);
	else if (v)
		start_waiting(http, v, HTTP_ANSWER_S);
	return exchange_answer(x, connection);
}

/* The header is in. */
static enum MHD_Result begin(
	struct http *http, struct MHD_Connection *connection, struct exchange *x)
{
	struct visitor *v = visitor_of(connection);

	if (!x)
		return MHD_NO;
	if (exchange_is_hopeless(x))
		return answer(http, connection, x);
	if (v && exchange_may_take_time(x))
		stop_waiting(http, v);
	else if (v)
		start_waiting(http, v, HTTP_HEADER_S);
	return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *data,
	size_t *len, void **state)
{
	struct http *http = cls;
	struct exchange *x = *state;

	(void)version;
	if (!x) {
		x = exchange_new(&http->ground, connection, method, url);
		*state = x;
		return begin(http, connection, x);
	}
	if (*len > 0) {
		exchange_body(x, (struct ota_bytes){ (const uint8_t *)data, *len });
		*len = 0;
		return MHD_YES;
	}
	return answer(http, connection, x);
}

static void completed(void *cls, struct MHD_Connection *connection, void **state,
	enum MHD_RequestTerminationCode why)
{
	struct visitor *v = visitor_of(connection);

	(void)why;
	exchange_free(*state);
	*state = NULL;
	if (v)
		start_waiting(cls, v, HTTP_HEADER_S);
}

/* A NUL would end a name before its end: what holds one stays as it was sent, and is no
 * name of anything. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
	(void)cls;
	(void)connection;
	return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

/* ---- the loop */

static void run_on_data(uv_poll_t *poll, int status, int events)
{
	struct http *http = poll->data;

	(void)status;
	(void)events;
	(void)MHD_run(http->daemon);
}

static void run_on_time(uv_timer_t *timer)
{
	struct http *http = timer->data;

	(void)MHD_run(http->daemon);
}

static void before_sleep(uv_prepare_t *prepare)
{
	struct http *http = prepare->data;
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
		(void)uv_timer_start(&http->timer, run_on_time, timeout_ms, 0);
	else
		(void)uv_timer_stop(&http->timer);
}

/* ---- life */

static socklen_t address_of(
	const struct http_config *config, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	if (uv_ip4_addr(config->host, config->port, v4) == 0)
		return sizeof(*v4);
	if (uv_ip6_addr(config->host, config->port, v6) == 0)
		return sizeof(*v6);
	return 0;
}

static enum ota_code start_daemon(
	struct http *http, const struct http_config *config, struct ota_error *err)
{
	struct sockaddr_storage address = { 0 };
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;

	if (address_of(config, &address) == 0)
		return ota_fail(err, OTA_E_CONFIG, "address '%s'", config->host);
	if (address.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	errno = 0;
	http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, http,
		MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)(HTTP_CONNECTIONS_MAX + STREAMS_MAX),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_LEN,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, unescape,
		NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, http,
		MHD_OPTION_NOTIFY_CONNECTION, came_or_left, http, MHD_OPTION_END);
	if (!http->daemon)
		return ota_fail(err, OTA_E_IO, "listen on %s:%u: %s", config->host,
			(unsigned)config->port, strerror(errno));
	return OTA_OK;
}

static void print_address(const struct http *http, const struct http_config *config,
	char out[static HTTP_ADDRESS_CAP])
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
	unsigned port = info ? info->port : config->port;

	(void)snprintf(out, HTTP_ADDRESS_CAP,
		strchr(config->host, ':') ? "[%s]:%u" : "%s:%u", config->host, port);
}

static void add_handles(struct http *http, uv_loop_t *loop, int epoll_fd)
{
	(void)uv_poll_init(loop, &http->poll, epoll_fd);
	(void)uv_prepare_init(loop, &http->prepare);
	(void)uv_timer_init(loop, &http->timer);
	(void)uv_timer_init(loop, &http->sweep);
	http->handles = 4;
	http->poll.data = http->prepare.data = http;
	http->timer.data = http->sweep.data = http;
	(void)uv_poll_start(&http->poll, UV_READABLE, run_on_data);
	(void)uv_prepare_start(&http->prepare, before_sleep);
	(void)uv_timer_start(&http->sweep, sweep, SWEEP_MS, SWEEP_MS);
}

enum ota_code http_new(uv_loop_t *loop, const struct http_config *config,
	struct http **out, char address[static HTTP_ADDRESS_CAP], struct ota_error *err)
{
	ota_autofree struct http *http = calloc(1, sizeof(*http));
	const union MHD_DaemonInfo *info;
	enum ota_code rc;

	if (!http)
		return ota_fail(err, OTA_E_NOMEM, "http");
	http->ground.api = config->api;
	http->ground.keys = config->keys;
	rc = streams_new(
		config->api, config->keys, &http->ground.sessions, &http->streams);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "http");
	http->ground.streams = http->streams;
	rc = start_daemon(http, config, err);
	if (rc != OTA_OK) {
		streams_free(http->streams);
		return rc;
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	add_handles(http, loop, info->epoll_fd);
	print_address(http, config, address);
	*out = ota_take(&http);
	return OTA_OK;
}

static void handle_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;

	if (--http->handles > 0)
		return;
	if (http->closed)
		http->closed(http->closed_ctx);
	streams_free(http->streams);
	free(http);
}

void http_close(struct http *http, void (*closed)(void *ctx), void *ctx)
{
	if (!http) {
		closed(ctx);
		return;
	}
	http->closed = closed;
	http->closed_ctx = ctx;
	uv_close((uv_handle_t *)&http->poll, handle_closed);
	uv_close((uv_handle_t *)&http->prepare, handle_closed);
	uv_close((uv_handle_t *)&http->timer, handle_closed);
	uv_close((uv_handle_t *)&http->sweep, handle_closed);
	streams_end(http->streams);
	(void)MHD_run(http->daemon);
	MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
}

/* Streams of events behind a real socket, by a clock that the test moves. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orchestrator/port/http.h"
#include "orchestrator/port/sessions.h"
#include "orchestrator/port/streams.h"
#include "proto/base/own.h"
#include "tests/unit/api_kit.h"

#define KEY "sluice_ci_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_AAAAA0"

enum { TURNS_MAX = 200, TURN_MS = 50, MINUTE_MS = 60000 };

static char keys_path[] = "/tmp/streams.XXXXXX";
static struct api_keys *keys;
static struct http *http;
static struct sockaddr_in address = { .sin_family = AF_INET };

struct client {
	int fd;
	char got[65536]; /* so far */
	size_t len;
	bool ended; /* the connection, or the last chunk is there */
};

static void open_http(void)
{
	struct http_config config = { .host = "127.0.0.1", .api = &api_kit.api };
	struct ota_digest hash = ota_digest_of(ota_bytes_of(KEY));
	char bound[HTTP_ADDRESS_CAP], hex[OTA_DIGEST_HEX_CAP];
	struct ota_error err = { 0 };
	uint64_t port = 0;
	int fd;

	api_kit_open();
	ota_digest_hex(&hash, hex);
	fd = mkstemp(keys_path);
	cr_assert_geq(fd, 0);
	cr_assert_gt(dprintf(fd, "ci read %s\n", hex), 0);
	(void)close(fd);
	cr_assert_eq(api_keys_open(keys_path, &keys, &err), OTA_OK, "%s", err.text);
	config.keys = keys;
	cr_assert_eq(http_new(&api_kit.loop, &config, &http, bound, &err), OTA_OK, "%s",
		err.text);
	cr_assert(api_read_u64(strchr(bound, ':') + 1, &port));
	address.sin_port = htons((uint16_t)port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void closed(void *ctx)
{
	(void)ctx;
}

static void close_http(void)
{
	http_close(http, closed, NULL);
	api_kit_close();
	api_keys_free(keys);
	(void)unlink(keys_path);
}

TestSuite(streams, .init = open_http, .fini = close_http);

static void wake(uv_timer_t *timer)
{
	(void)timer;
}

/* Let the loop turn once, for a while at most. */
static void turn(void)
{
	uv_timer_t timer;

	(void)uv_timer_init(&api_kit.loop, &timer);
	(void)uv_timer_start(&timer, wake, TURN_MS, 0);
	(void)uv_run(&api_kit.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&api_kit.loop, UV_RUN_NOWAIT);
}

static void take(struct client *c)
{
	ssize_t len =
		recv(c->fd, c->got + c->len, sizeof c->got - 1 - c->len, MSG_DONTWAIT);

	c->ended |= len == 0 || (len < 0 && errno != EAGAIN);
	c->len += len > 0 ? (size_t)len : 0;
	c->got[c->len] = '\0';
	c->ended |= strstr(c->got, "\r\n0\r\n\r\n") != NULL;
}

/* Until it has got that text; NULL: until it has ended. */
static void await(struct client *c, const char *text)
{
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		take(c);
		if (text ? strstr(c->got, text) != NULL : c->ended)
			return;
		turn();
	}
	cr_assert_fail("never '%s', but: %s", text ? text : "the end", c->got);
}

static void ask(
	struct client *c, const char *method, const char *path, const char *header)
{
	char text[512];

	*c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	cr_assert_eq(connect(c->fd, (struct sockaddr *)&address, sizeof address), 0);
	(void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n",
		method, path, header);
	cr_assert_eq(send(c->fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* Sign in: the header that a browser sends from then on. */
static void sign_in(char cookie[static 128])
{
	static struct client c;
	const char *at;

	ask(&c, "POST", "/api/v1/session", "Authorization: Bearer " KEY);
	await(&c, "\r\n\r\n");
	at = strstr(c.got, "__Host-sluice=");
	cr_assert_not_null(at, "%s", c.got);
	(void)snprintf(cookie, 128, "Cookie: %.*s", (int)strcspn(at, ";"), at);
	(void)close(c.fd);
}

/* Time passes, of which streams take notice while it does. */
static void pass(uint64_t minutes, struct client *c)
{
	while (minutes-- > 0) {
		api_kit_clock.mono_ms += MINUTE_MS;
		c->len = 0;
		await(c, ": hb\n\n");
	}
}

static struct client one, other;

Test(streams, the_end_of_a_session_is_that_of_its_streams, .timeout = 60)
{
	char cookie[128];

	sign_in(cookie);
	api_kit_clock.mono_ms += UINT64_C(1000) * SESSION_S - UINT64_C(2) * MINUTE_MS;
	ask(&one, "GET", "/api/v1/events", cookie);
	ask(&other, "GET", "/api/v1/events", "Authorization: Bearer " KEY);
	await(&one, "event: fleet");
	await(&other, "event: fleet");
	pass(1, &one);
	cr_expect_not(one.ended);
	api_kit_clock.mono_ms += MINUTE_MS;
	await(&one, NULL);
	pass(2, &other);
	cr_expect_not(other.ended);
	(void)close(one.fd);
	ask(&one, "GET", "/api/v1/events", cookie);
	await(&one, "HTTP/1.1 401");
}

Test(streams, one_lasts_an_hour, .timeout = 60)
{
	ask(&one, "GET", "/api/v1/events", "Authorization: Bearer " KEY);
	await(&one, "event: fleet");
	pass(3, &one);
	api_kit_clock.mono_ms += STREAMS_LIFE_MS - UINT64_C(3) * MINUTE_MS;
	await(&one, NULL);
	cr_expect_not_null(strstr(one.got, "\r\n0\r\n\r\n"), "it was cut");
}

Test(streams, a_key_that_is_taken_out_ends_them_though_nobody_asks, .timeout = 60)
{
	char cookie[128];
	FILE *file;

	sign_in(cookie);
	ask(&one, "GET", "/api/v1/events", "Authorization: Bearer " KEY);
	ask(&other, "GET", "/api/v1/events", cookie);
	await(&one, "event: fleet");
	await(&other, "event: fleet");
	file = fopen(keys_path, "we");
	cr_assert_not_null(file);
	cr_assert_gt(fprintf(file, "# nobody\n"), 0);
	cr_assert_eq(fclose(file), 0);
	await(&one, NULL);
	await(&other, NULL);
}

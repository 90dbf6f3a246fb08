#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/peer.h"

/* Brokers that know MQTT 3.1.1 alone (NATS, RabbitMQ 3) refuse version 5 in three ways.
 * Mosquitto knows both, so the refusal is spoken here, up to CONNACK. */

enum { LEVELS_MAX = 8, PACKET_CAP = 512, LEVEL_OLD = 4, LEVEL_NEW = 5 };

struct answer {
	const char *name;
	uint8_t bytes[8];
	size_t len; /* 0: just close */
};

static const struct answer refusals[] = {
	{ "3.1.1 CONNACK", { 0x20, 2, 0, 1 }, 4 },
	{ "5.0 CONNACK", { 0x20, 3, 0, 0x84, 0 }, 5 },
	{ "no CONNACK", { 0 }, 0 },
};
static const struct answer welcome = { "welcome", { 0x20, 2, 0, 0 }, 4 };

static struct {
	uv_tcp_t listener, client;
	bool has_client;
	const struct answer *refusal;
	unsigned levels[LEVELS_MAX];
	unsigned count; /* of CONNECTs */
	char packet[PACKET_CAP];
} server;

static void on_client_closed(uv_handle_t *handle)
{
	(void)handle;
	server.has_client = false;
}

static void drop_client(void)
{
	if (server.has_client && !uv_is_closing((uv_handle_t *)&server.client))
		uv_close((uv_handle_t *)&server.client, on_client_closed);
}

/* The protocol level of a CONNECT (MQTT 3.1.1, 3.1.2.2), behind one or two bytes of
 * remaining length. */
static unsigned level_of(const char *packet)
{
	return (uint8_t)packet[((uint8_t)packet[1] & 0x80) != 0 ? 9 : 8];
}

static void answer(const struct answer *with)
{
	uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)with->bytes, (unsigned)with->len);

	if (with->len > 0)
		cr_assert_eq(uv_try_write((uv_stream_t *)&server.client, &bytes, 1),
			(int)with->len);
	if (with != &welcome)
		drop_client();
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	unsigned level;

	(void)stream;
	if (n < 0) {
		drop_client();
		return;
	}
	if (n < 10 || buf->base[0] != 0x10 || server.count == LEVELS_MAX)
		return;
	level = server.levels[server.count++] = level_of(buf->base);
	answer(level == LEVEL_OLD ? &welcome : server.refusal);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(server.packet, sizeof server.packet);
}

static void on_client(uv_stream_t *listener, int status)
{
	cr_assert_eq(status, 0);
	cr_assert_not(server.has_client);
	cr_assert_eq(uv_tcp_init(peer_loop(), &server.client), 0);
	cr_assert_eq(uv_accept(listener, (uv_stream_t *)&server.client), 0);
	server.has_client = true;
	cr_assert_eq(uv_read_start((uv_stream_t *)&server.client, on_alloc, on_read), 0);
}

/* Listen on a free port. */
static void serve(const struct answer *refusal, char url[static 32])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int len = sizeof at;

	server.refusal = refusal;
	cr_assert_eq(uv_tcp_init(peer_loop(), &server.listener), 0);
	cr_assert_eq(uv_tcp_bind(&server.listener, (struct sockaddr *)&at, 0), 0);
	cr_assert_eq(uv_listen((uv_stream_t *)&server.listener, 8, on_client), 0);
	cr_assert_eq(
		uv_tcp_getsockname(&server.listener, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(url, 32, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
}

static void falls_back(const struct answer *refusal)
{
	struct ota_mqtt_config config = { .client_id = "dev-1", .reconnect_max_s = 1 };
	struct peer device;
	char url[32];

	serve(refusal, url);
	config.url = url;
	cr_assert(peer_open(&device, &config));
	cr_assert(peer_wait(&device.ups, 1), "%s: %s", refusal->name, device.why);
	drop_client();
	cr_assert(peer_wait(&device.ups, 2), "%s: %s", refusal->name, device.why);
	cr_expect_eq(server.count, 3, "%s", refusal->name);
	cr_expect_eq(server.levels[0], LEVEL_NEW, "%s", refusal->name);
	cr_expect_eq(server.levels[1], LEVEL_OLD, "%s", refusal->name);
	cr_expect_eq(server.levels[2], LEVEL_OLD, "%s: not remembered", refusal->name);
	drop_client();
	uv_close((uv_handle_t *)&server.listener, NULL);
	cr_assert(peer_close_all((struct peer *const[]){ &device, NULL }));
}

Test(mqtt_versions, a_3_1_1_broker_that_says_so_is_met)
{
	falls_back(&refusals[0]);
}

Test(mqtt_versions, a_broker_that_refuses_version_5_in_its_words_is_met)
{
	falls_back(&refusals[1]);
}

Test(mqtt_versions, a_broker_that_just_closes_is_met)
{
	falls_back(&refusals[2]);
}

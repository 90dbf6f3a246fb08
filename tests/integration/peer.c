#include "tests/integration/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/io/loop.h"

enum { TEXTS_MAX = 64, TICK_MS = 5 };

static uv_loop_t shared_loop;
static bool has_loop;

uv_loop_t *peer_loop(void)
{
	if (!has_loop)
		has_loop = uv_loop_init(&shared_loop) == 0;
	return &shared_loop;
}

/* Texts of configurations, kept until the process of the test ends. */
static const char *keep(const char *text)
{
	static char texts[TEXTS_MAX][BROKER_PATH_CAP];
	static size_t count;

	if (count == TEXTS_MAX)
		abort();
	(void)snprintf(texts[count], sizeof texts[count], "%s", text);
	return texts[count++];
}

struct ota_mqtt_config peer_config(
	const struct broker *broker, const char *name, const char *host)
{
	char text[BROKER_PATH_CAP];
	struct ota_mqtt_config config = { .client_id = keep(name), .reconnect_max_s = 1 };

	(void)snprintf(text, sizeof text, "ssl://%s:%u", host, broker->port);
	config.url = keep(text);
	config.ca_file = keep(broker_file(broker, "ca", ".pem", text));
	config.cert_file = keep(broker_file(broker, name, ".pem", text));
	config.key_file = keep(broker_file(broker, name, ".key", text));
	return config;
}

static void on_up(void *ctx)
{
	struct peer *peer = ctx;

	peer->ups++;
}

static void on_down(void *ctx, const char *why)
{
	struct peer *peer = ctx;

	peer->downs++;
	(void)snprintf(peer->why, sizeof peer->why, "%s", why);
}

static void on_message(
	void *ctx, const char *topic, struct ota_bytes payload, bool retained)
{
	struct peer *peer = ctx;

	peer->messages++;
	(void)snprintf(peer->topic, sizeof peer->topic, "%s", topic);
	peer->payload.len = 0;
	if (ota_buf_add(&peer->payload, payload) != OTA_OK)
		abort();
	peer->retained = retained;
	if (peer->keeps && peer->kept_count < PEER_KEPT_MAX)
		peer->kept[peer->kept_count++] = ota_mqtt_keep(peer->link);
}

void peer_let_go(struct peer *peer)
{
	peer->keeps = false;
	while (peer->kept_count > 0)
		ota_mqtt_let_go(peer->kept[--peer->kept_count]);
}

bool peer_open(struct peer *peer, const struct ota_mqtt_config *config)
{
	static const struct ota_mqtt_events events = { on_up, on_down, on_message };
	struct ota_error err = { 0 };

	*peer = (struct peer){ 0 };
	if (ota_mqtt_new(peer_loop(), config, &events, peer, &peer->link, &err) == OTA_OK)
		return true;
	(void)fprintf(stderr, "peer: %s\n", err.text);
	return false;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void on_closed(uv_handle_t *handle)
{
	bool *closed = handle->data;

	*closed = true;
}

static void close_timer(uv_timer_t *timer)
{
	bool closed = false;

	timer->data = &closed;
	uv_close((uv_handle_t *)timer, on_closed);
	while (!closed)
		(void)uv_run(peer_loop(), UV_RUN_ONCE);
}

bool peer_wait(const unsigned *count, unsigned want)
{
	uint64_t until_ms = ota_clock_mono_ms() + PEER_TIMEOUT_MS;
	uv_timer_t tick;

	(void)uv_timer_init(peer_loop(), &tick);
	(void)uv_timer_start(&tick, on_tick, PEER_TIMEOUT_MS, PEER_TIMEOUT_MS);
	while (*count < want && ota_clock_mono_ms() < until_ms)
		(void)uv_run(peer_loop(), UV_RUN_ONCE);
	close_timer(&tick);
	return *count >= want;
}

uint64_t peer_turn(uint64_t for_ms)
{
	uint64_t start_ms = ota_clock_mono_ms(), last_ms = start_ms, longest_ms = 0;
	uv_timer_t tick;

	(void)uv_timer_init(peer_loop(), &tick);
	(void)uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
	while (last_ms - start_ms < for_ms) {
		uint64_t now_ms;

		(void)uv_run(peer_loop(), UV_RUN_ONCE);
		now_ms = ota_clock_mono_ms();
		if (now_ms - last_ms > longest_ms)
			longest_ms = now_ms - last_ms;
		last_ms = now_ms;
	}
	close_timer(&tick);
	return longest_ms;
}

void peer_done(void *ctx, enum ota_code code)
{
	struct peer *peer = ctx;

	peer->done_ok += code == OTA_OK;
	peer->done_denied += code == OTA_E_DENIED;
	peer->done_link += code == OTA_E_LINK;
}

enum ota_code peer_publish(
	struct peer *peer, const char *topic, struct ota_bytes payload, bool retain)
{
	const struct ota_mqtt_message message = { topic, payload, 1, retain };

	return ota_mqtt_publish(peer->link, &message, peer_done, peer);
}

enum ota_code peer_subscribe(struct peer *peer, const char *filter)
{
	return ota_mqtt_subscribe(peer->link, &filter, 1, peer_done, peer);
}

static void on_link_closed(void *ctx)
{
	struct peer *peer = ctx;

	peer->closed = true;
	peer->link = NULL;
}

void peer_begin_close(struct peer *peer)
{
	if (peer->link == NULL || peer->closing)
		return;
	peer->closing = true;
	ota_mqtt_close(peer->link, on_link_closed, peer);
}

bool peer_close_all(struct peer *const *peers)
{
	bool all = true;

	for (size_t i = 0; peers[i] != NULL; i++)
		peer_begin_close(peers[i]);
	(void)uv_run(peer_loop(), UV_RUN_DEFAULT);
	for (size_t i = 0; peers[i] != NULL; i++) {
		all = all && peers[i]->link == NULL;
		ota_buf_fini(&peers[i]->payload);
	}
	has_loop = uv_loop_close(peer_loop()) != 0;
	return !has_loop && all;
}

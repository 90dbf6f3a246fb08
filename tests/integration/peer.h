#ifndef TESTS_INTEGRATION_PEER_H
#define TESTS_INTEGRATION_PEER_H

/* MQTT links for tests: a loop with a deadline instead of sleeps, and links that count
 * what happens to them. */

#include "proto/io/mqtt.h"
#include "tests/integration/broker.h"

enum { PEER_TIMEOUT_MS = 20 * 1000, PEER_KEPT_MAX = 512 };

struct peer {
	struct ota_mqtt *link;
	unsigned ups, downs;
	char why[256]; /* of the last down */
	unsigned messages;
	char topic[256]; /* of the last message */
	struct ota_buf payload;
	bool retained;
	bool keeps; /* messages, until peer_let_go() */
	struct ota_mqtt_kept *kept[PEER_KEPT_MAX];
	unsigned kept_count;
	unsigned done_ok, done_denied, done_link; /* see peer_done() */
	bool closing, closed;
};

/** The loop all peers of a test share. */
uv_loop_t *peer_loop(void);

/** The config of a client with a certificate of this broker. Its texts live as long as
 * the test. host is in the URL: "localhost". */
struct ota_mqtt_config peer_config(
	const struct broker *broker, const char *name, const char *host);

/** Create a link that counts into peer, which is cleared first. False with a line on
 *  stderr if the configuration is refused. */
bool peer_open(struct peer *peer, const struct ota_mqtt_config *config);

/** Turn the loop until *count is at least want. False once PEER_TIMEOUT_MS have passed.
 */
bool peer_wait(const unsigned *count, unsigned want);

/** Turn the loop for a while; returns the longest time it took to come round, in ms. */
uint64_t peer_turn(uint64_t for_ms);

/** Let go of all messages that it keeps, and keep no more. */
void peer_let_go(struct peer *peer);

/** An ota_mqtt_done that counts into the peer given as ctx. */
void peer_done(void *ctx, enum ota_code code);

/** Publish at QoS 1, counted by peer_done(). */
enum ota_code peer_publish(
	struct peer *peer, const char *topic, struct ota_bytes payload, bool retain);

/** Subscribe to one filter, counted by peer_done(). */
enum ota_code peer_subscribe(struct peer *peer, const char *filter);

/** Begin to close a link; peer_close_all() waits for it. */
void peer_begin_close(struct peer *peer);

/** Close links (NULL-terminated), wait, and close the loop. False if anything is left. */
bool peer_close_all(struct peer *const *peers);

#endif

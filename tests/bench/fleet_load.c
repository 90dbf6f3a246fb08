/* A fleet that reports, as one MQTT connection: signed reports of many devices, as fast
 * as the broker takes them; and a bare Paho subscriber that counts messages, to compare.
 *
 * usage: fleet_load report PORT FLEET FLEET_ID DEVICES
 *            each line "COUNTER STATE" of the input signs a report of every device, says
 *            "signed", waits for a line, publishes all and says "acked"
 *        fleet_load listen PORT FILTER COUNT
 *            says "subscribed", "half" after half of COUNT messages, then "received"
 *        fleet_load key
 *            prints the public key of the devices
 *        fleet_load verify COUNT
 *            prints the nanoseconds of processor time that libsodium takes to verify the
 *            signature of a report, the mean of COUNT */
#include <MQTTAsync.h>
#include <arpa/inet.h>
#include <poll.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/unit/samples.h"

enum {
	WINDOW = 1000, /* publishes that are not acknowledged */
	IN_LEN = 4096,
	ACK_LEN = 4, /* bytes of a PUBACK */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "fleet_load: %s\n", what);
	exit(1);
}

static void say(const char *word)
{
	(void)printf("%s\n", word);
	(void)fflush(stdout);
}

/* ---- MQTT 3.1.1, as much of it as a publisher needs */

static void put_length(struct ota_buf *out, size_t len)
{
	do {
		uint8_t byte = (uint8_t)(len % 128);

		len /= 128;
		must(ota_buf_add_u8(out, byte | (len > 0 ? 128 : 0)) == OTA_OK, "memory");
	} while (len > 0);
}

static void put_text(struct ota_buf *out, const char *text)
{
	size_t len = strlen(text);

	must(ota_buf_add_u8(out, (uint8_t)(len >> 8)) == OTA_OK &&
			ota_buf_add_u8(out, (uint8_t)len) == OTA_OK &&
			ota_buf_add(out, ota_bytes_of(text)) == OTA_OK,
		"memory");
}

static void put_publish(
	struct ota_buf *out, const char *topic, struct ota_bytes payload, uint16_t packet)
{
	must(ota_buf_add_u8(out, 0x33) == OTA_OK, "memory"); /* QoS 1, retained */
	put_length(out, 2 + strlen(topic) + 2 + payload.len);
	put_text(out, topic);
	must(ota_buf_add_u8(out, (uint8_t)(packet >> 8)) == OTA_OK &&
			ota_buf_add_u8(out, (uint8_t)packet) == OTA_OK &&
			ota_buf_add(out, payload) == OTA_OK,
		"memory");
}

static void send_all(int fd, struct ota_bytes bytes)
{
	while (bytes.len > 0) {
		ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);

		must(n > 0, "the broker hung up");
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
}

static void receive_all(int fd, uint8_t *at, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		must(n > 0, "the broker hung up");
		at += n;
		len -= (size_t)n;
	}
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static const uint8_t head[] = { 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf hello = { 0 };
	uint8_t answer[4];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0,
		"no broker there");
	must(ota_buf_add_u8(&hello, 0x10) == OTA_OK, "memory");
	put_length(&hello, sizeof head + 2 + strlen("load"));
	must(ota_buf_add(&hello, (struct ota_bytes){ head, sizeof head }) == OTA_OK,
		"memory");
	put_text(&hello, "load");
	send_all(fd, ota_buf_bytes(&hello));
	receive_all(fd, answer, sizeof answer);
	must(answer[0] == 0x20 && answer[3] == 0, "the broker refuses the connection");
	return fd;
}

/* ---- reports */

struct fleet {
	const char *name;
	uint8_t id[OTA_FLEET_ID_LEN];
	uint32_t devices;
	struct ota_secret_key key;
	struct ota_buf *frames; /* owned; one of each device */
};

static void sign(struct fleet *fleet, uint64_t counter, enum ota_update_state state)
{
	struct ota_report report = sample_report();
	struct ota_topic topic = { .kind = OTA_TOPIC_REPORT };
	char text[OTA_TOPIC_CAP];

	report.boot = 1;
	report.counter = counter;
	report.state = state;
	report.rollout[0] = report.cohort[0] = report.error_text[0] = '\0';
	report.error = report.wait = 0;
	report.order_seq = report.fresh_seq = report.assign_seq = 0;
	for (uint32_t i = 0; i < fleet->devices; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
		OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
		OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };

		(void)snprintf(report.device, sizeof report.device, "gw-%u", i);
		memcpy(topic.name, report.device, sizeof topic.name);
		ota_topic_print(fleet->name, &topic, text);
		must(ota_report_encode(&report, &payload, NULL) == OTA_OK &&
				ota_envelope_seal(OTA_DOC_REPORT, fleet->id,
					ota_buf_bytes(&payload), &sealed,
					NULL) == OTA_OK &&
				ota_envelope_sign(ota_buf_bytes(&sealed), &fleet->key,
					&envelope, NULL) == OTA_OK,
			"memory");
		fleet->frames[i].len = 0;
		put_publish(&fleet->frames[i], text, ota_buf_bytes(&envelope),
			(uint16_t)(i % UINT16_MAX + 1));
	}
}

/* Count acknowledgements that are there, and wait for one if the window is full. */
static uint32_t take_acks(int fd, bool wait)
{
	static uint8_t in[IN_LEN];
	static size_t have;
	uint32_t count = 0;

	while (wait || poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 0) == 1) {
		ssize_t n = recv(fd, in + have, sizeof in - have, 0);

		must(n > 0, "the broker hung up");
		have += (size_t)n;
		count += (uint32_t)(have / ACK_LEN);
		have %= ACK_LEN;
		wait = wait && count == 0;
	}
	return count;
}

static void publish(struct fleet *fleet, int fd)
{
	uint32_t acked = 0;

	for (uint32_t sent = 0; sent < fleet->devices; sent++) {
		send_all(fd, ota_buf_bytes(&fleet->frames[sent]));
		acked += take_acks(fd, sent + 1 - acked >= WINDOW);
	}
	while (acked < fleet->devices)
		acked += take_acks(fd, true);
}

static void report(char **argv)
{
	struct fleet fleet = { .name = argv[1], .key = sample_key(SAMPLE_DEVICE_KEY) };
	int fd = connect_to((uint16_t)strtoul(argv[0], NULL, 10));
	unsigned long long counter;
	char line[64], state[32];

	fleet.devices = (uint32_t)strtoul(argv[3], NULL, 10);
	fleet.frames = calloc(fleet.devices, sizeof *fleet.frames);
	must(fleet.frames != NULL, "memory");
	must(ota_hex_decode(argv[2], fleet.id, sizeof fleet.id) == OTA_OK,
		"the fleet's id");
	while (fgets(line, sizeof line, stdin) != NULL) {
		must(sscanf(line, "%llu %31s", &counter, state) == 2,
			"a counter and a state");
		sign(&fleet, counter,
			strcmp(state, "idle") == 0 ? OTA_UPDATE_IDLE
						   : OTA_UPDATE_CONFIRMED);
		say("signed");
		if (fgets(line, sizeof line, stdin) == NULL)
			break;
		publish(&fleet, fd);
		say("acked");
	}
	for (uint32_t i = 0; i < fleet.devices; i++)
		ota_buf_fini(&fleet.frames[i]);
	free(fleet.frames);
	(void)close(fd);
}

/* ---- a bare subscriber */

static MQTTAsync client;
static struct {
	unsigned long wanted, seen;
	sem_t subscribed, received;
} listener;

static int on_message(void *ctx, char *topic, int len, MQTTAsync_message *message)
{
	(void)ctx;
	(void)len;
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	if (++listener.seen == listener.wanted / 2 || listener.seen == listener.wanted)
		(void)sem_post(&listener.received);
	return 1;
}

static void on_subscribed(void *ctx, MQTTAsync_successData *data)
{
	(void)ctx;
	(void)data;
	(void)sem_post(&listener.subscribed);
}

static void on_connected(void *ctx, MQTTAsync_successData *data)
{
	MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
	const char *const *argv = ctx;

	(void)data;
	options.onSuccess = on_subscribed;
	must(MQTTAsync_subscribe(client, argv[1], 1, &options) == MQTTASYNC_SUCCESS,
		"subscribe");
}

static void listen_bare(char **argv)
{
	MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
	char url[64];

	(void)snprintf(url, sizeof url, "tcp://127.0.0.1:%s", argv[0]);
	listener.wanted = strtoul(argv[2], NULL, 10);
	must(sem_init(&listener.subscribed, 0, 0) == 0 &&
			sem_init(&listener.received, 0, 0) == 0,
		"semaphore");
	must(MQTTAsync_create(&client, url, "listen", MQTTCLIENT_PERSISTENCE_NONE,
		     NULL) == MQTTASYNC_SUCCESS,
		"Paho");
	must(MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL) ==
			MQTTASYNC_SUCCESS,
		"Paho");
	options.onSuccess = on_connected;
	options.context = argv;
	must(MQTTAsync_connect(client, &options) == MQTTASYNC_SUCCESS, "connect");
	(void)sem_wait(&listener.subscribed);
	say("subscribed");
	(void)sem_wait(&listener.received);
	say("half");
	(void)sem_wait(&listener.received);
	say("received");
	MQTTAsync_destroy(&client);
}

/* ---- the signature alone */

static uint64_t cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000 * 1000 * 1000 + (uint64_t)now.tv_nsec;
}

static void verify(unsigned long count)
{
	const struct ota_secret_key key = sample_key(SAMPLE_DEVICE_KEY);
	const struct ota_public_key public_key = sample_public(SAMPLE_DEVICE_KEY);
	OTA_AUTO(ota_buf_fini) struct ota_buf message = { 0 };
	const struct ota_report report = sample_report();
	uint8_t sig[crypto_sign_BYTES];
	uint64_t began_ns;

	must(count > 0 && ota_report_encode(&report, &message, NULL) == OTA_OK, "memory");
	(void)crypto_sign_detached(sig, NULL, message.at, message.len, key.at);
	began_ns = cpu_ns();
	for (unsigned long i = 0; i < count; i++)
		must(crypto_sign_verify_detached(
			     sig, message.at, message.len, public_key.at) == 0,
			"signature");
	(void)printf("%llu\n", (unsigned long long)((cpu_ns() - began_ns) / count));
}

int main(int argc, char **argv)
{
	must(sodium_init() >= 0, "libsodium");
	if (argc == 6 && strcmp(argv[1], "report") == 0) {
		report(argv + 2);
	} else if (argc == 5 && strcmp(argv[1], "listen") == 0) {
		listen_bare(argv + 2);
	} else if (argc == 2 && strcmp(argv[1], "key") == 0) {
		const struct ota_public_key key = sample_public(SAMPLE_DEVICE_KEY);
		char hex[2 * OTA_PK_LEN + 1];

		ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
		say(hex);
	} else if (argc == 3 && strcmp(argv[1], "verify") == 0) {
		verify(strtoul(argv[2], NULL, 10));
	} else {
		(void)fputs("usage: fleet_load report PORT FLEET FLEET_ID DEVICES\n"
			    "       fleet_load listen PORT FILTER COUNT\n"
			    "       fleet_load key\n"
			    "       fleet_load verify COUNT\n",
			stderr);
		return 1;
	}
	return 0;
}

#include "tests/unit/net_kit.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/io/loop.h"

enum { TICK_MS = 5, DEADLINE_MS = 20000 };

const char *const net_kit_calls =
	"malloc calloc realloc open64 read write pread64 pwrite64 fstat64 fsync "
	"fdatasync ftruncate64 fallocate64 fcntl64 mkdir rename unlink opendir unlinkat "
	"rmdir linkat mkostemp64 statfs64 send ota_path_join ";

/* The one that the calls of the link below belong to. */
static struct net_kit *linked;

/* ---- in place of the link ---- */

bool __wrap_ota_mqtt_is_up(const struct ota_mqtt *link);
enum ota_code __wrap_ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx);
enum ota_code __wrap_ota_mqtt_subscribe(struct ota_mqtt *link, const char *const *filters,
	size_t count, ota_mqtt_done *done, void *done_ctx);
enum ota_code __wrap_ota_mqtt_unsubscribe(
	struct ota_mqtt *link, const char *const *filters, size_t count);

bool __wrap_ota_mqtt_is_up(const struct ota_mqtt *link)
{
	(void)link;
	return linked->up;
}

enum ota_code __wrap_ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx)
{
	(void)link;
	if (!linked->up || linked->refusal != OTA_OK)
		return linked->up ? linked->refusal : OTA_E_LINK;
	linked->published++;
	linked->done = done;
	linked->done_ctx = done_ctx;
	(void)snprintf(linked->said, sizeof linked->said, "%s", message->topic);
	(void)snprintf(linked->words, sizeof linked->words, "%.*s",
		(int)message->payload.len, (const char *)message->payload.at);
	return OTA_OK;
}

enum ota_code __wrap_ota_mqtt_subscribe(struct ota_mqtt *link, const char *const *filters,
	size_t count, ota_mqtt_done *done, void *done_ctx)
{
	(void)link;
	linked->subscribed += (unsigned)count;
	if (!linked->up || linked->refusal != OTA_OK)
		return linked->up ? linked->refusal : OTA_E_LINK;
	for (size_t i = 0; i < count && !linked->is_deaf; i++) {
		cr_assert_lt(linked->queued, NET_KIT_QUEUE_MAX);
		(void)snprintf(
			linked->queue[linked->queued++], OTA_TOPIC_CAP, "%s", filters[i]);
	}
	done(done_ctx, OTA_OK);
	return OTA_OK;
}

enum ota_code __wrap_ota_mqtt_unsubscribe(
	struct ota_mqtt *link, const char *const *filters, size_t count)
{
	(void)link;
	(void)filters;
	linked->unsubscribed += (unsigned)count;
	return linked->refusal;
}

/* ---- the broker ---- */

static struct net_kit_retained *find(struct net_kit *kit, const char *topic)
{
	for (size_t i = 0; i < kit->retained_count; i++)
		if (strcmp(kit->retained[i].topic, topic) == 0)
			return &kit->retained[i];
	return NULL;
}

void net_kit_retain(
	struct net_kit *kit, const struct ota_topic *topic, struct ota_bytes payload)
{
	char text[OTA_TOPIC_CAP];
	struct net_kit_retained *at;

	ota_topic_print(kit->config.fleet, topic, text);
	at = find(kit, text);
	if (at == NULL) {
		cr_assert_lt(kit->retained_count, NET_KIT_RETAINED_MAX);
		at = &kit->retained[kit->retained_count++];
		memcpy(at->topic, text, sizeof text);
	}
	at->payload = payload;
}

static void deliver(
	struct net_kit *kit, const char *text, struct ota_bytes payload, bool retained)
{
	struct net_message message = { text, payload, retained };
	struct ota_topic topic = { 0 };
	enum net_route_kind kind = NET_NOTHING;

	cr_assert_eq(net_route(kit->config.fleet, kit->config.device, &message, &topic,
			     &kind, NULL),
		OTA_OK);
	if (kind == NET_REPAIR)
		net_repair_take(&kit->repair, &topic, &message);
	else
		net_pull_take(&kit->pull, &topic, &message);
}

void net_kit_deliver(struct net_kit *kit, const struct ota_topic *topic,
	struct ota_bytes payload, bool retained)
{
	char text[OTA_TOPIC_CAP];

	ota_topic_print(kit->config.fleet, topic, text);
	deliver(kit, text, payload, retained);
}

static void deliver_next(struct net_kit *kit)
{
	char topic[OTA_TOPIC_CAP];
	const struct net_kit_retained *at;

	memcpy(topic, kit->queue[0], sizeof topic);
	memmove(kit->queue[0], kit->queue[1], --kit->queued * sizeof kit->queue[0]);
	at = find(kit, topic);
	if (at != NULL && at->payload.len > 0)
		deliver(kit, topic, at->payload, true);
}

void net_kit_acknowledge(struct net_kit *kit, enum ota_code code)
{
	ota_mqtt_done *done = kit->done;

	cr_assert_not_null(done, "nobody waits for it");
	kit->done = NULL;
	done(kit->done_ctx, code);
}

void net_kit_link(struct net_kit *kit, bool up)
{
	kit->up = up;
	kit->queued = 0;
	net_pull_link(&kit->pull, up);
	net_repair_link(&kit->repair, up);
}

/* ---- install ---- */

static void on_request(void *ctx, const struct ipc_message *message)
{
	struct net_kit *kit = ctx;

	net_repair_request(&kit->repair, message);
	net_pull_request(&kit->pull, message);
}

static void on_gone(void *ctx, const char *why)
{
	struct net_kit *kit = ctx;

	(void)why;
	kit->gone = true;
}

static const struct net_peer_events events = { on_request, on_gone };

void net_kit_say(struct net_kit *kit, const struct ipc_message *message)
{
	on_request(kit, message);
}

void net_kit_ask(struct net_kit *kit, enum ipc_type type, enum ipc_part part,
	const struct ota_digest *patch)
{
	const struct ipc_message message = {
		.type = type, .code = part, .digest = *patch
	};

	net_kit_say(kit, &message);
}

static void hear(struct net_kit *kit)
{
	static uint8_t room[IPC_PACKET_LEN_MAX];
	struct ipc_message message;
	ssize_t n;

	while ((n = recv(kit->install, room, sizeof room, MSG_DONTWAIT)) > 0) {
		cr_assert_eq(
			ipc_parse((struct ota_bytes){ room, (size_t)n }, &message, NULL),
			OTA_OK);
		kit->count[message.type]++;
		if (message.type == IPC_FAILED)
			(void)snprintf(kit->text, sizeof kit->text, "%.*s",
				(int)message.payload.len,
				(const char *)message.payload.at);
		message.payload = (struct ota_bytes){ 0 };
		kit->heard[message.type] = message;
	}
}

/* ---- turning ---- */

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

void net_kit_answer(struct net_kit *kit)
{
	while (kit->queued > 0)
		deliver_next(kit);
}

void net_kit_turn(struct net_kit *kit)
{
	net_kit_answer(kit);
	(void)uv_run(&kit->loop, UV_RUN_ONCE);
	hear(kit);
}

void net_kit_settle(struct net_kit *kit)
{
	do
		net_kit_turn(kit);
	while (kit->queued > 0 || kit->loop.active_reqs.count > 0);
	net_kit_turn(kit); /* what the last answer led to */
}

bool net_kit_wait(struct net_kit *kit, enum ipc_type type, unsigned times)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;
	unsigned failed = kit->count[IPC_FAILED];

	while (kit->count[type] < times && kit->count[IPC_FAILED] == failed &&
		!kit->gone) {
		cr_assert_lt(ota_clock_mono_ms(), until_ms, "no %s", ipc_type_text(type));
		net_kit_turn(kit);
	}
	return kit->count[type] >= times;
}

/* ---- life ---- */

void net_kit_init(struct net_kit *kit, const char *dir)
{
	struct agent_config *config = &kit->config;
	int fds[2];

	*kit = (struct net_kit){ .up = true };
	linked = kit;
	(void)snprintf(config->device, sizeof config->device, "gw-1");
	(void)snprintf(config->fleet, sizeof config->fleet, "test");
	(void)snprintf(config->spool_dir, sizeof config->spool_dir, "%s/spool", dir);
	config->spool_max_bytes = 1 << 20;
	config->chunks_outstanding = FETCH_WINDOW_MAX;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	kit->install = fds[1];
	cr_assert_eq(uv_loop_init(&kit->loop), 0);
	cr_assert_eq(uv_timer_init(&kit->loop, &kit->tick), 0);
	(void)uv_timer_start(&kit->tick, on_tick, TICK_MS, TICK_MS);
	cr_assert_eq(net_peer_init(&kit->peer, &kit->loop, fds[0], &events, kit), OTA_OK);
	cr_assert_eq(net_pull_init(&kit->pull, &kit->loop, &kit->peer, config), OTA_OK);
	cr_assert_eq(
		net_repair_init(&kit->repair, &kit->loop, &kit->peer, config), OTA_OK);
}

bool net_kit_fini(struct net_kit *kit)
{
	bool is_empty;

	net_pull_close(&kit->pull);
	net_repair_close(&kit->repair);
	net_peer_close(&kit->peer);
	uv_close((uv_handle_t *)&kit->tick, NULL);
	(void)uv_run(&kit->loop, UV_RUN_DEFAULT);
	is_empty = uv_loop_close(&kit->loop) == 0;
	net_peer_fini(&kit->peer);
	(void)close(kit->install);
	return is_empty;
}

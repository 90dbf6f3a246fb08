#ifndef TESTS_UNIT_NET_KIT_H
#define TESTS_UNIT_NET_KIT_H

/* What fetches for the agent (agent/port/net_pull.h, net_repair.h), with both of its
 * neighbours in the test's hands: `install` behind a real socketpair, and a broker of a
 * few retained topics behind the calls of proto/io/mqtt.h, which stand here in place of
 * the link (`net_kit` of meson.build). So nothing moves but when the test turns the loop,
 * and a call can fail at an exact moment. Loop, threads and spool are real. */

#include <uv.h>

#include "agent/port/net_pull.h"
#include "agent/port/net_repair.h"

enum {
	NET_KIT_RETAINED_MAX = 48, /* topics */
	NET_KIT_QUEUE_MAX = 128,   /* topics that were subscribed to and not answered */
	NET_KIT_TEXT_CAP = 256,
};

struct net_kit_retained {
	char topic[OTA_TOPIC_CAP];
	struct ota_bytes payload; /* borrowed */
};

struct net_kit {
	uv_loop_t loop;
	uv_timer_t tick; /* so that a turn ends */
	struct net_peer peer;
	struct agent_config config;
	struct net_pull pull;
	struct net_repair repair;
	int install; /* other end of the socketpair */
	bool gone;   /* net's end of it was given up */
	/* what install heard, by type */
	unsigned count[N_IPC_TYPES];
	struct ipc_message heard[N_IPC_TYPES]; /* payload is in text */
	char text[NET_KIT_TEXT_CAP];           /* of the last FAILED */
	/* the broker */
	bool up, is_deaf;      /* deaf: subscriptions are taken and not answered */
	enum ota_code refusal; /* that it answers to each packet; OTA_OK: none */
	struct net_kit_retained retained[NET_KIT_RETAINED_MAX];
	size_t retained_count;
	char queue[NET_KIT_QUEUE_MAX][OTA_TOPIC_CAP];
	size_t queued;
	unsigned subscribed, unsubscribed, published; /* topics; messages */
	char said[OTA_TOPIC_CAP];                     /* topic of the last message */
	char words[NET_KIT_TEXT_CAP];                 /* payload of it */
	ota_mqtt_done *done; /* of it; NULL: not asked for, or answered */
	void *done_ctx;
};

/** Kinds of calls that may fail, as tests/unit/faults_kit.h names them. uv_queue_work()
 * is not among them: it fails for nothing but no work at all. */
extern const char *const net_kit_calls;

/** Begin with the link up, for device gw-1 of fleet test, and a spool of 1 MiB at most
 *  below that directory. */
void net_kit_init(struct net_kit *kit, const char *dir);

/** Close, and wait until nothing is under way. False if something was left in the loop.
 */
bool net_kit_fini(struct net_kit *kit);

/** Retain a payload, borrowed, on a topic; an empty one clears it. */
void net_kit_retain(
	struct net_kit *kit, const struct ota_topic *topic, struct ota_bytes payload);

/** Deliver a message. */
void net_kit_deliver(struct net_kit *kit, const struct ota_topic *topic,
	struct ota_bytes payload, bool retained);

/** Answer the last message that was published. */
void net_kit_acknowledge(struct net_kit *kit, enum ota_code code);

/** The link comes or goes. */
void net_kit_link(struct net_kit *kit, bool up);

/** Ask as install, with nothing but the type, what it is about, and the patch. */
void net_kit_ask(struct net_kit *kit, enum ipc_type type, enum ipc_part part,
	const struct ota_digest *patch);

/** Ask as install. */
void net_kit_say(struct net_kit *kit, const struct ipc_message *message);

/** Deliver all that is subscribed to, and do nothing else. */
void net_kit_answer(struct net_kit *kit);

/** Turn the loop once: what is subscribed to is delivered, what was said is heard. */
void net_kit_turn(struct net_kit *kit);

/** Turn until no thread is at work and nothing is subscribed to that was not answered. */
void net_kit_settle(struct net_kit *kit);

/** Turn until install heard `times` of a type, or that it FAILED, or until net gave it
 * up. True if it heard that. Ends the test after 20 s without any of them. */
bool net_kit_wait(struct net_kit *kit, enum ipc_type type, unsigned times);

#endif

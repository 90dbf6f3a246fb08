#ifndef AGENT_PORT_NET_PULL_H
#define AGENT_PORT_NET_PULL_H

/* Getting one patch into the spool: what agent/core/fetch.h plans is done here, with the
 * MQTT link, the spool and the worker threads.
 *
 *   NONE --MANIFEST--> MANIFEST --SPOOLED--> NONE --FETCH--> OPENING --> CHUNKS
 *                                                                          |
 *   NONE <--------------FETCHED------------------------------ SYNCING <----+
 *
 * STOP, PURGE, FAILED and a request for another patch lead to NONE from everywhere. */

#include <uv.h>

#include "agent/core/fetch.h"
#include "agent/port/config.h"
#include "agent/port/net_peer.h"
#include "agent/port/net_route.h"
#include "agent/port/spool.h"
#include "proto/io/mqtt.h"

enum net_pull_stage { PULL_NONE, PULL_MANIFEST, PULL_OPENING, PULL_CHUNKS, PULL_SYNCING };

struct net_pull {
	uv_loop_t *loop;                   /* borrowed */
	struct ota_mqtt *link;             /* borrowed; set once it exists */
	struct net_peer *peer;             /* borrowed */
	const struct agent_config *config; /* borrowed */
	uv_timer_t timer;
	enum net_pull_stage stage;
	struct ota_digest patch; /* unless NONE */
	struct fetch fetch;      /* MANIFEST, CHUNKS */
	struct spool spool;      /* CHUNKS, SYNCING */
	uint64_t start_at_ms;    /* OPENING: when chunks may be asked for */
	uint32_t chunks_max;     /* OPENING: most outstanding */
	uint32_t generation;     /* of the request; answers to older ones are void */
	bool syncing;            /* a sync of this generation is under way */
	uint64_t told_ms;        /* when CHUNKS was last sent */
};

/** Begin, with nothing to do. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code net_pull_init(struct net_pull *pull, uv_loop_t *loop,
	struct net_peer *peer, const struct agent_config *config);

/** MANIFEST, FETCH, STOP or PURGE from install; others are ignored. */
void net_pull_request(struct net_pull *pull, const struct ipc_message *request);

/** The link came up or went down. */
void net_pull_link(struct net_pull *pull, bool up);

/** A manifest or chunk arrived; topic is that of the message. */
void net_pull_take(struct net_pull *pull, const struct ota_topic *topic,
	const struct net_message *message);

/** Stop fetching and close the timer. The struct must live until the loop has ended. */
void net_pull_close(struct net_pull *pull);

#endif

#ifndef AGENT_PORT_NET_REPAIR_H
#define AGENT_PORT_NET_REPAIR_H

/* Getting what repairs a patch's source into its spool: the block table that the manifest
 * names, then those blocks that `install` asks for. As net_pull.h, which fetches what the
 * patch itself is made of; `install` asks for one after the other.
 *
 *   NONE --MANIFEST--> TABLE --SPOOLED--> NONE --FETCH--> OPENING --> BLOCKS
 *                                                                       |
 *   NONE <--------------FETCHED------------------------- SYNCING <------+
 *
 * STOP, PURGE, FAILED and a request for another patch lead to NONE from everywhere. */

#include <uv.h>

#include "agent/core/fetch.h"
#include "agent/port/block_spool.h"
#include "agent/port/config.h"
#include "agent/port/net_peer.h"
#include "agent/port/net_route.h"
#include "proto/io/mqtt.h"

enum net_repair_stage {
	REPAIR_NONE,
	REPAIR_TABLE,
	REPAIR_OPENING,
	REPAIR_BLOCKS,
	REPAIR_SYNCING
};

struct net_repair {
	uv_loop_t *loop;                   /* borrowed */
	struct ota_mqtt *link;             /* borrowed; set once it exists */
	struct net_peer *peer;             /* borrowed */
	const struct agent_config *config; /* borrowed */
	uv_timer_t timer;
	enum net_repair_stage stage;
	struct ota_digest patch, table; /* unless NONE; table: digest of it */
	struct fetch fetch;             /* TABLE, BLOCKS */
	struct block_spool spool;       /* BLOCKS, SYNCING */
	uint64_t start_at_ms;           /* OPENING: when blocks may be asked for */
	uint32_t chunks_max;            /* OPENING: most outstanding */
	uint32_t generation; /* of the request; answers to older ones are void */
	uint64_t told_ms;    /* when CHUNKS was last sent */
};

/** Begin, with nothing to do. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code net_repair_init(struct net_repair *repair, uv_loop_t *loop,
	struct net_peer *peer, const struct agent_config *config);

/** MANIFEST or FETCH with IPC_BLOCKS, STOP or PURGE from install; others are ignored. */
void net_repair_request(struct net_repair *repair, const struct ipc_message *request);

/** The link came up or went down. */
void net_repair_link(struct net_repair *repair, bool up);

/** A table or block arrived; topic is that of the message. */
void net_repair_take(struct net_repair *repair, const struct ota_topic *topic,
	const struct net_message *message);

/** Stop fetching and close the timer. The struct must live until the loop has ended. */
void net_repair_close(struct net_repair *repair);

#endif

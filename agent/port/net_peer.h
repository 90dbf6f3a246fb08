#ifndef AGENT_PORT_NET_PEER_H
#define AGENT_PORT_NET_PEER_H

/* The socketpair to `install`, from the side of `net`. What cannot be sent at once waits
 * in a short queue; news of the same thing replaces older news, so that an installer that
 * is busy for a while finds the newest of everything and nothing grows. */

#include <uv.h>

#include "agent/core/ipc.h"

enum { NET_PEER_QUEUE_MAX = 32 }; /* packets; more means that install is stuck */

/** What happens on the socketpair. Loop thread. */
struct net_peer_events {
	/** A packet; message borrows from it for the call. */
	void (*message)(void *ctx, const struct ipc_message *message);
	/** The other end is gone, spoke nonsense or does not read. Said once. */
	void (*gone)(void *ctx, const char *why);
};

struct net_packet {
	struct ipc_message head; /* without payload */
	struct ota_buf bytes;    /* owned */
};

struct net_peer {
	uv_poll_t poll;
	int fd;                               /* owned */
	const struct net_peer_events *events; /* borrowed */
	void *ctx;                            /* borrowed */
	struct net_packet queue[NET_PEER_QUEUE_MAX];
	size_t count;
	uint8_t *room; /* owned, IPC_PACKET_LEN_MAX bytes */
	bool gone;
};

/** Begin. fd is taken on success. OTA_OK, OTA_E_IO or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code net_peer_init(struct net_peer *peer, uv_loop_t *loop, int fd,
	const struct net_peer_events *events, void *ctx);

/** Send a message, now or as soon as the other end reads. Failures end in gone(), from
 *  the loop. */
void net_peer_send(struct net_peer *peer, const struct ipc_message *message);

/** Close from the loop thread. The struct must live until libuv has closed its handle;
 *  then net_peer_fini(). */
void net_peer_close(struct net_peer *peer);

/** Release memory and descriptor. */
void net_peer_fini(struct net_peer *peer);

#endif

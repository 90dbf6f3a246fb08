#ifndef AGENT_PORT_INSTALL_LINK_H
#define AGENT_PORT_INSTALL_LINK_H

/* How `install` hears of `net`, which comes and goes: install outlives it, for an image
 * whose net cannot even start has to be taken back by somebody. */

#include "agent/port/config.h"
#include "agent/port/net_peer.h"

struct install_link {
	uv_loop_t *loop;      /* borrowed */
	uv_poll_t listener;   /* if listen_fd >= 0 */
	uv_timer_t pause;     /* likewise; before it listens again */
	int listen_fd;        /* owned; -1: there is one net, for good */
	struct net_peer peer; /* while has_peer */
	bool has_peer;        /* until its handle is closed */
	bool ended;           /* nobody is let in any more */
	uid_t user;           /* that net runs as, beside our own */
	const char *why;      /* the peer is gone; literal or of the C library */
	const struct net_peer_events *events; /* borrowed */
	void *ctx;                            /* borrowed */
};

/**
 * Begin.
 *
 * fd       a SOCK_SEQPACKET socket, taken on success. If it listens, any number of nets
 *          may connect, one after the other, whose user is ours or config->user. If it is
 *          connected, it is the only one.
 * events   as of net_peer.h; gone is said from the loop alone, when the next net may come
 *
 * Returns OTA_OK, OTA_E_IO or OTA_E_NOMEM. A user that does not exist is no failure here:
 * no net will come then, and install has to do without.
 */
OTA_CHECKED enum ota_code install_link_init(struct install_link *link, uv_loop_t *loop,
	int fd, const struct agent_config *config, struct ota_error *err);

/** Who hears of it; to be set before the loop turns. */
void install_link_answer_to(
	struct install_link *link, const struct net_peer_events *events, void *ctx);

/** True if another net may come when this one is gone. */
bool install_link_listens(const struct install_link *link);

/** Send to net; without one, nothing: what it has to know it is told when it says HELLO.
 */
void install_link_send(struct install_link *link, const struct ipc_message *message);

/** Close from the loop thread; the struct must live until the loop has ended. */
void install_link_close(struct install_link *link);

#endif

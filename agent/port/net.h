#ifndef AGENT_PORT_NET_H
#define AGENT_PORT_NET_H

/* The `net` process: MQTT, TLS and the spool, for an `install` that has no network. It
 * knows nothing of trust beyond digests: documents pass through it unread. */

#include "agent/port/config.h"

/**
 * Be the net process until told to end.
 *
 * config  borrowed
 * fd      its end of the SOCK_SEQPACKET socketpair with install, taken
 *
 * When it runs as root and the configuration names a user, it becomes that user first.
 * Returns the exit code: 0 after SIGTERM or SIGINT, 1 after a failure that was logged,
 * among them that install is gone.
 */
int net_run(const struct agent_config *config, int fd);

#endif

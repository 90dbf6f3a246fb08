#ifndef AGENT_PORT_NET_DOCS_H
#define AGENT_PORT_NET_DOCS_H

/* Which signed documents are subscribed to: fresh, catalog and this device's assign
 * always, the others as `install` wants. */

#include "agent/core/ipc.h"
#include "proto/io/mqtt.h"
#include "proto/wire/topics.h"

enum { NET_DOCS_MAX = 7 }; /* topics; one SUBSCRIBE holds them */

struct net_docs {
	const char *fleet, *device; /* borrowed */
	char topics[NET_DOCS_MAX][OTA_TOPIC_CAP];
	size_t count;
};

/** Begin with the documents that are always wanted. */
void net_docs_init(struct net_docs *docs, const char *fleet, const char *device);

/** Subscribe to all of them: the link has come up. */
void net_docs_up(const struct net_docs *docs, struct ota_mqtt *link);

/** Change what is subscribed to what a WANT says. link may be down. */
void net_docs_want(
	struct net_docs *docs, const struct ipc_message *want, struct ota_mqtt *link);

/** True if a topic is one of them. */
bool net_docs_has(const struct net_docs *docs, const char *topic);

#endif

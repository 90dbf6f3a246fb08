#ifndef AGENT_PORT_NET_ASK_H
#define AGENT_PORT_NET_ASK_H

/* The words of a fetch plan as MQTT packets: topics of chunks and manifest, SUBSCRIBE,
 * UNSUBSCRIBE and need. A packet that the link cannot take is dropped: the link says
 * `down` next, or the fetch runs out of patience and asks again. */

#include "agent/core/fetch.h"
#include "proto/io/mqtt.h"

/** What a plan is about. */
struct net_subject {
	const char *fleet;              /* borrowed */
	const struct ota_digest *patch; /* borrowed; or that of a block table */
	bool is_manifest; /* "chunk 0" of the plan is the manifest, and there is no fence
			   */
	bool is_blocks;   /* a block table and its blocks stand for manifest and chunks */
};

/** UNSUBSCRIBE and SUBSCRIBE as planned, at most 8 filters in a packet. */
void net_ask_plan(struct ota_mqtt *link, const struct net_subject *subject,
	const struct fetch_plan *plan);

/** Publish need/<device> with what the fetch lacks. */
void net_ask_need(struct ota_mqtt *link, const struct net_subject *subject,
	const char *device, const struct fetch *fetch);

#endif

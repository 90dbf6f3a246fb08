#ifndef AGENT_PORT_NET_ROUTE_H
#define AGENT_PORT_NET_ROUTE_H

/* What a message from the broker is to `net`: the one door for topic and payload. */

#include "proto/wire/manifest.h"
#include "proto/wire/topics.h"

enum net_route_kind {
	NET_NOTHING,  /* nothing to do: a retained message was cleared */
	NET_DOCUMENT, /* for `install`, unread */
	NET_MANIFEST, /* of patch topic.digest */
	NET_CHUNK,    /* topic.index of patch topic.digest */
	NET_REPAIR    /* block table topic.digest, or topic.index of its blocks */
};

/** A message from the broker. */
struct net_message {
	const char *topic;        /* borrowed */
	struct ota_bytes payload; /* borrowed */
	bool retained;
};

/**
 * Tell what a message is, by its topic and length alone.
 *
 * fleet, device  ours
 * topic          filled on success only
 * kind           filled on success only
 *
 * Returns OTA_OK, OTA_E_NAME or OTA_E_FORMAT (no topic of ours), OTA_E_LIMIT (payload
 * over the cap of its topic) or OTA_E_DEVICE (for another device, or what devices say).
 */
OTA_CHECKED enum ota_code net_route(const char *fleet, const char *device,
	const struct net_message *message, struct ota_topic *topic,
	enum net_route_kind *kind, struct ota_error *err);

/** Check a chunk message against the manifest and the index in its topic. data is filled
 *  on success only and borrowed from payload. Returns as ota_chunk_check(), and
 *  OTA_E_FORMAT if topic and payload name different chunks. */
OTA_CHECKED enum ota_code net_chunk_check(const struct ota_manifest *manifest,
	uint32_t index, struct ota_bytes payload, struct ota_bytes *data,
	struct ota_error *err);

#endif

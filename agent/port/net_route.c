#include "agent/port/net_route.h"

#include <string.h>

/* What each kind of topic is to net; false for those that devices write. */
static bool kind_of(enum ota_topic_kind topic, enum net_route_kind *out)
{
	switch (topic) {
	case OTA_TOPIC_ROOT:
	case OTA_TOPIC_CATALOG:
	case OTA_TOPIC_FRESH:
	case OTA_TOPIC_RELEASE:
	case OTA_TOPIC_GRANT:
	case OTA_TOPIC_ORDER:
	case OTA_TOPIC_ASSIGN:
		*out = NET_DOCUMENT;
		return true;
	case OTA_TOPIC_MANIFEST:
		*out = NET_MANIFEST;
		return true;
	case OTA_TOPIC_CHUNK:
		*out = NET_CHUNK;
		return true;
	case OTA_TOPIC_BLOCK_TABLE:
	case OTA_TOPIC_BLOCK:
		*out = NET_REPAIR;
		return true;
	case OTA_TOPIC_REPORT:
	case OTA_TOPIC_ONLINE:
	case OTA_TOPIC_NEED:
	case OTA_TOPIC_PROGRESS:
	case OTA_N_TOPIC_KINDS:
		break;
	}
	return false;
}

enum ota_code net_route(const char *fleet, const char *device,
	const struct net_message *message, struct ota_topic *topic,
	enum net_route_kind *kind, struct ota_error *err)
{
	struct ota_topic t = { 0 };
	enum net_route_kind k = NET_NOTHING;
	enum ota_code rc = ota_topic_parse(fleet, message->topic, &t, err);

	if (rc != OTA_OK)
		return rc;
	if (!kind_of(t.kind, &k))
		return ota_fail(err, OTA_E_DEVICE, "only devices speak on this topic");
	if (t.kind == OTA_TOPIC_ASSIGN && strcmp(t.name, device) != 0)
		return ota_fail(err, OTA_E_DEVICE, "for device '%s'", t.name);
	if (message->payload.len > ota_topic_payload_max(t.kind))
		return ota_fail(err, OTA_E_LIMIT, "payload of %zu bytes, at most %zu",
			message->payload.len, ota_topic_payload_max(t.kind));
	*topic = t;
	*kind = message->payload.len == 0 ? NET_NOTHING : k;
	return OTA_OK;
}

enum ota_code net_chunk_check(const struct ota_manifest *manifest, uint32_t index,
	struct ota_bytes payload, struct ota_bytes *data, struct ota_error *err)
{
	uint32_t found = 0;
	struct ota_bytes bytes = { 0 };
	enum ota_code rc = ota_chunk_check(manifest, payload, &found, &bytes, err);

	if (rc != OTA_OK)
		return rc;
	if (found != index)
		return ota_fail(
			err, OTA_E_FORMAT, "chunk %u on the topic of %u", found, index);
	*data = bytes;
	return OTA_OK;
}

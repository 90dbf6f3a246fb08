#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/port/net_route.h"
#include "proto/base/own.h"

/* One byte of topic length, the topic, then the payload: through the door of the net
 * process, and on as far as the bytes are looked at. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CHUNK_LEN = 4096, PATCH_LEN = 2 * CHUNK_LEN + 5 };

/* A manifest of three chunks of zeros, so that right ones can be found. */
static void make_manifest(struct ota_manifest *m, struct ota_digest chunks[static 3])
{
	static const uint8_t zeros[CHUNK_LEN];

	*m = (struct ota_manifest){ .codec = OTA_CODEC_FULL,
		.window_log = 20,
		.chunk_len = CHUNK_LEN,
		.chunk_count = 3,
		.patch_len = PATCH_LEN,
		.raw_len = PATCH_LEN,
		.to_len = PATCH_LEN,
		.chunks = chunks };
	for (uint32_t i = 0; i < 3; i++)
		chunks[i] = ota_digest_of(
			(struct ota_bytes){ zeros, ota_manifest_chunk_len(m, i) });
}

static void look(
	const struct ota_topic *topic, enum net_route_kind kind, struct ota_bytes payload)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest parsed = { 0 };
	struct ota_digest digests[3];
	struct ota_manifest manifest;
	struct ota_bytes found = { 0 };
	struct ota_error err = { 0 };

	make_manifest(&manifest, digests);
	if (kind == NET_MANIFEST &&
		ota_manifest_parse(payload, &parsed, &err) == OTA_OK &&
		parsed.chunk_count > OTA_CHUNKS_MAX)
		abort();
	if (kind == NET_CHUNK &&
		net_chunk_check(&manifest, topic->index, payload, &found, &err) ==
			OTA_OK &&
		(topic->index > 2 ||
			found.len != ota_manifest_chunk_len(&manifest, topic->index)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[256] = "";
	struct net_message message = { .topic = text };
	struct ota_topic topic = { 0 };
	enum net_route_kind kind = NET_NOTHING;
	struct ota_error err = { 0 };

	if (len < 1 || data[0] > len - 1)
		return 0;
	memcpy(text, data + 1, data[0]);
	message.payload = (struct ota_bytes){ data + 1 + data[0], len - 1 - data[0] };
	if (net_route("f", "gw-1", &message, &topic, &kind, &err) != OTA_OK)
		return 0;
	if (message.payload.len > ota_topic_payload_max(topic.kind))
		abort();
	if (topic.kind == OTA_TOPIC_ASSIGN && strcmp(topic.name, "gw-1") != 0)
		abort();
	look(&topic, kind, message.payload);
	return 0;
}

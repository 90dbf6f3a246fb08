#ifndef TESTS_PATCH_H
#define TESTS_PATCH_H

/* A patch for tests: bytes that differ from place to place, cut into chunks, with its
 * manifest. What it decodes to does not matter to those who carry it. */

#include <stdlib.h>

#include "proto/wire/manifest.h"

struct test_patch {
	struct ota_buf bytes;    /* owned */
	struct ota_buf manifest; /* owned */
	struct ota_manifest table;
	struct ota_digest digest; /* of the manifest */
};

/** Fill a patch of `len` bytes; other seeds give other bytes. Aborts without memory. */
static inline void test_patch_init(
	struct test_patch *patch, uint64_t len, uint32_t chunk_len, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;
	struct ota_manifest *m = &patch->table;

	*patch = (struct test_patch){ 0 };
	m->codec = OTA_CODEC_FULL;
	m->window_log = 20;
	m->chunk_len = chunk_len;
	m->chunk_count = (uint32_t)((len + chunk_len - 1) / chunk_len);
	m->patch_len = m->raw_len = m->to_len = len;
	m->decoder_ram = 1 << 20;
	m->chunks = calloc(m->chunk_count, sizeof *m->chunks);
	for (uint64_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		if (ota_buf_add_u8(&patch->bytes, (uint8_t)(x >> 24)) != OTA_OK)
			abort();
	}
	m->to = ota_digest_of(ota_buf_bytes(&patch->bytes));
	for (uint32_t i = 0; i < m->chunk_count; i++)
		m->chunks[i] = ota_digest_of(
			(struct ota_bytes){ patch->bytes.at + (uint64_t)i * chunk_len,
				ota_manifest_chunk_len(m, i) });
	if (ota_manifest_encode(m, &patch->manifest, NULL) != OTA_OK)
		abort();
	patch->digest = ota_digest_of(ota_buf_bytes(&patch->manifest));
}

/** The bytes of chunk `index`, borrowed. */
static inline struct ota_bytes test_patch_chunk(
	const struct test_patch *patch, uint32_t index)
{
	return (struct ota_bytes){ patch->bytes.at +
					   (uint64_t)index * patch->table.chunk_len,
		ota_manifest_chunk_len(&patch->table, index) };
}

/** Release. */
static inline void test_patch_fini(struct test_patch *patch)
{
	ota_buf_fini(&patch->bytes);
	ota_buf_fini(&patch->manifest);
	ota_manifest_fini(&patch->table);
}

#endif

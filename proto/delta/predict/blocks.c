#include "proto/delta/predict/blocks.h"

#include <stdlib.h>

#include "proto/delta/predict/equal.h"

enum {
	STRIDE_LOG_MIN = 3,
	DENSE_MAX = 256 << 20, /* bytes of text with the least stride */
	NUMBER_BITS_MAX = 26,  /* leaves 6 bits for tags */
	ALIKE_MAX = 4,         /* blocks with one tag next to each other */
	BATCH = 16             /* hashes made ready ahead of their use */
};

static uint64_t hash_of(const uint8_t *at)
{
	uint64_t a = ota_le64(at), b = ota_le64(at + 8), c = ota_le64(at + 16),
		 d = ota_le64(at + 24), hash;

	if (a == b && b == c && c == d)
		return 0;
	hash = (a ^ b << 29 ^ b >> 35) * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= (c ^ d << 29 ^ d >> 35) * UINT64_C(0xc2b2ae3d27d4eb4f);
	hash += b * UINT64_C(0x165667b19e3779f9) ^ d * UINT64_C(0xff51afd7ed558ccd);
	return (hash ^ hash >> 31) | 1;
}

/* Where the search for a hash begins. */
static uint32_t *home(const struct ota_blocks *blocks, uint64_t hash)
{
	return &blocks->slots[(hash >> 32) * blocks->slot_count >> 32];
}

static uint32_t tag_of(const struct ota_blocks *blocks, uint64_t hash)
{
	return (uint32_t)hash >> blocks->number_bits;
}

uint64_t ota_blocks_hash(const struct ota_blocks *blocks, const uint8_t *at)
{
	uint64_t hash = hash_of(at);

	__builtin_prefetch(home(blocks, hash));
	return hash;
}

static void put(struct ota_blocks *blocks, uint64_t hash, uint32_t number)
{
	uint32_t *slot = home(blocks, hash), tag = tag_of(blocks, hash);
	unsigned alike = 0;

	for (unsigned i = 0; i < OTA_BLOCK_PLACES && alike < ALIKE_MAX; i++) {
		if (slot[i] == 0) {
			slot[i] = tag << blocks->number_bits | (number + 1);
			return;
		}
		alike += slot[i] >> blocks->number_bits == tag;
	}
}

/* Put in all blocks. */
static void fill(struct ota_blocks *blocks, uint32_t count)
{
	uint64_t hash[BATCH];

	for (uint32_t first = 0; first < count; first += BATCH) {
		uint32_t some = count - first < BATCH ? count - first : BATCH;

		for (uint32_t i = 0; i < some; i++)
			hash[i] = ota_blocks_hash(blocks,
				blocks->text.at +
					((size_t)(first + i) << blocks->stride_log));
		for (uint32_t i = 0; i < some; i++) {
			if (hash[i] != 0)
				put(blocks, hash[i], first + i);
		}
	}
}

enum ota_code ota_blocks_init(struct ota_blocks *blocks, struct ota_bytes text)
{
	struct ota_blocks b = { .text = text, .stride_log = STRIDE_LOG_MIN };
	size_t count = text.len < OTA_BLOCK_LEN ? 0 : text.len - OTA_BLOCK_LEN + 1;

	b.stride_log += text.len > DENSE_MAX;
	while (count >> b.stride_log >> NUMBER_BITS_MAX > 0)
		b.stride_log++;
	if (b.stride_log > STRIDE_LOG_MIN + 3)
		return OTA_E_LIMIT;
	count = (count + ((size_t)1 << b.stride_log) - 1) >> b.stride_log;
	b.slot_count = (uint32_t)(count + count / 2 + 1);
	while (count >> b.number_bits > 0)
		b.number_bits++;
	b.slots = calloc((size_t)b.slot_count + OTA_BLOCK_PLACES, sizeof *b.slots);
	if (b.slots == NULL)
		return OTA_E_NOMEM;
	fill(&b, (uint32_t)count);
	*blocks = b;
	return OTA_OK;
}

void ota_blocks_fini(struct ota_blocks *blocks)
{
	free(blocks->slots);
	*blocks = (struct ota_blocks){ 0 };
}

unsigned ota_blocks_find(const struct ota_blocks *blocks, uint64_t hash,
	size_t place[static OTA_BLOCK_PLACES])
{
	const uint32_t *slot = home(blocks, hash);
	uint32_t tag = tag_of(blocks, hash);
	uint32_t mask = (UINT32_C(1) << blocks->number_bits) - 1;
	unsigned count = 0;

	for (unsigned i = 0; i < OTA_BLOCK_PLACES && slot[i] != 0; i++) {
		if (slot[i] >> blocks->number_bits == tag)
			place[count++] = (size_t)((slot[i] & mask) - 1)
					 << blocks->stride_log;
	}
	return count;
}

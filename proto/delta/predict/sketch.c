#include "proto/delta/predict/align.h"

#include "proto/delta/predict/equal.h"

enum { FAMILIES = sizeof((struct ota_sketch *)0)->least / sizeof(uint32_t) };

static uint64_t mix(uint64_t word)
{
	word *= UINT64_C(0x9e3779b97f4a7c15);
	word ^= word >> 29;
	return word * UINT64_C(0xff51afd7ed558ccd);
}

static uint64_t digest_of(struct ota_bytes content)
{
	uint64_t digest = mix(content.len + 1), tail = 0;
	size_t i = 0;

	for (; i + 8 <= content.len; i += 8)
		digest = mix(digest ^ ota_le64(content.at + i)) ^ digest >> 32;
	for (unsigned shift = 0; i < content.len; i++, shift += 8)
		tail |= (uint64_t)content.at[i] << shift;
	digest = mix(digest ^ tail);
	return digest ^ digest >> 32;
}

/* Each gram's hash chooses its family and stands for it if it is the least. */
struct ota_sketch ota_sketch_of(struct ota_bytes content)
{
	struct ota_sketch sketch = { .digest = digest_of(content) };

	for (unsigned i = 0; i < FAMILIES; i++)
		sketch.least[i] = UINT32_MAX;
	for (size_t i = 0; i + 8 <= content.len; i++) {
		uint64_t hash = mix(ota_le64(content.at + i));
		uint32_t *least = &sketch.least[hash >> 60];
		uint32_t low = (uint32_t)(hash >> 24);

		*least = low < *least ? low : *least;
	}
	return sketch;
}

int ota_sketch_likeness(const struct ota_sketch *a, const struct ota_sketch *b)
{
	int alike = 0;

	if (a->digest == b->digest)
		return FAMILIES;
	for (unsigned i = 0; i < FAMILIES; i++)
		alike += a->least[i] == b->least[i] && a->least[i] != UINT32_MAX;
	return alike;
}

#include "proto/delta/predict/suffix.h"

#include <divsufsort.h>
#include <stdlib.h>

#include "proto/delta/predict/equal.h"

enum {
	COMPARE_MAX = 64 << 10, /* bytes */
	PAIRS = 1 << 16,        /* of first two bytes */
	FILTER_WORDS_MIN = 64,
	FILTER_GRAMS = 16, /* of the text for each word of the filter, at most */
};

static unsigned pair_at(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static uint64_t hash_gram(const uint8_t *gram)
{
	uint64_t hash = ota_le64(gram) * UINT64_C(0x9e3779b97f4a7c15);

	return (hash ^ hash >> 32 ^ gram[8]) * UINT64_C(0xff51afd7ed558ccd);
}

static uint64_t filter_bits(uint64_t hash)
{
	return UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> 6 & 63);
}

bool ota_suffixes_may_hold(const struct ota_suffixes *suffixes, const uint8_t *gram)
{
	uint64_t hash = hash_gram(gram), bits = filter_bits(hash);

	return (suffixes->filter[hash >> suffixes->filter_shift] & bits) == bits;
}

static OTA_CHECKED enum ota_code fill_filter(struct ota_suffixes *suffixes)
{
	size_t words = FILTER_WORDS_MIN;

	suffixes->filter_shift = 58;
	for (; words < suffixes->text.len / FILTER_GRAMS; words *= 2)
		suffixes->filter_shift--;
	suffixes->filter = calloc(words, sizeof *suffixes->filter);
	if (suffixes->filter == NULL)
		return OTA_E_NOMEM;
	for (size_t i = 0; i + OTA_GRAM_LEN <= suffixes->text.len; i++) {
		uint64_t hash = hash_gram(suffixes->text.at + i);

		suffixes->filter[hash >> suffixes->filter_shift] |= filter_bits(hash);
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code fill_first(struct ota_suffixes *suffixes)
{
	uint32_t sum = 0;

	suffixes->first = calloc(PAIRS + 1, sizeof *suffixes->first);
	if (suffixes->first == NULL)
		return OTA_E_NOMEM;
	for (size_t i = 0; i + 2 <= suffixes->text.len; i++)
		suffixes->first[pair_at(suffixes->text.at + i)]++;
	for (unsigned i = 0; i <= PAIRS; i++) {
		uint32_t count = suffixes->first[i];

		suffixes->first[i] = sum;
		sum += count;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code sort(struct ota_suffixes *suffixes)
{
	struct ota_bytes text = suffixes->text;

	suffixes->order = calloc(text.len + 1, sizeof *suffixes->order);
	if (suffixes->order == NULL)
		return OTA_E_NOMEM;
	if (text.len > 0 && divsufsort(text.at, suffixes->order, (int32_t)text.len) != 0)
		return OTA_E_NOMEM;
	return OTA_OK;
}

void ota_suffixes_fini(struct ota_suffixes *suffixes)
{
	free(suffixes->order);
	free(suffixes->first);
	free(suffixes->filter);
	*suffixes = (struct ota_suffixes){ 0 };
}

enum ota_code ota_suffixes_init(struct ota_suffixes *suffixes, struct ota_bytes text)
{
	enum ota_code rc;

	if (text.len > INT32_MAX)
		return OTA_E_LIMIT;
	*suffixes = (struct ota_suffixes){ .text = text };
	rc = sort(suffixes);
	if (rc == OTA_OK)
		rc = fill_first(suffixes);
	if (rc == OTA_OK)
		rc = fill_filter(suffixes);
	if (rc != OTA_OK)
		ota_suffixes_fini(suffixes);
	return rc;
}

/* A search: the wanted bytes stand behind all ranks below `low` and not behind `high`,
 * with which they share so many bytes. */
struct search {
	struct ota_bytes want;
	size_t low, high;
	size_t low_len, high_len;
};

/* Halve the range of a search; the match met on the way. */
static struct ota_suffix_hit probe(const struct ota_suffixes *suffixes, struct search *s)
{
	size_t rank = s->low + (s->high - s->low) / 2;
	size_t start = (size_t)suffixes->order[rank];
	const uint8_t *at = suffixes->text.at + start;
	size_t left = suffixes->text.len - start;
	size_t max = left < s->want.len ? left : s->want.len;
	size_t len = s->low_len < s->high_len ? s->low_len : s->high_len;

	len += ota_equal_len(at + len, s->want.at + len, max - len);
	if (len == s->want.len || (len < left && at[len] > s->want.at[len])) {
		s->high = rank;
		s->high_len = len;
	} else {
		s->low = rank + 1;
		s->low_len = len;
	}
	return (struct ota_suffix_hit){ len, rank };
}

struct ota_suffix_hit ota_suffixes_find(
	const struct ota_suffixes *suffixes, struct ota_bytes want)
{
	struct ota_bytes text = suffixes->text;
	struct search s = { .want = want, .low_len = 2, .high_len = 2 };
	struct ota_suffix_hit best = { 0 };
	unsigned pair, shorter;

	if (want.len < OTA_GRAM_LEN || text.len < OTA_GRAM_LEN)
		return best;
	if (want.len > COMPARE_MAX)
		s.want.len = COMPARE_MAX;
	pair = pair_at(want.at);
	shorter = text.at[text.len - 1] <= want.at[0]; /* the suffix of one byte */
	s.low = suffixes->first[pair] + shorter;
	s.high = suffixes->first[pair + 1] + shorter;
	while (s.low < s.high && best.len < s.want.len) {
		struct ota_suffix_hit hit = probe(suffixes, &s);

		if (hit.len > best.len)
			best = hit;
	}
	return best;
}

#include "proto/delta/predict/align.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

enum {
	FAMILIES = 16,
	ALIKE_MIN = 3,     /* families that a partner by sketch alone shares */
	LEN_FACTOR = 4,    /* how many times longer or shorter such a one may be */
	SAME_KEY_MAX = 64, /* old ones looked at for one key */
	STEM_MIN = 3       /* characters */
};

/* Ways to recognise a candidate, best first. */
enum way { PATH, BUILD_ID, DIGEST, PLAIN_PATH, PLAIN_NAME, STEM, SKETCH, WAYS };

/* An old candidate filed under a key; keys of 0 are of nothing. */
struct card {
	uint64_t key;
	int32_t index;
};

struct cards {
	struct card *at; /* owned */
	size_t count;
};

static void cards_fini(struct cards *cards)
{
	free(cards->at);
}

static uint64_t mix(uint64_t key, uint64_t more)
{
	key = (key ^ more) * UINT64_C(0x9e3779b97f4a7c15);
	return key ^ key >> 29;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* How much of the text at `at` is one version number: "6.1.0-12", "311", "1.1.1n". */
static size_t version_len(const char *at)
{
	size_t len = 0;

	while (is_digit(at[len]) ||
		(len > 0 && at[len] != '\0' && strchr(".-+~_", at[len]) != NULL &&
			is_digit(at[len + 1])))
		len++;
	if (len > 1 && is_letter(at[len]) && !is_letter(at[len + 1]) &&
		!is_digit(at[len + 1]))
		len++;
	return len;
}

/* The key of a text as it is. */
static uint64_t key_of(struct ota_bytes text)
{
	uint64_t key = 0;

	for (size_t i = 0; i < text.len; i++)
		key = mix(key, text.at[i] + UINT64_C(1));
	return key;
}

/* The key of a text up to `len`, with all version numbers alike. */
static uint64_t plain_key(const char *text, size_t len)
{
	uint64_t key = 0;

	for (size_t i = 0; i < len;) {
		size_t version = version_len(text + i);

		key = mix(key, version > 0 ? 256 : (uint8_t)text[i] + UINT64_C(1));
		i += version > 0 ? version : 1;
	}
	return key;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* The key of the directory and what the name begins with: its letters. */
static uint64_t stem_key(const char *path)
{
	const char *name = name_of(path);
	size_t len = 0;

	while (is_letter(name[len]))
		len++;
	if (len < STEM_MIN)
		return 0;
	return mix(plain_key(path, (size_t)(name - path)), plain_key(name, len));
}

/* The key of a candidate by one way but SKETCH. */
static uint64_t key_by(enum way way, const struct ota_candidate *c)
{
	switch (way) {
	case PATH:
		return key_of(ota_bytes_of(c->path));
	case BUILD_ID:
		return key_of((struct ota_bytes){ c->build_id, c->build_id_len });
	case DIGEST:
		return mix(c->sketch.digest, c->len);
	case PLAIN_PATH:
		return plain_key(c->path, strlen(c->path));
	case PLAIN_NAME:
		return plain_key(name_of(c->path), strlen(name_of(c->path)));
	case STEM:
		return stem_key(c->path);
	case SKETCH:
	case WAYS:
		break;
	}
	return 0;
}

static uint64_t family_key(const struct ota_candidate *c, unsigned family)
{
	uint32_t least = c->sketch.least[family];

	return least == UINT32_MAX ? 0 : mix(family + 1, least + UINT64_C(1));
}

static unsigned keys_by(enum way way)
{
	return way == SKETCH ? FAMILIES : 1;
}

static uint64_t nth_key(enum way way, const struct ota_candidate *c, unsigned n)
{
	return way == SKETCH ? family_key(c, n) : key_by(way, c);
}

static int by_key(const void *a, const void *b)
{
	const struct card *one = a, *other = b;

	if (one->key != other->key)
		return one->key < other->key ? -1 : 1;
	return (one->index > other->index) - (one->index < other->index);
}

/* File all old candidates by one way. */
static OTA_CHECKED enum ota_code file(
	struct cards *cards, enum way way, const struct ota_candidate *from, size_t count)
{
	cards->at = calloc(count * keys_by(way) + 1, sizeof *cards->at);
	if (cards->at == NULL)
		return OTA_E_NOMEM;
	for (size_t i = 0; i < count; i++)
		for (unsigned n = 0; n < keys_by(way); n++)
			cards->at[cards->count++] =
				(struct card){ nth_key(way, &from[i], n), (int32_t)i };
	qsort(cards->at, cards->count, sizeof *cards->at, by_key);
	return OTA_OK;
}

static const struct card *first_card(const struct cards *cards, uint64_t key)
{
	size_t low = 0, high = cards->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (cards->at[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return cards->at + low;
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* Whether content may come from what is so alike; names may be trusted more. */
static bool is_plausible(enum way way, int likeness, const struct ota_candidate *from,
	const struct ota_candidate *to)
{
	bool near =
		from->len / LEN_FACTOR <= to->len && to->len / LEN_FACTOR <= from->len;

	switch (way) {
	case SKETCH:
		return near && likeness >= ALIKE_MIN;
	case STEM:
	case PLAIN_NAME:
		return near || likeness >= ALIKE_MIN;
	case PATH:
	case BUILD_ID:
	case DIGEST:
	case PLAIN_PATH:
	case WAYS:
		break;
	}
	return true;
}

/* The best so far for one new candidate. */
struct choice {
	int32_t index;
	int likeness;
	uint64_t difference; /* of the lengths */
};

static bool is_better(const struct choice *a, const struct choice *b)
{
	if (b->index == OTA_NO_PARTNER || a->likeness != b->likeness)
		return b->index == OTA_NO_PARTNER || a->likeness > b->likeness;
	if (a->difference != b->difference)
		return a->difference < b->difference;
	return a->index < b->index;
}

/* Look at the old candidates with one key. */
static void consider(const struct cards *cards, uint64_t key, enum way way,
	const struct ota_candidate *const both[2], struct choice *best)
{
	const struct card *card = first_card(cards, key);
	const struct card *end = cards->at + cards->count;

	if (key == 0)
		return;
	for (unsigned i = 0; i < SAME_KEY_MAX && card < end && card->key == key;
		i++, card++) {
		const struct ota_candidate *from = &both[0][card->index], *to = both[1];
		struct choice choice = { card->index,
			ota_sketch_likeness(&from->sketch, &to->sketch),
			difference(from->len, to->len) };

		if (is_plausible(way, choice.likeness, from, to) &&
			is_better(&choice, best))
			*best = choice;
	}
}

static int32_t choose(const struct cards *cards, enum way way,
	const struct ota_candidate *from, const struct ota_candidate *to)
{
	const struct ota_candidate *const both[2] = { from, to };
	struct choice best = { .index = OTA_NO_PARTNER };

	for (unsigned n = 0; n < keys_by(way); n++)
		consider(cards, nth_key(way, to, n), way, both, &best);
	return best.index;
}

enum ota_code ota_partners(const struct ota_candidate *from, size_t from_count,
	const struct ota_candidate *to, size_t to_count, int32_t *partner)
{
	if (from_count > INT32_MAX)
		return OTA_E_LIMIT;
	for (size_t i = 0; i < to_count; i++)
		partner[i] = OTA_NO_PARTNER;
	for (enum way way = PATH; way < WAYS; way++) {
		OTA_AUTO(cards_fini) struct cards cards = { 0 };
		enum ota_code rc = file(&cards, way, from, from_count);

		if (rc != OTA_OK)
			return rc;
		for (size_t i = 0; i < to_count; i++) {
			if (partner[i] == OTA_NO_PARTNER)
				partner[i] = choose(&cards, way, from, &to[i]);
		}
	}
	return OTA_OK;
}

#include "proto/wire/topics.h"

#include <stdio.h>
#include <string.h>

#include "proto/wire/block_table.h"
#include "proto/wire/envelope.h"
#include "proto/wire/manifest.h"

enum {
	LEVELS_MAX = 4, /* below sluice/1/<fleet>/ */
	LEVEL_CAP = 65, /* bytes of a level with its NUL: a digest or a name */
	NEED_LEN_MAX = 40 + (OTA_CHUNKS_MAX + 7) / 8, /* bytes */
};

/* What a level of a topic is. BUCKET follows from the name, GROUP from the index. */
enum level_kind { NONE, WORD, COHORT, DEVICE, DIGEST, VERSION, BUCKET, GROUP, INDEX };

struct level {
	enum level_kind kind;
	const char *word;
};

struct row {
	enum ota_topic_kind kind;
	size_t payload_max; /* bytes */
	struct level levels[LEVELS_MAX];
};

/* clang-format off */
#define W(text) { WORD, text }
#define F(kind) { kind, NULL }
static const struct row rows[] = {
	{ OTA_TOPIC_ROOT, OTA_ENVELOPE_LEN_MAX, { W("root"), F(VERSION) } },
	{ OTA_TOPIC_CATALOG, OTA_ENVELOPE_LEN_MAX, { W("catalog") } },
	{ OTA_TOPIC_FRESH, OTA_ENVELOPE_LEN_MAX, { W("fresh") } },
	{ OTA_TOPIC_RELEASE, OTA_ENVELOPE_LEN_MAX, { W("release"), F(DIGEST) } },
	{ OTA_TOPIC_GRANT, OTA_ENVELOPE_LEN_MAX, { W("grant"), F(DIGEST) } },
	{ OTA_TOPIC_ORDER, OTA_ENVELOPE_LEN_MAX, { W("cohort"), F(COHORT), W("order") } },
	{ OTA_TOPIC_ASSIGN, OTA_ENVELOPE_LEN_MAX, { W("device"), F(DEVICE), W("assign") } },
	{ OTA_TOPIC_MANIFEST, OTA_MANIFEST_LEN_MAX, { W("patch"), F(DIGEST), W("manifest") } },
	{ OTA_TOPIC_CHUNK, OTA_CHUNK_HEAD_LEN + OTA_CHUNK_LEN,
	  { W("patch"), F(DIGEST), F(GROUP), F(INDEX) } },
	{ OTA_TOPIC_BLOCK_TABLE, OTA_BLOCK_TABLE_LEN_MAX, { W("blocks"), F(DIGEST), W("table") } },
	{ OTA_TOPIC_BLOCK, OTA_CHUNK_HEAD_LEN + OTA_BLOCK_LEN_MAX,
	  { W("blocks"), F(DIGEST), F(GROUP), F(INDEX) } },
	{ OTA_TOPIC_REPORT, OTA_ENVELOPE_LEN_MAX,
	  { W("state"), F(BUCKET), F(DEVICE), W("report") } },
	{ OTA_TOPIC_ONLINE, OTA_ONLINE_CAP - 1,
	  { W("state"), F(BUCKET), F(DEVICE), W("online") } },
	{ OTA_TOPIC_NEED, NEED_LEN_MAX, { W("need"), F(DEVICE) } },
	{ OTA_TOPIC_PROGRESS, OTA_PROGRESS_LEN_MAX, { W("progress"), F(DEVICE) } },
};
#undef W
#undef F
/* clang-format on */

enum { N_ROWS = sizeof rows / sizeof rows[0] };

_Static_assert((int)N_ROWS == (int)OTA_N_TOPIC_KINDS, "each kind has a row");

static const struct row *row_of(enum ota_topic_kind kind)
{
	const struct row *row = rows;

	while (row->kind != kind)
		row++;
	return row;
}

size_t ota_topic_payload_max(enum ota_topic_kind kind)
{
	return row_of(kind)->payload_max;
}

uint32_t ota_state_bucket(const char *device)
{
	struct ota_digest digest = ota_digest_of(ota_bytes_of(device));
	struct ota_reader r = ota_reader_of((struct ota_bytes){ digest.at, 4 });

	return ota_read_le32(&r) % OTA_STATE_BUCKETS;
}

static void print_number(uint64_t number, char out[static LEVEL_CAP])
{
	(void)snprintf(out, LEVEL_CAP, "%llu", (unsigned long long)number);
}

static void print_level(const struct level *level, const struct ota_topic *topic,
	char out[static LEVEL_CAP])
{
	switch (level->kind) {
	case NONE:
		break;
	case WORD:
		(void)snprintf(out, LEVEL_CAP, "%s", level->word);
		break;
	case COHORT:
	case DEVICE:
		(void)snprintf(out, LEVEL_CAP, "%s", topic->name);
		break;
	case DIGEST:
		ota_digest_hex(&topic->digest, out);
		break;
	case VERSION:
		print_number(topic->root, out);
		break;
	case BUCKET:
		print_number(ota_state_bucket(topic->name), out);
		break;
	case GROUP:
		print_number(topic->index / OTA_GROUP_CHUNKS, out);
		break;
	case INDEX:
		print_number(topic->index, out);
		break;
	}
}

void ota_topic_print(
	const char *fleet, const struct ota_topic *topic, char out[static OTA_TOPIC_CAP])
{
	const struct row *row = row_of(topic->kind);
	int used = snprintf(out, OTA_TOPIC_CAP, "sluice/1/%s", fleet);

	for (size_t i = 0; i < LEVELS_MAX && row->levels[i].kind != NONE; i++) {
		char text[LEVEL_CAP] = "";

		print_level(&row->levels[i], topic, text);
		used += snprintf(out + used, OTA_TOPIC_CAP - (size_t)used, "/%s", text);
	}
}

/* The levels of a topic below the prefix. */
struct levels {
	char text[LEVELS_MAX][LEVEL_CAP];
	size_t count;
};

static OTA_CHECKED enum ota_code split(
	const char *fleet, const char *text, struct levels *out, struct ota_error *err)
{
	char prefix[OTA_TOPIC_CAP];
	size_t len = (size_t)snprintf(prefix, sizeof prefix, "sluice/1/%s/", fleet);

	if (strnlen(text, OTA_TOPIC_CAP) == OTA_TOPIC_CAP)
		return ota_fail(err, OTA_E_FORMAT, "topic is too long");
	if (strncmp(text, prefix, len) != 0)
		return ota_fail(err, OTA_E_FORMAT, "topic is not below %s", prefix);
	for (text += len;; text++) {
		len = strcspn(text, "/");
		if (out->count == LEVELS_MAX)
			return ota_fail(err, OTA_E_FORMAT, "topic has too many levels");
		if (len >= LEVEL_CAP)
			return ota_fail(err, OTA_E_NAME, "topic level is too long");
		memcpy(out->text[out->count], text, len);
		out->text[out->count++][len] = '\0';
		text += len;
		if (*text == '\0')
			return OTA_OK;
	}
}

/* True if words and number of levels are those of the row. */
static bool has_shape(const struct row *row, const struct levels *levels)
{
	for (size_t i = 0; i < LEVELS_MAX; i++) {
		const struct level *level = &row->levels[i];

		if ((level->kind == NONE) != (i >= levels->count))
			return false;
		if (level->kind == WORD && strcmp(level->word, levels->text[i]) != 0)
			return false;
	}
	return true;
}

/* Digits only, up to max. */
static OTA_CHECKED enum ota_code read_number(
	const char *text, uint64_t max, uint64_t *out, struct ota_error *err)
{
	uint64_t value = 0;

	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return ota_fail(err, OTA_E_FORMAT, "topic: not a number");
		value = value * 10 + (uint64_t)(*c - '0');
		if (value > max)
			return ota_fail(err, OTA_E_FORMAT, "topic: number too large");
	}
	*out = value;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_level(const struct level *level, const char *text,
	struct ota_topic *out, struct ota_error *err)
{
	uint64_t number = 0;
	enum ota_code rc;

	switch (level->kind) {
	case COHORT:
		return ota_name_copy(text, "cohort", out->name, err);
	case DEVICE:
		return ota_name_copy(text, "device", out->name, err);
	case DIGEST:
		return ota_digest_parse(text, &out->digest, err);
	case VERSION:
		return read_number(text, (UINT64_C(1) << 53) - 1, &out->root, err);
	case INDEX:
		rc = read_number(text, OTA_CHUNKS_MAX - 1, &number, err);
		out->index = (uint32_t)number;
		return rc;
	case NONE:
	case WORD:
	case BUCKET: /* compared when the topic is printed again */
	case GROUP:
		break;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code read_levels(const struct row *row,
	const struct levels *levels, struct ota_topic *out, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < levels->count && rc == OTA_OK; i++)
		rc = read_level(&row->levels[i], levels->text[i], out, err);
	return rc;
}

enum ota_code ota_topic_parse(
	const char *fleet, const char *text, struct ota_topic *out, struct ota_error *err)
{
	struct levels levels = { 0 };
	struct ota_topic topic = { 0 };
	char again[OTA_TOPIC_CAP];
	size_t i = 0;
	enum ota_code rc = split(fleet, text, &levels, err);

	if (rc != OTA_OK)
		return rc;
	while (i < N_ROWS && !has_shape(&rows[i], &levels))
		i++;
	if (i == N_ROWS)
		return ota_fail(err, OTA_E_FORMAT, "topic of no known kind");
	topic.kind = rows[i].kind;
	rc = read_levels(&rows[i], &levels, &topic, err);
	if (rc != OTA_OK)
		return rc;
	ota_topic_print(fleet, &topic, again);
	if (strcmp(text, again) != 0)
		return ota_fail(err, OTA_E_FORMAT, "topic should be %s", again);
	*out = topic;
	return OTA_OK;
}

void ota_topic_state_filter(const char *fleet, uint32_t bucket, enum ota_topic_kind kind,
	char out[static OTA_TOPIC_CAP])
{
	(void)snprintf(out, OTA_TOPIC_CAP, "sluice/1/%s/state/%u/+/%s", fleet, bucket,
		row_of(kind)->levels[LEVELS_MAX - 1].word);
}

void ota_online_print(const struct ota_online *online, char out[static OTA_ONLINE_CAP])
{
	(void)snprintf(out, OTA_ONLINE_CAP, "%c:%.32s", online->online ? '1' : '0',
		online->nonce);
}

enum ota_code ota_online_parse(
	struct ota_bytes in, struct ota_online *out, struct ota_error *err)
{
	struct ota_online online = { 0 };
	uint8_t nonce[16];

	if (in.len != OTA_ONLINE_CAP - 1 || (in.at[0] != '0' && in.at[0] != '1') ||
		in.at[1] != ':')
		return ota_fail(err, OTA_E_FORMAT, "not a presence");
	online.online = in.at[0] == '1';
	memcpy(online.nonce, in.at + 2, sizeof online.nonce - 1);
	if (ota_hex_decode(online.nonce, nonce, sizeof nonce) != OTA_OK)
		return ota_fail(err, OTA_E_FORMAT, "presence without a nonce");
	*out = online;
	return OTA_OK;
}

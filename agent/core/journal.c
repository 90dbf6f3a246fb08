#include "agent/core/journal.h"

#include <stdio.h>
#include <string.h>

enum {
	FLAG_REVERTING = 1,
	FLAG_LOST = 2,
	FLAG_REPAIRS = 4,
	NAME_FIELD_LEN = 72, /* bytes */
	DIGESTS = 6,
	NUMBERS = 16,
	LATE_DIGESTS = 2,
	LATE_NUMBERS = 5,
	STATE_OFFSET = 4,
	ERROR_MAX = 999, /* more than the list will ever hold */
};

static const char MAGIC[4] = { 'O', 'T', 'J', '1' };

/* The fields of one kind in the order of the layout, for both directions. */
static void list_digests(struct journal *j, struct ota_digest *out[static DIGESTS])
{
	struct ota_digest *digests[DIGESTS] = { &j->release, &j->order, &j->target.image,
		&j->patch, &j->blocked_release, &j->boot_id };

	memcpy(out, digests, sizeof digests);
}

static void list_numbers(struct journal *j, uint64_t *out[static NUMBERS])
{
	uint64_t *numbers[NUMBERS] = { &j->order_seq, &j->target.image_len,
		&j->target.counter, &j->target.floor, &j->install_s, &j->prove_s,
		&j->proving_since_ms, &j->blocked_seq, &j->boot, &j->reports_reserved,
		&j->floor, &j->chunks, &j->chunks_total, &j->bytes, &j->refetched,
		&j->trusted_utc_s };

	memcpy(out, numbers, sizeof numbers);
}

static void list_seen(struct journal *j, struct ota_seen *out[static JOURNAL_SEEN])
{
	struct ota_seen *seen[JOURNAL_SEEN] = { &j->fresh, &j->catalog, &j->assign,
		&j->order_seen };

	memcpy(out, seen, sizeof seen);
}

/* ... and those that came to the layout later. */
static void list_late(struct journal *j, struct ota_digest *digests[static LATE_DIGESTS],
	uint64_t *numbers[static LATE_NUMBERS])
{
	struct ota_digest *const d[LATE_DIGESTS] = { &j->confirmed, &j->counted_patch };
	uint64_t *const n[LATE_NUMBERS] = { &j->counted, &j->spent, &j->rescue_boot,
		&j->vain_boots, &j->blocked_assign };

	memcpy(digests, d, sizeof d);
	memcpy(numbers, n, sizeof n);
}

/* A cursor over an output that is known to be long enough. */
static void put(uint8_t **at, const void *data, size_t len)
{
	memcpy(*at, data, len);
	*at += len;
}

static void put_le(uint8_t **at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

static void put_text(uint8_t **at, const char *text, size_t field_len, size_t cap)
{
	memcpy(*at, text, strnlen(text, cap - 1));
	*at += field_len;
}

static void put_head(uint8_t **at, const struct journal *j)
{
	put(at, MAGIC, sizeof MAGIC);
	put_le(at, (uint64_t)j->state, 1);
	put_le(at,
		(j->reverting ? FLAG_REVERTING : 0u) | (j->lost ? FLAG_LOST : 0u) |
			(j->repairs ? FLAG_REPAIRS : 0u),
		3);
	put_le(at, (uint64_t)j->error, 8);
	put_text(at, j->rollout, NAME_FIELD_LEN, sizeof j->rollout);
	put_text(at, j->target.version, NAME_FIELD_LEN, sizeof j->target.version);
	put_text(at, j->error_text, OTA_ERROR_TEXT_CAP, sizeof j->error_text);
}

static void put_rest(uint8_t **at, struct journal *j)
{
	struct ota_digest *digests[DIGESTS];
	uint64_t *numbers[NUMBERS];
	struct ota_seen *seen[JOURNAL_SEEN];

	list_digests(j, digests);
	list_numbers(j, numbers);
	list_seen(j, seen);
	for (size_t i = 0; i < DIGESTS; i++)
		put(at, digests[i]->at, OTA_DIGEST_LEN);
	for (size_t i = 0; i < NUMBERS; i++)
		put_le(at, *numbers[i], 8);
	for (size_t i = 0; i < JOURNAL_SEEN; i++) {
		put_le(at, seen[i]->epoch, 8);
		put_le(at, seen[i]->seq, 8);
		put(at, seen[i]->digest.at, OTA_DIGEST_LEN);
	}
}

enum ota_code journal_encode(const struct journal *journal, struct ota_buf *out)
{
	struct journal j = *journal;
	uint8_t bytes[JOURNAL_LEN] = { 0 };
	uint8_t *at = bytes;
	struct ota_digest *digests[LATE_DIGESTS];
	uint64_t *numbers[LATE_NUMBERS];

	put_head(&at, &j);
	put_rest(&at, &j);
	list_late(&j, digests, numbers);
	for (size_t i = 0; i < LATE_DIGESTS; i++)
		put(&at, digests[i]->at, OTA_DIGEST_LEN);
	for (size_t i = 0; i < LATE_NUMBERS; i++)
		put_le(&at, *numbers[i], 8);
	return ota_buf_add(out, (struct ota_bytes){ bytes, sizeof bytes });
}

/* A text field: printable ASCII, then NUL to its end, one at least. */
static OTA_CHECKED enum ota_code read_text(
	struct ota_reader *r, char *out, size_t field_len)
{
	bool ended = false;

	for (size_t i = 0; i < field_len; i++) {
		uint8_t c = ota_read_u8(r);

		out[i] = (char)c;
		if (c == '\0')
			ended = true;
		else if (ended || c < 0x20 || c > 0x7e)
			return OTA_E_FORMAT;
	}
	return ended ? OTA_OK : OTA_E_FORMAT;
}

static OTA_CHECKED enum ota_code read_name(
	struct ota_reader *r, char out[static OTA_NAME_CAP], struct ota_error *err)
{
	char text[NAME_FIELD_LEN];
	enum ota_code rc = read_text(r, text, sizeof text);

	if (rc != OTA_OK)
		return ota_fail(err, rc, "name field");
	if (text[0] == '\0') {
		out[0] = '\0';
		return OTA_OK;
	}
	return ota_name_copy(text, "journal", out, err);
}

/* What only a later version knows does not cost this one its memory: the device may have
 * fallen back from an image with a newer agent. */
static OTA_CHECKED enum ota_code read_head(
	struct ota_reader *r, struct journal *j, struct ota_error *err)
{
	const uint8_t *magic = ota_read(r, sizeof MAGIC);
	uint8_t state = ota_read_u8(r), flags = ota_read_u8(r);
	uint64_t error;

	(void)ota_read(r, 2);
	error = ota_read_le64(r);
	if (memcmp(magic, MAGIC, sizeof MAGIC) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not a journal");
	if (error > ERROR_MAX)
		return ota_fail(err, OTA_E_FORMAT, "error number");
	j->state = state < OTA_N_UPDATE_STATES ? (enum ota_update_state)state
					       : OTA_UPDATE_FAILED;
	j->reverting = (flags & FLAG_REVERTING) != 0;
	j->lost = (flags & FLAG_LOST) != 0;
	j->repairs = (flags & FLAG_REPAIRS) != 0;
	j->error = (enum ota_code)error;
	return OTA_OK;
}

static void read_digest(struct ota_reader *r, struct ota_digest *out)
{
	const uint8_t *digest = ota_read(r, OTA_DIGEST_LEN);

	if (digest != NULL)
		memcpy(out->at, digest, OTA_DIGEST_LEN);
}

/* Everything of fixed shape after the texts. */
static void read_rest(struct ota_reader *r, struct journal *j)
{
	struct ota_digest *digests[DIGESTS];
	uint64_t *numbers[NUMBERS];
	struct ota_seen *seen[JOURNAL_SEEN];

	list_digests(j, digests);
	list_numbers(j, numbers);
	list_seen(j, seen);
	for (size_t i = 0; i < DIGESTS; i++)
		read_digest(r, digests[i]);
	for (size_t i = 0; i < NUMBERS; i++)
		*numbers[i] = ota_read_le64(r);
	for (size_t i = 0; i < JOURNAL_SEEN; i++) {
		seen[i]->epoch = ota_read_le64(r);
		seen[i]->seq = ota_read_le64(r);
		read_digest(r, &seen[i]->digest);
	}
}

/* Nothing is left to read of a journal that the version before wrote. */
static void read_late(struct ota_reader *r, struct journal *j)
{
	struct ota_digest *digests[LATE_DIGESTS];
	uint64_t *numbers[LATE_NUMBERS];

	list_late(j, digests, numbers);
	for (size_t i = 0; i < LATE_DIGESTS; i++)
		read_digest(r, digests[i]);
	for (size_t i = 0; i < LATE_NUMBERS; i++)
		*numbers[i] = ota_read_le64(r);
}

static void note_unknown_state(struct journal *j, uint8_t state)
{
	if (state < OTA_N_UPDATE_STATES)
		return;
	j->error = OTA_E_STATELOST;
	(void)snprintf(j->error_text, sizeof j->error_text,
		"state %u, which only a later version knows", state);
}

enum ota_code journal_parse(
	struct ota_bytes in, struct journal *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	struct journal j = { 0 };
	enum ota_code rc;

	if (in.len > JOURNAL_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "journal of %zu bytes", in.len);
	if (in.len < JOURNAL_LEN && in.len != JOURNAL_LEN_BEFORE &&
		in.len != JOURNAL_LEN_FIRST)
		return ota_fail(err, OTA_E_FORMAT, "journal of %zu bytes", in.len);
	rc = read_head(&r, &j, err);
	if (rc == OTA_OK)
		rc = read_name(&r, j.rollout, err);
	if (rc == OTA_OK)
		rc = read_name(&r, j.target.version, err);
	if (rc != OTA_OK)
		return rc;
	rc = read_text(&r, j.error_text, sizeof j.error_text);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "error text");
	read_rest(&r, &j);
	read_late(&r, &j);
	note_unknown_state(&j, in.at[STATE_OFFSET]);
	*out = j;
	return OTA_OK;
}

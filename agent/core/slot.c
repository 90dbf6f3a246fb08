#include "agent/core/slot.h"

#include <string.h>

enum { VERSION_FIELD_LEN = 72 }; /* bytes */

static const char MAGIC[4] = { 'O', 'T', 'S', '1' };

#define TEXT(name, text) text,
static const char *const state_text[] = { SLOT_STATES(TEXT) };
#undef TEXT

const char *slot_state_text(enum slot_state state)
{
	return (unsigned)state < N_SLOT_STATES ? state_text[state] : "unknown";
}

/* ---- out ---- */

static void put(uint8_t **at, const void *data, size_t len)
{
	memcpy(*at, data, len);
	*at += len;
}

static void put_le64(uint8_t **at, uint64_t value)
{
	for (size_t i = 0; i < 8; i++)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

static void put_slot(uint8_t **at, const struct slot_info *slot)
{
	put_le64(at, (uint64_t)slot->state);
	put(at, slot->image.at, OTA_DIGEST_LEN);
	put_le64(at, slot->image_len);
	put_le64(at, slot->counter);
	memcpy(*at, slot->version, strnlen(slot->version, OTA_NAME_LEN_MAX));
	*at += VERSION_FIELD_LEN;
}

enum ota_code slot_table_encode(const struct slot_table *table, struct ota_buf *out)
{
	uint8_t bytes[SLOT_TABLE_LEN] = { 0 };
	uint8_t *at = bytes;

	put(&at, MAGIC, sizeof MAGIC);
	*at++ = (uint8_t)table->current;
	*at++ = (uint8_t)table->primary;
	*at++ = table->tries;
	*at++ = 0;
	put(&at, table->boot_id.at, OTA_DIGEST_LEN);
	for (size_t i = 0; i < SLOT_COUNT; i++)
		put_slot(&at, &table->slots[i]);
	return ota_buf_add(out, (struct ota_bytes){ bytes, sizeof bytes });
}

/* ---- in ---- */

static void read_digest(struct ota_reader *r, struct ota_digest *out)
{
	for (size_t i = 0; i < OTA_DIGEST_LEN; i++)
		out->at[i] = ota_read_u8(r);
}

static OTA_CHECKED enum ota_code read_version(
	struct ota_reader *r, char out[static OTA_NAME_CAP], struct ota_error *err)
{
	char text[VERSION_FIELD_LEN + 1] = { 0 };

	for (size_t i = 0; i < VERSION_FIELD_LEN; i++)
		text[i] = (char)ota_read_u8(r);
	for (size_t i = strlen(text); i < VERSION_FIELD_LEN; i++)
		if (text[i] != '\0')
			return ota_fail(err, OTA_E_FORMAT, "version is not padded");
	if (text[0] == '\0') {
		out[0] = '\0';
		return OTA_OK;
	}
	return ota_name_copy(text, "version", out, err);
}

static OTA_CHECKED enum ota_code read_slot(
	struct ota_reader *r, struct slot_info *out, struct ota_error *err)
{
	uint64_t state = ota_read_le64(r);

	if (state >= N_SLOT_STATES)
		return ota_fail(err, OTA_E_FORMAT, "slot state");
	out->state = (enum slot_state)state;
	read_digest(r, &out->image);
	out->image_len = ota_read_le64(r);
	out->counter = ota_read_le64(r);
	return read_version(r, out->version, err);
}

enum ota_code slot_table_parse(
	struct ota_bytes in, struct slot_table *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	const uint8_t *magic = ota_read(&r, sizeof MAGIC);
	struct slot_table table = { 0 };
	enum ota_code rc = OTA_OK;

	if (in.len > SLOT_TABLE_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "slot table of %zu bytes", in.len);
	if (in.len < SLOT_TABLE_LEN || memcmp(magic, MAGIC, sizeof MAGIC) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not a slot table");
	table.current = ota_read_u8(&r);
	table.primary = ota_read_u8(&r);
	table.tries = ota_read_u8(&r);
	if (table.current >= SLOT_COUNT || table.primary >= SLOT_COUNT ||
		table.tries > SLOT_TRIES || ota_read_u8(&r) != 0)
		return ota_fail(err, OTA_E_FORMAT, "slot number or tries");
	read_digest(&r, &table.boot_id);
	for (size_t i = 0; rc == OTA_OK && i < SLOT_COUNT; i++)
		rc = read_slot(&r, &table.slots[i], err);
	if (rc == OTA_OK)
		*out = table;
	return rc;
}

/* ---- boot ---- */

bool slot_table_boot(struct slot_table *table, const struct ota_digest *boot_id)
{
	struct slot_info *slot = &table->slots[table->primary];

	if (ota_digest_equal(&table->boot_id, boot_id))
		return false;
	table->boot_id = *boot_id;
	if (slot->state == SLOT_TRIAL && table->tries == 0)
		slot->state = SLOT_BAD;
	else if (slot->state == SLOT_TRIAL)
		table->tries--;
	if (slot->state == SLOT_BAD &&
		table->slots[1 - table->primary].state == SLOT_GOOD)
		table->primary = 1 - table->primary;
	table->current = table->primary;
	return true;
}

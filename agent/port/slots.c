#include "agent/port/slots.h"

#include <string.h>

#include "proto/base/own.h"

static const struct slots CLOSED = { .record = { .fd = -1 } };

static bool has_boot(const struct slots *slots)
{
	return slots->boot.get_current != NULL;
}

struct slot_place slots_place(const struct slots *slots, unsigned slot)
{
	return (struct slot_place){ slots->config, slot };
}

uint64_t slots_image_len(const struct slots *slots, unsigned slot)
{
	return slot_medium_of(slots->config)->is_fixed
		       ? slots->table.slots[slot].image_len
		       : 0;
}

/* Durable, or the table keeps what it was. */
static OTA_CHECKED enum ota_code store(
	struct slots *slots, const struct slot_table *table, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	enum ota_code rc = slot_table_encode(table, &bytes);

	if (rc == OTA_OK)
		rc = ota_record_write(&slots->record, ota_buf_bytes(&bytes), err);
	if (rc == OTA_OK)
		slots->table = *table;
	return rc;
}

/* ---- without a record ---- */

static OTA_CHECKED enum ota_code digest_slot(const struct slots *slots, unsigned slot,
	struct slot_info *out, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	const struct slot_place place = slots_place(slots, slot);
	struct ota_digest digest;
	enum ota_code rc = slot_image_open(&place, 0, &image, err);

	if (rc == OTA_OK)
		rc = image_file_digest(&image, NULL, &digest, err);
	if (rc != OTA_OK)
		return rc;
	out->state = SLOT_GOOD;
	out->image = digest;
	out->image_len = image.len;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code find_running(
	struct slots *slots, unsigned *out, struct ota_error *err)
{
	const struct slot_medium *medium = slot_medium_of(slots->config);
	bool known;

	*out = 0;
	if (has_boot(slots))
		return slots->boot.get_current(slots->boot.ctx, out, err);
	return medium->find_running(slots->config, &known, out, err);
}

/* The other slot, of which only a boot loader can know that it is good. What cannot be
 * read is not good. */
static void find_other(struct slots *slots, const struct slot_info *running,
	unsigned slot, struct slot_info *out)
{
	enum slot_state state = SLOT_BAD;
	struct slot_info found = { 0 };

	if (!has_boot(slots) ||
		slots->boot.get_state(slots->boot.ctx, slot, &state, NULL) != OTA_OK)
		return;
	if (state != SLOT_GOOD || digest_slot(slots, slot, &found, NULL) != OTA_OK)
		return;
	*out = ota_digest_equal(&found.image, &running->image) ? *running : found;
}

/* The table of a device that was never updated, or whose record is lost. */
static OTA_CHECKED enum ota_code begin(struct slots *slots, struct ota_error *err)
{
	const struct agent_slot_config *config = slots->config;
	struct slot_table table = { 0 };
	struct slot_place place = { .config = config };
	struct slot_info *slot;
	enum ota_code rc = find_running(slots, &table.current, err);

	if (rc != OTA_OK)
		return rc;
	place.slot = table.primary = table.current;
	slot = &table.slots[table.current];
	rc = slot_medium_of(config)->provision(&place, err);
	if (rc == OTA_OK)
		rc = digest_slot(slots, table.current, slot, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "no image to begin with");
	if (!slots->record.lost) {
		slot->counter = config->initial_counter;
		memcpy(slot->version, config->initial_version, sizeof slot->version);
	}
	find_other(slots, slot, 1 - table.current, &table.slots[1 - table.current]);
	return store(slots, &table, err);
}

static OTA_CHECKED enum ota_code load(
	struct slots *slots, const char *state_dir, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char path[AGENT_PATH_CAP];
	enum ota_code rc = slot_medium_of(slots->config)
				   ->record_path(slots->config, state_dir, path, err);

	if (rc == OTA_OK)
		rc = ota_record_open(path, &slots->record, &bytes, err);
	if (rc != OTA_OK)
		return rc;
	if (slots->record.lost || slots->record.seq == 0)
		return begin(slots, err);
	return slot_table_parse(ota_buf_bytes(&bytes), &slots->table, err);
}

/* ---- at every start ---- */

/* Table and boot loader agree on a slot afterwards; the head of slots.h has the reasons.
 */
static OTA_CHECKED enum ota_code agree(struct slots *slots, unsigned slot,
	struct slot_table *table, struct ota_error *err)
{
	const struct boot_loader *boot = &slots->boot;
	enum slot_state *recorded = &table->slots[slot].state, told;
	enum ota_code rc = boot->get_state(boot->ctx, slot, &told, err);

	if (rc != OTA_OK || told == *recorded)
		return rc;
	if (told == SLOT_BAD) {
		*recorded = SLOT_BAD;
		return OTA_OK;
	}
	if (*recorded == SLOT_TRIAL || (*recorded == SLOT_BAD && slot == table->current))
		return OTA_OK;
	return boot->set_state(boot->ctx, slot, *recorded, err);
}

static OTA_CHECKED enum ota_code ask_boot(
	struct slots *slots, struct slot_table *table, struct ota_error *err)
{
	const struct boot_loader *boot = &slots->boot;
	enum ota_code rc = boot->get_current(boot->ctx, &table->current, err);

	if (rc == OTA_OK)
		rc = boot->get_primary(boot->ctx, &table->primary, err);
	for (unsigned i = 0; rc == OTA_OK && i < SLOT_COUNT; i++)
		rc = agree(slots, i, table, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "boot loader");
}

/* Nobody to ask: the table plays the boot loader, but what runs can be seen to. */
static OTA_CHECKED enum ota_code play_boot(struct slots *slots, struct slot_table *table,
	const struct ota_digest *boot_id, struct ota_error *err)
{
	const struct slot_medium *medium = slot_medium_of(slots->config);
	unsigned running;
	bool known = false;
	enum ota_code rc = OTA_OK;

	(void)slot_table_boot(table, boot_id);
	if (medium->is_fixed)
		rc = medium->find_running(slots->config, &known, &running, err);
	if (rc == OTA_OK && known)
		table->current = running;
	return rc;
}

/* What a start may change. */
static bool is_same(const struct slot_table *a, const struct slot_table *b)
{
	return a->current == b->current && a->primary == b->primary &&
	       a->tries == b->tries && ota_digest_equal(&a->boot_id, &b->boot_id) &&
	       a->slots[0].state == b->slots[0].state &&
	       a->slots[1].state == b->slots[1].state;
}

static OTA_CHECKED enum ota_code boot(
	struct slots *slots, const struct ota_digest *boot_id, struct ota_error *err)
{
	struct slot_table table = slots->table;
	struct slot_place place;
	enum ota_code rc = has_boot(slots) ? ask_boot(slots, &table, err)
					   : play_boot(slots, &table, boot_id, err);

	table.boot_id = *boot_id;
	if (rc == OTA_OK && !is_same(&table, &slots->table))
		rc = store(slots, &table, err);
	if (rc != OTA_OK)
		return rc;
	place = slots_place(slots, table.current);
	return slot_medium_of(slots->config)->point(&place, err);
}

enum ota_code slots_open(
	const struct slots_origin *origin, struct slots *out, struct ota_error *err)
{
	OTA_AUTO(slots_fini) struct slots slots = CLOSED;
	const char *dir = origin->config->dir;
	enum ota_code rc;

	slots.config = origin->config;
	if (origin->boot != NULL)
		slots.boot = *origin->boot;
	rc = load(&slots, origin->state_dir, err);
	if (rc == OTA_OK)
		rc = boot(&slots, &origin->boot_id, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "slots%s%s", dir[0] != '\0' ? " in " : "", dir);
	*out = slots;
	slots = CLOSED;
	return OTA_OK;
}

void slots_fini(struct slots *slots)
{
	ota_record_fini(&slots->record);
	*slots = CLOSED;
}

/* ---- the verbs ---- */

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = ((struct slots *)ctx)->table.current;
	return OTA_OK;
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	struct slots *slots = ctx;

	if (has_boot(slots))
		return slots->boot.get_primary(slots->boot.ctx, slot, err);
	*slot = slots->table.primary;
	return OTA_OK;
}

static enum ota_code set_primary(void *ctx, unsigned slot, struct ota_error *err)
{
	struct slots *slots = ctx;
	struct slot_table table = slots->table;
	enum ota_code rc = OTA_OK;

	if (has_boot(slots))
		rc = slots->boot.set_primary(slots->boot.ctx, slot, SLOT_TRIES, err);
	table.primary = slot;
	table.tries = SLOT_TRIES;
	return rc == OTA_OK ? store(slots, &table, err) : rc;
}

static enum ota_code get_state(
	void *ctx, unsigned slot, struct slot_info *out, struct ota_error *err)
{
	(void)err;
	*out = ((struct slots *)ctx)->table.slots[slot];
	return OTA_OK;
}

static enum ota_code set_state(
	void *ctx, unsigned slot, const struct slot_info *info, struct ota_error *err)
{
	struct slots *slots = ctx;
	struct slot_table table = slots->table;
	enum ota_code rc = OTA_OK;

	if (has_boot(slots))
		rc = slots->boot.set_state(slots->boot.ctx, slot, info->state, err);
	table.slots[slot] = *info;
	return rc == OTA_OK ? store(slots, &table, err) : rc;
}

struct slot_port slots_port(struct slots *slots)
{
	return (struct slot_port){ .ctx = slots,
		.get_current = get_current,
		.get_primary = get_primary,
		.set_primary = set_primary,
		.get_state = get_state,
		.set_state = set_state };
}

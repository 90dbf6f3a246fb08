#include "tests/sim/lying_medium.h"

#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"

enum {
	RECORD_LEN = 4096,
	RECORD_HEAD_LEN = 16, /* sequence u64, length u64 */
	RECORD_DIGEST_AT = RECORD_LEN - OTA_DIGEST_LEN,
	IMAGE_SECTORS = 8,
	CHUNKS = 4,
	DOC_KINDS = 8,
};

struct lying_world *medium_of(void *ctx)
{
	return ((struct world *)ctx)->medium_ctx;
}

/* Pass on whether an operation of the disk was done. */
static enum ota_code done(struct world *w, bool did, struct ota_error *err)
{
	if (did)
		return OTA_OK;
	w->cut = true;
	return ota_fail(err, OTA_E_IO, "power cut");
}

/* ---- two records in one file */

bool medium_record_write(struct lying_world *l, struct lying_record *record,
	struct ota_bytes payload, bool in_place, bool synced)
{
	uint8_t block[RECORD_LEN] = { 0 };
	uint64_t seq = record->seq + 1, len = payload.len;
	struct ota_digest digest;

	memcpy(block, &seq, sizeof seq);
	memcpy(block + 8, &len, sizeof len);
	memcpy(block + RECORD_HEAD_LEN, payload.at, payload.len);
	digest = ota_digest_of((struct ota_bytes){ block, RECORD_DIGEST_AT });
	memcpy(block + RECORD_DIGEST_AT, digest.at, OTA_DIGEST_LEN);
	if (!disk_write(&l->disk, record->file, in_place ? 0 : seq % 2 * RECORD_LEN,
		    block, sizeof block))
		return false;
	if (synced && !disk_sync(&l->disk, record->file))
		return false;
	record->seq = seq;
	return true;
}

/* The newest of the two; false if none is whole. */
bool medium_record_read(
	struct lying_world *l, struct lying_record *record, struct ota_buf *out)
{
	const uint8_t *file = disk_read(&l->disk, record->file), *best = NULL;

	record->seq = 0;
	for (const uint8_t *at = file; at < file + DISK_FILE_LEN; at += RECORD_LEN) {
		struct ota_digest digest =
			ota_digest_of((struct ota_bytes){ at, RECORD_DIGEST_AT });
		uint64_t seq;

		memcpy(&seq, at, sizeof seq);
		if (memcmp(digest.at, at + RECORD_DIGEST_AT, OTA_DIGEST_LEN) != 0 ||
			seq <= record->seq)
			continue;
		record->seq = seq;
		best = at;
	}
	out->len = 0;
	if (best != NULL) {
		uint64_t len;

		memcpy(&len, best + 8, sizeof len);
		cr_assert_eq(ota_buf_add(out,
				     (struct ota_bytes){ best + RECORD_HEAD_LEN, len }),
			OTA_OK);
	}
	return best != NULL;
}

/* ---- images: sector i of image n is all n * 16 + i */

static uint8_t image_in(const struct lying_world *l, unsigned slot)
{
	const uint8_t *at = disk_read(&l->disk, FILE_IMAGE + slot);
	uint8_t n = at[0] / 16;

	for (size_t i = 0; i < (size_t)IMAGE_SECTORS * DISK_SECTOR_LEN; i++)
		if (at[i] != n * 16 + i / DISK_SECTOR_LEN)
			return 0;
	return n;
}

static bool image_write(struct lying_world *l, unsigned slot, uint8_t n)
{
	uint8_t sectors[2 * DISK_SECTOR_LEN];

	for (unsigned i = 0; i < IMAGE_SECTORS; i += 2) {
		memset(sectors, n * 16 + (int)i, DISK_SECTOR_LEN);
		memset(sectors + DISK_SECTOR_LEN, n * 16 + (int)i + 1, DISK_SECTOR_LEN);
		if (!disk_write(&l->disk, FILE_IMAGE + slot, (size_t)i * DISK_SECTOR_LEN,
			    sectors, sizeof sectors))
			return false;
	}
	return l->bug == LYING_SLOT_UNSYNCED || disk_sync(&l->disk, FILE_IMAGE + slot);
}

void medium_show_slots(struct lying_world *l)
{
	struct world *w = &l->world;

	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		uint8_t n = image_in(l, i);

		w->slots[i].info = l->table.slots[i];
		w->slots[i].content = world_image(n);
		w->slots[i].whole = n != 0;
	}
}

/* ---- the port */

/* A port that lets the floor rise before its time. */
static void raise_early(struct ota_bytes journal, struct ota_buf *out)
{
	struct journal j;

	cr_assert_eq(journal_parse(journal, &j, NULL), OTA_OK);
	if (j.state >= OTA_UPDATE_ARMED && j.target.floor > j.floor)
		j.floor = j.target.floor;
	cr_assert_eq(journal_encode(&j, out), OTA_OK);
}

static enum ota_code journal_store(
	void *ctx, struct ota_bytes journal, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf early = { 0 };
	struct lying_world *l = medium_of(ctx);
	struct world *w = ctx;
	enum ota_code rc;

	if (w->cut)
		return done(w, false, err);
	if (l->bug == LYING_FLOOR_EARLY) {
		raise_early(journal, &early);
		journal = ota_buf_bytes(&early);
	}
	rc = done(w,
		medium_record_write(l, &l->journal, journal, l->bug == LYING_ONE_RECORD,
			l->bug != LYING_RECORD_UNSYNCED),
		err);
	if (rc != OTA_OK)
		return rc;
	w->journal.len = 0;
	return ota_buf_add(&w->journal, journal);
}

enum ota_code medium_table_store(
	struct world *w, const struct slot_table *table, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct lying_world *l = medium_of(w);
	enum ota_code rc;

	if (w->cut)
		return done(w, false, err);
	cr_assert_eq(slot_table_encode(table, &bytes), OTA_OK);
	rc = done(w,
		medium_record_write(l, &l->table_record, ota_buf_bytes(&bytes), false,
			l->bug != LYING_TABLE_UNSYNCED),
		err);
	if (rc != OTA_OK)
		return rc;
	l->table = *table;
	medium_show_slots(l);
	return OTA_OK;
}

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = medium_of(ctx)->table.current;
	return OTA_OK;
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = medium_of(ctx)->table.primary;
	return OTA_OK;
}

static enum ota_code get_state(
	void *ctx, unsigned slot, struct slot_info *out, struct ota_error *err)
{
	(void)err;
	*out = medium_of(ctx)->table.slots[slot];
	return OTA_OK;
}

static enum ota_code set_primary(void *ctx, unsigned slot, struct ota_error *err)
{
	struct slot_table table = medium_of(ctx)->table;

	table.primary = slot;
	table.tries = SLOT_TRIES;
	return medium_table_store(ctx, &table, err);
}

static enum ota_code set_state(
	void *ctx, unsigned slot, const struct slot_info *info, struct ota_error *err)
{
	struct slot_table table = medium_of(ctx)->table;

	world_must(ctx,
		info->state != SLOT_BAD || table.slots[1 - slot].state != SLOT_BAD,
		"something is left to boot");
	table.slots[slot] = *info;
	return medium_table_store(ctx, &table, err);
}

static enum ota_code doc_load(
	void *ctx, enum ota_topic_kind kind, struct ota_buf *out, struct ota_error *err)
{
	const struct lying_disk *disk = &medium_of(ctx)->disk;
	const uint8_t *at = disk_read(disk, disk->seen_names[FILE_DOC + kind]);
	uint64_t len;

	memcpy(&len, at, sizeof len);
	if (len == 0)
		return ota_fail(err, OTA_E_NOTFOUND, "not kept");
	return ota_buf_add(out, (struct ota_bytes){ at + sizeof len, len });
}

/* Beside the old one, synced, then in its place. */
static enum ota_code doc_store(void *ctx, enum ota_topic_kind kind,
	struct ota_bytes envelope, struct ota_error *err)
{
	struct lying_disk *disk = &medium_of(ctx)->disk;
	unsigned name = FILE_DOC + (unsigned)kind;
	unsigned file = disk->seen_names[name] == name ? name + DOC_KINDS : name;
	uint64_t len = envelope.len;
	uint8_t bytes[DISK_WRITE_LEN_MAX] = { 0 };
	struct world *w = ctx;

	cr_assert_leq(len, sizeof bytes - sizeof len);
	memcpy(bytes, &len, sizeof len);
	memcpy(bytes + sizeof len, envelope.at, envelope.len);
	return done(w,
		!w->cut && disk_write(disk, file, 0, bytes, sizeof bytes) &&
			disk_sync(disk, file) && disk_rename(disk, name, file) &&
			disk_sync_names(disk),
		err);
}

void medium_port(struct agent_port *port)
{
	port->slots.get_current = get_current;
	port->slots.get_primary = get_primary;
	port->slots.set_primary = set_primary;
	port->slots.get_state = get_state;
	port->slots.set_state = set_state;
	port->journal_store = journal_store;
	port->doc_load = doc_load;
	port->doc_store = doc_store;
}

/* ---- what net and the workers do */

static bool is_held(const struct lying_world *l, unsigned chunk)
{
	return disk_read(&l->disk, FILE_SPOOL)[CHUNKS * DISK_SECTOR_LEN + chunk] != 0;
}

static bool chunk_write(struct lying_world *l, unsigned chunk)
{
	uint8_t data[DISK_SECTOR_LEN], held = 1;
	bool synced = l->bug != LYING_CHUNK_UNSYNCED;

	memset(data, 0xc0 + (int)chunk, sizeof data);
	if (!disk_write(&l->disk, FILE_SPOOL, (size_t)chunk * DISK_SECTOR_LEN, data,
		    sizeof data))
		return false;
	if (synced && !disk_sync(&l->disk, FILE_SPOOL))
		return false;
	if (!disk_write(&l->disk, FILE_SPOOL, CHUNKS * DISK_SECTOR_LEN + chunk, &held, 1))
		return false;
	return !synced || disk_sync(&l->disk, FILE_SPOOL);
}

void medium_fetch(struct world *w)
{
	struct lying_world *l = medium_of(w);

	for (unsigned i = 0; i < CHUNKS && !w->cut; i++)
		if (!is_held(l, i) && !chunk_write(l, i))
			w->cut = true;
}

void medium_purge(struct world *w)
{
	struct lying_world *l = medium_of(w);
	static const uint8_t none[CHUNKS];

	if (w->cut)
		return;
	if (!disk_write(
		    &l->disk, FILE_SPOOL, CHUNKS * DISK_SECTOR_LEN, none, sizeof none) ||
		!disk_sync(&l->disk, FILE_SPOOL))
		w->cut = true;
}

static enum ota_code verify(struct world *w)
{
	struct lying_world *l = medium_of(w);
	const uint8_t *spool = disk_read(&l->disk, FILE_SPOOL);
	enum ota_code rc = OTA_OK;

	for (unsigned i = 0; i < CHUNKS; i++) {
		bool good = true;

		for (unsigned at = 0; at < DISK_SECTOR_LEN; at++)
			good &= spool[i * DISK_SECTOR_LEN + at] == 0xc0 + i;
		world_must(w, good || !is_held(l, i),
			"a chunk that was acknowledged is there");
		if (!good || !is_held(l, i))
			rc = OTA_E_DIGEST;
	}
	return rc;
}

static enum ota_code install(struct world *w)
{
	struct lying_world *l = medium_of(w);
	uint8_t n = w->manifest.to.at[0];

	if (l->bug == LYING_SWITCH_EARLY) {
		const struct slot_info early = {
			.state = SLOT_TRIAL, .image = w->manifest.to, .counter = n
		};

		if (set_state(w, w->job.slot, &early, NULL) != OTA_OK ||
			set_primary(w, w->job.slot, NULL) != OTA_OK)
			return OTA_E_IO;
	}
	if (!image_write(l, w->job.slot, n)) {
		w->cut = true;
		return OTA_E_IO;
	}
	medium_show_slots(l);
	return image_in(l, w->job.slot) == n ? OTA_OK : OTA_E_MEDIA;
}

enum ota_code medium_job(struct world *w, struct agent_result *result)
{
	switch (w->job.kind) {
	case AGENT_JOB_HASH:
		result->digest = world_image(image_in(medium_of(w), w->job.slot));
		return OTA_OK;
	case AGENT_JOB_SCAN:
		break;
	case AGENT_JOB_VERIFY:
		return verify(w);
	case AGENT_JOB_INSTALL:
		return install(w);
	case AGENT_JOB_HOOK:
	case AGENT_N_JOBS:
		break;
	}
	return OTA_OK;
}

void medium_provision(struct lying_world *l)
{
	for (unsigned i = 0; i < IMAGE_SECTORS; i++)
		memset(l->disk.kept[FILE_IMAGE] + (size_t)i * DISK_SECTOR_LEN,
			16 + (int)i, DISK_SECTOR_LEN);
	memcpy(l->disk.seen[FILE_IMAGE], l->disk.kept[FILE_IMAGE], DISK_FILE_LEN);
}

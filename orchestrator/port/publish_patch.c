#include "orchestrator/port/publisher_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/port/fatal.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum { COALESCE_MS = 1000 };

static void log_failed(
	const char *event, const struct ota_digest *patch, const struct ota_error *err)
{
	char hex[OTA_DIGEST_HEX_CAP], why[256];

	ota_digest_hex(patch, hex);
	ota_log(OTA_LOG_ERR, event, "patch=%.12s error=%s why=%s", hex,
		ota_code_name(err->code), ota_log_quote(err->text, why));
}

/* ---- for the first time, or after a reconnect */

/* A patch is whole at the broker: the row and its bytes in one transaction. */
static void note_patch(struct publisher *p)
{
	struct ota_error err = { 0 };
	enum ota_code rc = ledger_begin(p->ledger, &err);

	if (rc == OTA_OK)
		rc = ledger_retained_done(p->ledger, p->patch_seq, &err);
	if (rc == OTA_OK)
		rc = ledger_count_patch(p->ledger, &p->patch.name, p->patch_bytes, &err);
	if (rc == OTA_OK)
		rc = ledger_commit(p->ledger, &err);
	if (rc != OTA_OK)
		fatal_ledger(&err);
}

static void end_patch(struct publisher *p)
{
	cached_patch_fini(&p->patch);
	p->stage = STAGE_ROWS;
}

void publish_patch_begin(struct publisher *p, const struct ledger_retained *row)
{
	struct ota_error err = { 0 };
	struct ota_digest name = { 0 };

	if (row->payload.len == OTA_DIGEST_LEN)
		memcpy(name.at, row->payload.at, OTA_DIGEST_LEN);
	chunk_set_drop(&p->clearing, &name);
	if (cached_patch_open(p->dir, &name, &p->patch, &err) != OTA_OK) {
		log_failed("patch.unpublishable", &name, &err);
		return; /* what stands behind it is not held up */
	}
	p->patch_seq = row->seq;
	p->patch_bytes = 0;
	p->patch_next = 0;
	p->patch_failed = false;
	p->stage = STAGE_CHUNKS;
}

static bool send_chunk(struct publisher *p, const struct cached_patch *file,
	uint32_t index, enum flight_kind kind, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf chunk = { 0 };
	struct flight flight = { .kind = kind };
	char topic[OTA_TOPIC_CAP];

	err->code = cached_patch_chunk(file, index, &chunk, err);
	if (err->code != OTA_OK)
		return false;
	publish_topic(p, OTA_TOPIC_CHUNK, &file->name, index, topic);
	return publish_send(p, &flight, topic, ota_buf_bytes(&chunk));
}

static void send_manifest(struct publisher *p)
{
	struct flight flight = { .kind = FLIGHT_MANIFEST };
	char topic[OTA_TOPIC_CAP];

	publish_topic(p, OTA_TOPIC_MANIFEST, &p->patch.name, 0, topic);
	if (publish_send(p, &flight, topic, ota_buf_bytes(&p->patch.bytes)))
		p->stage = STAGE_MANIFEST;
}

void publish_patch_pump(struct publisher *p)
{
	struct ota_error err = { 0 };
	uint32_t count = p->patch.manifest.chunk_count;

	while (!p->patch_failed && p->patch_next < count && p->out < CHUNKS_OUT_MAX) {
		if (!send_chunk(p, &p->patch, p->patch_next, FLIGHT_CHUNK, &err))
			break;
		p->patch_next++;
		p->out++;
	}
	if (err.code != OTA_OK) {
		log_failed("patch.unpublishable", &p->patch.name, &err);
		p->patch_failed = true;
	}
	if (p->out > 0)
		return;
	if (p->patch_failed) {
		p->again_bytes += p->patch_bytes;
		end_patch(p);
	} else if (p->patch_next == count) {
		send_manifest(p);
	}
}

static void manifest_landed(struct publisher *p, enum ota_code code)
{
	char hex[OTA_DIGEST_HEX_CAP];

	if (code == OTA_OK) {
		note_patch(p);
		ota_digest_hex(&p->patch.name, hex);
		ota_log(OTA_LOG_INFO, "patch.published",
			"patch=%.12s chunks=%u bytes=%" PRIu64, hex,
			(unsigned)p->patch.manifest.chunk_count, p->patch_bytes);
	}
	end_patch(p);
}

void publish_patch_landed(
	struct publisher *p, const struct flight *flight, enum ota_code code)
{
	if (code == OTA_E_LINK) /* unknown whether it arrived */
		publish_rewind(p, p->patch_seq);
	if (flight->kind == FLIGHT_MANIFEST) {
		manifest_landed(p, code);
		return;
	}
	p->out--;
	if (code == OTA_OK)
		p->patch_bytes += flight->bytes;
	else
		p->patch_failed = true;
}

/* ---- clearing */

/* How many chunks a patch has that is released, and the block table with it. */
static uint32_t release_patch(struct publisher *p, const struct ota_digest *name)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	struct ota_error err = { 0 };

	if (cached_patch_open(p->dir, name, &file, &err) != OTA_OK)
		log_failed("patch.unclearable", name, &err); /* clears its manifest */
	else
		publish_blocks_release(p, &file.manifest.blocks);
	return file.manifest.chunk_count;
}

static uint32_t count_blocks(const struct publisher *p, const struct ota_digest *name)
{
	OTA_AUTO(cached_blocks_fini) struct cached_blocks file = { 0 };
	struct ota_error err = { 0 };

	if (cached_blocks_open(p->dir, name, &file, &err) != OTA_OK)
		log_failed("blocks.unclearable", name, &err); /* clears the table */
	return file.table.count;
}

bool publish_clear_begin(struct publisher *p, const struct ledger_retained *row)
{
	struct ota_digest name = { 0 };
	struct ota_topic topic = { 0 };
	struct chunk_set *set;
	bool blocks;

	if (row->payload.len == OTA_DIGEST_LEN)
		memcpy(name.at, row->payload.at, OTA_DIGEST_LEN);
	blocks = ota_topic_parse(p->fleet, row->topic, &topic, NULL) == OTA_OK &&
		 topic.kind == OTA_TOPIC_BLOCK_TABLE;
	chunk_set_drop(&p->clearing, &name);
	set = chunk_set_of(&p->clearing, &name,
		blocks ? count_blocks(p, &name) : release_patch(p, &name));
	if (!set)
		return false;
	set->blocks = blocks;
	set->seq = row->seq;
	chunk_set_fill(set);
	publish_start_tick(p);
	return true;
}

/* The topic of a chunk or block, or (NULL) of what lists them. */
static void topic_in(const struct publisher *p, const struct chunk_set *set,
	const uint32_t *index, char out[static OTA_TOPIC_CAP])
{
	enum ota_topic_kind item = set->blocks ? OTA_TOPIC_BLOCK : OTA_TOPIC_CHUNK;
	enum ota_topic_kind list =
		set->blocks ? OTA_TOPIC_BLOCK_TABLE : OTA_TOPIC_MANIFEST;

	publish_topic(p, index ? item : list, &set->patch, index ? *index : 0, out);
}

/* The last topic of a set carries the row that is done with it. */
bool publish_clear_one(struct publisher *p)
{
	struct chunk_set *set = p->clearing;
	struct flight flight = { .kind = FLIGHT_CLEAR };
	struct ota_bytes nothing = { 0 };
	char topic[OTA_TOPIC_CAP];
	uint32_t index = 0;

	if (set->manifest)
		topic_in(p, set, NULL, topic);
	else if (chunk_set_take(set, &index))
		topic_in(p, set, &index, topic);
	if (set->cursor == set->count)
		flight.seq = set->seq;
	if (!publish_send(p, &flight, topic, nothing)) {
		if (!set->manifest)
			set->cursor = index;
		return false;
	}
	set->manifest = false;
	if (set->cursor == set->count)
		chunk_set_pop(&p->clearing);
	return true;
}

/* ---- what devices cannot get */

static void pop_resend(struct publisher *p)
{
	cached_patch_fini(&p->resend_file);
	cached_blocks_fini(&p->resend_blocks);
	chunk_set_pop(&p->resending);
}

static bool open_resend(struct publisher *p)
{
	const struct chunk_set *set = p->resending;
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (p->resend_file.bytes.len > 0 || p->resend_blocks.bytes.len > 0)
		return true;
	rc = set->blocks
		     ? cached_blocks_open(p->dir, &set->patch, &p->resend_blocks, &err)
		     : cached_patch_open(p->dir, &set->patch, &p->resend_file, &err);
	if (rc == OTA_OK)
		return true;
	log_failed("patch.unpublishable", &set->patch, &err);
	pop_resend(p);
	return false;
}

static bool send_block(struct publisher *p, uint32_t index, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf block = { 0 };
	struct flight flight = { .kind = FLIGHT_RESEND };
	char topic[OTA_TOPIC_CAP];

	err->code = cached_blocks_message(&p->resend_blocks, index, &block, err);
	if (err->code != OTA_OK)
		return false;
	publish_topic(p, OTA_TOPIC_BLOCK, &p->resend_blocks.name, index, topic);
	return publish_send(p, &flight, topic, ota_buf_bytes(&block));
}

static bool resend_item(struct publisher *p, uint32_t index, struct ota_error *err)
{
	return p->resending->blocks
		       ? send_block(p, index, err)
		       : send_chunk(p, &p->resend_file, index, FLIGHT_RESEND, err);
}

/* The next message of the set in hand; false if the link is full or the set is done. */
static bool resend_one(struct publisher *p)
{
	struct chunk_set *set = p->resending;
	struct flight flight = { .kind = FLIGHT_RESEND };
	struct ota_error err = { 0 };
	struct ota_bytes list;
	char topic[OTA_TOPIC_CAP];
	uint32_t index;

	if (chunk_set_take(set, &index)) {
		if (resend_item(p, index, &err))
			return true;
		if (err.code == OTA_OK)
			set->cursor = index;
		else
			log_failed("patch.unpublishable", &set->patch, &err);
		return false;
	}
	topic_in(p, set, NULL, topic);
	list = ota_buf_bytes(
		set->blocks ? &p->resend_blocks.bytes : &p->resend_file.bytes);
	if (set->manifest && !publish_send(p, &flight, topic, list))
		return false;
	p->resend_out += set->manifest;
	pop_resend(p);
	return false;
}

void publish_resend_pump(struct publisher *p)
{
	while (p->resending && p->resend_out < RESEND_OUT_MAX) {
		if (!open_resend(p))
			continue;
		if (resend_one(p))
			p->resend_out++;
		else if (p->resending)
			return;
	}
}

void publish_want(
	struct publisher *p, const struct ota_need *need, uint32_t count, bool blocks)
{
	struct chunk_set *set;

	if (!p->wanted)
		p->wanted_at_ms = ota_clock_mono_ms() + COALESCE_MS;
	set = chunk_set_of(&p->wanted, &need->patch, count);
	if (set) {
		set->blocks = blocks;
		chunk_set_merge(set, need);
	}
	publish_start_tick(p);
}

void publisher_need(struct publisher *p, const struct ota_need *need)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	char topic[OTA_TOPIC_CAP];

	publish_topic(p, OTA_TOPIC_MANIFEST, &need->patch, 0, topic);
	if (!ledger_patch_is_out(p->ledger, topic)) {
		publish_blocks_need(p, need);
		return;
	}
	if (cached_patch_open(p->dir, &need->patch, &file, NULL) != OTA_OK)
		return;
	if (need->chunk_count == 0 || need->chunk_count == file.manifest.chunk_count)
		publish_want(p, need, file.manifest.chunk_count, false);
}

void publish_wanted(struct publisher *p)
{
	struct chunk_set **end = &p->resending;
	unsigned patches = 0;

	for (struct chunk_set *s = p->wanted; s; s = s->next)
		patches++;
	ota_log(OTA_LOG_INFO, "chunks.again", "patches=%u", patches);
	while (*end)
		end = &(*end)->next;
	*end = p->wanted;
	p->wanted = NULL;
}

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
		fatal_exit("ledger.failed", &err);
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

bool publish_clear_begin(struct publisher *p, const struct ledger_retained *row)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	struct ota_error err = { 0 };
	struct ota_digest name = { 0 };
	struct chunk_set *set;

	if (row->payload.len == OTA_DIGEST_LEN)
		memcpy(name.at, row->payload.at, OTA_DIGEST_LEN);
	if (cached_patch_open(p->dir, &name, &file, &err) != OTA_OK)
		log_failed("patch.unclearable", &name, &err); /* clears its manifest */
	chunk_set_drop(&p->clearing, &name);
	set = chunk_set_of(&p->clearing, &name, file.manifest.chunk_count);
	if (!set)
		return false;
	set->seq = row->seq;
	chunk_set_fill(set);
	publish_start_tick(p);
	return true;
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
		publish_topic(p, OTA_TOPIC_MANIFEST, &set->patch, 0, topic);
	else if (chunk_set_take(set, &index))
		publish_topic(p, OTA_TOPIC_CHUNK, &set->patch, index, topic);
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
	chunk_set_pop(&p->resending);
}

static bool open_resend(struct publisher *p)
{
	struct ota_error err = { 0 };

	if (p->resend_file.bytes.len > 0)
		return true;
	if (cached_patch_open(p->dir, &p->resending->patch, &p->resend_file, &err) ==
		OTA_OK)
		return true;
	log_failed("patch.unpublishable", &p->resending->patch, &err);
	pop_resend(p);
	return false;
}

/* The next message of the set in hand; false if the link is full or the set is done. */
static bool resend_one(struct publisher *p)
{
	struct chunk_set *set = p->resending;
	struct flight flight = { .kind = FLIGHT_RESEND };
	struct ota_error err = { 0 };
	char topic[OTA_TOPIC_CAP];
	uint32_t index;

	if (chunk_set_take(set, &index)) {
		if (send_chunk(p, &p->resend_file, index, FLIGHT_RESEND, &err))
			return true;
		if (err.code == OTA_OK)
			set->cursor = index;
		else
			log_failed("patch.unpublishable", &set->patch, &err);
		return false;
	}
	publish_topic(p, OTA_TOPIC_MANIFEST, &set->patch, 0, topic);
	if (set->manifest &&
		!publish_send(p, &flight, topic, ota_buf_bytes(&p->resend_file.bytes)))
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

void publisher_need(struct publisher *p, const struct ota_need *need)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	struct chunk_set *set;
	char topic[OTA_TOPIC_CAP];

	publish_topic(p, OTA_TOPIC_MANIFEST, &need->patch, 0, topic);
	if (!ledger_patch_is_out(p->ledger, topic) ||
		cached_patch_open(p->dir, &need->patch, &file, NULL) != OTA_OK)
		return;
	if (need->chunk_count != 0 && need->chunk_count != file.manifest.chunk_count)
		return;
	if (!p->wanted)
		p->wanted_at_ms = ota_clock_mono_ms() + COALESCE_MS;
	set = chunk_set_of(&p->wanted, &need->patch, file.manifest.chunk_count);
	if (set)
		chunk_set_merge(set, need);
	publish_start_tick(p);
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

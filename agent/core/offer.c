#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/inner.h"
#include "proto/base/own.h"
#include "proto/wire/manifest.h"

enum { STORE_EVERY = 1 << 20 }; /* bytes received */

/* net is asked for the manifest before it fetches: it may have lost its spool since. */
void offer_ask_manifest(struct agent *a, const struct ota_digest *patch)
{
	if (!ota_digest_equal(patch, &a->patch))
		a->repair.scanned = false;
	a->repair.spooled = false;
	a->patch = *patch;
	a->net_began = true;
	hold_forget_spool(a, patch);
	agent_tell(a, IPC_PURGE, patch);
	agent_tell(a, IPC_MANIFEST, patch);
}

/* ---- OFFERED: everything that can be known before a chunk is fetched ---- */

/* Refuse what was offered, or wait where only time is lacking. */
enum ota_code offer_refuse(
	struct agent *a, const struct ota_error *why, struct ota_error *err)
{
	/* Until a newer one comes, or the clock is right. */
	if (why->code == OTA_E_EXPIRED)
		return agent_move(a, UPDATE_ON_CANCEL, err);
	if (judge_is_error(a, why->code))
		return work_fail(a, why->code, why->text, err);
	work_park(a, why->code, why->text, WORK_RETRY_MS);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code offered_hashed(
	struct agent *a, const struct agent_result *result, struct ota_error *err)
{
	struct ota_patch_ref ref;
	struct ota_error why = { 0 };

	if (result->error.code != OTA_OK)
		return offer_refuse(a, &result->error, err);
	a->running = result->digest;
	a->repair.scanned = false;
	if (judge_admit(a, &ref, &why) != OTA_OK)
		return offer_refuse(a, &why, err);
	a->offer = AGENT_OFFER_MANIFEST;
	offer_ask_manifest(a, &ref.patch);
	return OTA_OK;
}

/* The manifest speaks of the images that order and release speak of. */
static OTA_CHECKED enum ota_code check_images(const struct agent *a,
	const struct ota_manifest *m, const struct ota_patch_ref *ref,
	struct ota_error *why)
{
	const struct journal_target *target = &a->journal.target;

	if (!ota_digest_equal(&m->to, &target->image) || m->to_len != target->image_len)
		return ota_fail(why, OTA_E_AGREEMENT,
			"patch makes another image than the release names");
	if (!ota_digest_equal(&m->from, &ref->from))
		return ota_fail(why, OTA_E_AGREEMENT,
			"patch applies to another image than the order says");
	if (!ota_digest_is_zero(&m->from) && !ota_digest_equal(&m->from, &a->running) &&
		!ota_digest_equal(&m->from, &a->slots[a->current].image))
		return ota_fail(why, OTA_E_PRECURSOR,
			"patch applies to another image than the running one");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_room(
	struct agent *a, const struct ota_manifest *m, struct ota_error *why)
{
	struct agent_room room;
	uint64_t blocks_len = 0;
	enum ota_code rc;

	if (repair_is_for(a, &m->from))
		blocks_len = a->repair.scan.packed_len + a->repair.scan.raw_len;
	if (m->decoder_ram > a->id.decoder_ram_max)
		return ota_fail(why, OTA_E_NORAM,
			"decoder needs %" PRIu64 " bytes, allowed are %" PRIu64,
			m->decoder_ram, a->id.decoder_ram_max);
	rc = a->port.room(a->port.ctx, &a->patch, &room, why);
	if (rc != OTA_OK)
		return rc;
	if (m->patch_len > room.spool)
		return ota_fail(why, OTA_E_NOSPACE,
			"patch of %" PRIu64 " bytes, room for %" PRIu64, m->patch_len,
			room.spool);
	if (blocks_len > room.spool - m->patch_len)
		return ota_fail(why, OTA_E_NOSPACE,
			"patch of %" PRIu64 " bytes and %" PRIu64
			" to repair its source, room for %" PRIu64,
			m->patch_len, blocks_len, room.spool);
	if (m->to_len > room.slot)
		return ota_fail(why, OTA_E_NOSPACE,
			"image of %" PRIu64 " bytes, room for %" PRIu64, m->to_len,
			room.slot);
	return OTA_OK;
}

/* The manifest's bytes, which are those the order names. */
static OTA_CHECKED enum ota_code load_manifest(
	struct agent *a, struct ota_manifest *out, struct ota_error *why)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	enum ota_code rc = a->port.manifest(a->port.ctx, &a->patch, &bytes, why);
	struct ota_digest digest;

	if (rc != OTA_OK)
		return rc;
	digest = ota_digest_of(ota_buf_bytes(&bytes));
	if (!ota_digest_equal(&digest, &a->patch))
		return ota_fail(why, OTA_E_DIGEST, "manifest is not the one ordered");
	return ota_manifest_parse(ota_buf_bytes(&bytes), out, why);
}

/* What has to be known before the blocks of a source are fetched. *done: the answer is
 * under way. */
static OTA_CHECKED enum ota_code weigh_repair(
	struct agent *a, const struct ota_manifest *m, bool *done, struct ota_error *err)
{
	struct ota_error why = { 0 };
	enum ota_code rc = OTA_OK;

	*done = true;
	if (ota_digest_is_zero(&m->blocks)) {
		(void)ota_fail(&why, OTA_E_PRECURSOR,
			"patch applies to the image that the running slot was recorded "
			"with, which it does not hold any more");
		return repair_give_up(a, &why, err);
	}
	if (!a->repair.scanned) {
		a->offer = AGENT_OFFER_TABLE;
		repair_ask_table(a);
		return OTA_OK;
	}
	rc = repair_check(a, m, &why);
	if (rc != OTA_OK)
		return repair_give_up(a, &why, err);
	*done = false;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code weighed(
	struct agent *a, const struct ota_manifest *m, struct ota_error *err)
{
	struct ota_error why = { 0 };
	bool repairs = repair_is_for(a, &m->from);
	enum ota_code rc = check_room(a, m, &why);

	if (rc == OTA_OK)
		rc = hold_budget(a,
			m->patch_len + (repairs ? a->repair.scan.packed_len : 0), &why);
	if (rc != OTA_OK)
		return offer_refuse(a, &why, err);
	a->journal.repairs = repairs;
	a->journal.chunks_total = m->chunk_count + (repairs ? a->repair.scan.count : 0);
	a->offer = AGENT_OFFER_HOOK;
	return work_start_hook(a, "before-install", err);
}

enum ota_code offer_weigh(struct agent *a, struct ota_error *err)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };
	struct ota_error why = { 0 };
	struct ota_patch_ref ref;
	bool done = false;
	enum ota_code rc = judge_admit(a, &ref, &why);

	if (rc == OTA_OK && !ota_digest_equal(&ref.patch, &a->patch)) {
		a->offer = AGENT_OFFER_MANIFEST;
		offer_ask_manifest(a, &ref.patch); /* a newer order has another patch */
		return OTA_OK;
	}
	if (rc == OTA_OK)
		rc = load_manifest(a, &m, &why);
	if (rc == OTA_OK)
		rc = check_images(a, &m, &ref, &why);
	if (rc != OTA_OK)
		return offer_refuse(a, &why, err);
	if (repair_is_for(a, &m.from))
		rc = weigh_repair(a, &m, &done, err);
	return rc != OTA_OK || done ? rc : weighed(a, &m, err);
}

enum ota_code offer_result(
	struct agent *a, const struct agent_result *result, struct ota_error *err)
{
	if (a->offer == AGENT_OFFER_HASH)
		return offered_hashed(a, result, err);
	if (a->offer == AGENT_OFFER_SCAN)
		return repair_scanned(a, result, err);
	if (result->error.code != OTA_OK)
		return work_hook_failed(a, &result->error, err);
	a->journal.patch = a->patch;
	return agent_move(a, UPDATE_ON_DONE, err);
}

/* ---- FETCHING ---- */

static uint64_t jitter_ms(struct agent *a)
{
	const struct ota_order *order = papers_order(&a->papers);
	uint64_t below_ms = order == NULL ? 0 : order->jitter_s * 1000;
	uint8_t random[4];
	struct ota_reader r = { .at = random, .left = sizeof random };

	if (below_ms == 0 || a->journal.bytes > 0)
		return 0;
	a->port.random(a->port.ctx, random, sizeof random);
	return ota_read_le32(&r) % below_ms;
}

void offer_fetch(struct agent *a, enum ipc_part part)
{
	const struct agent_scan *scan = &a->repair.scan;
	struct ipc_message fetch = { .type = IPC_FETCH,
		.code = part,
		.digest = a->journal.patch,
		.a = jitter_ms(a),
		.b = a->id.chunks_outstanding };

	if (part == IPC_BLOCKS)
		fetch.payload = (struct ota_bytes){ scan->bits, (scan->blocks + 7) / 8 };
	a->fetching_since_ms = a->now.mono_ms;
	a->asked_ms = a->now.mono_ms + fetch.a;
	a->progress_new = false;
	a->port.send(a->port.ctx, &fetch);
}

/* Stored now and then: a budget holds over restarts. */
static OTA_CHECKED enum ota_code count_chunks(
	struct agent *a, const struct ipc_message *m, struct ota_error *err)
{
	uint64_t spent = a->journal.spent;
	bool repairs = a->journal.repairs;
	uint32_t blocks = repairs ? a->repair.scan.count : 0;

	a->journal.chunks = m->a + blocks;
	a->journal.chunks_total = m->b + blocks;
	a->journal.bytes = m->c + (repairs ? a->repair.bytes : 0);
	a->journal.refetched = m->d;
	hold_count(a, a->journal.bytes);
	if (spent / STORE_EVERY == a->journal.spent / STORE_EVERY)
		return OTA_OK;
	return agent_store(a, err);
}

enum ota_code offer_overspent(struct agent *a, struct ota_error *err)
{
	char text[OTA_ERROR_TEXT_CAP];

	(void)snprintf(text, sizeof text,
		"received %" PRIu64 " bytes for this rollout, allowed are %" PRIu64,
		a->journal.spent, a->policy.budget_bytes);
	return work_fail(a, OTA_E_BUDGET, text, err);
}

/* net gave up. What may come right by itself is tried again. */
static OTA_CHECKED enum ota_code net_failed(
	struct agent *a, const struct ipc_message *m, struct ota_error *err)
{
	enum ota_code code = ota_code_of_number(m->code);
	char text[OTA_ERROR_TEXT_CAP];
	size_t len = m->payload.len < sizeof text - 1 ? m->payload.len : sizeof text - 1;

	if (len > 0)
		memcpy(text, m->payload.at, len);
	text[len] = '\0';
	if (code != OTA_E_NOTFOUND && ota_code_remedy(code) == OTA_REJECT)
		return work_fail(a, code, text, err);
	work_park(a, code, text, WORK_RETRY_MS);
	return OTA_OK;
}

/* A net that was started again begins with the manifest again. */
static bool waits_for_net(const struct agent *a)
{
	return a->offer == AGENT_OFFER_MANIFEST || a->offer == AGENT_OFFER_TABLE;
}

static void manifest_spooled(struct agent *a)
{
	if (a->journal.repairs)
		repair_ask_table(a);
	else
		offer_fetch(a, IPC_PATCH);
}

enum ota_code offer_from_net(
	struct agent *a, const struct ipc_message *m, struct ota_error *err)
{
	bool offered = a->journal.state == OTA_UPDATE_OFFERED;
	enum ota_code rc;

	if (!a->net_began || !ota_digest_equal(&m->digest, &a->patch))
		return OTA_OK;
	if (!offered && a->journal.state != OTA_UPDATE_FETCHING)
		return OTA_OK;
	if (m->type == IPC_FAILED)
		return net_failed(a, m, err);
	if (m->code == IPC_BLOCKS)
		return repair_from_net(a, m, err);
	if (offered)
		return m->type == IPC_SPOOLED && waits_for_net(a) ? offer_weigh(a, err)
								  : OTA_OK;
	if (m->type == IPC_SPOOLED) {
		manifest_spooled(a);
		return OTA_OK;
	}
	if (a->journal.repairs && !a->repair.spooled)
		return OTA_OK; /* of what was asked before */
	rc = count_chunks(a, m, err);
	if (rc != OTA_OK)
		return rc;
	if (hold_is_overspent(a))
		return offer_overspent(a, err);
	report_progress(a);
	if (m->type != IPC_FETCHED)
		return OTA_OK;
	a->net_began = false;
	return agent_move(a, UPDATE_ON_DONE, err);
}

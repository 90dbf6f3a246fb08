#include <inttypes.h>

#include "agent/core/inner.h"

/* A running slot that is not the image it was recorded with: someone mounted it to write,
 * or trimmed it. The patch is taken all the same; the blocks that differ are fetched and
 * stand for those of the slot when the patch is applied. The slot itself is not written.
 *
 *   manifest, which names the block table -> table -> SCAN -> blocks -> chunks
 *
 * OFFERED goes as far as SCAN, which says what it costs. FETCHING goes the same way, and
 * scans again only if this process did not. */

bool repair_is_for(const struct agent *a, const struct ota_digest *from)
{
	return !ota_digest_is_zero(from) && !ota_digest_equal(from, &a->running);
}

enum ota_code repair_give_up(
	struct agent *a, const struct ota_error *why, struct ota_error *err)
{
	struct ota_patch_ref ref;

	a->repair = (struct agent_repair){ .hopeless = a->patch };
	if (judge_admit(a, &ref, NULL) != OTA_OK)
		return offer_refuse(a, why, err);
	a->offer = AGENT_OFFER_MANIFEST;
	offer_ask_manifest(a, &ref.patch);
	return OTA_OK;
}

void repair_ask_table(struct agent *a)
{
	const struct ipc_message ask = {
		.type = IPC_MANIFEST, .code = IPC_BLOCKS, .digest = a->patch
	};

	a->port.send(a->port.ctx, &ask);
}

enum ota_code repair_check(
	const struct agent *a, const struct ota_manifest *m, struct ota_error *why)
{
	const struct agent_scan *scan = &a->repair.scan;
	uint64_t bytes = m->patch_len + scan->packed_len, full = m->to_len;

	if (bytes >= full)
		return ota_fail(why, OTA_E_PRECURSOR,
			"%u of %u blocks of the running image differ: %" PRIu64
			" bytes with the patch, the full image has %" PRIu64,
			scan->count, scan->blocks, bytes, full);
	if (hold_budget(a, bytes, why) != OTA_OK)
		return ota_fail(why, OTA_E_PRECURSOR,
			"%u of %u blocks of the running image differ: %" PRIu64
			" bytes with the patch are over the byte budget",
			scan->count, scan->blocks, bytes);
	return OTA_OK;
}

/* The chunks come next. */
static void blocks_are_spooled(struct agent *a)
{
	a->repair.spooled = true;
	offer_fetch(a, IPC_PATCH);
}

static void fetch_blocks(struct agent *a)
{
	if (a->repair.scan.count == 0)
		blocks_are_spooled(a);
	else
		offer_fetch(a, IPC_BLOCKS);
}

enum ota_code repair_scanned(
	struct agent *a, const struct agent_result *result, struct ota_error *err)
{
	enum ota_code code = result->error.code;

	if (code == OTA_E_NOTFOUND || code == OTA_E_DIGEST) {
		/* Lost or damaged since net said that it is there. */
		work_park(a, code, result->error.text, WORK_RETRY_MS);
		return OTA_OK;
	}
	if (code != OTA_OK)
		return work_fail(a, code, result->error.text, err);
	a->repair.scan = result->scan;
	a->repair.scanned = true;
	if (a->journal.state == OTA_UPDATE_OFFERED)
		return offer_weigh(a, err);
	fetch_blocks(a);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code table_spooled(struct agent *a, struct ota_error *err)
{
	if (a->working)
		return OTA_OK;
	if (a->journal.state == OTA_UPDATE_OFFERED)
		a->offer = AGENT_OFFER_SCAN;
	if (!a->repair.scanned)
		return work_start_scan(a, err);
	fetch_blocks(a);
	return OTA_OK;
}

/* Of a patch whose chunks are counted already nothing is counted twice. */
static void count_blocks(struct agent *a, const struct ipc_message *m)
{
	struct journal *j = &a->journal;

	a->repair.bytes = m->c;
	j->chunks = m->a;
	if (m->c > j->bytes)
		j->bytes = m->c;
	if (m->c > j->counted)
		hold_count(a, m->c);
}

enum ota_code repair_from_net(
	struct agent *a, const struct ipc_message *m, struct ota_error *err)
{
	bool offered = a->journal.state == OTA_UPDATE_OFFERED;

	if (offered && (m->type != IPC_SPOOLED || a->offer != AGENT_OFFER_TABLE))
		return OTA_OK;
	if (!offered && (!a->journal.repairs || a->repair.spooled))
		return OTA_OK;
	if (m->type == IPC_SPOOLED)
		return table_spooled(a, err);
	count_blocks(a, m);
	if (hold_is_overspent(a))
		return offer_overspent(a, err);
	report_progress(a);
	if (m->type == IPC_FETCHED)
		blocks_are_spooled(a);
	return OTA_OK;
}

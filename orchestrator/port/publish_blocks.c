#include "orchestrator/port/publisher_inside.h"

#include <string.h>

#include "orchestrator/port/fatal.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

/* From now on the topic of a table shall hold payload. */
static void retain(struct publisher *p, const char *topic, enum ledger_kind kind,
	struct ota_bytes payload)
{
	struct ota_error err = { 0 };
	enum ota_code rc = ledger_begin(p->ledger, &err);

	if (rc == OTA_OK)
		rc = ledger_retain(p->ledger, topic, kind, payload, &err);
	if (rc == OTA_OK)
		rc = ledger_commit(p->ledger, &err);
	if (rc != OTA_OK)
		fatal_ledger(&err);
	publisher_kick(p);
}

static bool names_table(const struct publisher *p, const struct ledger_retained *row,
	const struct ota_digest *table)
{
	OTA_AUTO(cached_patch_fini) struct cached_patch file = { 0 };
	struct ota_digest patch;

	if (row->kind != LEDGER_PATCH || row->payload.len != OTA_DIGEST_LEN)
		return false;
	memcpy(patch.at, row->payload.at, OTA_DIGEST_LEN);
	return cached_patch_open(p->dir, &patch, &file, NULL) == OTA_OK &&
	       ota_digest_equal(&file.manifest.blocks, table);
}

/* True if a patch that shall be retained names the table. */
static bool is_named(const struct publisher *p, const struct ota_digest *table)
{
	uint64_t cursor = 0;
	bool more = true, found = false;

	while (more && !found) {
		OTA_AUTO(ledger_retained_fini) struct ledger_retained row = { 0 };
		struct ota_error err = { 0 };

		if (ledger_retained_next(p->ledger, cursor, &row, &more, &err) != OTA_OK)
			fatal_ledger(&err);
		found = more && names_table(p, &row, table);
		cursor = row.seq;
	}
	return found;
}

void publish_blocks_need(struct publisher *p, const struct ota_need *need)
{
	OTA_AUTO(cached_blocks_fini) struct cached_blocks file = { 0 };
	char topic[OTA_TOPIC_CAP];
	bool first;

	if (cached_blocks_open(p->dir, &need->patch, &file, NULL) != OTA_OK)
		return;
	if (need->chunk_count != 0 && need->chunk_count != file.table.count)
		return;
	publish_topic(p, OTA_TOPIC_BLOCK_TABLE, &need->patch, 0, topic);
	first = !ledger_is_retained(p->ledger, topic);
	if (first && !is_named(p, &need->patch))
		return;
	if (first) {
		chunk_set_drop(&p->clearing, &need->patch);
		retain(p, topic, LEDGER_MESSAGE, ota_buf_bytes(&file.bytes));
	}
	if (!first || need->chunk_count != 0)
		publish_want(p, need, file.table.count, true);
}

void publish_blocks_release(struct publisher *p, const struct ota_digest *table)
{
	struct ota_bytes name = { table->at, OTA_DIGEST_LEN };
	char topic[OTA_TOPIC_CAP];

	publish_topic(p, OTA_TOPIC_BLOCK_TABLE, table, 0, topic);
	if (!ota_digest_is_zero(table) && ledger_is_retained(p->ledger, topic) &&
		!is_named(p, table))
		retain(p, topic, LEDGER_RELEASE, name);
}

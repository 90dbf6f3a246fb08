#include "orchestrator/core/expiry.h"

#include "orchestrator/core/registry.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/tree.h"

/* How long before it expires a document has a row, seconds. */
struct notice {
	uint64_t root_s, catalog_s, grant_s;
};

/* A row for a document, if it is time to speak of it; else NULL. */
static cJSON *row_of(const struct core *core, enum ota_doc_type type, uint64_t expires_s,
	uint64_t before_s)
{
	cJSON *row;

	if (expires_s > core->now.utc_s && expires_s - core->now.utc_s > before_s)
		return NULL;
	row = tree_object();
	tree_text(row, "type", ota_doc_type_text(type));
	tree_u64(row, "expires", expires_s);
	return row;
}

static void push(cJSON *list, cJSON *row)
{
	if (row != NULL)
		(void)tree_push(list, row);
}

static cJSON *rows_of(const struct core *core, const struct notice *before)
{
	cJSON *list = tree_array(), *row;

	if (core->trust.anchored)
		push(list, row_of(core, OTA_DOC_ROOT, core->trust.root.expires_utc_s,
				   before->root_s));
	if (core->catalog != NULL)
		push(list, row_of(core, OTA_DOC_CATALOG, core->catalog->expires_utc_s,
				   before->catalog_s));
	for (size_t i = 0; i < core->rollout_count; i++) {
		const struct rollout *rollout = core->rollouts[i];
		const struct grant *grant = grant_find(core, &rollout->spec.release);

		if (rollout_is_settled(rollout) || grant == NULL)
			continue;
		row = row_of(
			core, OTA_DOC_GRANT, grant->doc.expires_utc_s, before->grant_s);
		if (row != NULL)
			tree_text(row, "rollout", rollout->spec.rollout);
		push(list, row);
	}
	return list;
}

cJSON *expiry_view(const struct core *core)
{
	static const struct notice soon = { EXPIRY_ROOT_S, EXPIRY_CATALOG_S,
		EXPIRY_GRANT_S };

	return rows_of(core, &soon);
}

cJSON *expiry_all(const struct core *core)
{
	static const struct notice ever = { UINT64_MAX, UINT64_MAX, UINT64_MAX };

	return rows_of(core, &ever);
}

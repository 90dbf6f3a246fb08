#include "orchestrator/core/expiry.h"

#include "orchestrator/core/registry.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/tree.h"

/* A row for a document, if it is time to speak of it; else NULL. */
static cJSON *row_of(const struct core *core, enum ota_doc_type type, uint64_t expires_s,
	uint64_t before_s)
{
	cJSON *row;

	if (core->now.utc_s + before_s < expires_s)
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

cJSON *expiry_view(const struct core *core)
{
	cJSON *list = tree_array(), *row;

	if (core->trust.anchored)
		push(list, row_of(core, OTA_DOC_ROOT, core->trust.root.expires_utc_s,
				   EXPIRY_ROOT_S));
	if (core->catalog != NULL)
		push(list, row_of(core, OTA_DOC_CATALOG, core->catalog->expires_utc_s,
				   EXPIRY_CATALOG_S));
	for (size_t i = 0; i < core->rollout_count; i++) {
		const struct rollout *rollout = core->rollouts[i];
		const struct grant *grant = grant_find(core, &rollout->spec.release);

		if (rollout_is_settled(rollout) || grant == NULL)
			continue;
		row = row_of(
			core, OTA_DOC_GRANT, grant->doc.expires_utc_s, EXPIRY_GRANT_S);
		if (row != NULL)
			tree_text(row, "rollout", rollout->spec.rollout);
		push(list, row);
	}
	return list;
}

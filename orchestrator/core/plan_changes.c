#include "orchestrator/core/plan_changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/registry.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

enum { PATH_CAP = 128, VALUE_CAP = 192 };

/* ---- two specs */

static void value_text(const cJSON *value, char out[static VALUE_CAP])
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };

	out[0] = '\0';
	if (value == NULL)
		return;
	if (ota_json_print(value, &text, NULL) != OTA_OK)
		core_out_of_memory();
	(void)snprintf(out, VALUE_CAP, "%.*s", (int)text.len, (const char *)text.at);
}

static void add_difference(
	cJSON *list, const char *path, const cJSON *now, const cJSON *then)
{
	cJSON *tree = tree_push(list, tree_object());
	char text[VALUE_CAP];

	tree_text(tree, "member", path);
	value_text(now, text);
	tree_text(tree, "now", text);
	value_text(then, text);
	tree_text(tree, "then", text);
}

/* The member of `other` that answers to `one` of its parent. */
static const cJSON *twin_of(const cJSON *parent, const cJSON *one, int index)
{
	return cJSON_IsArray(parent)
		       ? cJSON_GetArrayItem(parent, index)
		       : cJSON_GetObjectItemCaseSensitive(parent, one->string);
}

static void join(char out[static PATH_CAP], const char *path, const cJSON *one, int index)
{
	if (one->string == NULL)
		(void)snprintf(out, PATH_CAP, "%.100s[%d]", path, index);
	else
		(void)snprintf(out, PATH_CAP, "%.80s%s%.40s", path,
			path[0] != '\0' ? "." : "", one->string);
}

static void compare(cJSON *list, const char *path, const cJSON *now, const cJSON *then)
{
	bool inner = (cJSON_IsObject(now) && cJSON_IsObject(then)) ||
		     (cJSON_IsArray(now) && cJSON_IsArray(then));
	char at[PATH_CAP];
	const cJSON *one;
	int index = 0;

	if (cJSON_Compare(now, then, true))
		return;
	if (!inner) {
		add_difference(list, path, now, then);
		return;
	}
	cJSON_ArrayForEach(one, now)
	{
		join(at, path, one, index);
		compare(list, at, one, twin_of(then, one, index));
		index++;
	}
	index = 0;
	cJSON_ArrayForEach(one, then)
	{
		join(at, path, one, index);
		if (twin_of(now, one, index) == NULL)
			add_difference(list, at, NULL, one);
		index++;
	}
}

static void add_differences(
	cJSON *tree, const struct rollout *now, const struct rollout *then)
{
	cJSON *list = tree_add(tree, "differs", tree_array());
	OTA_AUTO(ota_json_fini) cJSON *a = NULL;
	OTA_AUTO(ota_json_fini) cJSON *b = NULL;

	if (now == NULL)
		return;
	a = rollout_spec_to_json(&now->spec);
	b = rollout_spec_to_json(&then->spec);
	if (a == NULL || b == NULL)
		core_out_of_memory();
	compare(list, "", a, b);
}

/* ---- the others */

static void add_ended(cJSON *tree, const struct core *core, const struct rollout *rollout)
{
	cJSON *list = tree_add(tree, "ends", tree_array());

	for (size_t i = 0; i < core->rollout_count; i++) {
		const struct rollout *other = core->rollouts[i];
		cJSON *one;

		if (!rollouts_takes_over(&rollout->spec, other))
			continue;
		one = tree_push(list, tree_object());
		tree_text(one, "rollout", other->spec.rollout);
		tree_text(one, "state", rollout_state_text(other->state));
	}
}

static void add_refused(
	cJSON *tree, const struct core *core, const struct rollout *rollout)
{
	struct ota_error err = { .text = "" };
	enum ota_code rc = rollouts_conflict(core, &rollout->spec, &err);
	cJSON *refused = tree_add(tree, "refused", tree_object());

	tree_u64(refused, "number", rc);
	tree_text(refused, "name", ota_code_name(rc));
	tree_text(refused, "text", err.text);
}

static uint64_t count_current(const struct core *core, const struct rollout *rollout)
{
	uint64_t count = 0;

	for (size_t i = 0; i < core->device_count; i++) {
		const struct device *device = core->devices[i];
		bool mine = false;

		for (uint32_t s = 0; s < rollout->spec.stage_count; s++)
			mine |= strcmp(rollout->spec.stages[s].cohort, device->cohort) ==
				0;
		count += mine && device->reported &&
			 stage_fit(device, &rollout->release->doc) == OTA_E_CURRENT;
	}
	return count;
}

void plan_changes(const struct core *core, const struct rollout *rollout, cJSON *tree)
{
	const struct rollout *same = rollout_find(core, rollout->spec.rollout);

	tree_text(tree, "exists", same != NULL ? rollout_state_text(same->state) : "");
	add_differences(tree, same, rollout);
	add_ended(tree, core, rollout);
	add_refused(tree, core, rollout);
	tree_u64(tree, "current", count_current(core, rollout));
}

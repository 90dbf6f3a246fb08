#include "orchestrator/core/revision.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/approvals.h"
#include "orchestrator/core/claims.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/state.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

/* Takes the tree. */
static void name_tree(cJSON *tree, struct core_revision *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *taken = tree;
	struct ota_digest digest;
	char hex[OTA_DIGEST_HEX_CAP];

	if (taken == NULL || ota_json_print(taken, &text, NULL) != OTA_OK)
		core_out_of_memory();
	digest = ota_digest_of(ota_buf_bytes(&text));
	ota_digest_hex(&digest, hex);
	memcpy(out->text, hex, sizeof out->text - 1);
	out->text[sizeof out->text - 1] = '\0';
}

/* ---- rollouts */

/* Where it stands, as far as a person who steers it has to know: a rollout that moves by
 * itself goes on doing so, from stage to stage. */
static void add_state(cJSON *tree, const struct rollout *rollout)
{
	bool live = rollout_state_is_live(rollout->state);
	bool begun = rollout->runs[0].started_s != 0;

	if (live) {
		tree_text(tree, "state", begun ? "live" : "not begun");
		return;
	}
	tree_text(tree, "state", rollout_state_text(rollout->state));
	tree_u64(tree, "since", rollout->changed_s);
}

static void add_grants(
	cJSON *tree, const struct core *core, const struct ota_digest *release)
{
	const struct grant *grant = grant_find(core, release);
	const struct approval *approval = approval_find(core, release);

	if (grant != NULL)
		tree_digest(tree, "grant", &grant->digest);
	if (approval != NULL)
		tree_digest(tree, "approval", &approval->digest);
}

static cJSON *rollout_tree(const struct core *core, const struct rollout *rollout)
{
	cJSON *tree = tree_object();
	cJSON *spec = rollout_spec_to_json(&rollout->spec);

	if (spec == NULL)
		core_out_of_memory();
	tree_u64(tree, "number", rollout->number);
	tree_bool(tree, "reverted", rollout->reverted);
	add_state(tree, rollout);
	add_grants(tree, core, &rollout->spec.release);
	(void)tree_add(tree, "spec", spec);
	return tree;
}

bool core_rollout_revision(
	const struct core *core, const char *rollout, struct core_revision *out)
{
	const struct rollout *found = rollout_find(core, rollout);

	if (found == NULL)
		return false;
	name_tree(rollout_tree(core, found), out);
	(void)snprintf(out->now, sizeof out->now, "rollout '%s' is %s",
		found->spec.rollout, rollout_state_text(found->state));
	return true;
}

/* ---- devices */

static void add_key(cJSON *tree, const char *name, const struct ota_public_key *key)
{
	char hex[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ key->at, OTA_PK_LEN }, hex);
	tree_text(tree, name, hex);
}

static void add_second(cJSON *tree, const struct second_key *second)
{
	if (second->at_s != 0)
		add_key(tree, "second", &second->key);
}

static void name_claim(const struct claim *claim, struct core_revision *out)
{
	cJSON *tree = tree_object();
	cJSON *labels = tree_add(tree, "labels", tree_array());

	tree_text(tree, "pending", claim->id);
	tree_text(tree, "token", claim->token);
	tree_u64(tree, "claimed", claim->claimed_s);
	add_key(tree, "key", &claim->key);
	add_second(tree, &claim->second);
	for (uint32_t i = 0; i < claim->labels.count; i++)
		tree_push_text(labels, claim->labels.at[i]);
	name_tree(tree, out);
	(void)snprintf(
		out->now, sizeof out->now, "device '%s' waits to be accepted", claim->id);
}

static void name_device(const struct device *device, struct core_revision *out)
{
	bool aside = device->quarantine.since_s != 0;
	cJSON *tree = tree_object();
	cJSON *labels = tree_add(tree, "labels", tree_array());

	tree_text(tree, "device", device->id);
	tree_u64(tree, "set_aside", device->quarantine.since_s);
	add_key(tree, "key", &device->key);
	add_second(tree, &device->second);
	for (uint32_t i = 0; i < device->label_count; i++)
		tree_push_text(labels, device->labels[i]);
	name_tree(tree, out);
	(void)snprintf(out->now, sizeof out->now, "device '%s' is %s", device->id,
		aside ? "set aside" : "in the fleet");
}

bool core_device_revision(
	const struct core *core, const char *device, struct core_revision *out)
{
	const struct device *found = device_find(core, device);
	const struct claim *claim = claim_find(core, device);

	if (found != NULL)
		name_device(found, out);
	else if (claim != NULL)
		name_claim(claim, out);
	return found != NULL || claim != NULL;
}

/* ---- fleet */

void core_fleet_revision(const struct core *core, struct core_revision *out)
{
	name_tree(fleet_spec_to_json(&core->spec), out);
	(void)snprintf(out->now, sizeof out->now, "another fleet file is in force");
}

void core_rollouts_revision(const struct core *core, struct core_revision *out)
{
	const struct stored *catalog = stored_find(core, OTA_DOC_CATALOG, "");
	cJSON *tree = tree_object();
	cJSON *list = tree_add(tree, "rollouts", tree_array());
	struct core_revision one;

	core_fleet_revision(core, &one);
	tree_text(tree, "fleet", one.text);
	if (catalog != NULL)
		tree_digest(tree, "catalog", &catalog->digest);
	for (size_t i = 0; i < core->rollout_count; i++) {
		name_tree(rollout_tree(core, core->rollouts[i]), &one);
		tree_push_text(list, one.text);
	}
	name_tree(tree, out);
	(void)snprintf(out->now, sizeof out->now,
		"a rollout, a grant, the fleet file or the catalog has changed");
}

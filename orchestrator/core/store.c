#include "orchestrator/core/store.h"

#include <stdio.h>

#include "orchestrator/core/registry.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

enum { KEY_CAP = 2 * OTA_DIGEST_HEX_CAP + 2 };

void store_begin(struct core *core)
{
	if (core->in_transaction)
		return;
	core->in_transaction = true;
	core->port.begin(core->port.ctx);
}

void store_commit(struct core *core)
{
	if (!core->in_transaction)
		return;
	core->in_transaction = false;
	core->port.commit(core->port.ctx);
}

/* The text of a tree we made ourselves; takes the tree. */
static struct ota_buf printed(cJSON *tree)
{
	struct ota_buf text = { 0 };

	if (ota_json_print(tree, &text, NULL) != OTA_OK)
		core_out_of_memory();
	cJSON_Delete(tree);
	return text;
}

/* False in a simulation: what is written most often is then not even made. */
static bool keeps(const struct core *core)
{
	return core->port.put != NULL;
}

static void put(struct core *core, enum core_table table, const char *key, cJSON *tree)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = printed(tree);

	if (!keeps(core))
		return;
	store_begin(core);
	core->port.put(core->port.ctx, table, key, ota_buf_bytes(&text));
}

static void drop(struct core *core, enum core_table table, const char *key)
{
	store_begin(core);
	core->port.drop(core->port.ctx, table, key);
}

void store_audit(struct core *core, const char *who, const char *action, cJSON *detail)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = printed(detail);

	store_begin(core);
	core->port.audit(core->port.ctx, who, action, ota_buf_bytes(&text));
}

void store_retain(
	struct core *core, const struct ota_topic *topic, struct ota_bytes payload)
{
	char text[OTA_TOPIC_CAP];

	ota_topic_print(core->fleet, topic, text);
	store_begin(core);
	core->port.retain(core->port.ctx, text, payload);
}

static void tree_hex(cJSON *object, const char *key, struct ota_bytes bytes)
{
	if (ota_json_add_hex(object, key, bytes) == NULL)
		core_out_of_memory();
}

/* ---- one row each */

void store_fleet(struct core *core)
{
	cJSON *tree = fleet_spec_to_json(&core->spec);

	if (tree == NULL)
		core_out_of_memory();
	put(core, CORE_META, "fleet", tree);
}

void store_fresh(struct core *core)
{
	cJSON *tree = tree_object();

	tree_u64(tree, "seq", core->fresh_seq);
	tree_u64(tree, "issued_s", core->fresh_issued_s);
	put(core, CORE_META, "fresh", tree);
}

static void document_key(char out[static KEY_CAP], const struct stored *stored)
{
	(void)snprintf(
		out, KEY_CAP, "%s/%s", ota_doc_type_text(stored->type), stored->key);
}

void store_document(struct core *core, const struct stored *stored)
{
	cJSON *tree = tree_object();
	char key[KEY_CAP];

	document_key(key, stored);
	tree_text(tree, "type", ota_doc_type_text(stored->type));
	tree_text(tree, "key", stored->key);
	tree_hex(tree, "envelope", ota_buf_bytes(&stored->envelope));
	put(core, CORE_DOCUMENT, key, tree);
}

void store_drop_document(struct core *core, const struct stored *stored)
{
	char key[KEY_CAP];

	document_key(key, stored);
	drop(core, CORE_DOCUMENT, key);
}

void store_approval(struct core *core, const struct approval *approval)
{
	cJSON *tree = tree_object();
	char key[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&approval->doc.release, key);
	tree_hex(tree, "envelope", ota_buf_bytes(&approval->envelope));
	put(core, CORE_APPROVAL, key, tree);
}

void store_drop_approval(struct core *core, const struct approval *approval)
{
	char key[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&approval->doc.release, key);
	drop(core, CORE_APPROVAL, key);
}

void store_image(struct core *core, const struct image *image)
{
	cJSON *tree = tree_object();
	char key[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&image->digest, key);
	tree_digest(tree, "digest", &image->digest);
	tree_u64(tree, "len", image->len);
	tree_text(tree, "advice", image->advice);
	put(core, CORE_IMAGE, key, tree);
}

static cJSON *quarantine_tree(const struct quarantine *q)
{
	cJSON *tree = tree_object(), *failures;

	tree_u64(tree, "since_s", q->since_s);
	tree_text(tree, "text", q->text);
	tree_u64(tree, "boots_from", q->boots_from);
	tree_u64(tree, "boots_from_s", q->boots_from_s);
	failures = tree_add(tree, "failures", tree_array());
	for (uint32_t i = 0; i < q->failure_count; i++)
		(void)tree_push(failures, cJSON_CreateNumber((double)q->failures[i]));
	return tree;
}

/* Nothing if there is none. */
static void add_second(cJSON *tree, const struct second_key *second)
{
	if (second->at_s == 0)
		return;
	tree_u64(tree, "second_s", second->at_s);
	tree_hex(tree, "second_key", (struct ota_bytes){ second->key.at, OTA_PK_LEN });
}

static void add_labels(cJSON *tree, const struct labels *labels)
{
	cJSON *list = tree_add(tree, "labels", tree_array());

	for (uint32_t i = 0; i < labels->count; i++)
		tree_push_text(list, labels->at[i]);
}

void store_token(struct core *core, const struct token *token)
{
	cJSON *tree = tree_object();

	tree_text(tree, "id", token->id);
	tree_digest(tree, "hash", &token->hash);
	add_labels(tree, &token->labels);
	tree_u64(tree, "expires_s", token->expires_s);
	tree_u64(tree, "used_s", token->used_s);
	if (token->used_s != 0) {
		tree_text(tree, "device", token->device);
		tree_hex(tree, "key", (struct ota_bytes){ token->key.at, OTA_PK_LEN });
	}
	put(core, CORE_TOKEN, token->id, tree);
}

void store_drop_token(struct core *core, const struct token *token)
{
	drop(core, CORE_TOKEN, token->id);
}

void store_claim(struct core *core, const struct claim *claim)
{
	cJSON *tree = tree_object();

	tree_text(tree, "id", claim->id);
	tree_hex(tree, "key", (struct ota_bytes){ claim->key.at, OTA_PK_LEN });
	add_labels(tree, &claim->labels);
	tree_text(tree, "token", claim->token);
	tree_u64(tree, "claimed_s", claim->claimed_s);
	add_second(tree, &claim->second);
	put(core, CORE_CLAIM, claim->id, tree);
}

void store_drop_claim(struct core *core, const struct claim *claim)
{
	drop(core, CORE_CLAIM, claim->id);
}

void store_device(struct core *core, struct device *device)
{
	cJSON *tree, *labels;

	survey_touch(core, device);
	if (!keeps(core))
		return;
	tree = tree_object();
	tree_text(tree, "id", device->id);
	tree_hex(tree, "key", (struct ota_bytes){ device->key.at, OTA_PK_LEN });
	labels = tree_add(tree, "labels", tree_array());
	for (uint32_t i = 0; i < device->label_count; i++)
		tree_push_text(labels, device->labels[i]);
	tree_text(tree, "cohort", device->cohort);
	tree_u64(tree, "assign_seq", device->assign_seq);
	(void)tree_add(tree, "quarantine", quarantine_tree(&device->quarantine));
	add_second(tree, &device->second);
	put(core, CORE_DEVICE, device->id, tree);
}

/* The report as its payload. */
static cJSON *report_json(const struct ota_report *report)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	const char *text;

	if (ota_report_encode(report, &payload, NULL) != OTA_OK)
		core_out_of_memory();
	text = ota_buf_text(&payload);
	if (text == NULL)
		core_out_of_memory();
	return cJSON_CreateRaw(text);
}

static cJSON *incidents_tree(const struct health *health)
{
	cJSON *list = tree_array();

	for (uint32_t i = 0; i < health->count; i++)
		(void)tree_push(list, cJSON_CreateNumber((double)health->incidents[i]));
	return list;
}

void store_status(struct core *core, struct device *device)
{
	cJSON *tree;

	survey_touch(core, device);
	if (!keeps(core))
		return;
	tree = tree_object();
	tree_text(tree, "id", device->id);
	tree_bool(tree, "online", device->online);
	tree_text(tree, "nonce", device->nonce);
	tree_u64(tree, "presence_s", device->presence_s);
	tree_u64(tree, "alarm_acked", device->alarm_acked);
	if (device->reported) {
		tree_u64(tree, "heard_s", device->heard_s);
		tree_digest(tree, "report_digest", &device->report_digest);
		(void)tree_add(tree, "report", report_json(&device->report));
	}
	(void)tree_add(tree, "incidents", incidents_tree(&device->health));
	if (device->refused.code != OTA_OK) {
		tree_u64(tree, "refused", device->refused.code);
		tree_u64(tree, "refused_s", device->refused.at_s);
		tree_text(tree, "refused_text", device->refused.text);
	}
	put(core, CORE_STATUS, device->id, tree);
}

void store_patch(struct core *core, const struct patch *patch)
{
	const struct core_patch *made = &patch->made;
	cJSON *tree = tree_object();
	char key[KEY_CAP];

	ota_digest_hex(&made->from, key);
	key[OTA_DIGEST_HEX_CAP - 1] = '/';
	ota_digest_hex(&made->to, key + OTA_DIGEST_HEX_CAP);

	tree_digest(tree, "from", &made->from);
	tree_digest(tree, "to", &made->to);
	tree_bool(tree, "made", patch->state == PATCH_MADE);
	tree_bool(tree, "failed", patch->state == PATCH_FAILED);
	tree_bool(tree, "retained", patch->retained);
	tree_digest(tree, "patch", &made->patch);
	tree_u64(tree, "codec", made->codec);
	tree_u64(tree, "patch_len", made->patch_len);
	tree_u64(tree, "full_len", made->full_len);
	tree_u64(tree, "decoder_ram", made->decoder_ram);
	tree_u64(tree, "took_ms", made->took_ms);
	tree_text(tree, "why", patch->why);
	put(core, CORE_PATCH, key, tree);
}

static cJSON *run_tree(const struct stage_run *run)
{
	cJSON *tree = tree_object();

	tree_u64(tree, "started_s", run->started_s);
	tree_u64(tree, "soak_from_s", run->soak_from_s);
	tree_u64(tree, "ended_s", run->ended_s);
	tree_u64(tree, "permille", run->permille);
	tree_u64(tree, "opened", run->opened);
	tree_u64(tree, "opened_s", run->opened_s);
	tree_signed(tree, "llr_micro", run->llr_micro);
	tree_text(tree, "state", stage_state_text(run->state));
	return tree;
}

static cJSON *worse_tree(const struct worse_test *worse)
{
	cJSON *tree = tree_object();

	tree_signed(tree, "llr_micro", worse->llr_micro);
	tree_u64(tree, "updated", worse->updated);
	tree_u64(tree, "others", worse->others);
	tree_u64(tree, "expected_milli", worse->expected_milli);
	return tree;
}

void store_rollout(struct core *core, const struct rollout *rollout)
{
	cJSON *tree, *runs;

	if (!keeps(core))
		return;
	tree = tree_object();
	tree_u64(tree, "number", rollout->number);
	(void)tree_add(tree, "spec", rollout_spec_to_json(&rollout->spec));
	tree_text(tree, "state", rollout_state_text(rollout->state));
	tree_u64(tree, "stage", rollout->stage);
	runs = tree_add(tree, "runs", tree_array());
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++)
		(void)tree_push(runs, run_tree(&rollout->runs[i]));
	tree_signed(tree, "llr_micro", rollout->llr_micro);
	(void)tree_add(tree, "worse", worse_tree(&rollout->worse));
	tree_u64(tree, "reason", rollout->reason);
	tree_text(tree, "reason_text", rollout->reason_text);
	tree_u64(tree, "created_s", rollout->created_s);
	tree_u64(tree, "changed_s", rollout->changed_s);
	tree_bool(tree, "reverted", rollout->reverted);
	tree_u64(tree, "reverting_s", rollout->reverting_s);
	tree_u64(tree, "revert_stage", rollout->revert_stage);
	tree_u64(tree, "revert_step_s", rollout->revert_step_s);
	tree_u64(tree, "revert_opened", rollout->revert_opened);
	tree_u64(tree, "revert_opened_s", rollout->revert_opened_s);
	put(core, CORE_ROLLOUT, rollout->spec.rollout, tree);
}

static void attempt_key(char out[static KEY_CAP], const struct device *device,
	const struct attempt *attempt)
{
	(void)snprintf(out, KEY_CAP, "%s/%s", attempt->rollout->spec.rollout, device->id);
}

void store_attempt(
	struct core *core, struct device *device, const struct attempt *attempt)
{
	cJSON *tree;
	char key[KEY_CAP];

	survey_touch(core, device);
	if (!keeps(core))
		return;
	tree = tree_object();
	attempt_key(key, device, attempt);
	tree_text(tree, "rollout", attempt->rollout->spec.rollout);
	tree_text(tree, "device", device->id);
	tree_text(tree, "state", attempt_state_text(attempt->state));
	tree_text(tree, "step", ota_update_state_text(attempt->step));
	tree_text(tree, "class", failure_class_text(attempt->class));
	tree_u64(tree, "error", attempt->error);
	tree_text(tree, "error_text", attempt->error_text);
	tree_u64(tree, "offer_boot", attempt->offer_boot);
	tree_u64(tree, "began_s", attempt->began_s);
	tree_u64(tree, "step_s", attempt->step_s);
	tree_bool(tree, "waiting", attempt->waiting);
	tree_bool(tree, "acknowledged", attempt->acknowledged);
	tree_bool(tree, "counted_good", attempt->counted_good);
	tree_bool(tree, "counted_bad", attempt->counted_bad);
	tree_u64(tree, "tries", attempt->tries);
	tree_u64(tree, "retry_s", attempt->retry_s);
	tree_u64(tree, "told_s", attempt->told_s);
	put(core, CORE_ATTEMPT, key, tree);
}

void store_drop_attempt(
	struct core *core, struct device *device, const struct attempt *attempt)
{
	char key[KEY_CAP];

	survey_touch(core, device);
	attempt_key(key, device, attempt);
	drop(core, CORE_ATTEMPT, key);
}

void store_cohort(struct core *core, const struct cohort *cohort)
{
	cJSON *tree = tree_object();

	tree_text(tree, "name", cohort->name);
	tree_u64(tree, "seq", cohort->seq);
	if (cohort->ordered)
		tree_hex(tree, "order", ota_buf_bytes(&cohort->envelope));
	put(core, CORE_COHORT, cohort->name, tree);
}

#include "orchestrator/core/rows.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/approvals.h"
#include "orchestrator/core/claims.h"
#include "orchestrator/core/documents.h"
#include "orchestrator/core/fleet.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/tokens.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

/* The member key, of any length, appended to out. */
static void read_hex(struct ota_json_reader *r, const char *key, struct ota_buf *out)
{
	const char *text = ota_json_text(r, key);
	size_t len = strlen(text) / 2;
	ota_autofree uint8_t *bytes = core_alloc(len + 1, 1);

	if (ota_hex_decode(text, bytes, len) != OTA_OK)
		ota_json_fail(r, OTA_E_FORMAT, "'%s' is not hex", key);
	else if (ota_buf_add(out, (struct ota_bytes){ bytes, len }) != OTA_OK)
		core_out_of_memory();
}

static int64_t read_signed(
	struct ota_json_reader *r, const char *key, const char *negative)
{
	int64_t value = (int64_t)ota_json_u64(r, key);

	return ota_json_bool(r, negative) ? -value : value;
}

static enum ota_code load_meta(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r;

	if (strcmp(row->key, "fleet") == 0) {
		fleet_spec_fini(&core->spec);
		return fleet_spec_from_json(row->tree, &core->spec, err);
	}
	if (strcmp(row->key, "fresh") != 0)
		return ota_fail(err, OTA_E_FORMAT, "no such row");
	r = ota_json_read(row->tree, err);
	core->fresh_seq = ota_json_u64(&r, "seq");
	core->fresh_issued_s = ota_json_u64(&r, "issued_s");
	return ota_json_finish(&r);
}

static enum ota_code load_document(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct ota_json_reader r = ota_json_read(row->tree, err);
	enum ota_doc_type type = OTA_DOC_ROOT;
	const char *key = "";
	enum ota_code rc = ota_doc_type_of(ota_json_text(&r, "type"), &type, err);

	if (rc != OTA_OK)
		return rc;
	key = ota_json_text(&r, "key");
	read_hex(&r, "envelope", &envelope);
	rc = ota_json_finish(&r);
	if (rc == OTA_OK && strlen(key) >= OTA_DIGEST_HEX_CAP)
		rc = ota_fail(err, OTA_E_FORMAT, "key is too long");
	if (rc == OTA_OK)
		(void)stored_set(core, type, key, ota_buf_bytes(&envelope));
	return rc;
}

static enum ota_code load_approval(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct ota_json_reader r = ota_json_read(row->tree, err);
	enum ota_code rc;

	read_hex(&r, "envelope", &envelope);
	rc = ota_json_finish(&r);
	return rc == OTA_OK ? approvals_restore(core, ota_buf_bytes(&envelope), err) : rc;
}

static enum ota_code load_image(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	struct core_image image = { .advice = "" };
	enum ota_code rc;

	ota_json_digest(&r, "digest", &image.digest);
	image.len = ota_json_u64(&r, "len");
	if (ota_json_has(&r, "advice"))
		image.advice = ota_json_text(&r, "advice");
	rc = ota_json_finish(&r);
	if (rc == OTA_OK)
		(void)image_add(core, &image);
	return rc;
}

/* ---- devices */

static enum ota_code read_quarantine(struct ota_json_reader *outer, struct quarantine *q)
{
	struct ota_json_reader r =
		ota_json_read(ota_json_object(outer, "quarantine"), outer->err);
	const cJSON *failures, *at;
	enum ota_code rc;

	q->since_s = ota_json_u64(&r, "since_s");
	ota_json_text_copy(&r, "text", q->text, sizeof q->text);
	q->boots_from = ota_json_u64(&r, "boots_from");
	q->boots_from_s = ota_json_u64(&r, "boots_from_s");
	failures = ota_json_array(&r, "failures", QUARANTINE_FAILURES_MAX);
	cJSON_ArrayForEach(at, failures) q->failures[q->failure_count++] =
		(uint64_t)at->valuedouble;
	rc = ota_json_finish(&r);
	return rc == OTA_OK ? ota_json_finish(outer) : rc;
}

static void read_second(struct ota_json_reader *r, struct second_key *second)
{
	if (!ota_json_has(r, "second_s"))
		return;
	second->at_s = ota_json_u64(r, "second_s");
	ota_json_hex(r, "second_key", second->key.at, OTA_PK_LEN);
}

static enum ota_code load_device(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	char id[OTA_NAME_CAP] = "";
	struct labels labels = { .count = 0 };
	struct device *device;

	ota_json_name(&r, "id", id);
	if (r.rc != OTA_OK)
		return r.rc;
	device = device_add(core, id);
	ota_json_hex(&r, "key", device->key.at, OTA_PK_LEN);
	fleet_read_labels(&r, &labels);
	device_set_labels(core, device, &labels);
	ota_json_text_copy(&r, "cohort", device->cohort, sizeof device->cohort);
	device->assign_seq = ota_json_u64(&r, "assign_seq");
	read_second(&r, &device->second);
	if (ota_json_has(&r, "quarantine"))
		return read_quarantine(&r, &device->quarantine);
	return ota_json_finish(&r);
}

/* ---- enrolment */

static enum ota_code load_token(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	struct token *token = token_add(core);

	ota_json_text_copy(&r, "id", token->id, sizeof token->id);
	ota_json_digest(&r, "hash", &token->hash);
	fleet_read_labels(&r, &token->labels);
	token->expires_s = ota_json_u64(&r, "expires_s");
	token->used_s = ota_json_u64(&r, "used_s");
	if (token->used_s != 0) {
		ota_json_name(&r, "device", token->device);
		ota_json_hex(&r, "key", token->key.at, OTA_PK_LEN);
	}
	return ota_json_finish(&r);
}

static enum ota_code load_claim(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	struct claim *claim = claim_add(core);

	ota_json_name(&r, "id", claim->id);
	ota_json_hex(&r, "key", claim->key.at, OTA_PK_LEN);
	fleet_read_labels(&r, &claim->labels);
	ota_json_text_copy(&r, "token", claim->token, sizeof claim->token);
	claim->claimed_s = ota_json_u64(&r, "claimed_s");
	read_second(&r, &claim->second);
	return ota_json_finish(&r);
}

static void read_report(struct ota_json_reader *r, struct device *device)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	const cJSON *tree = ota_json_object(r, "report");
	enum ota_code rc;

	if (tree == NULL)
		return;
	rc = ota_json_print(tree, &payload, r->err);
	if (rc == OTA_OK)
		rc = ota_report_parse(ota_buf_bytes(&payload), &device->report, r->err);
	if (rc != OTA_OK)
		ota_json_fail(r, rc, "report");
	device->heard_s = ota_json_u64(r, "heard_s");
	ota_json_digest(r, "report_digest", &device->report_digest);
	device->reported = true;
}

static void read_incidents(struct ota_json_reader *r, struct health *health)
{
	const cJSON *list, *at;

	if (!ota_json_has(r, "incidents"))
		return;
	list = ota_json_array(r, "incidents", HEALTH_INCIDENTS_MAX);
	cJSON_ArrayForEach(at, list) health->incidents[health->count++] =
		(uint64_t)at->valuedouble;
}

static enum ota_code load_status(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	struct device *device = device_find(core, ota_json_text(&r, "id"));

	if (device == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "no such device");
	device->online = ota_json_bool(&r, "online");
	ota_json_text_copy(&r, "nonce", device->nonce, sizeof device->nonce);
	device->presence_s = ota_json_u64(&r, "presence_s");
	device->alarm_acked = ota_code_of_number(ota_json_u64(&r, "alarm_acked"));
	if (ota_json_has(&r, "report"))
		read_report(&r, device);
	read_incidents(&r, &device->health);
	if (ota_json_has(&r, "refused")) {
		struct refusal *refused = &device->refused;

		refused->code = ota_code_of_number(ota_json_u64(&r, "refused"));
		refused->at_s = ota_json_u64(&r, "refused_s");
		ota_json_text_copy(
			&r, "refused_text", refused->text, sizeof refused->text);
	}
	return ota_json_finish(&r);
}

/* ---- patches and cohorts */

/* One that was only asked for is asked for again when it is needed. */
static void keep_patch(struct core *core, const struct patch *read)
{
	if (read->state != PATCH_ASKED)
		*patch_add(core, &read->made.from, &read->made.to) = *read;
}

static enum ota_code load_patch(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	struct patch read = { .state = PATCH_ASKED };
	struct core_patch *made = &read.made;
	enum ota_code rc;

	ota_json_digest(&r, "from", &made->from);
	ota_json_digest(&r, "to", &made->to);
	if (ota_json_bool(&r, "made"))
		read.state = PATCH_MADE;
	if (ota_json_bool(&r, "failed"))
		read.state = PATCH_FAILED;
	read.retained = ota_json_bool(&r, "retained");
	ota_json_digest(&r, "patch", &made->patch);
	made->codec = (uint8_t)ota_json_u64(&r, "codec");
	made->patch_len = ota_json_u64(&r, "patch_len");
	made->full_len = ota_json_u64(&r, "full_len");
	made->decoder_ram = ota_json_u64(&r, "decoder_ram");
	made->took_ms = ota_json_u64(&r, "took_ms");
	ota_json_text_copy(&r, "why", read.why, sizeof read.why);
	rc = ota_json_finish(&r);
	if (rc == OTA_OK)
		keep_patch(core, &read);
	return rc;
}

static enum ota_code load_cohort(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	char name[OTA_NAME_CAP] = "";
	struct ota_envelope envelope;
	struct cohort *cohort;
	enum ota_code rc;

	ota_json_name(&r, "name", name);
	if (r.rc != OTA_OK)
		return r.rc;
	cohort = cohort_of(core, name);
	cohort->seq = ota_json_u64(&r, "seq");
	cohort->ordered = ota_json_has(&r, "order");
	if (cohort->ordered)
		read_hex(&r, "order", &cohort->envelope);
	rc = ota_json_finish(&r);
	if (rc != OTA_OK || !cohort->ordered)
		return rc;
	rc = ota_envelope_parse(ota_buf_bytes(&cohort->envelope), &envelope, err);
	if (rc != OTA_OK)
		return rc;
	cohort->digest = ota_envelope_digest(&envelope);
	return ota_order_parse(envelope.payload, &cohort->order, err);
}

/* ---- rollouts and attempts */

/* Rows of before stages had states tell theirs by what they hold. */
static enum stage_state state_of_old(
	const struct rollout *rollout, const struct stage_run *run, bool halted)
{
	if (run->ended_s != 0)
		return STAGE_PASSED;
	if (halted)
		return STAGE_HALTED;
	if (run->started_s == 0)
		return STAGE_WAITING;
	return rollout->state == ROLLOUT_SOAKING ? STAGE_SOAKING : STAGE_RUNNING;
}

static void read_stage_state(
	struct ota_json_reader *r, const struct rollout *rollout, struct stage_run *run)
{
	if (!ota_json_has(r, "state"))
		run->state = state_of_old(rollout, run, ota_json_bool(r, "halted"));
	else if (!stage_state_of(ota_json_text(r, "state"), &run->state))
		ota_json_fail(r, OTA_E_FORMAT, "no such state of a stage");
}

static void read_run(struct ota_json_reader *outer, const cJSON *tree,
	const struct rollout *rollout, struct stage_run *run)
{
	struct ota_json_reader r = ota_json_read(tree, outer->err);

	run->started_s = ota_json_u64(&r, "started_s");
	run->soak_from_s = ota_json_u64(&r, "soak_from_s");
	run->ended_s = ota_json_u64(&r, "ended_s");
	run->permille = ota_json_u64(&r, "permille");
	run->opened = run->permille; /* rows of before stages were opened by steps */
	if (ota_json_has(&r, "opened"))
		run->opened = ota_json_u64(&r, "opened");
	if (ota_json_has(&r, "opened_s"))
		run->opened_s = ota_json_u64(&r, "opened_s");
	read_stage_state(&r, rollout, run);
	run->llr_micro = read_signed(&r, "llr_micro", "llr_micro_negative");
	if (ota_json_finish(&r) != OTA_OK && outer->rc == OTA_OK)
		outer->rc = r.rc;
}

static void read_runs(struct ota_json_reader *r, struct rollout *rollout)
{
	const cJSON *runs = ota_json_array(r, "runs", SPEC_STAGES_MAX);
	const cJSON *run;
	uint32_t i = 0;

	cJSON_ArrayForEach(run, runs) read_run(r, run, rollout, &rollout->runs[i++]);
}

static void read_worse(struct ota_json_reader *outer, struct worse_test *worse)
{
	struct ota_json_reader r;

	if (!ota_json_has(outer, "worse"))
		return;
	r = ota_json_read(ota_json_object(outer, "worse"), outer->err);
	worse->llr_micro = read_signed(&r, "llr_micro", "llr_micro_negative");
	worse->updated = ota_json_u64(&r, "updated");
	worse->others = ota_json_u64(&r, "others");
	worse->expected_milli = ota_json_u64(&r, "expected_milli");
	if (ota_json_finish(&r) != OTA_OK && outer->rc == OTA_OK)
		outer->rc = r.rc;
}

/* An older one reverted everybody at once, or at least each stage. */
static void read_revert(struct ota_json_reader *r, struct rollout *out)
{
	uint64_t stage = out->spec.stage_count;

	if (ota_json_has(r, "revert_stage")) {
		stage = ota_json_u64(r, "revert_stage");
		out->revert_step_s = ota_json_u64(r, "revert_step_s");
	}
	out->revert_opened = OTA_PERMILLE_ALL;
	if (ota_json_has(r, "revert_opened")) {
		out->revert_opened = ota_json_u64(r, "revert_opened");
		out->revert_opened_s = ota_json_u64(r, "revert_opened_s");
	}
	if (stage > out->spec.stage_count)
		ota_json_fail(r, OTA_E_FORMAT, "no such stage to revert");
	out->revert_stage = (uint32_t)stage;
}

static enum ota_code read_rollout(
	struct core *core, const cJSON *tree, struct rollout *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(tree, err);
	uint64_t stage;
	enum ota_code rc;

	rc = rollout_spec_from_json(ota_json_object(&r, "spec"), &out->spec, err);
	if (rc != OTA_OK)
		return rc;
	out->release = release_find(core, &out->spec.release);
	if (out->release == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "its release is not stored");
	if (!rollout_state_of(ota_json_text(&r, "state"), &out->state))
		ota_json_fail(&r, OTA_E_FORMAT, "no such state");
	out->number = ota_json_u64(&r, "number");
	stage = ota_json_u64(&r, "stage");
	if (stage >= out->spec.stage_count)
		ota_json_fail(&r, OTA_E_FORMAT, "no such stage");
	out->stage = (uint32_t)stage;
	read_runs(&r, out);
	out->llr_micro = read_signed(&r, "llr_micro", "llr_micro_negative");
	read_worse(&r, &out->worse);
	out->reason = ota_code_of_number(ota_json_u64(&r, "reason"));
	ota_json_text_copy(&r, "reason_text", out->reason_text, sizeof out->reason_text);
	out->created_s = ota_json_u64(&r, "created_s");
	out->changed_s = ota_json_u64(&r, "changed_s");
	out->reverted = ota_json_bool(&r, "reverted");
	out->reverting_s = out->revert_step_s = ota_json_u64(&r, "reverting_s");
	read_revert(&r, out);
	return ota_json_finish(&r);
}

static enum ota_code load_rollout(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	ota_autofree struct rollout *read = core_alloc(1, sizeof *read);
	enum ota_code rc = read_rollout(core, row->tree, read, err);
	struct rollout *added;

	if (rc != OTA_OK)
		return rc;
	added = rollout_add(core, &read->spec);
	read->survey = added->survey;
	*added = *read;
	return rc;
}

static int by_number(const void *a, const void *b)
{
	const struct rollout *const *x = a, *const *y = b;

	return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static bool step_of(const char *text, enum ota_update_state *out)
{
	for (unsigned i = 0; i < OTA_N_UPDATE_STATES; i++)
		if (strcmp(ota_update_state_text((enum ota_update_state)i), text) == 0) {
			*out = (enum ota_update_state)i;
			return true;
		}
	return false;
}

static bool class_of(const char *text, enum failure_class *out)
{
	for (unsigned i = 0; i < N_FAILURE_CLASSES; i++)
		if (strcmp(failure_class_text((enum failure_class)i), text) == 0) {
			*out = (enum failure_class)i;
			return true;
		}
	return false;
}

static enum ota_code load_attempt(
	struct core *core, const struct loose_row *row, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(row->tree, err);
	struct rollout *rollout = rollout_find(core, ota_json_text(&r, "rollout"));
	struct device *device = device_find(core, ota_json_text(&r, "device"));
	struct attempt *attempt;

	if (rollout == NULL || device == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "no such rollout or device");
	attempt = attempt_of(device, rollout);
	if (!attempt_state_of(ota_json_text(&r, "state"), &attempt->state) ||
		!step_of(ota_json_text(&r, "step"), &attempt->step) ||
		!class_of(ota_json_text(&r, "class"), &attempt->class))
		ota_json_fail(&r, OTA_E_FORMAT, "no such state, step or class");
	attempt->error = ota_code_of_number(ota_json_u64(&r, "error"));
	ota_json_text_copy(
		&r, "error_text", attempt->error_text, sizeof attempt->error_text);
	attempt->offer_boot = ota_json_u64(&r, "offer_boot");
	attempt->began_s = ota_json_u64(&r, "began_s");
	attempt->step_s = ota_json_u64(&r, "step_s");
	attempt->waiting = ota_json_bool(&r, "waiting");
	attempt->acknowledged = ota_json_bool(&r, "acknowledged");
	attempt->counted_good = ota_json_bool(&r, "counted_good");
	attempt->counted_bad = ota_json_bool(&r, "counted_bad");
	if (ota_json_has(&r, "tries")) {
		attempt->tries = ota_json_u64(&r, "tries");
		attempt->retry_s = ota_json_u64(&r, "retry_s");
	}
	if (ota_json_has(&r, "told_s"))
		attempt->told_s = ota_json_u64(&r, "told_s");
	return ota_json_finish(&r);
}

/* ---- all of them */

static enum ota_code (*const loaders[N_CORE_TABLES])(
	struct core *core, const struct loose_row *row, struct ota_error *err) = {
	[CORE_META] = load_meta,
	[CORE_DOCUMENT] = load_document,
	[CORE_IMAGE] = load_image,
	[CORE_DEVICE] = load_device,
	[CORE_STATUS] = load_status,
	[CORE_PATCH] = load_patch,
	[CORE_ROLLOUT] = load_rollout,
	[CORE_ATTEMPT] = load_attempt,
	[CORE_COHORT] = load_cohort,
	[CORE_APPROVAL] = load_approval,
	[CORE_TOKEN] = load_token,
	[CORE_CLAIM] = load_claim,
};

#define TABLE_TEXT(name, text) text,
static const char *const table_texts[] = { CORE_TABLES(TABLE_TEXT) };
#undef TABLE_TEXT

static enum ota_code apply_table(
	struct core *core, enum core_table table, struct ota_error *err)
{
	for (size_t i = 0; i < core->row_count; i++) {
		const struct loose_row *row = &core->rows[i];
		enum ota_code rc;

		if (row->table != table)
			continue;
		rc = loaders[table](core, row, err);
		if (rc != OTA_OK)
			return ota_wrap(
				err, rc, "stored %s '%s'", table_texts[table], row->key);
	}
	return OTA_OK;
}

static void forget(struct core *core)
{
	for (size_t i = 0; i < core->row_count; i++) {
		free(core->rows[i].key);
		cJSON_Delete(core->rows[i].tree);
	}
	free(core->rows);
	core->rows = NULL;
	core->row_count = 0;
}

enum ota_code rows_apply(struct core *core, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (unsigned table = 0; rc == OTA_OK && table < N_CORE_TABLES; table++) {
		rc = apply_table(core, (enum core_table)table, err);
		if (rc == OTA_OK && table == CORE_DOCUMENT)
			rc = documents_restore(core, err);
	}
	if (rc != OTA_OK)
		return rc;
	if (core->rollout_count > 0)
		qsort(core->rollouts, core->rollout_count, sizeof *core->rollouts,
			by_number);
	forget(core);
	return OTA_OK;
}

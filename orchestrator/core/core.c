#include "orchestrator/core/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/approvals.h"
#include "orchestrator/core/claims.h"
#include "orchestrator/core/deadman.h"
#include "orchestrator/core/documents.h"
#include "orchestrator/core/expiry.h"
#include "orchestrator/core/explain.h"
#include "orchestrator/core/fleet.h"
#include "orchestrator/core/health.h"
#include "orchestrator/core/patches.h"
#include "orchestrator/core/plan.h"
#include "orchestrator/core/publish.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/reports.h"
#include "orchestrator/core/rollouts.h"
#include "orchestrator/core/rows.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/tokens.h"
#include "orchestrator/core/tree.h"
#include "orchestrator/core/views.h"
#include "proto/base/own.h"

enum { TICK_MAX_S = 3600, MS_PER_S = 1000 };

struct core *core_new(const struct core_port *port, const char *fleet)
{
	struct core *core = calloc(1, sizeof *core);

	if (core == NULL)
		return NULL;
	core->changes = calloc(1, sizeof *core->changes);
	if (core->changes == NULL) {
		free(core);
		return NULL;
	}
	core->port = *port;
	(void)snprintf(core->fleet, sizeof core->fleet, "%s", fleet);
	memcpy(core->spec.fleet, core->fleet, sizeof core->spec.fleet);
	return core;
}

void core_free(struct core *core)
{
	if (core == NULL)
		return;
	registry_fini(core);
	free(core);
}

/* ---- the frame of every call: begin, change, settle, commit */

static void enter(struct core *core, struct core_now now)
{
	core->now = now;
	(void)ota_trust_now(&core->trust, now.utc_s);
	deadman_clock(core, now);
}

static void leave(struct core *core)
{
	rollouts_settle(core, false);
	publish_settle(core);
	store_commit(core);
}

static enum ota_code left(struct core *core, enum ota_code rc)
{
	if (rc == OTA_OK)
		leave(core);
	return rc;
}

/* A refusal that is written down is as durable as what is done. */
static enum ota_code left_anyway(struct core *core, enum ota_code rc)
{
	leave(core);
	return rc;
}

/* ---- start */

enum ota_code core_load(struct core *core, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	struct loose_row row = { .table = table };
	enum ota_code rc = ota_json_parse(value, false, &row.tree, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "stored row '%s'", key);
	row.key = strdup(key);
	if (row.key == NULL)
		core_out_of_memory();
	core->rows = core_grow(core->rows, core->row_count, sizeof *core->rows);
	core->rows[core->row_count++] = row;
	return OTA_OK;
}

enum ota_code core_start(struct core *core, struct core_now now, struct ota_bytes anchor,
	struct ota_error *err)
{
	struct ota_envelope e;
	enum ota_code rc = rows_apply(core, err);

	enter(core, now);
	if (rc == OTA_OK && !core->trust.anchored)
		rc = documents_accept(core, "core", anchor, &e, err);
	if (rc == OTA_OK && strcmp(core->trust.root.fleet, core->fleet) != 0)
		rc = ota_fail(err, OTA_E_FLEET, "root is of %s, this is %s",
			core->trust.root.fleet, core->fleet);
	if (rc == OTA_OK)
		rc = documents_check_voice(core, &core->trust, err);
	if (rc != OTA_OK)
		return rc;
	store_begin(core);
	store_audit(core, "core", "start", tree_object());
	publish_assert(core);
	rollouts_restart(core);
	rollouts_settle(core, true);
	publish_settle(core);
	store_commit(core);
	return OTA_OK;
}

uint64_t core_tick(struct core *core, struct core_now now)
{
	uint64_t due_s, left_s;

	enter(core, now);
	deadman_tick(core);
	health_tick(core);
	rollouts_settle(core, core->presence_due);
	core->presence_due = false;
	publish_settle(core);
	rollouts_rest(core);
	store_commit(core);

	due_s = rollouts_due_s(core);
	if (publish_due_s(core) < due_s)
		due_s = publish_due_s(core);
	left_s = due_s > now.utc_s ? due_s - now.utc_s : 1;
	return now.mono_ms + (left_s < TICK_MAX_S ? left_s : TICK_MAX_S) * MS_PER_S;
}

/* ---- from the broker and from workers */

enum ota_code core_report(struct core *core, struct core_now now, const char *device,
	struct ota_bytes envelope, struct ota_error *err)
{
	enter(core, now);
	return left(core, reports_take(core, device, envelope, err));
}

enum ota_code core_seal_of(const struct core *core, const char *device,
	struct core_seal *out, struct ota_error *err)
{
	return reports_seal(core, device, out, err);
}

bool core_has_report(
	const struct core *core, const char *device, const struct ota_digest *payload)
{
	const struct device *found = device_find(core, device);

	return found != NULL && found->reported &&
	       ota_digest_equal(&found->report_digest, payload);
}

enum ota_code core_verified_report(struct core *core, struct core_now now,
	const struct core_verified *report, struct ota_error *err)
{
	enter(core, now);
	return left(core, reports_verified(core, report, err));
}

enum ota_code core_opened_report(struct core *core, struct core_now now,
	const struct ota_report *report, const struct ota_digest *digest,
	struct ota_error *err)
{
	enter(core, now);
	return left(core, reports_accept(core, report->device, report, digest, err));
}

enum ota_code core_presence(struct core *core, struct core_now now, const char *device,
	const struct ota_online *online, struct ota_error *err)
{
	enter(core, now);
	return left(core, reports_presence(core, device, online, err));
}

void core_session_lost(struct core *core, struct core_now now)
{
	enter(core, now);
	deadman_session_lost(core);
	leave(core);
}

void core_stored(struct core *core, struct core_now now, uint64_t took_ms)
{
	enter(core, now);
	deadman_stored(core, took_ms);
	leave(core);
}

void core_patch_made(
	struct core *core, struct core_now now, const struct core_patch *patch)
{
	enter(core, now);
	patches_made(core, patch);
	leave(core);
}

void core_patch_failed(struct core *core, struct core_now now,
	const struct ota_digest *from, const struct ota_digest *to,
	const struct ota_error *why)
{
	enter(core, now);
	patches_failed(core, from, to, why->text);
	leave(core);
}

/* ---- from people */

enum ota_code core_document(struct core *core, struct core_now now, const char *who,
	struct ota_bytes envelope, struct core_accepted *out, struct ota_error *err)
{
	struct ota_envelope e;
	enum ota_code rc;

	enter(core, now);
	rc = documents_accept(core, who, envelope, &e, err);
	if (rc != OTA_OK)
		return rc;
	for (size_t i = 0; i < core->rollout_count; i++)
		core->rollouts[i]->dirty = true;
	leave(core);
	if (out != NULL)
		*out = (struct core_accepted){ .type = e.type,
			.digest = ota_envelope_digest(&e),
			.missing = approvals_missing(core, &e) };
	return OTA_OK;
}

void core_image(struct core *core, struct core_now now, const char *who,
	const struct core_image *image)
{
	cJSON *detail;

	enter(core, now);
	if (image_find(core, &image->digest) != NULL)
		return;
	store_image(core, image_add(core, image));
	detail = tree_object();
	tree_digest(detail, "image", &image->digest);
	tree_u64(detail, "len", image->len);
	store_audit(core, who, "image.add", detail);
	core->patches_due = true;
	leave(core);
}

enum ota_code core_set_fleet(struct core *core, struct core_now now, const char *who,
	const cJSON *fleet, struct ota_error *err)
{
	enter(core, now);
	return left(core, fleet_set(core, who, fleet, err));
}

enum ota_code core_add_device(struct core *core, struct core_now now, const char *who,
	const cJSON *device, struct ota_error *err)
{
	enter(core, now);
	return left_anyway(core, fleet_register(core, who, device, err));
}

enum ota_code core_add_token(struct core *core, struct core_now now, const char *who,
	const cJSON *token, cJSON **out, struct ota_error *err)
{
	enter(core, now);
	return left(core, tokens_make(core, who, token, out, err));
}

enum ota_code core_claim(struct core *core, struct core_now now, const cJSON *claim,
	cJSON **out, struct ota_error *err)
{
	enter(core, now);
	return left_anyway(core, claims_take(core, claim, out, err));
}

enum ota_code core_accept_device(struct core *core, struct core_now now, const char *who,
	const char *device, const cJSON *body, struct ota_error *err)
{
	enter(core, now);
	return left_anyway(core, claims_accept(core, who, device, body, err));
}

enum ota_code core_reject_device(struct core *core, struct core_now now, const char *who,
	const char *device, struct ota_error *err)
{
	enter(core, now);
	return left(core, claims_reject(core, who, device, err));
}

enum ota_code core_release_device(struct core *core, struct core_now now, const char *who,
	const char *device, struct ota_error *err)
{
	enter(core, now);
	return left(core, quarantine_release(core, who, device, err));
}

enum ota_code core_apply(struct core *core, struct core_now now, const char *who,
	const cJSON *rollout, struct ota_error *err)
{
	enter(core, now);
	return left(core, rollouts_apply(core, who, rollout, err));
}

enum ota_code core_command(struct core *core, struct core_now now, const char *who,
	const struct core_steer *steer, struct ota_error *err)
{
	struct rollout *found = rollout_find(core, steer->rollout);

	enter(core, now);
	if (found == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "there is no such rollout");
	return left(core, rollouts_command(core, who, found, steer, err));
}

/* ---- views: the same state at another time, so that looking changes nothing */

static struct core at(const struct core *core, struct core_now now)
{
	struct core view = *core;

	view.now = now;
	return view;
}

cJSON *core_status_json(const struct core *core, struct core_now now)
{
	struct core view = at(core, now);

	return views_status(&view);
}

cJSON *core_expiry_json(const struct core *core)
{
	return expiry_all(core);
}

cJSON *core_fleet_json(const struct core *core)
{
	return views_fleet(core);
}

cJSON *core_devices_json(const struct core *core, struct core_now now, const char *cohort,
	const char *after, uint32_t limit)
{
	struct core view = at(core, now);

	return views_devices(&view, cohort, after, limit);
}

cJSON *core_device_json(const struct core *core, struct core_now now, const char *device)
{
	const struct device *found = device_find(core, device);
	const struct claim *claim = claim_find(core, device);

	(void)now;
	if (found == NULL && claim != NULL)
		return claim_view(claim);
	return found != NULL ? views_device(found, true) : NULL;
}

cJSON *core_explain_json(const struct core *core, struct core_now now, const char *device)
{
	struct core view = at(core, now);
	struct device *found = device_find(core, device);
	const struct claim *claim = claim_find(core, device);

	if (found == NULL && claim != NULL)
		return explain_claim_json(&view, claim);
	return found != NULL ? explain_json(&view, found) : NULL;
}

cJSON *core_claims_json(const struct core *core)
{
	return claims_view(core);
}

cJSON *core_releases_json(const struct core *core)
{
	return views_releases(core);
}

cJSON *core_rollouts_json(const struct core *core, struct core_now now)
{
	struct core view = at(core, now);
	cJSON *tree = tree_object();

	(void)tree_add(tree, "rollouts", views_rollouts(&view));
	return tree;
}

const char *core_rollout_at(const struct core *core, size_t index, bool *is_over)
{
	if (index >= core->rollout_count)
		return NULL;
	*is_over = rollout_is_settled(core->rollouts[index]);
	return core->rollouts[index]->spec.rollout;
}

cJSON *core_rollout_json(
	const struct core *core, struct core_now now, const char *rollout)
{
	struct core view = at(core, now);
	const struct rollout *found = rollout_find(core, rollout);

	return found != NULL ? views_rollout(&view, found, true) : NULL;
}

enum ota_code core_plan_json(const struct core *core, struct core_now now,
	const cJSON *rollout, cJSON **out, struct ota_error *err)
{
	struct core view = at(core, now);

	return plan_json(&view, rollout, out, err);
}

enum ota_code core_plan_fleet_json(
	const struct core *core, const cJSON *fleet, cJSON **out, struct ota_error *err)
{
	return fleet_preview(core, fleet, out, err);
}

bool core_get_document(const struct core *core, enum ota_doc_type type, const char *key,
	struct ota_bytes *out)
{
	const struct stored *stored = stored_find(core, type, key);

	if (stored == NULL)
		return false;
	*out = ota_buf_bytes(&stored->envelope);
	return true;
}

bool core_get_approval(
	const struct core *core, const char *release, struct ota_bytes *out)
{
	const struct approval *approval;
	struct ota_digest digest;

	if (ota_digest_parse(release, &digest, NULL) != OTA_OK)
		return false;
	approval = approval_find(core, &digest);
	if (approval == NULL)
		return false;
	*out = ota_buf_bytes(&approval->envelope);
	return true;
}

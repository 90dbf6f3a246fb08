#include "orchestrator/core/patches.h"

#include <string.h>

#include "orchestrator/core/publish.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"

static const struct ota_digest none = { { 0 } };

/* A rollout that a newer one has taken a cohort from sends it nothing any more. One that
 * is only planned has no number, and would be the newest. */
static bool is_in_charge(
	const struct core *core, const struct rollout *rollout, const char *cohort)
{
	return rollout->number == 0 || stage_rollout_of(core, cohort) == rollout ||
	       publish_rollout_of(core, cohort) == rollout;
}

/* True if the device has refused an order with a patch from the image it claims: then it
 * cannot repair what it runs. */
static bool has_refused_repair(const struct core *core, const struct device *device)
{
	const struct ota_report *r = &device->report;
	const struct cohort *cohort = cohort_find(core, device->cohort);

	if (r->error != OTA_E_PRECURSOR || cohort == NULL || !cohort->ordered ||
		r->order_seq != cohort->order.seq)
		return false;
	for (uint32_t i = 0; i < cohort->order.patch_count; i++)
		if (ota_digest_equal(&cohort->order.patches[i].from, &r->claims))
			return true;
	return false;
}

bool patches_repairs(const struct core *core, const struct device *device)
{
	const struct ota_report *r = &device->report;

	return device->reported && !ota_digest_is_zero(&r->claims) &&
	       image_find(core, &r->running) == NULL &&
	       image_find(core, &r->claims) != NULL && !has_refused_repair(core, device);
}

bool patches_source(const struct core *core, const struct rollout *rollout,
	const struct device *device, struct ota_digest *from)
{
	const struct ota_release *release = &rollout->release->doc;
	const struct ota_digest *running = &device->report.running;
	const struct ota_digest *source =
		patches_repairs(core, device) ? &device->report.claims : running;
	const struct patch *delta;

	if (!device->reported || !stage_concerns(rollout, device) ||
		!is_in_charge(core, rollout, device->cohort) ||
		ota_digest_equal(running, &release->image))
		return false;
	*from = none;
	delta = patch_find(core, source, &release->image);
	if (image_find(core, source) != NULL &&
		(delta == NULL || delta->state != PATCH_FAILED))
		*from = *source;
	return true;
}

/* The patch, asked for if it is new. */
static const struct patch *ask(
	struct core *core, const struct ota_digest *from, const struct ota_digest *to)
{
	struct patch *patch = patch_find(core, from, to);

	if (patch != NULL)
		return patch;
	patch = patch_add(core, from, to);
	core->port.make_patch(core->port.ctx, from, to);
	return patch;
}

uint32_t patches_ask(
	struct core *core, const struct rollout *rollout, const struct patch **failed)
{
	const struct ota_digest *to = &rollout->release->doc.image;
	uint32_t waiting = 0;

	*failed = NULL;
	for (size_t i = 0; i < core->device_count; i++) {
		struct ota_digest from;

		if (patches_source(core, rollout, core->devices[i], &from))
			(void)ask(core, &from, to);
	}
	for (size_t i = 0; i < core->patch_count; i++) {
		const struct patch *patch = core->patches[i];

		if (!ota_digest_equal(&patch->made.to, to))
			continue;
		if (patch->state == PATCH_ASKED)
			waiting++;
		if (patch->state == PATCH_FAILED && ota_digest_is_zero(&patch->made.from))
			*failed = patch;
	}
	return waiting;
}

bool patches_lack(const struct core *core, const struct device *device)
{
	for (size_t i = 0; i < core->rollout_count; i++) {
		const struct rollout *rollout = core->rollouts[i];
		struct ota_digest from;

		if ((rollout_state_is_live(rollout->state) ||
			    rollout->state == ROLLOUT_COMPLETED) &&
			patches_source(core, rollout, device, &from) &&
			patch_find(core, &from, &rollout->release->doc.image) == NULL)
			return true;
	}
	return false;
}

void patches_retry(struct core *core, const struct rollout *rollout)
{
	for (size_t i = 0; i < core->patch_count; i++) {
		struct patch *patch = core->patches[i];

		if (patch->state != PATCH_FAILED ||
			!ota_digest_equal(&patch->made.to, &rollout->release->doc.image))
			continue;
		patch->state = PATCH_ASKED;
		patch->why[0] = '\0';
		store_patch(core, patch);
		core->port.make_patch(core->port.ctx, &patch->made.from, &patch->made.to);
	}
}

static void touch(struct core *core, const struct ota_digest *to)
{
	for (size_t i = 0; i < core->rollout_count; i++)
		if (ota_digest_equal(&core->rollouts[i]->release->doc.image, to))
			core->rollouts[i]->dirty = true;
	core->orders_due = true;
}

static void audit(struct core *core, const char *action, const struct patch *patch)
{
	cJSON *detail = tree_object();

	tree_digest(detail, "from", &patch->made.from);
	tree_digest(detail, "to", &patch->made.to);
	tree_digest(detail, "patch", &patch->made.patch);
	tree_u64(detail, "bytes", patch->made.patch_len);
	tree_text(detail, "why", patch->why);
	store_audit(core, "core", action, detail);
}

void patches_made(struct core *core, const struct core_patch *made)
{
	struct patch *patch = patch_find(core, &made->from, &made->to);

	if (patch == NULL || patch->state == PATCH_MADE)
		return;
	patch->made = *made;
	patch->state = PATCH_MADE;
	store_patch(core, patch);
	audit(core, "patch.made", patch);
	touch(core, &made->to);
}

void patches_failed(struct core *core, const struct ota_digest *from,
	const struct ota_digest *to, const char *why)
{
	struct patch *patch = patch_find(core, from, to);

	if (patch == NULL || patch->state == PATCH_MADE)
		return;
	patch->state = PATCH_FAILED;
	ota_escape(why, patch->why, sizeof patch->why);
	store_patch(core, patch);
	audit(core, "patch.failed", patch);
	core->patches_due = true;
	touch(core, to);
}

#include "orchestrator/core/publish.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/documents.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/revert.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"
#include "proto/wire/admit.h"
#include "proto/wire/manifest.h"

/* Seal and sign a payload; what was in out before is gone. */
static void sign(struct core *core, enum ota_doc_type type, const struct ota_buf *payload,
	struct ota_buf *out)
{
	out->len = 0;
	store_begin(core);
	core->port.sign(core->port.ctx, type, ota_buf_bytes(payload), out);
}

/* A payload we made ourselves from what we checked can only fail for want of memory. */
static void must(enum ota_code rc)
{
	if (rc != OTA_OK)
		core_out_of_memory();
}

static struct ota_topic topic_of(enum ota_topic_kind kind, const char *name)
{
	struct ota_topic topic = { .kind = kind };

	memcpy(topic.name, name, strnlen(name, OTA_NAME_LEN_MAX));
	return topic;
}

/* ---- assigns */

void publish_assign(struct core *core, struct device *device)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 }, envelope = { 0 };
	struct ota_topic topic = topic_of(OTA_TOPIC_ASSIGN, device->id);
	struct ota_assign assign = { .label_count = device->label_count };

	if (device->cohort[0] != '\0') {
		device->assign_seq++;
		assign.seq = device->assign_seq;
		memcpy(assign.device, device->id, sizeof assign.device);
		memcpy(assign.cohort, device->cohort, sizeof assign.cohort);
		for (uint32_t i = 0; i < device->label_count; i++)
			memcpy(assign.labels[i], device->labels[i],
				sizeof assign.labels[i]);
		must(ota_assign_encode(&assign, &payload, NULL));
		sign(core, OTA_DOC_ASSIGN, &payload, &envelope);
	}
	store_device(core, device);
	store_retain(core, &topic, ota_buf_bytes(&envelope));
}

/* ---- what an order says */

struct rollout *publish_rollout_of(const struct core *core, const char *cohort)
{
	for (size_t i = core->rollout_count; i-- > 0;) {
		struct rollout *rollout = core->rollouts[i];

		for (uint32_t s = 0; s < rollout->spec.stage_count; s++)
			if (rollout->runs[s].started_s != 0 &&
				strcmp(rollout->spec.stages[s].cohort, cohort) == 0)
				return rollout;
	}
	return NULL;
}

static enum ota_order_state order_state(const struct rollout *rollout)
{
	if (rollout->reverted)
		return OTA_ORDER_REVERT;
	switch (rollout->state) {
	case ROLLOUT_PAUSED:
	case ROLLOUT_HALTED:
		return OTA_ORDER_PAUSE;
	case ROLLOUT_REVERTING:
		return OTA_ORDER_REVERT;
	case ROLLOUT_ABORTED:
	case ROLLOUT_SUPERSEDED:
		return OTA_ORDER_ABORT;
	case ROLLOUT_DRAFT:
	case ROLLOUT_PREPARING:
	case ROLLOUT_WAITING_FOR_GRANT:
	case ROLLOUT_RUNNING:
	case ROLLOUT_SOAKING:
	case ROLLOUT_COMPLETED:
	case N_ROLLOUT_STATES:
		break;
	}
	return OTA_ORDER_GO;
}

static int by_source(const void *a, const void *b)
{
	const struct ota_patch_ref *x = a, *y = b;

	return memcmp(x->from.at, y->from.at, OTA_DIGEST_LEN);
}

static bool has_source(
	const struct ota_patch_ref *refs, uint32_t count, const struct ota_digest *from)
{
	for (uint32_t i = 0; i < count; i++)
		if (ota_digest_equal(&refs[i].from, from))
			return true;
	return false;
}

uint32_t publish_patches(const struct core *core, const struct ota_digest *image,
	struct ota_patch_ref refs[static OTA_PATCHES_MAX])
{
	uint32_t count = 0;

	for (size_t i = 0; i < core->patch_count && count < OTA_PATCHES_MAX; i++) {
		const struct patch *patch = core->patches[i];
		struct ota_patch_ref ref = { .patch = patch->made.patch };

		if (patch->state != PATCH_MADE ||
			!ota_digest_equal(&patch->made.to, image))
			continue;
		if (patch->made.codec != OTA_CODEC_FULL)
			ref.from = patch->made.from;
		if (!has_source(refs, count, &ref.from))
			refs[count++] = ref;
	}
	qsort(refs, count, sizeof *refs, by_source);
	return count;
}

/* Never beyond the grant: agents would refuse the whole order. */
static void add_share(struct ota_order *order, const struct rollout *rollout,
	const struct ota_grant *grant)
{
	for (uint32_t i = 0; i < rollout->spec.stage_count; i++) {
		const struct rollout_stage *stage = &rollout->spec.stages[i];
		const struct stage_run *run = &rollout->runs[i];

		if (run->started_s == 0 || strcmp(stage->cohort, order->cohort) != 0)
			continue;
		if (run->opened > order->permille)
			order->permille = run->opened;
		for (uint32_t d = 0; d < stage->device_count; d++)
			if (ota_is_canary(grant->canaries, grant->canary_count,
				    stage->devices[d]))
				memcpy(order->canaries[order->canary_count++],
					stage->devices[d], OTA_NAME_CAP);
	}
	if (order->permille > grant->max_permille)
		order->permille = grant->max_permille;
}

static void fill_order(const struct core *core, const struct rollout *rollout,
	const struct cohort *cohort, struct ota_order *order)
{
	const struct grant *grant = grant_find(core, &rollout->spec.release);
	const struct ota_release *release = &rollout->release->doc;

	*order = (struct ota_order){
		.seq = cohort->seq,
		.state = order_state(rollout),
		.release = rollout->release->digest,
		.image = release->image,
		.image_len = release->image_len,
		.counter = release->counter,
		.hardware_count = release->hardware_count,
		.window = rollout->spec.window,
		.jitter_s = rollout->spec.jitter_s,
		.install_s = rollout->spec.deadlines.install_s,
		.prove_s = rollout->spec.deadlines.prove_s,
	};
	memcpy(order->cohort, cohort->name, sizeof order->cohort);
	memcpy(order->rollout, rollout->spec.rollout, sizeof order->rollout);
	memcpy(order->hardware, release->hardware, sizeof order->hardware);
	if (order->state == OTA_ORDER_REVERT)
		revert_share(rollout, order);
	else if (grant != NULL)
		add_share(order, rollout, &grant->doc);
	if (order->state == OTA_ORDER_GO || order->state == OTA_ORDER_PAUSE)
		order->patch_count =
			publish_patches(core, &release->image, order->patches);
}

/* ---- orders */

static void take_envelope(struct cohort *cohort)
{
	struct ota_envelope e;

	must(ota_envelope_parse(ota_buf_bytes(&cohort->envelope), &e, NULL));
	cohort->digest = ota_envelope_digest(&e);
}

static void audit_order(struct core *core, const struct cohort *cohort)
{
	cJSON *detail = tree_object();

	tree_text(detail, "cohort", cohort->name);
	tree_u64(detail, "seq", cohort->seq);
	tree_text(detail, "rollout", cohort->order.rollout);
	tree_text(detail, "state", ota_order_state_text(cohort->order.state));
	tree_u64(detail, "permille", cohort->order.permille);
	tree_u64(detail, "canaries", cohort->order.canary_count);
	tree_u64(detail, "patches", cohort->order.patch_count);
	store_audit(core, "core", "order", detail);
}

static void issue(struct core *core, struct cohort *cohort, struct ota_order *order)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_topic topic = topic_of(OTA_TOPIC_ORDER, cohort->name);

	order->seq = ++cohort->seq;
	must(ota_order_encode(order, &payload, NULL));
	sign(core, OTA_DOC_ORDER, &payload, &cohort->envelope);
	cohort->order = *order;
	cohort->ordered = true;
	cohort->again = false;
	take_envelope(cohort);
	store_cohort(core, cohort);
	store_retain(core, &topic, ota_buf_bytes(&cohort->envelope));
	audit_order(core, cohort);
	core->fresh_due = true;
}

static bool same_order(const struct ota_order *a, const struct ota_order *b)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf x = { 0 }, y = { 0 };

	if (a->permille != b->permille || a->state != b->state) /* what most often is */
		return false;
	must(ota_order_encode(a, &x, NULL));
	must(ota_order_encode(b, &y, NULL));
	return ota_bytes_equal(ota_buf_bytes(&x), ota_buf_bytes(&y));
}

static void withdraw(struct core *core, struct cohort *cohort)
{
	struct ota_topic topic = topic_of(OTA_TOPIC_ORDER, cohort->name);

	cohort->ordered = false;
	cohort->envelope.len = 0;
	store_cohort(core, cohort);
	store_retain(core, &topic, (struct ota_bytes){ 0 });
	core->fresh_due = true;
}

/* The order a cohort should be under; false: none. */
static bool want_order(
	const struct core *core, const struct cohort *cohort, struct ota_order *order)
{
	const struct rollout *rollout = publish_rollout_of(core, cohort->name);

	if (rollout == NULL || fleet_spec_find(&core->spec, cohort->name) == NULL)
		return false;
	fill_order(core, rollout, cohort, order);
	return true;
}

/* ---- patches on the broker */

static bool is_wanted(const struct core *core, const struct ota_digest *patch)
{
	struct ota_order order;

	for (size_t i = 0; i < core->cohort_count; i++) {
		if (!want_order(core, core->cohorts[i], &order))
			continue;
		for (uint32_t p = 0; p < order.patch_count; p++)
			if (ota_digest_equal(&order.patches[p].patch, patch))
				return true;
	}
	return false;
}

static void set_retained(struct core *core, const struct patch *patch, bool retained)
{
	const struct ota_digest digest = patch->made.patch;

	for (size_t i = 0; i < core->patch_count; i++) {
		struct patch *other = core->patches[i];

		if (other->state != PATCH_MADE || other->retained == retained ||
			!ota_digest_equal(&other->made.patch, &digest))
			continue;
		other->retained = retained;
		store_patch(core, other);
	}
}

static bool is_retained(const struct core *core, const struct ota_digest *digest)
{
	for (size_t i = 0; i < core->patch_count; i++)
		if (core->patches[i]->retained &&
			ota_digest_equal(&core->patches[i]->made.patch, digest))
			return true;
	return false;
}

static void retain_patches(struct core *core)
{
	for (size_t i = 0; i < core->patch_count; i++) {
		struct patch *patch = core->patches[i];

		if (patch->state != PATCH_MADE || patch->retained ||
			!is_wanted(core, &patch->made.patch))
			continue;
		if (!is_retained(core, &patch->made.patch)) {
			store_begin(core);
			core->port.retain_patch(core->port.ctx, &patch->made.patch);
		}
		set_retained(core, patch, true);
	}
}

static void release_patches(struct core *core)
{
	for (size_t i = 0; i < core->patch_count; i++) {
		struct patch *patch = core->patches[i];

		if (!patch->retained || is_wanted(core, &patch->made.patch))
			continue;
		store_begin(core);
		core->port.release_patch(core->port.ctx, &patch->made.patch);
		set_retained(core, patch, false);
	}
}

/* ---- fresh */

static void list_orders(const struct core *core, struct ota_fresh *fresh)
{
	for (size_t i = 0; i < core->cohort_count; i++) {
		const struct cohort *cohort = core->cohorts[i];
		struct ota_fresh_order *entry;

		if (!cohort->ordered || fresh->order_count == OTA_COHORTS_MAX)
			continue;
		entry = &fresh->orders[fresh->order_count++];
		memcpy(entry->cohort, cohort->name, sizeof entry->cohort);
		entry->seq = cohort->seq;
		entry->order = cohort->digest;
	}
}

static void sign_fresh(struct core *core)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 }, envelope = { 0 };
	struct ota_topic topic = { .kind = OTA_TOPIC_FRESH };
	struct ota_fresh *fresh = core->fresh;

	*fresh = (struct ota_fresh){
		.seq = ++core->fresh_seq,
		.root = core->trust.root.version,
		.catalog = core->trust.catalog.digest,
		.issued_utc_s = core->now.utc_s,
		.expires_utc_s = core->now.utc_s + FRESH_LIFE_S,
	};
	list_orders(core, fresh);
	must(ota_fresh_encode(fresh, &payload, NULL));
	sign(core, OTA_DOC_FRESH, &payload, &envelope);
	core->fresh_issued_s = core->now.utc_s;
	core->fresh_due = false;
	store_fresh(core);
	store_retain(core, &topic, ota_buf_bytes(&envelope));
}

uint64_t publish_due_s(const struct core *core)
{
	return core->fresh_issued_s + FRESH_RENEW_S;
}

/* ---- all of it */

static void settle_orders(struct core *core)
{
	struct ota_order order;

	for (uint32_t i = 0; i < core->spec.cohort_count; i++)
		(void)cohort_of(core, core->spec.cohorts[i].name);
	retain_patches(core);
	for (size_t i = 0; i < core->cohort_count; i++) {
		struct cohort *cohort = core->cohorts[i];
		bool wanted = want_order(core, cohort, &order);

		if (!wanted && cohort->ordered)
			withdraw(core, cohort);
		else if (wanted && (!cohort->ordered || cohort->again ||
					   !same_order(&order, &cohort->order)))
			issue(core, cohort, &order);
	}
	release_patches(core);
	core->orders_due = false;
}

void publish_settle(struct core *core)
{
	if (core->assigns_due)
		for (size_t i = 0; i < core->device_count; i++)
			publish_assign(core, core->devices[i]);
	core->assigns_due = false;
	if (core->orders_due)
		settle_orders(core);
	if (core->fresh_due || core->now.utc_s >= publish_due_s(core) ||
		core->now.utc_s < core->fresh_issued_s)
		sign_fresh(core);
}

void publish_assert(struct core *core)
{
	struct ota_topic topic;

	if (core->fresh == NULL)
		core->fresh = core_alloc(1, sizeof *core->fresh);
	documents_assert(core);
	for (size_t i = 0; i < core->patch_count; i++)
		if (core->patches[i]->retained) {
			store_begin(core);
			core->port.retain_patch(
				core->port.ctx, &core->patches[i]->made.patch);
		}
	for (size_t i = 0; i < core->cohort_count; i++)
		if (core->cohorts[i]->ordered) {
			topic = topic_of(OTA_TOPIC_ORDER, core->cohorts[i]->name);
			store_retain(
				core, &topic, ota_buf_bytes(&core->cohorts[i]->envelope));
		}
	core->fresh_due = true;
	core->orders_due = true;
}

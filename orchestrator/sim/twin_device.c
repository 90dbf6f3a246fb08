/* The devices of a twin. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/sim/twin_inside.h"
#include "proto/base/own.h"
#include "proto/wire/admit.h"
#include "proto/wire/topics.h"

enum { DAY_MIN = 24 * 60, MIN_S = 60 };

/* ---- reports */

static void init_report(struct twin *twin)
{
	twin->report = (struct ota_report){ .agent = "0.1.0",
		.product = TWIN_PRODUCT,
		.hardware = TWIN_HARDWARE,
		.version = "1.0",
		.running = twin->old,
		.running_counter = 1,
		.root = 1,
		.confirmed = true };
}

/* A report that no other is equal to; nobody looks at its bytes. */
static struct ota_digest digest_of(const struct twin_device *d)
{
	struct ota_digest digest = { { 1 } };

	memcpy(digest.at + 1, &d->counter, sizeof d->counter);
	return digest;
}

static enum ota_code say(struct twin *twin, struct twin_device *d,
	enum ota_update_state state, enum ota_code error, struct ota_error *err)
{
	const struct twin_group *group = &twin->groups[d->cohort];
	struct ota_report *r = &twin->report;
	bool is_new = state == OTA_UPDATE_CONFIRMED;
	struct ota_digest digest;

	d->counter++;
	twin->outcome.reports++;
	memcpy(r->device, d->id, sizeof r->device);
	memcpy(r->cohort, group->name, sizeof r->cohort);
	r->boot = d->boot;
	r->counter = d->counter;
	r->state = state;
	r->error = error;
	r->running = is_new ? twin->image : twin->old;
	r->other = is_new ? twin->old : (struct ota_digest){ { 0 } };
	(void)snprintf(r->version, sizeof r->version, "%s", is_new ? "2.0" : "1.0");
	r->order_seq = group->ordered ? group->order.seq : 0;
	if (group->ordered && state != OTA_UPDATE_IDLE) {
		memcpy(r->rollout, group->order.rollout, sizeof r->rollout);
		r->release = group->order.release;
	}
	digest = digest_of(d);
	return core_opened_report(twin->core, twin->now, r, &digest, err);
}

static enum ota_code connect(struct twin *twin, const struct twin_device *d, bool online,
	struct ota_error *err)
{
	const struct ota_online presence = { .online = online,
		.nonce = "00112233445566778899aabbccddeeff" };

	return core_presence(twin->core, twin->now, d->id, &presence, err);
}

/* ---- the fleet */

static enum ota_code enrol(
	struct twin *twin, const struct twin_device *d, struct ota_error *err)
{
	static const char key[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	cJSON *labels;
	char label[OTA_LABEL_CAP];

	(void)snprintf(label, sizeof label, "twin=%s", twin->groups[d->cohort].name);
	if (cJSON_AddStringToObject(tree, "id", d->id) == NULL ||
		cJSON_AddStringToObject(tree, "key", key) == NULL ||
		(labels = cJSON_AddArrayToObject(tree, "labels")) == NULL ||
		!cJSON_AddItemToArray(labels, cJSON_CreateString(label)))
		return ota_fail(err, OTA_E_NOMEM, "device %s", d->id);
	return core_add_device(twin->core, twin->now, "twin", tree, err);
}

static enum ota_code introduce(
	struct twin *twin, struct twin_device *d, struct ota_error *err)
{
	enum ota_code rc = enrol(twin, d, err);

	d->boot = 1;
	if (rc == OTA_OK)
		rc = connect(twin, d, true, err);
	if (rc == OTA_OK)
		rc = say(twin, d, OTA_UPDATE_IDLE, OTA_OK, err);
	return rc;
}

/* The devices that stages name in a cohort come first in it. */
static uint32_t take_names(struct twin *twin, const char *cohort, uint32_t at)
{
	for (uint32_t s = 0; s < twin->c->spec->stage_count; s++) {
		const struct rollout_stage *stage = &twin->c->spec->stages[s];

		if (strcmp(stage->cohort, cohort) != 0)
			continue;
		for (uint32_t d = 0; d < stage->device_count; d++, at++) {
			memcpy(twin->devices[at].id, stage->devices[d], OTA_NAME_CAP);
			twin->devices[at].named = true;
		}
	}
	return at;
}

static uint32_t count_names(const struct rollout_spec *spec, const char *cohort)
{
	uint32_t count = 0;

	for (uint32_t s = 0; s < spec->stage_count; s++)
		if (strcmp(spec->stages[s].cohort, cohort) == 0)
			count += spec->stages[s].device_count;
	return count;
}

static uint32_t size_of(const struct twin *twin, uint32_t cohort)
{
	const struct twin_cohort *c = &twin->c->cohorts[cohort];
	uint32_t named = count_names(twin->c->spec, c->name);

	return c->devices > named ? c->devices : named;
}

static enum ota_code allocate(struct twin *twin, struct ota_error *err)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < twin->c->cohort_count; i++)
		all += size_of(twin, i);
	if (all == 0 || all > TWIN_DEVICES_MAX)
		return ota_fail(err, OTA_E_USAGE, "%llu devices; 1 to %d can be played",
			(unsigned long long)all, TWIN_DEVICES_MAX);
	twin->devices = calloc((size_t)all, sizeof *twin->devices);
	twin->groups = calloc(twin->c->cohort_count, sizeof *twin->groups);
	if (twin->devices == NULL || twin->groups == NULL)
		return ota_fail(err, OTA_E_NOMEM, "twin");
	return OTA_OK;
}

static enum ota_code fill_group(struct twin *twin, uint32_t index, struct ota_error *err)
{
	struct twin_group *group = &twin->groups[index];
	uint32_t named;

	group->name = twin->c->cohorts[index].name;
	group->first = twin->device_count;
	group->count = size_of(twin, index);
	twin->device_count += group->count;
	group->by_bucket = calloc(group->count + 1, sizeof *group->by_bucket);
	if (group->by_bucket == NULL)
		return ota_fail(err, OTA_E_NOMEM, "twin");
	named = take_names(twin, group->name, group->first);
	for (uint32_t i = group->first; i < group->first + group->count; i++) {
		struct twin_device *d = &twin->devices[i];

		d->cohort = index;
		if (i >= named)
			(void)snprintf(d->id, sizeof d->id, "twin-%06u", i);
	}
	return OTA_OK;
}

enum ota_code twin_devices_init(struct twin *twin, struct ota_error *err)
{
	enum ota_code rc = allocate(twin, err);

	if (rc != OTA_OK)
		return rc;
	init_report(twin);
	for (uint32_t i = 0; rc == OTA_OK && i < twin->c->cohort_count; i++)
		rc = fill_group(twin, i, err);
	if (rc == OTA_OK)
		rc = twin_world_fleet(twin, err);
	for (uint32_t i = 0; rc == OTA_OK && i < twin->device_count; i++)
		rc = introduce(twin, &twin->devices[i], err);
	return rc;
}

/* ---- a run */

static void sort_buckets(struct twin *twin, struct twin_group *group)
{
	uint32_t at[OTA_PERMILLE_ALL + 1] = { 0 };

	for (uint32_t i = group->first; i < group->first + group->count; i++)
		at[twin->devices[i].bucket + 1]++;
	for (uint32_t b = 1; b <= OTA_PERMILLE_ALL; b++)
		at[b] += at[b - 1];
	for (uint32_t i = group->first; i < group->first + group->count; i++)
		group->by_bucket[at[twin->devices[i].bucket]++] = i;
}

enum ota_code twin_devices_deal(
	struct twin *twin, const uint8_t salt[static OTA_SALT_LEN], struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (uint32_t i = 0; rc == OTA_OK && i < twin->device_count; i++) {
		struct twin_device *d = &twin->devices[i];

		d->bucket = ota_bucket(salt, d->id);
		d->offline = dice_hits(&twin->dice, twin->odds.offline_ppm);
		d->brick = dice_hits(&twin->dice, twin->odds.brick_ppm);
		d->soft = !d->brick && dice_hits(&twin->dice, twin->odds.soft_ppm);
		if (d->offline)
			rc = connect(twin, d, false, err);
	}
	for (uint32_t i = 0; i < twin->c->cohort_count; i++)
		sort_buckets(twin, &twin->groups[i]);
	return rc;
}

/* ---- orders */

static void expect(struct twin *twin, const struct twin_device *d, uint64_t in_s)
{
	uint64_t at = twin->now.utc_s + in_s + TWIN_STEP_S;

	queue_add(&twin->queue, at - at % TWIN_STEP_S, (uint32_t)(d - twin->devices), 0);
}

/* Seconds until a window opens. */
static uint64_t closed_s(const struct twin *twin, const struct ota_window *window)
{
	uint32_t minute = (uint32_t)(twin->now.utc_s / MIN_S % DAY_MIN);
	uint64_t wait = 0;

	while (!ota_window_is_open(window, (minute + (uint32_t)wait) % DAY_MIN))
		wait++;
	return wait * MIN_S;
}

static void start(struct twin *twin, struct twin_device *d, const struct ota_order *order)
{
	if (d->step != TWIN_RESTS || d->offline)
		return;
	d->step = TWIN_STARTS;
	expect(twin, d,
		closed_s(twin, &order->window) +
			dice_below(&twin->dice, order->jitter_s + 1));
}

static void order_group(struct twin *twin, struct twin_group *group)
{
	const struct ota_order *order = &group->order;

	group->changed = false;
	if (!group->ordered || order->state != OTA_ORDER_GO)
		return;
	for (; group->opened < group->count; group->opened++) {
		struct twin_device *d = &twin->devices[group->by_bucket[group->opened]];

		if (d->bucket >= order->permille)
			break;
		start(twin, d, order);
	}
	for (uint32_t i = 0; i < group->count && twin->devices[group->first + i].named;
		i++) {
		struct twin_device *d = &twin->devices[group->first + i];

		if (ota_is_canary(order->canaries, order->canary_count, d->id))
			start(twin, d, order);
	}
}

void twin_devices_order(struct twin *twin)
{
	for (uint32_t i = 0; i < twin->c->cohort_count; i++)
		if (twin->groups[i].changed)
			order_group(twin, &twin->groups[i]);
}

/* ---- what happens to one */

/* The order is in force, and would still admit the device. */
static bool may_go_on(const struct twin *twin, const struct twin_device *d)
{
	const struct twin_group *group = &twin->groups[d->cohort];

	return group->ordered && group->order.state == OTA_ORDER_GO;
}

static enum ota_code begin(
	struct twin *twin, struct twin_device *d, struct ota_error *err)
{
	d->step = TWIN_FETCHES;
	twin->flying++;
	if (twin->flying > twin->outcome.flying_max)
		twin->outcome.flying_max = twin->flying;
	expect(twin, d, dice_wait(&twin->dice, twin->odds.fetch_s));
	return say(twin, d, OTA_UPDATE_FETCHING, OTA_OK, err);
}

/* The point of no return: what becomes of the device is certain from here on. */
static enum ota_code reboot(
	struct twin *twin, struct twin_device *d, struct ota_error *err)
{
	struct twin_outcome *out = &twin->outcome;
	enum ota_code rc = say(twin, d, OTA_UPDATE_REBOOTING, OTA_OK, err);

	d->step = TWIN_PROVES;
	out->exposed++;
	out->harmed += d->soft || d->brick;
	out->bricked += d->brick;
	out->updated += !d->soft && !d->brick;
	if (d->brick) {
		d->step = TWIN_DONE;
		return rc == OTA_OK ? connect(twin, d, false, err) : rc;
	}
	expect(twin, d,
		dice_wait(&twin->dice, twin->odds.prove_s) +
			dice_wait(&twin->dice, twin->odds.report_s));
	return rc;
}

static enum ota_code finish(
	struct twin *twin, struct twin_device *d, struct ota_error *err)
{
	const struct twin_sight sight = { .bad = d->soft,
		.harmed = twin->outcome.harmed,
		.elapsed_s = twin->now.utc_s - twin->began_s };
	bool told_bad = d->soft && !twin->watch.blind;

	d->step = TWIN_DONE;
	d->boot++;
	twin->flying--;
	if (twin->watch.ended != NULL && twin->watch.ended(twin->watch.ctx, &sight))
		twin->ended = true;
	return told_bad ? say(twin, d, OTA_UPDATE_FAILED, OTA_E_HEALTH, err)
			: say(twin, d, OTA_UPDATE_CONFIRMED, OTA_OK, err);
}

enum ota_code twin_device_event(
	struct twin *twin, const struct queue_item *item, struct ota_error *err)
{
	struct twin_device *d = &twin->devices[item->who];

	switch (d->step) {
	case TWIN_STARTS:
		if (may_go_on(twin, d))
			return begin(twin, d, err);
		d->step = TWIN_RESTS;
		break;
	case TWIN_FETCHES:
		if (may_go_on(twin, d))
			return reboot(twin, d, err);
		d->step = TWIN_RESTS;
		twin->flying--;
		break;
	case TWIN_PROVES:
		return finish(twin, d, err);
	case TWIN_RESTS:
	case TWIN_DONE:
		break;
	}
	return OTA_OK;
}

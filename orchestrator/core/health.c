#include "orchestrator/core/health.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/places.h"
#include "orchestrator/core/quarantine.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/survey.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

enum {
	SAME_S = 600,      /* within that an incident is the one before */
	SITE_QUIET_S = 60, /* ... and those of one site are one */
	PAST_DAYS = 30,
	PAST_S = PAST_DAYS * 86400,
	MICRO = 1000000,
};

/* ---- incidents */

static bool is_at_rest(const struct device *device)
{
	enum ota_update_state state = device->report.state;

	return state == OTA_UPDATE_IDLE || state == OTA_UPDATE_CONFIRMED ||
	       state == OTA_UPDATE_FAILED;
}

/* What was under way when its rollout was dropped, the device drops, too. */
static bool moves(const struct attempt *attempt)
{
	enum rollout_state state = attempt->rollout->state;

	if (attempt->state == ATTEMPT_CONFIRMED)
		return attempt->rollout->reverted;
	return state != ROLLOUT_ABORTED && state != ROLLOUT_SUPERSEDED &&
	       (attempt->state == ATTEMPT_WORKING || attempt->state == ATTEMPT_RETRYING);
}

bool device_is_moved(const struct device *device)
{
	if (!is_at_rest(device))
		return true;
	for (const struct attempt *a = device->attempts; a != NULL; a = a->older)
		if (moves(a))
			return true;
	return false;
}

static void remember(struct health *h, uint64_t at_s)
{
	if (h->count == HEALTH_INCIDENTS_MAX) {
		memmove(h->incidents, h->incidents + 1,
			(HEALTH_INCIDENTS_MAX - 1) * sizeof *h->incidents);
		h->count--;
	}
	h->incidents[h->count++] = at_s;
}

void health_incident(struct core *core, struct device *device)
{
	struct health *h = &device->health;
	uint64_t now_s = core->now.utc_s;

	if (device_is_moved(device) ||
		(h->count > 0 && now_s < h->incidents[h->count - 1] + SAME_S))
		return;
	remember(h, now_s);
	h->pending = true;
	core->health_due = true;
	store_status(core, device);
}

static uint32_t between(const struct health *h, uint64_t from_s, uint64_t to_s)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < h->count; i++)
		count += h->incidents[i] >= from_s && h->incidents[i] < to_s;
	return count;
}

/* The incidents before the one that is to be counted. */
static struct health settled(const struct device *device)
{
	struct health h = device->health;

	h.count -= h.pending;
	return h;
}

static uint64_t past_from_s(const struct core *core)
{
	return core->now.utc_s > PAST_S ? core->now.utc_s - PAST_S : 0;
}

uint64_t health_weight(const struct core *core, const struct device *device)
{
	const struct health h = settled(device);

	return 1 + between(&h, past_from_s(core), UINT64_MAX);
}

uint64_t health_rate_micro(const struct core *core)
{
	uint64_t from_s = past_from_s(core);
	uint64_t count = 0, devices = core->device_count > 0 ? core->device_count : 1;

	for (size_t i = 0; i < core->device_count; i++)
		count += between(&core->devices[i]->health, from_s, UINT64_MAX);
	if (count < devices)
		count = devices;
	return count * MICRO / PAST_DAYS / devices;
}

/* ---- who could have had one */

enum group { GROUP_NONE, GROUP_UPDATED, GROUP_OTHERS };

/* It confirmed, and the incident is that it fell back. */
static bool has_just_relapsed(const struct device *device, const struct attempt *attempt)
{
	const struct health *h = &device->health;

	return h->pending && attempt->state == ATTEMPT_FAILED &&
	       attempt->error == OTA_E_REVERTED &&
	       attempt->step_s == h->incidents[h->count - 1];
}

static enum group group_of(const struct device *device, const struct rollout *rollout)
{
	const struct attempt *attempt = attempt_find(device, rollout);

	if (!device->reported || device_is_moved(device))
		return GROUP_NONE;
	if (attempt == NULL || attempt->state == ATTEMPT_EXCUSED)
		return stage_concerns(rollout, device) ? GROUP_OTHERS : GROUP_NONE;
	if (attempt->state == ATTEMPT_CONFIRMED || has_just_relapsed(device, attempt))
		return GROUP_UPDATED;
	return GROUP_NONE;
}

/* When the newest stage that has begun did. */
static uint64_t stage_from_s(const struct rollout *rollout)
{
	uint64_t from_s = 0;

	for (uint32_t i = 0; i <= rollout->stage; i++)
		if (rollout->runs[i].started_s > from_s)
			from_s = rollout->runs[i].started_s;
	return from_s;
}

/* Could it have had one now, that would have counted? */
static enum group at_risk(const struct core *core, const struct rollout *rollout,
	const struct device *device)
{
	const struct health h = settled(device);
	uint64_t last_s = h.count > 0 ? h.incidents[h.count - 1] : 0;

	if (!device->health.pending &&
		(!device->online || device_is_set_aside(device) ||
			(last_s != 0 && core->now.utc_s < last_s + SAME_S)))
		return GROUP_NONE;
	if (between(&h, stage_from_s(rollout), UINT64_MAX) >=
		rollout->spec.gates.worse_cap)
		return GROUP_NONE;
	return group_of(device, rollout);
}

/* ---- counting */

struct site {
	struct worse_risk risk;
	uint64_t last_s; /* of its devices' incidents */
};

struct look {
	struct core *core;
	struct rollout *rollout;
	const struct places *places;
	struct site *sites; /* of places */
	struct worse_risk risk;
	bool counted;
};

static struct site *site_of(const struct look *look, size_t device)
{
	uint32_t at = look->places->of[device];

	return at != PACE_NOWHERE ? &look->sites[at] : NULL;
}

static bool is_quiet(const struct look *look, const struct site *site)
{
	return site != NULL && site->last_s != 0 &&
	       look->core->now.utc_s < site->last_s + SITE_QUIET_S;
}

static void hear_sites(struct look *look)
{
	for (size_t i = 0; i < look->core->device_count; i++) {
		const struct health h = settled(look->core->devices[i]);
		struct site *site = site_of(look, i);

		if (site != NULL && h.count > 0 &&
			h.incidents[h.count - 1] > site->last_s)
			site->last_s = h.incidents[h.count - 1];
	}
}

static struct worse_risk risk_of(const struct look *look, const struct device *device)
{
	uint64_t weight = health_weight(look->core, device);
	enum group group = at_risk(look->core, look->rollout, device);

	return (struct worse_risk){ .updated = group == GROUP_UPDATED ? weight : 0,
		.others = group == GROUP_OTHERS ? weight : 0 };
}

static void gather(struct look *look)
{
	for (size_t i = 0; i < look->core->device_count; i++) {
		struct worse_risk one = risk_of(look, look->core->devices[i]);
		struct site *site = site_of(look, i);

		if (is_quiet(look, site))
			continue;
		look->risk.updated += one.updated;
		look->risk.others += one.others;
		if (site != NULL) {
			site->risk.updated += one.updated;
			site->risk.others += one.others;
		}
	}
}

/* Whoever had one leaves, and takes its site along. */
static void count_one(struct look *look, size_t device)
{
	struct worse_risk leaves = risk_of(look, look->core->devices[device]);
	struct site *site = site_of(look, device);
	bool updated = leaves.updated > 0;

	if (is_quiet(look, site) || (leaves.updated == 0 && leaves.others == 0))
		return;
	if (worse_count(&look->rollout->worse, &look->rollout->spec.gates, &look->risk,
		    updated))
		look->counted = true;
	if (site != NULL) {
		leaves = site->risk;
		site->last_s = look->core->now.utc_s;
	}
	look->risk.updated -= leaves.updated;
	look->risk.others -= leaves.others;
}

/* What came between two ticks came in no order that we know of. It must not be the same
 * one each time, or what hits all again and again always seems to hit the same ones
 * first: so by a digest of who and when. */
struct turn {
	struct ota_digest of;
	size_t device;
};

static struct ota_digest turn_of(const char *id, uint64_t now_s)
{
	struct ota_hasher hasher;

	ota_hasher_init(&hasher);
	ota_hasher_add(
		&hasher, (struct ota_bytes){ (const uint8_t *)&now_s, sizeof now_s });
	ota_hasher_add(&hasher, ota_bytes_of(id));
	return ota_hasher_result(&hasher);
}

static int by_turn(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return memcmp(x->of.at, y->of.at, sizeof x->of.at);
}

static void count_all(struct look *look)
{
	const struct core *core = look->core;
	ota_autofree struct turn *turns =
		core_alloc(core->device_count + 1, sizeof *turns);
	size_t count = 0;

	for (size_t i = 0; i < core->device_count; i++)
		if (core->devices[i]->health.pending)
			turns[count++] = (struct turn){
				turn_of(core->devices[i]->id, core->now.utc_s), i
			};
	qsort(turns, count, sizeof *turns, by_turn);
	for (size_t i = 0; i < count; i++)
		count_one(look, turns[i].device);
}

static void look_at(struct core *core, struct rollout *rollout)
{
	const struct places *places = &survey_with_places(core, rollout)->sites;
	ota_autofree struct site *sites =
		core_alloc(places->name_count + 1, sizeof *sites);
	struct look look = {
		.core = core, .rollout = rollout, .places = places, .sites = sites
	};

	hear_sites(&look);
	gather(&look);
	count_all(&look);
	if (!look.counted)
		return;
	store_rollout(core, rollout);
	if (worse_is_met(&rollout->worse, &rollout->spec.gates))
		rollout->dirty = true;
}

void health_tick(struct core *core)
{
	if (!core->health_due)
		return;
	for (size_t i = 0; i < core->rollout_count; i++) {
		struct rollout *rollout = core->rollouts[i];

		if (rollout_state_is_live(rollout->state) &&
			rollout->spec.gates.worse_permille != 0)
			look_at(core, rollout);
	}
	for (size_t i = 0; i < core->device_count; i++)
		core->devices[i]->health.pending = false;
	core->health_due = false;
}

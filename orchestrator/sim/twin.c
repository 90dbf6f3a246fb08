#include "orchestrator/sim/twin.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/sim/twin_inside.h"

enum { FETCH_S = 300, PROVE_S = 90, REPORT_S = 5, MS_PER_S = 1000 };

struct twin_odds twin_odds_usual(void)
{
	return (struct twin_odds){
		.fetch_s = FETCH_S, .prove_s = PROVE_S, .report_s = REPORT_S
	};
}

static bool has_cohort(const struct twin_case *c, const char *name)
{
	for (uint32_t i = 0; i < c->cohort_count; i++)
		if (strcmp(c->cohorts[i].name, name) == 0)
			return true;
	return false;
}

static enum ota_code check(const struct twin_case *c, struct ota_error *err)
{
	if (c->cohort_count == 0 || c->cohort_count > OTA_COHORTS_MAX)
		return ota_fail(err, OTA_E_USAGE, "1 to %d cohorts", OTA_COHORTS_MAX);
	for (uint32_t i = 0; i < c->spec->stage_count; i++)
		if (!has_cohort(c, c->spec->stages[i].cohort))
			return ota_fail(err, OTA_E_USAGE,
				"stage %s: there is no cohort '%s'",
				c->spec->stages[i].name, c->spec->stages[i].cohort);
	return OTA_OK;
}

enum ota_code twin_new(
	const struct twin_case *c, struct twin **out, struct ota_error *err)
{
	enum ota_code rc = check(c, err);
	struct twin *twin = rc == OTA_OK ? calloc(1, sizeof *twin) : NULL;

	if (rc != OTA_OK)
		return rc;
	if (twin == NULL)
		return ota_fail(err, OTA_E_NOMEM, "twin");
	twin->c = c;
	rc = twin_world_init(twin, err);
	if (rc == OTA_OK)
		rc = twin_devices_init(twin, err);
	if (rc != OTA_OK) {
		twin_free(twin);
		return rc;
	}
	*out = twin;
	return OTA_OK;
}

/* ---- playing */

static void move_clock(struct twin *twin, uint64_t utc_s)
{
	if (utc_s <= twin->now.utc_s)
		return;
	twin->now.mono_ms += (utc_s - twin->now.utc_s) * MS_PER_S;
	twin->now.utc_s = utc_s;
}

/* Everything that happens at this second. */
static enum ota_code play_events(struct twin *twin, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && !twin->ended &&
		queue_due_s(&twin->queue) <= twin->now.utc_s) {
		struct queue_item item = queue_pop(&twin->queue);

		rc = twin_device_event(twin, &item, err);
		twin_world_settle(twin);
		twin_devices_order(twin);
	}
	return rc;
}

/* When the core wants to look again, it waits for the full minute, as all events do: what
 * it looks at every few seconds would cost a visit of the fleet each time. */
static uint64_t next_s(const struct twin *twin, uint64_t core_ms)
{
	uint64_t core_s = twin->now.utc_s + (core_ms - twin->now.mono_ms) / MS_PER_S;
	uint64_t event_s = queue_due_s(&twin->queue);

	core_s += TWIN_STEP_S - core_s % TWIN_STEP_S;
	return event_s < core_s ? event_s : core_s;
}

static enum ota_code play(struct twin *twin, struct ota_error *err)
{
	uint64_t end_s = twin->began_s + (uint64_t)TWIN_LIFE_S;
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && !twin->ended && twin->now.utc_s < end_s) {
		uint64_t core_ms;

		rc = play_events(twin, err);
		if (rc != OTA_OK || twin->ended)
			break;
		core_ms = core_tick(twin->core, twin->now);
		twin_world_settle(twin);
		twin_devices_order(twin);
		if (!twin->ended)
			move_clock(twin, next_s(twin, core_ms));
	}
	return rc;
}

/* A rollout is completed before its last devices are through; they still fare as they
 * must. */
static enum ota_code finish(struct twin *twin, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	while (rc == OTA_OK && twin->queue.count > 0) {
		struct queue_item item = queue_pop(&twin->queue);

		move_clock(twin, item.at_s);
		rc = twin_device_event(twin, &item, err);
	}
	return rc;
}

enum ota_code twin_play(struct twin *twin, const struct twin_odds *odds, uint64_t seed,
	const struct twin_watch *watch, struct twin_outcome *out, struct ota_error *err)
{
	uint8_t salt[OTA_SALT_LEN];
	enum ota_code rc;

	twin->dice = (struct dice){ seed };
	twin->odds = *odds;
	if (watch != NULL)
		twin->watch = *watch;
	twin->outcome = (struct twin_outcome){ 0 };
	for (size_t i = 0; i < sizeof salt; i++)
		salt[i] = (uint8_t)dice_throw(&twin->dice);
	rc = twin_devices_deal(twin, salt, err);
	if (rc == OTA_OK)
		rc = twin_world_apply(twin, salt, err);
	twin_devices_order(twin);
	if (rc == OTA_OK)
		rc = play(twin, err);
	if (rc == OTA_OK && twin->outcome.state == ROLLOUT_COMPLETED)
		rc = finish(twin, err);
	if (!twin->ended)
		twin->outcome.elapsed_s = twin->now.utc_s - twin->began_s;
	*out = twin->outcome;
	return rc;
}

uint32_t twin_devices(const struct twin *twin)
{
	return twin->device_count;
}

void twin_free(struct twin *twin)
{
	if (twin == NULL)
		return;
	core_free(twin->core);
	for (uint32_t i = 0; twin->groups != NULL && i < twin->c->cohort_count; i++)
		free(twin->groups[i].by_bucket);
	for (int role = 0; role < OTA_N_ROLES; role++)
		ota_secret_key_fini(&twin->keys[role]);
	queue_fini(&twin->queue);
	ota_buf_fini(&twin->root);
	free(twin->groups);
	free(twin->devices);
	free(twin);
}

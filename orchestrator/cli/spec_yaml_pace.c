#include "orchestrator/cli/spec_yaml_pace.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/freeze.h"

enum {
	RAMP_FIRST = 5,  /* devices of the first wave */
	RAMP_FACTOR = 5, /* from wave to wave */
	RAMP_EARLY = 2,  /* waves that soak long */
	HOUR_S = 3600,
	DAY_S = 86400,
};

static const char *const limit_keys[] = { "in_flight", "rebooting", "starts_per_minute",
	"per_site", "site_label", "group_label", NULL };

/* ---- limits */

/* "20" or "2%" */
static void read_in_flight(struct ota_yaml *doc, const struct ota_yaml_node *node,
	struct rollout_limits *limits)
{
	if (node == NULL)
		return;
	if (node->kind == OTA_YAML_SCALAR && strchr(node->text, '%') != NULL)
		limits->in_flight_permille = ota_yaml_permille(
			doc, node, "in_flight", limits->in_flight_permille);
	else
		limits->in_flight =
			ota_yaml_u64(doc, node, "in_flight", 1, SPEC_COUNT_MAX, 0);
}

static void read_label(struct ota_yaml *doc, const struct ota_yaml_node *map,
	const char *key, char out[static OTA_NAME_CAP])
{
	const struct ota_yaml_node *node = ota_yaml_get(map, key);

	if (node != NULL)
		ota_yaml_name(doc, node, key, out);
}

void spec_yaml_limits(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct rollout_limits *limits)
{
	if (map == NULL || !ota_yaml_map(doc, map, "the limits", limit_keys))
		return;
	read_in_flight(doc, ota_yaml_get(map, "in_flight"), limits);
	limits->rebooting = ota_yaml_u64(doc, ota_yaml_get(map, "rebooting"), "rebooting",
		1, SPEC_COUNT_MAX, limits->rebooting);
	limits->starts_per_minute = ota_yaml_u64(doc,
		ota_yaml_get(map, "starts_per_minute"), "starts_per_minute", 1,
		SPEC_COUNT_MAX, limits->starts_per_minute);
	limits->per_site_permille = ota_yaml_permille(doc, ota_yaml_get(map, "per_site"),
		"per_site", limits->per_site_permille);
	read_label(doc, map, "site_label", limits->site_label);
	read_label(doc, map, "group_label", limits->group_label);
}

/* ---- freeze */

void spec_yaml_freezes(
	struct ota_yaml *doc, const struct ota_yaml_node *list, struct rollout_spec *spec)
{
	if (list == NULL)
		return;
	if (list->kind != OTA_YAML_LIST || list->count > SPEC_FREEZES_MAX) {
		ota_yaml_error(doc, list, "'freeze' must be a list of at most %d times",
			SPEC_FREEZES_MAX);
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct ota_yaml_node *node = list->items[i];
		const char *text = ota_yaml_text(doc, node, "freeze", NULL);
		struct ota_error why = { 0 };

		if (text != NULL && freeze_parse(text, &spec->freezes[spec->freeze_count],
					    &why) != OTA_OK)
			ota_yaml_error(doc, node, "%s", why.text);
		spec->freeze_count++;
	}
}

/* ---- ramp */

struct ramp {
	struct ota_yaml *doc;
	const struct ota_yaml_node *node;
	const struct fleet_spec *fleet;
	const struct release_finder *finder;
	struct rollout_spec *spec;
	bool security, careful;
	uint32_t waves; /* so far */
};

static bool comes_first(const char *cohort)
{
	return strcmp(cohort, "lab") == 0 || strcmp(cohort, "canary") == 0;
}

static uint64_t soak_of(const struct ramp *ramp, const char *cohort)
{
	bool first = ramp->waves == 1 || strcmp(cohort, "canary") == 0;

	if (ramp->security)
		return HOUR_S;
	if (ramp->careful)
		return first && strcmp(cohort, "lab") != 0 ? 7 * DAY_S : DAY_S;
	if (strcmp(cohort, "lab") == 0)
		return 4 * HOUR_S;
	return first || ramp->waves <= RAMP_EARLY ? DAY_S : 4 * HOUR_S;
}

/* The next stage; NULL and an error if there are too many. */
static struct rollout_stage *add_stage(struct ramp *ramp, const char *cohort)
{
	struct rollout_spec *spec = ramp->spec;
	struct rollout_stage *stage = &spec->stages[spec->stage_count];

	if (spec->stage_count == SPEC_STAGES_MAX) {
		ota_yaml_error(ramp->doc, ramp->node,
			"the ramp has more than %d stages; write 'stages' instead",
			SPEC_STAGES_MAX);
		return NULL;
	}
	spec->stage_count++;
	(void)snprintf(stage->cohort, sizeof stage->cohort, "%s", cohort);
	if (comes_first(cohort))
		(void)snprintf(stage->name, sizeof stage->name, "%s", cohort);
	else
		(void)snprintf(stage->name, sizeof stage->name, "wave-%u", ++ramp->waves);
	stage->soak_s = soak_of(ramp, cohort);
	return stage;
}

static void add_share(struct ramp *ramp, const char *cohort, uint64_t permille)
{
	struct rollout_stage *stage = add_stage(ramp, cohort);

	if (stage != NULL)
		stage->permille = permille;
}

static void add_first(struct ramp *ramp, const char *cohort)
{
	if (fleet_spec_find(ramp->fleet, cohort) != NULL)
		add_share(ramp, cohort, OTA_PERMILLE_ALL);
}

/* Waves that grow by the factor from cohort to cohort. */
static void add_waves(struct ramp *ramp)
{
	const struct release_finder *finder = ramp->finder;
	uint64_t wave = RAMP_FIRST;

	for (uint32_t i = 0; i < ramp->fleet->cohort_count; i++) {
		const char *cohort = ramp->fleet->cohorts[i].name;
		uint64_t devices = finder->devices != NULL
					   ? finder->devices(finder->ctx, cohort)
					   : 0;

		if (comes_first(cohort))
			continue;
		for (; wave < devices && ota_yaml_error_count(ramp->doc) == 0;
			wave *= RAMP_FACTOR) {
			struct rollout_stage *stage = add_stage(ramp, cohort);

			if (stage == NULL)
				return;
			stage->kind = STAGE_COUNT;
			stage->count = wave;
		}
		add_share(ramp, cohort, OTA_PERMILLE_ALL);
	}
}

static void add_shares(struct ramp *ramp)
{
	for (size_t i = 0; i < ramp->node->count; i++) {
		uint64_t permille =
			ota_yaml_permille(ramp->doc, ramp->node->items[i], "ramp", 0);

		for (uint32_t c = 0; c < ramp->fleet->cohort_count; c++)
			if (!comes_first(ramp->fleet->cohorts[c].name))
				add_share(ramp, ramp->fleet->cohorts[c].name, permille);
	}
}

void spec_yaml_ramp(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const struct fleet_spec *fleet, const struct release_finder *finder,
	struct rollout_spec *spec)
{
	static const char *const presets[] = { "x5", "careful", NULL };
	struct ramp ramp = { doc, node, fleet, finder, spec, .waves = 0 };
	bool shares = node->kind == OTA_YAML_LIST;

	ramp.careful = !shares && ota_yaml_choice(doc, node, "ramp", presets, 0) == 1;
	ramp.security = finder->is_security != NULL &&
			finder->is_security(finder->ctx, &spec->release);
	if (ota_yaml_error_count(doc) > 0)
		return;
	add_first(&ramp, "lab");
	add_first(&ramp, "canary");
	if (shares)
		add_shares(&ramp);
	else
		add_waves(&ramp);
	if (spec->stage_count > 0) /* nothing follows it */
		spec->stages[spec->stage_count - 1].soak_s = 0;
}

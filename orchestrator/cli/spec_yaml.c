#include "orchestrator/cli/spec_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/spec_yaml_pace.h"
#include "orchestrator/cli/spec_yaml_policy.h"
#include "proto/base/own.h"

#define PPM_MAX 1000000

static const char *const fleet_keys[] = { "fleet", "cohorts", "quarantine", NULL };
static const char *const cohort_keys[] = { "name", "labels", "facts", NULL };
static const char *const rollout_keys[] = { "rollout", "release", "stages", "ramp",
	"gates", "deadlines", "limits", "window", "freeze", "jitter", "on_halt", "retry",
	"offline", "priority", "supersedes", NULL };
static const char *const release_keys[] = { "product", "version", "digest", NULL };
static const char *const stage_keys[] = { "name", "cohort", "share", "count", "devices",
	"soak", NULL };
static const char *const gate_keys[] = { "success", "terminal", "good_rate", "bad_rate",
	"alpha", "beta", "silence", "worse_ratio", "worse_cap", NULL };
static const char *const deadline_keys[] = { "fetch", "install", "prove", NULL };
static const char *const halt_words[] = { "pause", "revert", NULL };

static enum ota_code outcome(const struct ota_yaml *doc)
{
	return ota_yaml_error_count(doc) == 0 ? OTA_OK : OTA_E_CONFIG;
}

enum ota_code spec_yaml_kind(struct ota_yaml *doc, enum spec_kind *out)
{
	const struct ota_yaml_node *root = ota_yaml_root(doc);

	if (root->kind == OTA_YAML_MAP && ota_yaml_get(root, "rollout") != NULL)
		*out = SPEC_ROLLOUT;
	else if (root->kind == OTA_YAML_MAP && ota_yaml_get(root, "cohorts") != NULL)
		*out = SPEC_FLEET;
	else
		ota_yaml_error(doc, root,
			"neither a rollout file (key 'rollout') nor a fleet file (key "
			"'cohorts')");
	return outcome(doc);
}

/* The member of a file that spec.h calls otherwise. */
static const char *file_key(const char *key)
{
	static const struct {
		const char *spec, *file;
	} names[] = { { "permille", "share" }, { "soak_s", "soak" },
		{ "jitter_s", "jitter" }, { "success_permille", "success" },
		{ "terminal_permille", "terminal" }, { "p0_ppm", "good_rate" },
		{ "p1_ppm", "bad_rate" }, { "alpha_ppm", "alpha" },
		{ "beta_ppm", "beta" }, { "worse_permille", "worse_ratio" },
		{ "silence_s", "silence" }, { "fetch_s", "fetch" },
		{ "install_s", "install" }, { "prove_s", "prove" },
		{ "in_flight_permille", "in_flight" },
		{ "per_site_permille", "per_site" }, { "soft_backoff_s", "soft_backoff" },
		{ "excused_backoff_s", "excused_backoff" } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(key, names[i].spec) == 0)
			return names[i].file;
	return key;
}

/* A failure's text without the JSON path in front: line and column say where it is. */
static const char *without_path(const struct spec_place *place, const char *text)
{
	const char *colon = strstr(text, ": ");
	size_t len = strlen(place->list);

	if (len > 0 && strncmp(text, place->list, len) == 0 && colon != NULL)
		return colon + 2;
	return text;
}

/* Put a failure of spec.h at the line and column it speaks of. */
static void place_error(
	struct ota_yaml *doc, const struct spec_place *place, const char *text)
{
	const struct ota_yaml_node *at = ota_yaml_root(doc), *inner;

	inner = place->list[0] != '\0' ? ota_yaml_get(at, place->list) : NULL;
	if (inner != NULL)
		at = inner;
	if (at->kind == OTA_YAML_LIST && place->index < at->count)
		at = at->items[place->index];
	inner = at->kind == OTA_YAML_MAP ? ota_yaml_get(at, file_key(place->key)) : NULL;
	ota_yaml_error(doc, inner != NULL ? inner : at, "%s", without_path(place, text));
}

/* ---- fleet ----------------------------------------------------------------------------
 */

static void read_value(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, struct fleet_term *term)
{
	if (term->value_count == SPEC_VALUES_MAX) {
		ota_yaml_error(
			doc, node, "more than %d values for '%s'", SPEC_VALUES_MAX, key);
		return;
	}
	ota_yaml_name(doc, node, key, term->values[term->value_count++]);
}

/* {ring: lab} or {ring: [lab, canary]} */
static void read_terms(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct fleet_term *terms, uint32_t *count)
{
	if (map == NULL)
		return;
	if (map->kind != OTA_YAML_MAP || map->count > SPEC_TERMS_MAX) {
		ota_yaml_error(doc, map,
			"a selector is a map of at most %d keys to values",
			SPEC_TERMS_MAX);
		return;
	}
	for (size_t i = 0; i < map->count; i++) {
		const struct ota_yaml_node *key = map->items[2 * i];
		const struct ota_yaml_node *value = map->items[2 * i + 1];
		struct fleet_term *term = &terms[(*count)++];

		ota_yaml_name(doc, key, "key", term->key);
		if (value->kind != OTA_YAML_LIST)
			read_value(doc, value, key->text, term);
		for (size_t j = 0; value->kind == OTA_YAML_LIST && j < value->count; j++)
			read_value(doc, value->items[j], key->text, term);
	}
}

static void read_cohort(
	struct ota_yaml *doc, const struct ota_yaml_node *node, struct fleet_cohort *out)
{
	if (!ota_yaml_map(doc, node, "a cohort", cohort_keys))
		return;
	ota_yaml_name(doc, ota_yaml_need(doc, node, "name"), "name", out->name);
	read_terms(doc, ota_yaml_get(node, "labels"), out->labels, &out->label_count);
	read_terms(doc, ota_yaml_get(node, "facts"), out->facts, &out->fact_count);
}

enum ota_code spec_yaml_fleet(struct ota_yaml *doc, struct fleet_spec *out)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	const struct ota_yaml_node *root = ota_yaml_root(doc), *list;
	struct spec_place place = { .list = "", .key = "" };
	struct ota_error err = { 0 };

	if (!ota_yaml_map(doc, root, "a fleet file", fleet_keys))
		return OTA_E_CONFIG;
	ota_yaml_name(doc, ota_yaml_need(doc, root, "fleet"), "fleet", fleet.fleet);
	list = ota_yaml_need(doc, root, "cohorts");
	if (list != NULL &&
		(list->kind != OTA_YAML_LIST || list->count > OTA_COHORTS_MAX))
		ota_yaml_error(doc, list, "'cohorts' must be a list of at most %d",
			OTA_COHORTS_MAX);
	if (outcome(doc) != OTA_OK)
		return OTA_E_CONFIG;
	fleet.cohorts = calloc(list->count + 1, sizeof *fleet.cohorts);
	if (fleet.cohorts == NULL)
		return OTA_E_NOMEM;
	fleet.cohort_count = (uint32_t)list->count;
	for (size_t i = 0; i < list->count; i++)
		read_cohort(doc, list->items[i], &fleet.cohorts[i]);
	fleet.quarantine = fleet_quarantine_default();
	spec_yaml_quarantine(doc, ota_yaml_get(root, "quarantine"), &fleet.quarantine);
	if (outcome(doc) == OTA_OK && fleet_spec_check(&fleet, &place, &err) != OTA_OK)
		place_error(doc, &place, err.text);
	if (outcome(doc) != OTA_OK)
		return OTA_E_CONFIG;
	*out = fleet;
	fleet = (struct fleet_spec){ 0 };
	return OTA_OK;
}

/* ---- rollout --------------------------------------------------------------------------
 */

/* 'release: DIGEST', 'release: {digest: ...}' or 'release: {product: ..., version: ...}'
 */
static void read_release(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const struct release_finder *finder, struct ota_digest *out)
{
	const struct ota_yaml_node *digest = node, *version;
	char product_name[OTA_NAME_CAP], version_name[OTA_NAME_CAP];
	struct ota_error err = { 0 };

	if (node == NULL)
		return;
	if (node->kind == OTA_YAML_MAP) {
		if (!ota_yaml_map(doc, node, "a release", release_keys))
			return;
		digest = ota_yaml_get(node, "digest");
	}
	if (digest != NULL) {
		if (digest->kind != OTA_YAML_SCALAR ||
			ota_digest_parse(digest->text, out, NULL) != OTA_OK)
			ota_yaml_error(doc, digest,
				"'release' must be 64 hex digits or {product: ..., "
				"version: ...}");
		return;
	}
	version = ota_yaml_need(doc, node, "version");
	ota_yaml_name(doc, ota_yaml_need(doc, node, "product"), "product", product_name);
	ota_yaml_name(doc, version, "version", version_name);
	if (outcome(doc) == OTA_OK && finder->find(finder->ctx, product_name,
					      version_name, out, &err) != OTA_OK)
		ota_yaml_error(doc, version, "%s", err.text);
}

static void read_devices(struct ota_yaml *doc, const struct ota_yaml_node *list,
	struct rollout_stage *stage)
{
	if (list->kind != OTA_YAML_LIST || list->count == 0 ||
		list->count > OTA_CANARIES_MAX) {
		ota_yaml_error(doc, list, "'devices' must be a list of 1 to %d devices",
			OTA_CANARIES_MAX);
		return;
	}
	for (size_t i = 0; i < list->count; i++)
		ota_yaml_name(doc, list->items[i], "device",
			stage->devices[stage->device_count++]);
}

/* Exactly one of share, count and devices. */
static void read_size(struct ota_yaml *doc, const struct ota_yaml_node *node,
	struct rollout_stage *stage)
{
	const struct ota_yaml_node *share = ota_yaml_get(node, "share");
	const struct ota_yaml_node *count = ota_yaml_get(node, "count");
	const struct ota_yaml_node *devices = ota_yaml_get(node, "devices");

	if ((share != NULL) + (count != NULL) + (devices != NULL) != 1) {
		ota_yaml_error(
			doc, node, "a stage has one of 'share', 'count' and 'devices'");
		return;
	}
	if (share != NULL) {
		stage->kind = STAGE_PERMILLE;
		stage->permille = ota_yaml_permille(doc, share, "share", 0);
	} else if (count != NULL) {
		stage->kind = STAGE_COUNT;
		stage->count = ota_yaml_u64(doc, count, "count", 1, SPEC_COUNT_MAX, 0);
	} else {
		stage->kind = STAGE_DEVICES;
		read_devices(doc, devices, stage);
	}
}

static void read_stage(struct ota_yaml *doc, const struct ota_yaml_node *node,
	size_t index, struct rollout_stage *stage)
{
	const struct ota_yaml_node *name;

	if (!ota_yaml_map(doc, node, "a stage", stage_keys))
		return;
	name = ota_yaml_get(node, "name");
	if (name != NULL)
		ota_yaml_name(doc, name, "name", stage->name);
	else
		(void)snprintf(stage->name, sizeof stage->name, "stage-%zu", index + 1);
	ota_yaml_name(doc, ota_yaml_need(doc, node, "cohort"), "cohort", stage->cohort);
	read_size(doc, node, stage);
	stage->soak_s = ota_yaml_duration_s(
		doc, ota_yaml_get(node, "soak"), "soak", SPEC_DURATION_MAX_S, 0);
}

/* A rate such as 0.5% in parts per million, through the permille reader's grammar. */
static uint64_t read_ppm(struct ota_yaml *doc, const struct ota_yaml_node *map,
	const char *key, uint64_t fallback)
{
	const struct ota_yaml_node *node = ota_yaml_get(map, key);
	double percent;
	char end;

	if (node == NULL)
		return fallback;
	if (node->kind != OTA_YAML_SCALAR ||
		sscanf(node->text, "%lf%%%c", &percent, &end) != 1 ||
		node->text[strlen(node->text) - 1] != '%' ||
		!(percent > 0 && percent < 100)) {
		ota_yaml_error(
			doc, node, "'%s' must be a rate between 0%% and 100%%", key);
		return fallback;
	}
	return (uint64_t)(percent * PPM_MAX / 100 + 0.5);
}

/* "3", "1.5" or "off" */
static uint64_t read_ratio(
	struct ota_yaml *doc, const struct ota_yaml_node *node, uint64_t fallback)
{
	double ratio;
	char end;

	if (node == NULL)
		return fallback;
	if (node->kind == OTA_YAML_SCALAR && strcmp(node->text, "off") == 0)
		return 0;
	if (node->kind == OTA_YAML_SCALAR &&
		sscanf(node->text, "%lf%c", &ratio, &end) == 1 &&
		ratio * OTA_PERMILLE_ALL >= SPEC_WORSE_MIN &&
		ratio * OTA_PERMILLE_ALL <= SPEC_WORSE_MAX)
		return (uint64_t)(ratio * OTA_PERMILLE_ALL + 0.5);
	ota_yaml_error(
		doc, node, "'worse_ratio' must be a number from 1.2 to 100, or off");
	return fallback;
}

static void read_gates(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct rollout_gates *gates)
{
	if (map == NULL || !ota_yaml_map(doc, map, "the gates", gate_keys))
		return;
	gates->success_permille = ota_yaml_permille(
		doc, ota_yaml_get(map, "success"), "success", gates->success_permille);
	gates->terminal_permille = ota_yaml_permille(
		doc, ota_yaml_get(map, "terminal"), "terminal", gates->terminal_permille);
	gates->p0_ppm = read_ppm(doc, map, "good_rate", gates->p0_ppm);
	gates->p1_ppm = read_ppm(doc, map, "bad_rate", gates->p1_ppm);
	gates->alpha_ppm = read_ppm(doc, map, "alpha", gates->alpha_ppm);
	gates->beta_ppm = read_ppm(doc, map, "beta", gates->beta_ppm);
	gates->silence_s = ota_yaml_duration_s(doc, ota_yaml_get(map, "silence"),
		"silence", SPEC_DURATION_MAX_S, gates->silence_s);
	gates->worse_permille =
		read_ratio(doc, ota_yaml_get(map, "worse_ratio"), gates->worse_permille);
	gates->worse_cap = ota_yaml_u64(doc, ota_yaml_get(map, "worse_cap"), "worse_cap",
		1, SPEC_WORSE_CAP_MAX, gates->worse_cap);
}

static void read_deadlines(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct rollout_deadlines *deadlines)
{
	if (map == NULL || !ota_yaml_map(doc, map, "the deadlines", deadline_keys))
		return;
	deadlines->fetch_s = ota_yaml_duration_s(doc, ota_yaml_get(map, "fetch"), "fetch",
		SPEC_DURATION_MAX_S, deadlines->fetch_s);
	deadlines->install_s = ota_yaml_duration_s(doc, ota_yaml_get(map, "install"),
		"install", SPEC_DURATION_MAX_S, deadlines->install_s);
	deadlines->prove_s = ota_yaml_duration_s(doc, ota_yaml_get(map, "prove"), "prove",
		SPEC_DURATION_MAX_S, deadlines->prove_s);
}

/* "22:00-05:00" */
static void read_window(
	struct ota_yaml *doc, const struct ota_yaml_node *node, struct ota_window *out)
{
	unsigned h1, m1, h2, m2;
	char end;

	if (node == NULL)
		return;
	if (node->kind != OTA_YAML_SCALAR ||
		sscanf(node->text, "%2u:%2u-%2u:%2u%c", &h1, &m1, &h2, &m2, &end) != 4 ||
		h1 > 23 || h2 > 23 || m1 > 59 || m2 > 59) {
		ota_yaml_error(doc, node,
			"'window' must be two times of the device's day, as in "
			"22:00-05:00");
		return;
	}
	*out = (struct ota_window){ .from_min = h1 * 60 + m1, .to_min = h2 * 60 + m2 };
}

static void read_stages(
	struct ota_yaml *doc, const struct ota_yaml_node *list, struct rollout_spec *spec)
{
	if (list == NULL)
		return;
	if (list->kind != OTA_YAML_LIST || list->count == 0 ||
		list->count > SPEC_STAGES_MAX) {
		ota_yaml_error(doc, list, "'stages' must be a list of 1 to %d stages",
			SPEC_STAGES_MAX);
		return;
	}
	spec->stage_count = (uint32_t)list->count;
	for (size_t i = 0; i < list->count; i++)
		read_stage(doc, list->items[i], i, &spec->stages[i]);
}

/* 'stages' or 'ramp', which needs to know the release. */
static void read_course(struct ota_yaml *doc, const struct fleet_spec *fleet,
	const struct release_finder *finder, struct rollout_spec *spec)
{
	const struct ota_yaml_node *root = ota_yaml_root(doc);
	const struct ota_yaml_node *ramp = ota_yaml_get(root, "ramp");

	if (ramp == NULL)
		read_stages(doc, ota_yaml_need(doc, root, "stages"), spec);
	else if (ota_yaml_get(root, "stages") != NULL)
		ota_yaml_error(doc, ramp, "a rollout has either 'stages' or 'ramp'");
	else if (outcome(doc) == OTA_OK)
		spec_yaml_ramp(doc, ramp, fleet, finder, spec);
}

static void read_rollout(struct ota_yaml *doc, const struct ota_yaml_node *root,
	const struct release_finder *finder, struct rollout_spec *spec)
{
	ota_yaml_name(doc, ota_yaml_need(doc, root, "rollout"), "rollout", spec->rollout);
	read_gates(doc, ota_yaml_get(root, "gates"), &spec->gates);
	read_deadlines(doc, ota_yaml_get(root, "deadlines"), &spec->deadlines);
	read_window(doc, ota_yaml_get(root, "window"), &spec->window);
	spec_yaml_limits(doc, ota_yaml_get(root, "limits"), &spec->limits);
	spec_yaml_freezes(doc, ota_yaml_get(root, "freeze"), spec);
	spec_yaml_policy(doc, root, spec);
	spec->jitter_s = ota_yaml_duration_s(
		doc, ota_yaml_get(root, "jitter"), "jitter", SPEC_DURATION_MAX_S, 0);
	spec->on_halt = ota_yaml_choice(doc, ota_yaml_get(root, "on_halt"), "on_halt",
				halt_words, 0) == 0
				? ON_HALT_PAUSE
				: ON_HALT_REVERT;
	read_release(doc, ota_yaml_need(doc, root, "release"), finder, &spec->release);
}

enum ota_code spec_yaml_rollout(struct ota_yaml *doc, const struct fleet_spec *fleet,
	const struct release_finder *finder, struct rollout_spec *out)
{
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	const struct ota_yaml_node *root = ota_yaml_root(doc);
	struct spec_place place = { .list = "", .key = "" };
	struct ota_error err = { 0 };

	if (spec == NULL)
		return OTA_E_NOMEM;
	rollout_spec_init(spec);
	if (!ota_yaml_map(doc, root, "a rollout file", rollout_keys))
		return OTA_E_CONFIG;
	read_rollout(doc, root, finder, spec);
	read_course(doc, fleet, finder, spec);
	if (outcome(doc) == OTA_OK &&
		rollout_spec_check(spec, fleet, &place, &err) != OTA_OK)
		place_error(doc, &place, err.text);
	if (outcome(doc) != OTA_OK)
		return OTA_E_CONFIG;
	*out = *spec;
	return OTA_OK;
}

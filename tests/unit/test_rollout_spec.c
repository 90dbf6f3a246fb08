#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "proto/base/own.h"

#define RELEASE "\"release\":\"" HEX8 HEX8 HEX8 HEX8 "\""
#define HEX8    "0123456789abcdef"

static enum ota_code parse(
	const char *json, struct rollout_spec *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	enum ota_code rc = ota_json_parse(ota_bytes_of(json), false, &tree, err);

	return rc == OTA_OK ? rollout_spec_from_json(tree, out, err) : rc;
}

static enum ota_code read_stages(
	const char *stages, struct rollout_spec *out, struct ota_error *err)
{
	char json[2048];

	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"r\"," RELEASE ",\"stages\":[%s]}", stages);
	return parse(json, out, err);
}

static struct rollout_spec *spec;

static void make(void)
{
	spec = calloc(1, sizeof *spec);
}

static void end(void)
{
	free(spec);
}

TestSuite(rollout_spec, .init = make, .fini = end);

Test(rollout_spec, what_is_left_out_is_the_default)
{
	struct ota_error err = { .text = "" };

	cr_assert_eq(read_stages("{\"name\":\"a\",\"cohort\":\"lab\",\"permille\":50}",
			     spec, &err),
		OTA_OK, "%s", err.text);
	cr_expect_eq(spec->gates.p0_ppm, 5000);
	cr_expect_eq(spec->gates.success_permille, 950);
	cr_expect_eq(spec->gates.worse_permille, 3000);
	cr_expect_eq(spec->gates.worse_cap, 2);
	cr_expect_eq(spec->deadlines.prove_s, 600);
	cr_expect_eq(spec->on_halt, ON_HALT_PAUSE);
	cr_expect_eq(spec->limits.in_flight, 0);
	cr_expect_eq(spec->limits.in_flight_permille, 20);
	cr_expect_eq(spec->limits.starts_per_minute, 50);
	cr_expect_eq(spec->limits.per_site_permille, 200);
	cr_expect_str_eq(spec->limits.site_label, "site");
	cr_expect_str_eq(spec->limits.group_label, "group");
	cr_expect_eq(spec->freeze_count, 0);
	cr_expect_eq(spec->stages[0].kind, STAGE_PERMILLE);
	cr_expect_eq(spec->stages[0].soak_s, 0);
}

Test(rollout_spec, json_and_back_is_the_same)
{
	OTA_AUTO(ota_json_fini) cJSON *one = NULL;
	OTA_AUTO(ota_json_fini) cJSON *two = NULL;
	ota_autofree struct rollout_spec *back = calloc(1, sizeof *back);

	cr_assert_eq(
		read_stages(
			"{\"name\":\"a\",\"cohort\":\"x\",\"devices\":[\"d1\",\"d2\"]},"
			"{\"name\":\"b\",\"cohort\":\"x\",\"count\":5,\"soak_s\":7},"
			"{\"name\":\"c\",\"cohort\":\"x\",\"permille\":1000}",
			spec, NULL),
		OTA_OK);
	spec->on_halt = ON_HALT_REVERT;
	spec->window.from_min = 60;
	spec->jitter_s = 30;
	spec->limits.in_flight = 7;
	spec->gates.worse_permille = 0;
	spec->gates.worse_cap = 5;
	memcpy(spec->limits.group_label, "pair", 5);
	spec->freeze_count = 1;
	cr_assert_eq(freeze_parse("sat 08:00-12:00", &spec->freezes[0], NULL), OTA_OK);
	one = rollout_spec_to_json(spec);
	cr_assert_eq(rollout_spec_from_json(one, back, NULL), OTA_OK);
	two = rollout_spec_to_json(back);
	cr_expect(cJSON_Compare(one, two, true));
	cr_expect_eq(back->window.from_min, 60);
	cr_expect_eq(back->limits.in_flight, 7);
	cr_expect_eq(back->gates.worse_permille, 0);
	cr_expect_eq(back->gates.worse_cap, 5);
	cr_expect_str_eq(back->limits.group_label, "pair");
	cr_expect_eq(back->freezes[0].week.len_min, 240);
	cr_expect_eq(back->on_halt, ON_HALT_REVERT);
}

struct row {
	const char *stages;
	enum ota_code code;
	const char *text;
};

#define A(share) "{\"name\":\"a\",\"cohort\":\"lab\"," share "}"
#define B(share) "{\"name\":\"b\",\"cohort\":\"lab\"," share "}"

/* clang-format off */
static const struct row rows[] = {
	{ "", OTA_E_CONFIG, "stages: wants 1 to 32 stages" },
	{ A("\"permille\":0"), OTA_E_CONFIG, "stages[0].permille: 0 is not in 1 .. 1000" },
	{ A("\"permille\":1001"), OTA_E_CONFIG,
	  "stages[0].permille: 1001 is not in 1 .. 1000" },
	{ A("\"count\":0"), OTA_E_CONFIG, "stages[0].count: 0 is not in 1 .. 1000000" },
	{ A("\"devices\":[]"), OTA_E_CONFIG, "stages[0].devices: wants 1 to 64 names" },
	{ A("\"devices\":[\"a/b\"]"), OTA_E_NAME, "stages[0]: device name 'a/b' "
	  "may hold only a-z, 0-9, '.', '_' and '-'" },
	{ A("\"devices\":[\"d\",\"d\"]"), OTA_E_CONFIG,
	  "stages[0].devices: 'd' is named twice" },
	{ A("\"soak_s\":1"), OTA_E_CONFIG,
	  "stages[0]: wants exactly one of permille, count and devices" },
	{ A("\"permille\":1,\"count\":1"), OTA_E_CONFIG,
	  "stages[0]: wants exactly one of permille, count and devices" },
	{ A("\"permille\":1,\"soak\":1"), OTA_E_FORMAT, "stages[0]: unknown member 'soak'" },
	{ A("\"permille\":1,\"soak_s\":7776001"), OTA_E_CONFIG,
	  "stages[0].soak_s: over 90 days" },
	{ A("\"permille\":50") "," B("\"permille\":50"), OTA_E_CONFIG,
	  "stages[1].permille: overlaps stage 'a': shares of a cohort are cumulative and "
	  "must grow" },
	{ A("\"count\":5") "," B("\"count\":4"), OTA_E_CONFIG,
	  "stages[1].count: overlaps stage 'a': shares of a cohort are cumulative and "
	  "must grow" },
	{ A("\"permille\":1000") "," B("\"count\":4"), OTA_E_CONFIG,
	  "stages[1]: stage 'a' has taken the whole cohort 'lab' already" },
	{ A("\"devices\":[\"d\"]") "," B("\"devices\":[\"d\"]"), OTA_E_CONFIG,
	  "stages[1].devices: 'd' is in stage 'a' already" },
	{ A("\"count\":4") "," A("\"count\":5"), OTA_E_CONFIG,
	  "stages[1].name: a second stage 'a'" },
};
/* clang-format on */

Test(rollout_spec, refuses_with_the_place_and_the_reason)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ota_error err = { .text = "" };

		cr_expect_eq(read_stages(rows[i].stages, spec, &err), rows[i].code,
			"row %zu: %s", i, err.text);
		cr_expect_str_eq(err.text, rows[i].text, "row %zu: %s", i, err.text);
	}
	cr_expect_eq(spec->stage_count, 0, "nothing is written on failure");
}

#define WITH(members) \
	"{\"rollout\":\"r\"," RELEASE ",\"stages\":[" A("\"permille\":5") "]," members "}"

Test(rollout_spec, limits_and_freezes_are_checked)
{
	static const struct row wrong[] = {
		{ WITH("\"limits\":{\"per_site_permille\":0}"), OTA_E_CONFIG,
			"limits.per_site_permille: 0 is not in 1 .. 1000" },
		{ WITH("\"limits\":{\"in_flight\":1000001}"), OTA_E_CONFIG,
			"limits.in_flight: 1000001 is not in 0 .. 1000000" },
		{ WITH("\"limits\":{\"speed\":1}"), OTA_E_FORMAT,
			"limits: unknown member 'speed'" },
		{ WITH("\"freeze\":[\"mon\"]"), OTA_E_CONFIG,
			"freeze[0]: 'mon' is no time like 2026-12-20..2027-01-05 or "
			"fri-sun 16:00-24:00 (UTC)" },
		{ WITH("\"freeze\":[1]"), OTA_E_CONFIG,
			"freeze[0]: '' is no time like 2026-12-20..2027-01-05 or fri-sun "
			"16:00-24:00 (UTC)" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct ota_error err = { .text = "" };

		cr_expect_eq(parse(wrong[i].stages, spec, &err), wrong[i].code);
		cr_expect_str_eq(err.text, wrong[i].text);
	}
}

Test(rollout_spec, rates_must_differ_the_right_way)
{
	struct ota_error err = { .text = "" };

	cr_expect_eq(parse("{\"rollout\":\"r\"," RELEASE ",\"stages\":[" A(
				   "\"permille\":5") "],\"gates\":{\"p0_ppm\":50000}}",
			     spec, &err),
		OTA_E_CONFIG);
	cr_expect_str_eq(err.text, "gates.p1_ppm: must be greater than p0_ppm");
}

Test(rollout_spec, a_ratio_of_incidents_is_off_or_in_its_range)
{
	static const struct {
		const char *gates, *says;
	} wrong[] = {
		{ "\"worse_permille\":1000",
			"gates.worse_permille: 1000 is not in 1200 .. 100000" },
		{ "\"worse_permille\":100001",
			"gates.worse_permille: 100001 is not in 1200 .. 100000" },
		{ "\"worse_cap\":0", "gates.worse_cap: 0 is not in 1 .. 8" },
		{ "\"worse_cap\":9", "gates.worse_cap: 9 is not in 1 .. 8" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct ota_error err = { .text = "" };
		char json[512];

		(void)snprintf(json, sizeof json,
			"{\"rollout\":\"r\"," RELEASE ",\"stages\":[{\"name\":\"a\","
			"\"cohort\":\"x\",\"permille\":5}],\"gates\":{%s}}",
			wrong[i].gates);
		cr_expect_eq(parse(json, spec, &err), OTA_E_CONFIG, "%s", wrong[i].gates);
		cr_expect_str_eq(err.text, wrong[i].says);
	}
}

Test(rollout_spec, an_unknown_cohort_is_refused_with_the_nearest_one)
{
	struct fleet_cohort cohorts[] = { { .name = "canary" }, { .name = "lab" } };
	const struct fleet_spec fleet = {
		.fleet = "demo", .cohorts = cohorts, .cohort_count = 2
	};
	struct spec_place place = { 0 };
	struct ota_error err = { .text = "" };

	cr_assert_eq(read_stages(A("\"permille\":5"), spec, NULL), OTA_OK);
	cr_expect_eq(rollout_spec_check(spec, &fleet, NULL, NULL), OTA_OK);
	memcpy(spec->stages[0].cohort, "lap", 4);
	cr_expect_eq(rollout_spec_check(spec, &fleet, &place, &err), OTA_E_CONFIG);
	cr_expect_str_eq(
		err.text, "stages[0].cohort: unknown cohort 'lap', did you mean 'lab'?");
	cr_expect_str_eq(place.list, "stages");
	cr_expect_eq(place.index, 0);
	cr_expect_str_eq(place.key, "cohort");
}

#include <criterion/criterion.h>

#include <string.h>

#include "orchestrator/core/fleet.h"
#include "proto/base/own.h"

static enum ota_code parse(
	const char *json, struct fleet_spec *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	enum ota_code rc = ota_json_parse(ota_bytes_of(json), false, &tree, err);

	return rc == OTA_OK ? fleet_spec_from_json(tree, out, err) : rc;
}

/* ---- the file */

struct row {
	const char *json;
	enum ota_code code;
	const char *text;
};

#define COHORTS(list) "{\"fleet\":\"f\",\"cohorts\":[" list "]}"

/* clang-format off */
static const struct row rows[] = {
	{ COHORTS(""), OTA_OK, "" },
	{ COHORTS("{\"name\":\"all\"}"), OTA_OK, "" },
	{ COHORTS("{\"name\":\"a\"},{\"name\":\"a\"}"), OTA_E_CONFIG,
	  "cohorts[1].name: a second cohort 'a'" },
	{ COHORTS("{\"name\":\"a\",\"facts\":{\"hardwar\":[\"x\"]}}"), OTA_E_CONFIG,
	  "cohorts[0].facts: no fact 'hardwar', did you mean 'hardware'?" },
	{ COHORTS("{\"name\":\"a\",\"facts\":{\"colour\":[\"x\"]}}"), OTA_E_CONFIG,
	  "cohorts[0].facts: no fact 'colour'; there are product, hardware, version and agent" },
	{ COHORTS("{\"name\":\"a\",\"labels\":{\"ring\":[]}}"), OTA_E_CONFIG,
	  "cohorts[0].labels: 'ring' wants 1 to 32 values" },
	{ COHORTS("{\"name\":\"a\",\"labels\":{\"ring\":\"lab\"}}"), OTA_E_FORMAT,
	  "cohorts[0]: 'ring' wants an array of at most 32 names" },
	{ COHORTS("{\"name\":\"a+b\"}"), OTA_E_NAME, NULL },
	{ COHORTS("{\"name\":\"a\",\"selector\":{}}"), OTA_E_FORMAT,
	  "cohorts[0]: unknown member 'selector'" },
};
/* clang-format on */

Test(fleet, a_file_is_taken_or_refused_with_its_place)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
		struct ota_error err = { .text = "" };

		cr_expect_eq(parse(rows[i].json, &fleet, &err), rows[i].code,
			"row %zu: %s", i, err.text);
		if (rows[i].text != NULL)
			cr_expect_str_eq(
				err.text, rows[i].text, "row %zu: %s", i, err.text);
	}
}

Test(fleet, json_and_back_is_the_same)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	OTA_AUTO(fleet_spec_fini) struct fleet_spec back = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *one = NULL;
	OTA_AUTO(ota_json_fini) cJSON *two = NULL;

	cr_assert_eq(parse(COHORTS("{\"name\":\"a\",\"labels\":{\"ring\":[\"x\",\"y\"]},"
				   "\"facts\":{\"hardware\":[\"gw\"]}},{\"name\":\"b\"}"),
			     &fleet, NULL),
		OTA_OK);
	one = fleet_spec_to_json(&fleet);
	cr_assert_eq(fleet_spec_from_json(one, &back, NULL), OTA_OK);
	two = fleet_spec_to_json(&back);
	cr_expect(cJSON_Compare(one, two, true));
}

/* ---- who is selected */

struct member {
	const char *label, *hardware; /* hardware "": never reported */
	const char *cohort;
};

static const struct member members[] = {
	{ "ring=lab", "", "lab" },       /* first match wins */
	{ "ring=bench", "gw-1", "lab" }, /* one of the values */
	{ "ring=field", "gw-1", "gw-1-field" },
	{ "ring=field", "gw-2", "field" }, /* a term that is not met */
	{ "ring=field", "", "field" },     /* a fact nobody reported */
	{ "ringx=lab", "gw-1", "" },
	{ "ring=labx", "gw-1", "" },
};

Test(fleet, the_first_cohort_that_selects_a_device_has_it)
{
	static char labels[1][OTA_LABEL_CAP];
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };

	cr_assert_eq(
		parse(COHORTS("{\"name\":\"lab\",\"labels\":{\"ring\":[\"lab\",\"bench\"]"
			      "}"
			      "},"
			      "{\"name\":\"gw-1-field\",\"labels\":{\"ring\":[\"field\"]}"
			      ","
			      "\"facts\":{\"hardware\":[\"gw-1\"]}},"
			      "{\"name\":\"field\",\"labels\":{\"ring\":[\"field\"]}}"),
			&fleet, NULL),
		OTA_OK);
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		struct device device = { .labels = labels, .label_count = 1 };

		memcpy(labels[0], members[i].label, strlen(members[i].label) + 1);
		device.reported = members[i].hardware[0] != '\0';
		memcpy(device.report.hardware, members[i].hardware,
			strlen(members[i].hardware) + 1);
		cr_expect_str_eq(
			fleet_select(&fleet, &device), members[i].cohort, "row %zu", i);
	}
}

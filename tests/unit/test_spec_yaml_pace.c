#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/spec_yaml.h"
#include "proto/base/own.h"

/* The parts of a rollout file that say how fast it goes. */

#define HEAD   "rollout: r1\nrelease: {product: gateway, version: 1.2.0}\n"
#define STAGES "stages:\n  - {cohort: north, share: 100%}\n"

static bool security;
static struct fleet_spec fleet;
static struct rollout_spec *out;

static OTA_CHECKED enum ota_code find_release(void *ctx, const char *product,
	const char *version, struct ota_digest *digest, struct ota_error *err)
{
	(void)ctx;
	(void)product;
	(void)version;
	(void)err;
	memset(digest, 0xab, sizeof *digest);
	return OTA_OK;
}

static bool is_security(void *ctx, const struct ota_digest *release)
{
	(void)ctx;
	return security && release->at[0] == 0xab;
}

static uint64_t count_devices(void *ctx, const char *cohort)
{
	(void)ctx;
	return strcmp(cohort, "north") == 0 ? 60 : 700;
}

static void open_fleet(void)
{
	static const char *const names[] = { "lab", "canary", "north", "south" };

	fleet = (struct fleet_spec){ .fleet = "demo", .cohort_count = 4 };
	fleet.cohorts = calloc(4, sizeof *fleet.cohorts);
	for (size_t i = 0; i < 4; i++)
		memcpy(fleet.cohorts[i].name, names[i], strlen(names[i]));
	out = calloc(1, sizeof *out);
	security = false;
}

static void close_fleet(void)
{
	fleet_spec_fini(&fleet);
	free(out);
}

TestSuite(spec_yaml_pace, .init = open_fleet, .fini = close_fleet);

static void expect_read(const char *text)
{
	static const struct release_finder finder = { NULL, find_release, is_security,
		count_devices };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_parse("r.yaml", ota_bytes_of(text), &doc), OTA_OK);
	cr_assert_eq(spec_yaml_rollout(doc, &fleet, &finder, out), OTA_OK, "%s",
		ota_yaml_errors(doc));
}

static void expect_refused(const char *text, const char *says)
{
	static const struct release_finder finder = { .find = find_release };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_parse("r.yaml", ota_bytes_of(text), &doc), OTA_OK);
	cr_expect_eq(spec_yaml_rollout(doc, &fleet, &finder, out), OTA_E_CONFIG);
	cr_expect_not_null(
		strstr(ota_yaml_errors(doc), says), "%s", ota_yaml_errors(doc));
}

struct wanted {
	const char *name, *cohort;
	uint64_t permille, count, soak_s;
};

static void expect_stage(uint32_t i, const struct wanted *want)
{
	const struct rollout_stage *stage = &out->stages[i];

	cr_expect_str_eq(stage->name, want->name, "stage %u", i);
	cr_expect_str_eq(stage->cohort, want->cohort, "stage %u", i);
	cr_expect_eq(stage->permille, want->permille, "stage %u", i);
	cr_expect_eq(stage->count, want->count, "stage %u", i);
	cr_expect_eq(stage->soak_s, want->soak_s, "stage %u soaks %llu", i,
		(unsigned long long)stage->soak_s);
}

#define STAGE(i, ...) expect_stage(i, &(struct wanted){ __VA_ARGS__ })

Test(spec_yaml_pace, limits_are_read_and_what_is_left_out_is_the_default)
{
	expect_read(HEAD STAGES "limits: {in_flight: 40, rebooting: 8, "
				"starts_per_minute: 10, per_site: 12.5%, "
				"site_label: plant, group_label: pair}\n");
	cr_expect_eq(out->limits.in_flight, 40);
	cr_expect_eq(out->limits.rebooting, 8);
	cr_expect_eq(out->limits.starts_per_minute, 10);
	cr_expect_eq(out->limits.per_site_permille, 125);
	cr_expect_str_eq(out->limits.site_label, "plant");
	cr_expect_str_eq(out->limits.group_label, "pair");
	expect_read(HEAD STAGES "limits: {in_flight: 3.5%}\n");
	cr_expect_eq(out->limits.in_flight, 0);
	cr_expect_eq(out->limits.in_flight_permille, 35);
	cr_expect_eq(out->limits.starts_per_minute, 50);
	cr_expect_str_eq(out->limits.site_label, "site");
}

Test(spec_yaml_pace, wrong_limits_are_pointed_at)
{
	expect_refused(HEAD STAGES "limits: {in_flight: 0}\n", "r.yaml:5:21: error: ");
	expect_refused(HEAD STAGES "limits: {in_fligt: 3}\n",
		"unknown key 'in_fligt' in the limits; did you mean 'in_flight'?");
	expect_refused(
		HEAD STAGES "limits: {starts_per_minute: 0}\n", "r.yaml:5:29: error: ");
	expect_refused(HEAD STAGES "limits: {per_site: 0%}\n", "r.yaml:5:20: error: ");
	expect_refused(HEAD STAGES "limits: {site_label: A/b}\n", "r.yaml:5:22: error: ");
}

Test(spec_yaml_pace, a_ratio_of_incidents_is_a_number_or_off)
{
	expect_read(HEAD STAGES "gates: {worse_ratio: 1.5, worse_cap: 4}\n");
	cr_expect_eq(out->gates.worse_permille, 1500);
	cr_expect_eq(out->gates.worse_cap, 4);
	expect_read(HEAD STAGES "gates: {worse_ratio: off}\n");
	cr_expect_eq(out->gates.worse_permille, 0);
	expect_refused(HEAD STAGES "gates: {worse_ratio: 1}\n",
		"r.yaml:5:22: error: 'worse_ratio' must be a number from 1.2 to 100, or "
		"off");
	expect_refused(HEAD STAGES "gates: {worse_ratio: nan}\n", "r.yaml:5:22: error: ");
	expect_refused(HEAD STAGES "gates: {worse_ratio: 3x}\n", "r.yaml:5:22: error: ");
	expect_refused(HEAD STAGES "gates: {worse_cap: 9}\n", "r.yaml:5:20: error: ");
}

Test(spec_yaml_pace, freezes_are_read_and_wrong_ones_pointed_at)
{
	expect_read(HEAD STAGES "freeze: [\"2026-12-20..2027-01-05\", "
				"\"fri-sun 16:00-24:00\"]\n");
	cr_expect_eq(out->freeze_count, 2);
	cr_expect_str_eq(out->freezes[1].text, "fri-sun 16:00-24:00");
	expect_refused(HEAD STAGES "freeze: [\"2026-13-20..2027-01-05\"]\n",
		"r.yaml:5:10: error: '2026-13-20..2027-01-05' is no time like");
	expect_refused(HEAD STAGES "freeze: tomorrow\n", "r.yaml:5:9: error: 'freeze'");
}

Test(spec_yaml_pace, x5_grows_from_cohort_to_cohort)
{
	expect_read(HEAD "ramp: x5\n");
	cr_assert_eq(out->stage_count, 8);
	STAGE(0, "lab", "lab", 1000, 0, 4 * 3600);
	STAGE(1, "canary", "canary", 1000, 0, 86400);
	STAGE(2, "wave-1", "north", 0, 5, 86400);
	STAGE(3, "wave-2", "north", 0, 25, 86400);
	STAGE(4, "wave-3", "north", 1000, 0, 4 * 3600);
	STAGE(5, "wave-4", "south", 0, 125, 4 * 3600);
	STAGE(6, "wave-5", "south", 0, 625, 4 * 3600);
	STAGE(7, "wave-6", "south", 1000, 0, 0);
}

Test(spec_yaml_pace, a_security_release_soaks_an_hour_and_a_careful_one_a_week)
{
	security = true;
	expect_read(HEAD "ramp: x5\n");
	STAGE(0, "lab", "lab", 1000, 0, 3600);
	STAGE(3, "wave-2", "north", 0, 25, 3600);
	security = false;
	expect_read(HEAD "ramp: careful\n");
	STAGE(0, "lab", "lab", 1000, 0, 86400);
	STAGE(1, "canary", "canary", 1000, 0, UINT64_C(7) * 86400);
	STAGE(2, "wave-1", "north", 0, 5, UINT64_C(7) * 86400);
	STAGE(3, "wave-2", "north", 0, 25, 86400);
}

Test(spec_yaml_pace, shares_are_taken_of_every_cohort_but_lab_and_canary)
{
	expect_read(HEAD "ramp: [10%, 100%]\n");
	cr_assert_eq(out->stage_count, 6);
	STAGE(2, "wave-1", "north", 100, 0, 86400);
	STAGE(3, "wave-2", "south", 100, 0, 86400);
	STAGE(4, "wave-3", "north", 1000, 0, 4 * 3600);
	STAGE(5, "wave-4", "south", 1000, 0, 0);
}

Test(spec_yaml_pace, wrong_ramps_are_pointed_at)
{
	expect_refused(HEAD "ramp: x6\n", "r.yaml:3:7: error: ");
	expect_refused(HEAD "ramp: [10, 100%]\n", "r.yaml:3:8: error: ");
	expect_refused(HEAD STAGES "ramp: x5\n", "either 'stages' or 'ramp'");
	expect_refused(HEAD, "stages");
}

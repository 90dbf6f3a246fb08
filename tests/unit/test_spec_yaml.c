#include <criterion/criterion.h>

#include <string.h>

#include "orchestrator/cli/spec_yaml.h"
#include "proto/base/own.h"

static OTA_CHECKED enum ota_code find_release(void *ctx, const char *product,
	const char *version, struct ota_digest *out, struct ota_error *err)
{
	(void)ctx;
	(void)product;
	if (strcmp(version, "1.2.0") != 0 && strcmp(version, "1.1.0") != 0)
		return ota_fail(err, OTA_E_NOTFOUND, "no release '%s'", version);
	memset(out, 0xab, sizeof *out);
	return OTA_OK;
}

static const struct release_finder finder = { .find = find_release };

/* A fleet with the cohorts lab and fleet. */
static struct fleet_spec two_cohorts(void)
{
	struct fleet_spec fleet = { .fleet = "demo", .cohort_count = 2 };

	fleet.cohorts = calloc(2, sizeof *fleet.cohorts);
	cr_assert_not_null(fleet.cohorts);
	memcpy(fleet.cohorts[0].name, "lab", 4);
	memcpy(fleet.cohorts[1].name, "fleet", 6);
	return fleet;
}

#define HEAD "rollout: r1\nrelease: {product: gateway, version: 1.2.0}\nstages:\n"

static const struct refusal {
	const char *why, *text, *says;
} refusals[] = {
	{ "too many retries", HEAD "  - {cohort: lab, share: 100%}\nretry: {soft: 99}\n",
		"r.yaml:5:15: error: " },
	{ "no priority", HEAD "  - {cohort: lab, share: 100%}\npriority: high\n",
		"r.yaml:5:11: error: " },
	{ "takes over from itself",
		HEAD "  - {cohort: lab, share: 100%}\nsupersedes: r1\n",
		"r.yaml:5:13: error: supersedes: a rollout cannot take over from "
		"itself" },
	{ "wrong key", HEAD "  - {cohort: lab, shar: 100%}\n",
		"r.yaml:4:19: error: unknown key 'shar' in a stage; did you mean "
		"'share'?\n"
		"    - {cohort: lab, shar: 100%}\n"
		"                    ^\n" },
	{ "wrong type", HEAD "  - cohort: lab\n    share: one\n",
		"r.yaml:5:12: error: 'share' must be" },
	{ "overlapping shares",
		HEAD "  - {cohort: fleet, share: 20%}\n  - {name: two, cohort: fleet, "
		     "share: 10%}\n",
		"r.yaml:5:39: error: " },
	{ "unknown cohort", HEAD "  - {cohort: flet, share: 20%}\n",
		"r.yaml:4:14: error: " },
	{ "two sizes", HEAD "  - {cohort: lab, share: 20%, count: 3}\n",
		"r.yaml:4:5: error: a stage has one of 'share', 'count' and 'devices'" },
	{ "wrong device name", HEAD "  - {cohort: lab, devices: [gw/../1]}\n",
		"r.yaml:4:29: error: " },
	{ "unknown release",
		"rollout: r1\nrelease: {product: gateway, version: 9}\nstages:\n"
		"  - {cohort: lab, share: 20%}\n",
		"r.yaml:2:38: error: no release '9'" },
	{ "bad window", "window: 25:00-1:00\n" HEAD "  - {cohort: lab, share: 20%}\n",
		"r.yaml:1:9: error: 'window' must be two times of the device's day" },
	{ "bad rate", "gates: {bad_rate: 5}\n" HEAD "  - {cohort: lab, share: 20%}\n",
		"r.yaml:1:19: error: 'bad_rate' must be a rate" },
	{ "bad choice", "on_halt: revrt\n" HEAD "  - {cohort: lab, share: 20%}\n",
		"r.yaml:1:10: error: " },
};

Test(spec_yaml, points_at_every_mistake)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = two_cohorts();

	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		const struct refusal *c = &refusals[i];
		OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
		ota_autofree struct rollout_spec *out = calloc(1, sizeof *out);

		cr_assert_eq(
			ota_yaml_parse("r.yaml", ota_bytes_of(c->text), &doc), OTA_OK);
		cr_expect_eq(spec_yaml_rollout(doc, &fleet, &finder, out), OTA_E_CONFIG,
			"%s", c->why);
		cr_expect_eq(strncmp(ota_yaml_errors(doc), c->says, strlen(c->says)), 0,
			"%s: said\n%s", c->why, ota_yaml_errors(doc));
		cr_expect_eq(out->stage_count, 0, "%s: out touched", c->why);
	}
}

Test(spec_yaml, suggests_the_cohort_that_was_meant)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = two_cohorts();
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	ota_autofree struct rollout_spec *out = calloc(1, sizeof *out);

	cr_assert_eq(ota_yaml_parse("r.yaml",
			     ota_bytes_of(HEAD "  - {cohort: flet, share: 20%}\n"), &doc),
		OTA_OK);
	cr_assert_eq(spec_yaml_rollout(doc, &fleet, &finder, out), OTA_E_CONFIG);
	cr_expect_not_null(strstr(ota_yaml_errors(doc), "did you mean 'fleet'"), "%s",
		ota_yaml_errors(doc));
}

static const char good[] =
	"rollout: r1\n"
	"release: {product: gateway, version: 1.2.0}\n"
	"stages:\n"
	"  - {name: lab, cohort: lab, share: 100%, soak: 10m}\n"
	"  - {cohort: fleet, count: 5}\n"
	"  - {cohort: fleet, share: 12.5%}\n"
	"gates: {success: 90%, terminal: 95%, good_rate: 0.5%, bad_rate: 5%, "
	"silence: 15m}\n"
	"deadlines: {fetch: 6h, install: 30m, prove: 90s}\n"
	"window: 22:00-05:30\n"
	"jitter: 30s\n"
	"on_halt: revert\n";

Test(spec_yaml, reads_all_of_a_rollout)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = two_cohorts();
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	ota_autofree struct rollout_spec *out = calloc(1, sizeof *out);

	cr_assert_eq(ota_yaml_parse("r.yaml", ota_bytes_of(good), &doc), OTA_OK);
	cr_assert_eq(spec_yaml_rollout(doc, &fleet, &finder, out), OTA_OK, "%s",
		ota_yaml_errors(doc));
	cr_expect_eq(out->stage_count, 3);
	cr_expect_eq(out->stages[0].soak_s, 600);
	cr_expect_eq(out->stages[1].count, 5);
	cr_expect_str_eq(out->stages[1].name, "stage-2");
	cr_expect_eq(out->stages[2].permille, 125);
	cr_expect_eq(out->gates.success_permille, 900);
	cr_expect_eq(out->gates.p0_ppm, 5000);
	cr_expect_eq(out->gates.p1_ppm, 50000);
	cr_expect_eq(out->deadlines.prove_s, 90);
	cr_expect_eq(out->window.from_min, 22 * 60);
	cr_expect_eq(out->window.to_min, 5 * 60 + 30);
	cr_expect_eq(out->on_halt, ON_HALT_REVERT);
}

Test(spec_yaml, reads_selectors_of_one_or_many_values)
{
	static const char text[] = "fleet: demo\ncohorts:\n"
				   "  - name: lab\n    labels: {ring: [lab, dev]}\n"
				   "    facts: {hardware: gw-100}\n"
				   "  - name: rest\n";
	OTA_AUTO(fleet_spec_fini) struct fleet_spec out = { 0 };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_parse("f.yaml", ota_bytes_of(text), &doc), OTA_OK);
	cr_assert_eq(spec_yaml_fleet(doc, &out), OTA_OK, "%s", ota_yaml_errors(doc));
	cr_expect_eq(out.cohort_count, 2);
	cr_expect_eq(out.cohorts[0].labels[0].value_count, 2);
	cr_expect_str_eq(out.cohorts[0].labels[0].values[1], "dev");
	cr_expect_str_eq(out.cohorts[0].facts[0].values[0], "gw-100");
	cr_expect_eq(out.cohorts[1].label_count, 0);
}

Test(spec_yaml, refuses_two_cohorts_of_one_name)
{
	static const char text[] =
		"fleet: demo\ncohorts:\n  - name: lab\n  - name: lab\n";
	OTA_AUTO(fleet_spec_fini) struct fleet_spec out = { 0 };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_parse("f.yaml", ota_bytes_of(text), &doc), OTA_OK);
	cr_assert_eq(spec_yaml_fleet(doc, &out), OTA_E_CONFIG);
	cr_expect_eq(strncmp(ota_yaml_errors(doc), "f.yaml:4:11: error: ", 20), 0, "%s",
		ota_yaml_errors(doc));
	cr_expect_null(out.cohorts);
}

Test(spec_yaml, the_examples_that_people_copy_are_right)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *rollout = NULL;
	ota_autofree struct rollout_spec *out = calloc(1, sizeof *out);

	cr_assert_eq(ota_yaml_load(SOURCE_ROOT "/config/fleet.yaml", &doc), OTA_OK);
	cr_assert_eq(spec_yaml_fleet(doc, &fleet), OTA_OK, "%s", ota_yaml_errors(doc));
	cr_assert_eq(ota_yaml_load(SOURCE_ROOT "/config/rollouts/staged.yaml", &rollout),
		OTA_OK);
	cr_assert_eq(spec_yaml_rollout(rollout, &fleet, &finder, out), OTA_OK, "%s",
		ota_yaml_errors(rollout));
	cr_expect_eq(out->stage_count, 5);
}

Test(spec_yaml, a_file_says_what_becomes_of_failures_absence_and_other_rollouts)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = two_cohorts();
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);

	cr_assert_eq(
		ota_yaml_parse("r.yaml",
			ota_bytes_of(HEAD
				"  - {cohort: lab, share: 100%}\n"
				"retry: {soft: 1, soft_backoff: 2h, excused: 3}\n"
				"offline: 2d\npriority: 7\nsupersedes: [old, older]\n"),
			&doc),
		OTA_OK);
	cr_assert_eq(spec_yaml_rollout(doc, &fleet, &finder, spec), OTA_OK, "%s",
		ota_yaml_errors(doc));
	cr_expect_eq(spec->retry.soft, 1);
	cr_expect_eq(spec->retry.soft_backoff_s, 7200);
	cr_expect_eq(spec->retry.excused, 3);
	cr_expect_eq(spec->retry.excused_backoff_s, 900, "left out");
	cr_expect(!spec->offline.wait && spec->offline.after_s == 172800);
	cr_expect_eq(spec->precedence.priority, 7);
	cr_expect_eq(spec->precedence.count, 2);
	cr_expect_str_eq(spec->precedence.supersedes[1], "older");
}

Test(spec_yaml, a_rollout_may_wait_for_those_away_and_name_one_other)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = two_cohorts();
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);

	cr_assert_eq(ota_yaml_parse("r.yaml",
			     ota_bytes_of(HEAD "  - {cohort: lab, share: 100%}\n"
					       "offline: wait\nsupersedes: old\n"),
			     &doc),
		OTA_OK);
	cr_assert_eq(spec_yaml_rollout(doc, &fleet, &finder, spec), OTA_OK, "%s",
		ota_yaml_errors(doc));
	cr_expect(spec->offline.wait);
	cr_expect_str_eq(spec->precedence.supersedes[0], "old");
}

Test(spec_yaml, a_fleet_file_says_when_devices_are_set_aside)
{
	OTA_AUTO(fleet_spec_fini) struct fleet_spec fleet = { 0 };
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;

	cr_assert_eq(ota_yaml_parse("f.yaml",
			     ota_bytes_of("fleet: demo\ncohorts: [{name: all}]\n"
					  "quarantine: {failures: 5, within: 2d}\n"),
			     &doc),
		OTA_OK);
	cr_assert_eq(spec_yaml_fleet(doc, &fleet), OTA_OK, "%s", ota_yaml_errors(doc));
	cr_expect_eq(fleet.quarantine.failures, 5);
	cr_expect_eq(fleet.quarantine.within_s, 172800);
	cr_expect_eq(fleet.quarantine.boots, 12, "left out");
}

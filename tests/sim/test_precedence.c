#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Rollouts that want the same cohorts, devices that come late, devices that are away. */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 4, FW_GOOD);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(precedence, .init = open_world, .fini = close_world);

#define STAGES                                                                     \
	"\"stages\":["                                                             \
	"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":300},"  \
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":0}]," \
	"\"gates\":{\"silence_s\":60},"                                            \
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}"

/* Begin a rollout; extra: more members of its file, with a comma in front. */
static enum ota_code apply(const char *rollout, const struct ota_digest *release,
	const char *extra, struct ota_error *err)
{
	char json[1024];

	(void)snprintf(
		json, sizeof json, "{\"rollout\":\"%s\"," STAGES "%s}", rollout, extra);
	return fw_apply(world, json, release, err);
}

/* r-1 to 2.0 runs and has reached the lab; the release 3.0 is granted. */
static struct ota_digest feature_under_way(void)
{
	struct ota_digest two = fw_release(world, "2.0", 2), three;
	struct ota_error err = { .text = "" };

	fw_grant(world, &two, 1000, NULL);
	cr_assert_eq(apply("r-1", &two, "", &err), OTA_OK, "%s", err.text);
	cr_assert(fw_until(world, "r-1", "soaking", 30));
	three = fw_release(world, "3.0", 3);
	fw_grant(world, &three, 1000, NULL);
	return three;
}

static void expect_reason(const char *rollout, const char *name)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, rollout);

	cr_expect_str_eq(
		fw_text(tree, "reason_name"), name, "%s", fw_text(tree, "reason"));
}

Test(precedence, a_rollout_of_the_same_priority_is_refused_and_says_what_would_help)
{
	struct ota_digest three = feature_under_way();
	struct ota_error err = { .text = "" };

	cr_expect_eq(apply("r-2", &three, "", &err), OTA_E_CONFLICT);
	cr_expect(strstr(err.text, "'supersedes' or a higher priority") != NULL, "%s",
		err.text);
}

Test(precedence, a_higher_priority_takes_over_and_the_other_ends_as_superseded)
{
	struct ota_digest three = feature_under_way();

	cr_assert_eq(apply("r-2", &three, ",\"priority\":5", NULL), OTA_OK);
	cr_expect_str_eq(fw_state(world, "r-1"), "superseded");
	expect_reason("r-1", "SUPERSEDED");
	cr_expect(fw_until(world, "r-2", "completed", 100));
	cr_expect_eq(fw_count_running(world, "3.0"), 6);
}

Test(precedence, the_named_one_is_taken_over_whatever_its_priority)
{
	struct ota_digest three = feature_under_way();

	cr_assert_eq(apply("r-2", &three, ",\"supersedes\":[\"r-1\"]", NULL), OTA_OK);
	cr_expect_str_eq(fw_state(world, "r-1"), "superseded");
}

Test(precedence, a_lower_priority_never_takes_over)
{
	struct ota_digest two = fw_release(world, "2.0", 2), three;

	fw_grant(world, &two, 1000, NULL);
	cr_assert_eq(apply("r-1", &two, ",\"priority\":5", NULL), OTA_OK);
	three = fw_release(world, "3.0", 3);
	cr_expect_eq(apply("r-2", &three, ",\"priority\":4", NULL), OTA_E_CONFLICT);
	cr_expect_eq(apply("r-2", &three, ",\"priority\":5", NULL), OTA_E_CONFLICT);
	cr_expect_str_neq(fw_state(world, "r-1"), "superseded");
}

Test(precedence, a_rollout_that_reverts_is_let_finish)
{
	struct ota_digest three = feature_under_way();

	fw_device(world, "lab-1")->dead = true;
	cr_assert_eq(fw_steer(world, "r-1", "revert"), OTA_OK);
	cr_expect_eq(apply("r-2", &three, ",\"priority\":9", NULL), OTA_E_CONFLICT);
}

Test(precedence, what_is_named_must_be_there)
{
	struct ota_digest three = feature_under_way();
	struct ota_error err = { .text = "" };

	cr_expect_eq(
		apply("r-2", &three, ",\"supersedes\":[\"r-9\"]", &err), OTA_E_NOTFOUND);
	cr_expect_eq(
		apply("r-2", &three, ",\"supersedes\":[\"r-2\"]", &err), OTA_E_CONFIG);
	cr_expect_eq(apply("r-2", &three, ",\"priority\":10", &err), OTA_E_CONFIG);
}

Test(precedence, a_device_in_the_middle_drops_the_old_image_or_proves_it_first)
{
	struct ota_digest two = fw_release(world, "2.0", 2), three;

	fw_grant(world, &two, 1000, NULL);
	cr_assert_eq(apply("r-1", &two, "", NULL), OTA_OK);
	while (fw_device(world, "lab-1")->report.state != OTA_UPDATE_PROVING)
		fw_step(world);
	three = fw_release(world, "3.0", 3);
	fw_grant(world, &three, 1000, NULL);
	cr_assert_eq(apply("r-2", &three, ",\"priority\":1", NULL), OTA_OK);
	cr_expect(fw_until(world, "r-2", "completed", 100));
	cr_expect_eq(fw_device(world, "lab-1")->installs, 2, "2.0 was proved, then 3.0");
	cr_expect_eq(fw_device(world, "fleet-1")->installs, 1, "2.0 never came here");
}

Test(precedence, a_restart_after_every_call_changes_nothing)
{
	struct ota_digest three;

	world->restarts = true;
	three = feature_under_way();
	cr_assert_eq(apply("r-2", &three, ",\"priority\":5", NULL), OTA_OK);
	cr_expect(fw_until(world, "r-2", "completed", 100));
	cr_expect_str_eq(fw_state(world, "r-1"), "superseded");
}

Test(precedence, a_device_that_comes_after_its_stage_gets_the_release_and_a_reason)
{
	struct ota_digest two = fw_release(world, "2.0", 2);
	struct fw_device *late = fw_device(world, "lab-2");

	fw_grant(world, &two, 1000, NULL);
	late->script = FW_AWAY;
	late->dead = true;
	fw_connect(world, late);
	cr_assert_eq(apply("r-1", &two, "", NULL), OTA_OK);
	cr_assert(fw_until(world, "r-1", "completed", 100));
	late->dead = false;
	late->script = FW_MUTE;
	fw_connect(world, late);
	cr_expect_str_eq(fw_rule(world, "lab-2"), "LATE");
	late->script = FW_GOOD;
	for (int i = 0; i < 6; i++)
		fw_step(world);
	cr_expect_eq(late->installs, 1);
}

/* A stage with a device that is away; returns whether it passed within steps. */
static bool passes_without(const char *offline, unsigned steps)
{
	struct ota_digest two = fw_release(world, "2.0", 2);
	struct fw_device *away = fw_device(world, "lab-2");

	fw_grant(world, &two, 1000, NULL);
	away->script = FW_AWAY;
	away->dead = true;
	fw_connect(world, away);
	cr_assert_eq(apply("r-1", &two, offline, NULL), OTA_OK);
	return fw_until(world, "r-1", "soaking", steps);
}

Test(precedence, by_default_a_stage_goes_on_without_those_away_for_the_silence)
{
	cr_expect(passes_without("", 15));
}

Test(precedence, a_stage_waits_as_long_as_the_file_says_for_those_away)
{
	const char *offline = ",\"offline\":{\"after_s\":600}";

	cr_expect_not(passes_without(offline, 55));
	cr_expect(fw_until(world, "r-1", "soaking", 10));
}

Test(precedence, a_stage_that_waits_does_not_pass_without_them)
{
	struct fw_device *away = fw_device(world, "lab-2");

	cr_expect_not(passes_without(",\"offline\":{\"wait\":true}", 2000));
	away->dead = false;
	away->script = FW_GOOD;
	fw_connect(world, away);
	cr_expect(fw_until(world, "r-1", "soaking", 30));
}

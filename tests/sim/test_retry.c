#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_world.h"

/* Devices that failed are tried again, or not, as the rollout's file says. */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(retry, .init = open_world, .fini = close_world);

#define STAGES                                                                     \
	"\"stages\":["                                                             \
	"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":0},"    \
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":0}]," \
	"\"gates\":{\"silence_s\":60,\"success_permille\":500},"                   \
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}"

/* Devices are there; extra: more members of the rollout's file. */
static void begin(const char *extra)
{
	struct ota_digest release = fw_release(world, "2.0", 2);
	struct ota_error err = { .text = "" };
	char json[1024];

	fw_grant(world, &release, 1000, NULL);
	(void)snprintf(json, sizeof json, "{\"rollout\":\"r-1\"," STAGES "%s}", extra);
	cr_assert_eq(fw_apply(world, json, &release, &err), OTA_OK, "%s", err.text);
}

static void add(const char *ring, unsigned count, enum fw_script script)
{
	if (world->device_count == 0)
		(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, ring, count, script);
}

static void steps(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fw_step(world);
}

static uint64_t attempt_number(const char *device, const char *member)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_device_json(world->core, world->now, device);
	char path[64];

	(void)snprintf(path, sizeof path, "attempts.0.%s", member);
	return fw_number(tree, path);
}

static unsigned count_of(const char *action)
{
	unsigned count = 0;

	for (const char *at = world->actions; (at = strstr(at, action)) != NULL; at++)
		count++;
	return count;
}

Test(retry, a_device_without_room_is_asked_again_with_backoff_until_it_has_some)
{
	add("lab", 1, FW_CRAMPED);
	begin(",\"retry\":{\"excused\":3,\"excused_backoff_s\":100,\"factor\":3}");
	steps(8);
	cr_expect_eq(fw_device(world, "lab-1")->failures, 1);
	cr_expect_str_eq(fw_rule(world, "lab-1"), "TRYAGAIN");
	steps(14);
	cr_expect_eq(fw_device(world, "lab-1")->failures, 2, "100 s later");
	steps(20);
	cr_expect_eq(count_of("device.retry "), 1, "300 s are not over");
	steps(20);
	cr_expect_eq(count_of("device.retry "), 2);
	cr_expect_eq(fw_count_running(world, "2.0"), 1);
	cr_expect_eq(attempt_number("lab-1", "tries"), 2);
}

Test(retry, the_gate_does_not_wait_for_devices_that_fail_for_their_own_reasons)
{
	add("lab", 2, FW_GOOD);
	fw_device(world, "lab-1")->script = FW_CRAMPED;
	begin("");
	cr_assert(fw_until(world, "r-1", "completed", 15));
	cr_expect_eq(fw_count_running(world, "2.0"), 1, "the other one comes later");
	steps(400);
	cr_expect_eq(fw_count_running(world, "2.0"), 2, "after the rollout was complete");
}

Test(retry, a_soft_failure_is_not_tried_again_by_default)
{
	add("lab", 3, FW_GOOD);
	fw_device(world, "lab-3")->script = FW_FLAKY;
	begin("");
	steps(1000);
	cr_expect_eq(count_of("device.retry "), 0);
	cr_expect_str_eq(fw_rule(world, "lab-3"), "HEALTH");
	cr_expect_eq(fw_count_running(world, "2.0"), 2);
}

Test(retry, a_soft_failure_is_tried_again_where_the_file_says_so)
{
	add("lab", 3, FW_GOOD);
	fw_device(world, "lab-3")->script = FW_FLAKY;
	begin(",\"retry\":{\"soft\":1,\"soft_backoff_s\":60}");
	cr_assert(fw_until(world, "r-1", "completed", 40));
	cr_expect_eq(
		fw_count_running(world, "2.0"), 3, "the gate waited for the second try");
	cr_expect_eq(count_of("device.failed device.retry"), 0);
	cr_expect_eq(count_of("device.retrying "), 1);
}

Test(retry, only_the_device_that_failed_is_told)
{
	struct ota_order before, after;

	add("lab", 4, FW_GOOD);
	fw_device(world, "lab-4")->script = FW_FLAKY;
	begin(",\"retry\":{\"soft\":1,\"soft_backoff_s\":60}");
	steps(7);
	cr_assert(fw_order(world, "lab", &before));
	cr_assert(fw_until(world, "r-1", "completed", 40));
	cr_assert(fw_order(world, "lab", &after));
	cr_expect_eq(after.seq, before.seq, "no order is written for it");
	cr_expect_eq(fw_device(world, "lab-4")->report.assign_seq, 2);
	cr_expect_eq(fw_device(world, "lab-1")->report.assign_seq, 1);
}

Test(retry, a_second_soft_failure_ends_it)
{
	add("lab", 10, FW_GOOD);
	fw_device(world, "lab-10")->script = FW_UNHEALTHY;
	begin(",\"retry\":{\"soft\":1,\"soft_backoff_s\":60}");
	steps(60);
	cr_expect_eq(fw_device(world, "lab-10")->failures, 2);
	cr_expect_str_eq(fw_rule(world, "lab-10"), "HEALTH");
	cr_expect_str_eq(fw_state(world, "r-1"), "completed");
}

Test(retry, a_hard_failure_waits_for_a_person)
{
	add("lab", 1, FW_STUCK);
	begin(",\"retry\":{\"soft\":9,\"excused\":9,\"excused_backoff_s\":1}");
	steps(100);
	cr_assert_str_eq(fw_state(world, "r-1"), "halted");
	cr_expect_eq(fw_device(world, "lab-1")->failures, 1);
	cr_assert_eq(fw_steer(world, "r-1", "resume"), OTA_OK);
	steps(10);
	cr_expect_eq(fw_device(world, "lab-1")->failures, 2, "resume asks it again");
}

Test(retry, a_device_that_does_not_answer_is_given_up_with_what_it_failed_with)
{
	add("lab", 5, FW_GOOD);
	fw_device(world, "lab-5")->script = FW_UNHEALTHY;
	begin(",\"retry\":{\"soft\":1,\"soft_backoff_s\":60}");
	steps(7);
	cr_assert_eq(fw_device(world, "lab-5")->failures, 1);
	fw_device(world, "lab-5")->script = FW_AWAY;
	cr_expect(fw_until(world, "r-1", "completed", 60));
	cr_expect_str_eq(fw_rule(world, "lab-5"), "HEALTH");
}

Test(retry, a_restart_after_every_call_forgets_no_wait)
{
	world->restarts = true;
	add("lab", 3, FW_GOOD);
	fw_device(world, "lab-3")->script = FW_FLAKY;
	begin(",\"retry\":{\"soft\":1,\"soft_backoff_s\":60}");
	cr_assert(fw_until(world, "r-1", "completed", 60));
	cr_expect_eq(fw_count_running(world, "2.0"), 3);
	cr_expect_eq(count_of("device.retry "), 1);
}

static unsigned under_way(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world->device_count; i++)
		count += world->devices[i].report.state >= OTA_UPDATE_OFFERED &&
			 world->devices[i].report.state <= OTA_UPDATE_PROVING;
	return count;
}

Test(retry, whoever_is_asked_again_counts_for_the_limit_of_the_rollout)
{
	unsigned most = 0;

	add("lab", 8, FW_CRAMPED);
	begin(",\"limits\":{\"in_flight\":1},"
	      "\"retry\":{\"excused\":3,\"excused_backoff_s\":30,\"factor\":1}");
	for (int i = 0; i < 400 && fw_count_running(world, "2.0") < 8; i++) {
		fw_step(world);
		most = under_way() > most ? under_way() : most;
	}
	cr_expect_eq(fw_count_running(world, "2.0"), 8);
	cr_expect_eq(most, 1, "%u", most);
}

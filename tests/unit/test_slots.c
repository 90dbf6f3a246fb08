#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/port/slots.h"
#include "proto/base/own.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static struct agent_slot_config config;

static void set_up(void)
{
	temporary_make();
	config = (struct agent_slot_config){ .initial_version = "1.0",
		.initial_counter = 7 };
	(void)snprintf(config.dir, sizeof config.dir, "%s/slots", temporary_dir);
	(void)snprintf(config.initial, sizeof config.initial, "%s/first", temporary_dir);
	temporary_write("first", "image one");
}

TestSuite(slots, .init = set_up, .fini = temporary_remove);

static struct ota_digest boot_id(uint8_t n)
{
	return (struct ota_digest){ { n } };
}

static enum ota_code try_open(uint8_t boot, struct slots *out, struct ota_error *err)
{
	const struct slots_origin origin = {
		.config = &config, .state_dir = temporary_dir, .boot_id = boot_id(boot)
	};

	return slots_open(&origin, out, err);
}

static struct slots open_at(uint8_t boot)
{
	struct slots slots = { .record = { .fd = -1 } };
	struct ota_error err = { 0 };

	cr_assert_eq(try_open(boot, &slots, &err), OTA_OK, "%s", err.text);
	return slots;
}

/* What an application reads. */
static void expect_current(const char *text)
{
	char path[2048], found[64] = "";
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/current", config.dir);
	file = fopen(path, "re");
	cr_assert_not_null(file, "current leads somewhere");
	cr_assert_not_null(fgets(found, sizeof found, file));
	cr_assert_eq(fclose(file), 0);
	cr_expect_str_eq(found, text);
}

/* As the core does it: image, state, primary. */
static void arm_b(struct slots *slots)
{
	struct slot_port port = slots_port(slots);
	struct slot_info info = { .state = SLOT_TRIAL,
		.image = ota_digest_of(ota_bytes_of("image two")),
		.image_len = 9 };

	temporary_write("slots/b.img", "image two");
	cr_assert_eq(port.set_state(port.ctx, 1, &info, NULL), OTA_OK);
	cr_assert_eq(port.set_primary(port.ctx, 1, NULL), OTA_OK);
}

Test(slots, the_first_start_takes_the_initial_image_over)
{
	OTA_AUTO(slots_fini) struct slots slots = open_at(1);
	struct ota_digest image = ota_digest_of(ota_bytes_of("image one"));
	struct slot_info info;
	struct slot_port port = slots_port(&slots);

	expect_current("image one");
	cr_assert_eq(port.get_state(port.ctx, 0, &info, NULL), OTA_OK);
	cr_expect_eq(info.state, SLOT_GOOD);
	cr_expect(ota_digest_equal(&info.image, &image));
	cr_expect_eq(info.image_len, 9);
	cr_expect_eq(info.counter, 7);
	cr_expect_str_eq(info.version, "1.0");
}

Test(slots, an_image_that_is_there_goes_before_the_initial_one)
{
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };

	cr_assert_eq(mkdir(config.dir, 0755), 0);
	temporary_write("slots/a.img", "provisioned");
	slots = open_at(1);
	expect_current("provisioned");
}

Test(slots, without_any_image_there_is_nothing_to_run)
{
	struct slots slots;
	struct ota_error err = { 0 };

	config.initial[0] = '\0';
	cr_expect_eq(try_open(1, &slots, &err), OTA_E_NOTFOUND);
	cr_expect_not_null(strstr(err.text, "no image to begin with"), "%s", err.text);
}

Test(slots, a_switch_shows_at_the_next_boot_and_not_before)
{
	OTA_AUTO(slots_fini) struct slots slots = open_at(1);

	arm_b(&slots);
	expect_current("image one");
	slots_fini(&slots);
	slots = open_at(1);
	expect_current("image one");
	slots_fini(&slots);
	slots = open_at(2);
	expect_current("image two");
	cr_expect_eq(slots.table.current, 1);
}

Test(slots, an_image_that_is_never_confirmed_loses_its_place)
{
	OTA_AUTO(slots_fini) struct slots slots = open_at(1);

	arm_b(&slots);
	for (uint8_t boot = 2; boot < 2 + SLOT_TRIES; boot++) {
		slots_fini(&slots);
		slots = open_at(boot);
		expect_current("image two");
	}
	slots_fini(&slots);
	slots = open_at(99);
	expect_current("image one");
	cr_expect_eq(slots.table.slots[1].state, SLOT_BAD);
}

Test(slots, a_cut_between_record_and_link_is_mended_at_the_next_start)
{
	OTA_AUTO(slots_fini) struct slots slots = open_at(1);
	char path[2048];

	arm_b(&slots);
	slots_fini(&slots);
	slots = open_at(2);
	slots_fini(&slots);
	(void)snprintf(path, sizeof path, "%s/current", config.dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(symlink("a.img", path), 0);
	temporary_write("slots/current.new", "left behind");
	slots = open_at(2);
	expect_current("image two");
}

Test(slots, a_lost_record_is_made_again_from_what_runs)
{
	OTA_AUTO(slots_fini) struct slots slots = open_at(1);
	char path[2048], noise[8192];
	int fd;

	arm_b(&slots);
	slots_fini(&slots);
	slots = open_at(2);
	slots_fini(&slots);
	(void)snprintf(path, sizeof path, "%s/state", config.dir);
	memset(noise, 'x', sizeof noise);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(write(fd, noise, sizeof noise), (ssize_t)sizeof noise);
	cr_assert_eq(close(fd), 0);
	slots = open_at(2);
	expect_current("image two");
	cr_expect_eq(slots.table.slots[1].state, SLOT_GOOD);
	cr_expect_eq(slots.table.slots[0].state, SLOT_BAD);
}

Test(slots, without_a_boot_loader_the_table_says_which_is_primary)
{
	OTA_AUTO(slots_fini) struct slots slots = open_at(1);
	struct slot_port port = slots_port(&slots);
	unsigned primary = 9;

	arm_b(&slots);
	cr_expect_eq(port.get_primary(port.ctx, &primary, NULL), OTA_OK);
	cr_expect_eq(primary, 1);
}

/* It was linked as what runs, and is gone. */
Test(slots, the_initial_image_is_for_the_first_slot_alone)
{
	struct slots slots;
	struct ota_error err = { 0 };
	char path[2048];

	cr_assert_eq(mkdir(config.dir, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/current", config.dir);
	cr_assert_eq(symlink("b.img", path), 0);
	cr_expect_eq(try_open(1, &slots, &err), OTA_E_NOTFOUND);
	cr_expect_not_null(strstr(err.text, "b.img: no image"), "%s", err.text);
}

/* ---- each call that fails ---- */

/* The first start, an update, the boot into it, and what then is there. */
static enum ota_code live(struct ota_error *err)
{
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };
	const struct slot_info trial = { .state = SLOT_TRIAL,
		.image = ota_digest_of(ota_bytes_of("image two")),
		.image_len = 9 };
	struct slot_info good = trial;
	struct slot_port port;
	enum ota_code rc = try_open(1, &slots, err);

	if (rc != OTA_OK)
		return rc;
	port = slots_port(&slots);
	rc = port.set_state(port.ctx, 1, &trial, err);
	if (rc == OTA_OK)
		rc = port.set_primary(port.ctx, 1, err);
	slots_fini(&slots);
	slots = (struct slots){ .record = { .fd = -1 } };
	if (rc == OTA_OK)
		rc = try_open(2, &slots, err);
	good.state = SLOT_GOOD;
	return rc == OTA_OK ? port.set_state(port.ctx, 1, &good, err) : rc;
}

Test(slots, any_call_may_fail, .timeout = 60)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	temporary_in_memory = true;
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		enum ota_code rc;

		temporary_remove();
		set_up();
		cr_assert_eq(mkdir(config.dir, 0700), 0);
		temporary_write("slots/b.img", "image two");
		faults_arm(&walk);
		rc = live(&err);
		cr_expect(faults_disarm(&walk) || rc == OTA_OK, "%s", err.text);
		refused += rc != OTA_OK;
		cr_expect(rc == OTA_OK || live(&err) == OTA_OK, "after %s: %s",
			faults_text(&walk), err.text);
		expect_current("image two");
	}
	cr_expect_gt(refused, 30);
}

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/slots.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Slots of type `directory`, with archives of the tar program. */

static struct install_kit kit;

/* An archive of version n of an application. */
static void make_archive(const char *name, int n)
{
	install_kit_run("mkdir -p %s/app/bin && echo %d >%s/app/version && "
			"head -c 300000 /dev/urandom >%s/app/bin/tool && "
			"ln -sf bin/tool %s/app/r\xc3\xbcn && tar --format=pax -C %s/app "
			"-cf %s/%s .",
		temporary_dir, n, temporary_dir, temporary_dir, temporary_dir,
		temporary_dir, temporary_dir, name);
}

static void set_up(void)
{
	temporary_make();
	install_kit_init(&kit, temporary_dir, 16, 1);
	kit.slot.type = AGENT_SLOT_DIRECTORY;
	(void)snprintf(kit.slot.initial, AGENT_PATH_CAP, "%s/one.tar", temporary_dir);
	make_archive("one.tar", 1);
	make_archive("two.tar", 2);
	install_kit_take(&kit, "two.tar");
}

static void tear_down(void)
{
	install_kit_fini(&kit);
	temporary_remove();
}

TestSuite(slot_dir, .init = set_up, .fini = tear_down, .timeout = 110);

static struct slots open_slots(uint8_t boot)
{
	const struct slots_origin origin = {
		.config = &kit.slot, .state_dir = kit.state_dir, .boot_id = { { boot } }
	};
	struct slots slots = { .record = { .fd = -1 } };
	struct ota_error err = { 0 };

	cr_assert_eq(slots_open(&origin, &slots, &err), OTA_OK, "%s", err.text);
	return slots;
}

static void boot_once(void)
{
	struct slots slots = open_slots(1);

	slots_fini(&slots);
}

static void expect_version(const char *below, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf found = { 0 };
	char path[AGENT_PATH_CAP];

	(void)snprintf(path, sizeof path, "%s/slots/%s/version", temporary_dir, below);
	cr_assert_eq(ota_file_read(path, 100, &found, NULL), OTA_OK, "%s", path);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&found), ota_bytes_of(text)), "%s", path);
}

static bool is_there(const char *name)
{
	char path[AGENT_PATH_CAP];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/slots/%s", temporary_dir, name);
	return lstat(path, &st) == 0;
}

static void arm(struct slots *slots)
{
	struct slot_port port = slots_port(slots);
	const struct slot_info trial = { .state = SLOT_TRIAL, .image = kit.manifest.to };

	cr_assert_eq(port.set_state(port.ctx, 1, &trial, NULL), OTA_OK);
	cr_assert_eq(port.set_primary(port.ctx, 1, NULL), OTA_OK);
}

Test(slot_dir, the_initial_archive_is_unpacked_and_current)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots(1);

	expect_version("current", "1\n");
	cr_expect(is_there("a.tar"));
	cr_expect_eq(slots.table.slots[0].state, SLOT_GOOD);
}

Test(slot_dir, an_update_is_kept_as_it_is_and_unpacked_and_current_after_the_boot)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots(1);
	char path[AGENT_PATH_CAP];

	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(
		install_kit_is_there(&kit, 1), "byte for byte: the next delta needs it");
	expect_version("b", "2\n");
	cr_expect(is_there("b/r\xc3\xbcn"), "a name that is not ASCII");
	expect_version("current", "1\n");
	arm(&slots);
	slots_fini(&slots);
	slots = open_slots(2);
	expect_version("current", "2\n");
	expect_version("a", "1\n");
	cr_assert_eq(slot_dir_medium.use_path(&kit.work.to, path, NULL), OTA_OK);
	cr_expect_not_null(strstr(path, "/slots/b"));
}

Test(slot_dir, what_a_cut_left_is_mended_by_doing_it_again)
{
	boot_once();
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	install_kit_run("cd %s/slots && rm b/version && mv b b.new && mkdir -p b/half",
		temporary_dir);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect_eq(kit.work.count.written, 0, "the archive is proved to be there");
	expect_version("b", "2\n");
	cr_expect_not(is_there("b/half"));
	cr_expect_not(is_there("b.new"));
}

/* The kernel kills whoever writes a file beyond so many bytes: in the archive, or later,
 * in a file of the tree. */
Test(slot_dir, a_kill_at_any_file_of_it_converges)
{
	boot_once();
	cr_assert(install_kit_apply_until(&kit, 100000));
	expect_version("current", "1\n");
	cr_expect_not(is_there("b"));
	install_kit_run("cp %s/two.tar %s/slots/b.tar", temporary_dir, temporary_dir);
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_assert(install_kit_apply_until(&kit, 200000), "while it unpacks");
	cr_expect_not(is_there("b"), "never half");
	cr_expect(is_there("b.new"));
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	expect_version("b", "2\n");
}

Test(slot_dir, an_archive_that_leads_out_of_its_tree_is_refused)
{
	boot_once();
	install_kit_run("cd %s && ln -s /etc app/out && tar -C app -cf evil.tar .",
		temporary_dir);
	install_kit_take(&kit, "evil.tar");
	cr_expect_eq(install_kit_apply(&kit), OTA_E_FORMAT);
	cr_expect_not_null(
		strstr(kit.err.text, "link leads out of the tree"), "%s", kit.err.text);
	cr_expect_not(is_there("b"));
	expect_version("current", "1\n");
}

Test(slot_dir, what_runs_is_never_written)
{
	boot_once();
	kit.work.to.slot = 0;
	cr_expect_eq(install_kit_apply(&kit), OTA_E_BUSY, "%s", kit.err.text);
	expect_version("current", "1\n");
}

Test(slot_dir, room_is_for_the_archive_and_its_tree)
{
	uint64_t twice, once;

	cr_assert_eq(ota_disk_free(kit.slot.dir, &twice, NULL), OTA_OK);
	cr_assert_eq(slot_dir_medium.room(&kit.work.to, &once, NULL), OTA_OK);
	cr_expect_leq(once, twice / 2 + (64 << 20));
	cr_expect_geq(once, twice / 2 - (64 << 20));
}

/* ---- each call that fails ---- */

static void begin_in_memory(void)
{
	tear_down();
	temporary_in_memory = true;
	set_up();
}

Test(slot_dir, any_call_may_fail)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	begin_in_memory();
	boot_once();
	while (faults_next(&walk)) {
		install_kit_run("cd %s && rm -rf slots/b* state/install", temporary_dir);
		faults_arm(&walk);
		refused += install_kit_apply(&kit) != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(install_kit_apply(&kit), OTA_OK, "after %s: %s",
			faults_text(&walk), kit.err.text);
		expect_version("b", "2\n");
		expect_version("current", "1\n");
	}
	cr_expect_gt(refused, 30);
}

/* What the first start does. */
static enum ota_code provision(struct ota_error *err)
{
	const struct slots_origin origin = {
		.config = &kit.slot, .state_dir = kit.state_dir, .boot_id = { { 1 } }
	};
	struct slots slots = { .record = { .fd = -1 } };
	uint64_t room = 0;
	enum ota_code rc = slot_dir_medium.room(&kit.work.to, &room, err);

	if (rc == OTA_OK)
		rc = slots_open(&origin, &slots, err);
	slots_fini(&slots);
	return rc;
}

Test(slot_dir, any_call_of_the_first_start_may_fail)
{
	struct faults walk = { 0 };
	struct ota_error err;
	unsigned refused = 0;

	begin_in_memory();
	while (faults_next(&walk)) {
		install_kit_run("cd %s && rm -rf slots/* state/*", temporary_dir);
		faults_arm(&walk);
		refused += provision(&err) != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(provision(&err), OTA_OK, "after %s: %s", faults_text(&walk),
			err.text);
		expect_version("current", "1\n");
	}
	cr_expect_gt(refused, 30);
}

Test(slot_dir, each_path_that_is_too_long_is_told)
{
	struct faults walk = { .only = "ota_path_join ", .wants_each = true };
	const struct slot_place first = { &kit.slot, 0 };
	unsigned refused = 0;

	begin_in_memory();
	boot_once();
	cr_assert_eq(install_kit_apply(&kit), OTA_OK);
	while (faults_next(&walk)) {
		struct ota_error err = { 0 };
		uint64_t room;
		int fd = -1;
		enum ota_code rc;

		install_kit_run("rm -rf %s/slots/a", temporary_dir);
		faults_arm(&walk);
		rc = slot_dir_medium.point(&first, &err);
		if (rc == OTA_OK)
			rc = slot_dir_medium.room(&kit.work.to, &room, &err);
		if (rc == OTA_OK)
			rc = slot_dir_medium.settle(&kit.work.to, kit.to.len, NULL, &err);
		if (rc == OTA_OK)
			rc = slot_dir_medium.open_target(&kit.work.to, 0, &fd, &err);
		cr_expect_eq(rc, faults_disarm(&walk) ? OTA_E_LIMIT : OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
		refused += rc != OTA_OK;
		(void)close(fd);
	}
	cr_expect_gt(refused, 8);
}

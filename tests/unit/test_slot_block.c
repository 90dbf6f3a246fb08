#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/port/mounts.h"
#include "agent/port/slots.h"
#include "proto/base/own.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Slots of type `block`, in plain files and, where root runs this, on loop devices. */

#define BLOCK ((uint64_t)INSTALL_BLOCK_LEN)

enum {
	IMAGE_LEN = 5 * INSTALL_BLOCK_LEN + 12345,
	SLOT_LEN = 6 * INSTALL_BLOCK_LEN,
	BEHIND = 0xAA
};

static struct install_kit kit;
static char loops[SLOT_COUNT][AGENT_PATH_CAP];

/* Both slots are full of something else. */
static void set_up(void)
{
	temporary_make();
	install_kit_init(&kit, temporary_dir, IMAGE_LEN, 1);
	kit.slot.type = AGENT_SLOT_BLOCK;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		(void)snprintf(kit.slot.devices[i], AGENT_PATH_CAP, "%s/%c",
			temporary_dir, (int)('a' + i));
		install_kit_run("head -c %d /dev/zero | tr '\\0' '\\252' >%s", SLOT_LEN,
			kit.slot.devices[i]);
	}
}

static void tear_down(void)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		if (loops[i][0] != '\0')
			install_kit_unloop(loops[i]);
	install_kit_fini(&kit);
	temporary_remove();
}

TestSuite(slot_block, .init = set_up, .fini = tear_down, .timeout = 110);

static bool use_loops(void)
{
	if (!install_kit_is_root("block devices by losetup"))
		return false;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		install_kit_loop(&kit, i == 0 ? "a" : "b", SLOT_LEN, loops[i]);
		memcpy(kit.slot.devices[i], loops[i], AGENT_PATH_CAP);
	}
	return true;
}

static const struct install_count *count(void)
{
	return &kit.work.count;
}

/* Bytes of slot b behind the image. */
static size_t behind_changed(void)
{
	static uint8_t rest[SLOT_LEN - IMAGE_LEN];
	ota_autoclose int fd = open(kit.slot.devices[1], O_RDONLY | O_CLOEXEC);
	size_t changed = 0;

	cr_assert_eq(pread(fd, rest, sizeof rest, IMAGE_LEN), (ssize_t)sizeof rest);
	for (size_t i = 0; i < sizeof rest; i++)
		changed += rest[i] != BEHIND;
	return changed;
}

static void forget_mark(void)
{
	install_kit_run("rm -f %s/install", kit.state_dir);
}

static void expect_installed(void)
{
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	cr_expect(install_kit_is_there(&kit, 1));
	cr_expect_eq(behind_changed(), 0);
	cr_expect_eq(count()->kept + count()->skipped + count()->written, IMAGE_LEN);
}

Test(slot_block, an_image_is_written_and_nothing_behind_it)
{
	expect_installed();
	cr_expect_eq(count()->written, IMAGE_LEN);
}

Test(slot_block, an_image_is_written_to_a_block_device)
{
	if (!use_loops())
		return;
	expect_installed();
	cr_expect_eq(count()->written, IMAGE_LEN);
}

Test(slot_block, what_a_block_device_holds_is_not_written_again)
{
	if (!use_loops())
		return;
	expect_installed();
	forget_mark();
	install_kit_flip(&kit, 3 * BLOCK + 5);
	install_kit_flip(&kit, IMAGE_LEN - 1);
	expect_installed();
	cr_expect_leq(count()->written, 2 << 17);
	cr_expect_geq(count()->written, 2);
}

Test(slot_block, after_a_failure_everything_is_written_once)
{
	struct install_mark_head head = { .distrust = true };
	char path[AGENT_PATH_CAP + 16];

	expect_installed();
	(void)snprintf(path, sizeof path, "%s/install", kit.state_dir);
	cr_assert_eq(install_mark_begin(path, &head, NULL), OTA_OK);
	expect_installed();
	cr_expect_eq(count()->written, IMAGE_LEN);
	install_kit_renew(&kit, 2);
	expect_installed();
	install_kit_renew(&kit, 2);
	forget_mark();
	expect_installed();
	cr_expect_eq(count()->written, 0, "it is believed again");
}

Test(slot_block, a_cut_keeps_what_is_proved)
{
	cr_assert(install_kit_apply_until(&kit, 4 * BLOCK));
	expect_installed();
	cr_expect_geq(count()->kept, 3 * BLOCK);
}

static void expect_refused(enum ota_code code, const char *text)
{
	cr_expect_eq(install_kit_apply(&kit), code, "%s", kit.err.text);
	cr_expect_not_null(strstr(kit.err.text, text), "%s", kit.err.text);
	cr_expect_eq(count()->written, 0);
}

Test(slot_block, an_image_that_is_too_long_is_refused_with_both_numbers)
{
	uint64_t room = 0;

	cr_assert_eq(truncate(kit.slot.devices[1], IMAGE_LEN - 1), 0);
	cr_assert_eq(slot_block_medium.room(&kit.work.to, &room, NULL), OTA_OK);
	cr_expect_eq(room, IMAGE_LEN - 1);
	expect_refused(OTA_E_NOSPACE, "image of 20983865 bytes, the slot has 20983864");
}

Test(slot_block, a_mounted_slot_is_refused)
{
	if (!use_loops())
		return;
	install_kit_run("mkfs.ext4 -q %s && mkdir %s/mnt && mount %s %s/mnt", loops[1],
		kit.dir, loops[1], kit.dir);
	expect_refused(OTA_E_BUSY, "is mounted");
	install_kit_run("umount %s/mnt", kit.dir);
	cr_expect_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
}

Test(slot_block, a_slot_that_somebody_else_has_claimed_is_refused)
{
	int fd;

	if (!use_loops())
		return;
	fd = open(loops[1], O_RDONLY | O_EXCL | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	expect_refused(OTA_E_BUSY, "is in use");
	(void)close(fd);
}

Test(slot_block, one_device_is_not_two_slots)
{
	cr_assert_eq(unlink(kit.slot.devices[1]), 0);
	cr_assert_eq(symlink(kit.slot.devices[0], kit.slot.devices[1]), 0);
	expect_refused(OTA_E_CONFIG, "are the same device");
}

Test(slot_block, what_is_neither_device_nor_file_is_refused)
{
	cr_assert_eq(unlink(kit.slot.devices[1]), 0);
	cr_assert_eq(mkdir(kit.slot.devices[1], 0700), 0);
	expect_refused(OTA_E_CONFIG, "neither a block device nor a plain file");
}

Test(slot_block, files_of_two_file_systems_are_two_slots)
{
	struct stat here, there;

	(void)snprintf(kit.slot.devices[0], AGENT_PATH_CAP, "/dev/shm/%s",
		strrchr(temporary_dir, '/') + 1);
	install_kit_run("truncate -s %d %s", SLOT_LEN, kit.slot.devices[0]);
	cr_assert_eq(stat(kit.slot.devices[0], &there), 0);
	cr_assert_eq(stat(kit.slot.devices[1], &here), 0);
	if (here.st_dev == there.st_dev)
		cr_log_warn("/dev/shm and %s are one file system", temporary_dir);
	expect_installed();
	cr_expect_eq(unlink(kit.slot.devices[0]), 0);
}

Test(slot_block, a_block_device_and_a_file_are_two_slots)
{
	if (!use_loops())
		return;
	(void)snprintf(kit.slot.devices[1], AGENT_PATH_CAP, "%s/b", temporary_dir);
	expect_installed();
}

/* Whoever has put another file there meanwhile. */
static void swap(void)
{
	cr_assert_eq(rename(kit.slot.devices[0], kit.slot.devices[1]), 0);
}

Test(slot_block, a_slot_that_becomes_another_while_it_is_opened_is_refused)
{
	struct ota_error err = { 0 };
	int fd = -1;

	faults_before("open64", 1, swap); /* after the one that asks for its length */
	cr_expect_eq(slot_block_medium.open_target(&kit.work.to, 1, &fd, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "/b: became another device"), "%s", err.text);
	cr_expect_eq(fd, -1);
}

Test(slot_block, a_table_that_cannot_be_read_is_an_error)
{
	struct ota_error err = { 0 };
	enum mounts_use use = MOUNTS_ROOT;
	struct stat st;

	cr_expect_eq(mounts_find(1, temporary_dir, &use, &err), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, ": read failed"), "%s", err.text);
	cr_assert_eq(stat("/", &st), 0);
	cr_assert(faults_arm_text("stat64,5,0"));
	cr_expect_eq(mounts_find(st.st_dev, "/dev/null", &use, &err), OTA_OK);
	cr_expect(faults_fired());
	cr_expect_eq(use, MOUNTS_FREE, "what the root is nobody knows");
}

Test(slot_block, the_root_is_found_and_so_is_every_mount)
{
	enum mounts_use use;
	char table[256];
	struct stat st;

	temporary_write("table",
		"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n"
		"nonsense\n"
		"37 35 7:12 / /a\\040b rw - ext4 /dev/loop12 rw\n");
	(void)snprintf(table, sizeof table, "%s/table", temporary_dir);
	cr_assert_eq(mounts_find(makedev(7, 12), table, &use, NULL), OTA_OK);
	cr_expect_eq(use, MOUNTS_MOUNTED);
	cr_assert_eq(mounts_find(makedev(7, 1), table, &use, NULL), OTA_OK);
	cr_expect_eq(use, MOUNTS_FREE);
	cr_assert_eq(stat("/", &st), 0);
	cr_assert_eq(mounts_find(st.st_dev, MOUNTS_TABLE, &use, NULL), OTA_OK);
	cr_expect_eq(use, MOUNTS_ROOT);
	cr_expect_eq(mounts_find(st.st_dev, "/nowhere", &use, NULL), OTA_E_IO);
}

/* ---- with the slot table ---- */

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

Test(slot_block, the_first_start_digests_as_much_as_it_is_told)
{
	struct ota_digest digest =
		ota_digest_of((struct ota_bytes){ kit.to.at, IMAGE_LEN });
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };

	kit.work.to.slot = 0;
	cr_assert_eq(install_kit_apply(&kit), OTA_OK, "%s", kit.err.text);
	kit.slot.initial_len = IMAGE_LEN;
	slots = open_slots(1);
	cr_expect_eq(slots.table.slots[0].state, SLOT_GOOD);
	cr_expect_eq(slots.table.slots[0].image_len, IMAGE_LEN);
	cr_expect(ota_digest_equal(&slots.table.slots[0].image, &digest));
	cr_expect_eq(slots_image_len(&slots, 0), IMAGE_LEN);
	cr_expect_eq(slots.table.slots[1].state, SLOT_BAD);
}

Test(slot_block, without_a_boot_loader_the_table_plays_one)
{
	OTA_AUTO(slots_fini) struct slots slots = open_slots(1);
	struct slot_port port = slots_port(&slots);
	const struct slot_info info = { .state = SLOT_TRIAL, .image_len = IMAGE_LEN };

	cr_assert_eq(port.set_state(port.ctx, 1, &info, NULL), OTA_OK);
	cr_assert_eq(port.set_primary(port.ctx, 1, NULL), OTA_OK);
	slots_fini(&slots);
	slots = open_slots(2);
	cr_expect_eq(slots.table.current, 1);
	slots_fini(&slots);
	install_kit_run("head -c 8192 /dev/urandom >%s/slots", kit.state_dir);
	slots = open_slots(2);
	cr_expect(slots.record.lost);
	cr_expect_eq(slots.table.slots[0].image_len, SLOT_LEN, "all there is to digest");
}

Test(slot_block, a_start_needs_both_slots_to_be_there_and_two)
{
	const struct slots_origin origin = { .config = &kit.slot,
		.state_dir = kit.state_dir };
	struct slots slots;
	struct ota_error err = { 0 };
	unsigned slot;
	bool known;

	cr_assert_eq(unlink(kit.slot.devices[1]), 0);
	cr_expect_eq(slot_block_medium.find_running(&kit.slot, &known, &slot, &err),
		OTA_E_NOTFOUND);
	cr_assert_eq(link(kit.slot.devices[0], kit.slot.devices[1]), 0);
	cr_expect_eq(slots_open(&origin, &slots, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "are the same device"), "%s", err.text);
}

/* In the root that such a directory is; returns what it takes to come back. */
static int enter(const char *dir)
{
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_eq(chroot(dir), 0);
	cr_assert_eq(chdir("/"), 0);
	return root;
}

static void leave(int root)
{
	cr_assert_eq(fchdir(root), 0);
	cr_assert_eq(chroot("."), 0);
	(void)close(root);
}

/* Slot b holds a file system with both slots and the state in it, as a running system
 * has them. */
static void make_root(void)
{
	install_kit_run(
		"cd %s && mkdir mnt && mkfs.ext4 -q %s && mount %s mnt && cd mnt && "
		"mkdir proc && mount --bind /proc proc && mkdir state && "
		"cp -a %s a && cp -a %s b",
		kit.dir, loops[1], loops[1], loops[0], loops[1]);
}

Test(slot_block, the_slot_that_the_root_lies_on_is_current_and_not_written)
{
	OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };
	struct ota_error err = { 0 }, busy = { 0 };
	struct slots_origin origin = { .config = &kit.slot };
	char state[AGENT_PATH_CAP];
	int root, fd = -1;
	unsigned slot;
	bool known = true;

	if (!use_loops())
		return;
	make_root();
	(void)snprintf(state, sizeof state, "%s/mnt/state", kit.dir);
	origin.state_dir = state;
	cr_expect_eq(slots_open(&origin, &slots, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slots.table.current, 0, "neither is the root");
	slots_fini(&slots);
	origin.state_dir = "/state";
	(void)snprintf(kit.slot.devices[0], AGENT_PATH_CAP, "/a");
	(void)snprintf(kit.slot.devices[1], AGENT_PATH_CAP, "/b");
	(void)snprintf(state, sizeof state, "%s/mnt", kit.dir);
	root = enter(state);
	cr_expect_eq(slots_open(&origin, &slots, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(slots.table.current, 1);
	slots_fini(&slots);
	cr_expect_eq(
		slot_block_medium.open_target(&kit.work.to, 1, &fd, &busy), OTA_E_BUSY);
	cr_expect_str_eq(busy.text, "/b: the running system is on it; it is not written");
	cr_expect(faults_arm_text("stat64,5,3"), "a, the root, b, the root");
	cr_expect_eq(
		slot_block_medium.find_running(&kit.slot, &known, &slot, &err), OTA_OK);
	cr_expect(faults_fired());
	cr_expect_not(known, "what the root is nobody can say");
	leave(root);
	install_kit_run("cd %s/mnt && umount proc && cd .. && umount mnt", kit.dir);
}

Test(slot_block, what_is_mounted_must_be_known_before_a_device_is_written)
{
	struct faults fault = { 0 };

	if (!use_loops())
		return;
	cr_assert(faults_arm_text("fopen64,5,0"));
	cr_expect_eq(install_kit_apply(&kit), OTA_E_IO);
	cr_expect(faults_disarm(&fault));
	cr_expect_str_eq(kit.err.text, "/proc/self/mountinfo: Input/output error");
}

/* ---- each call that fails ---- */

Test(slot_block, any_look_at_a_start_may_fail)
{
	const struct slots_origin origin = {
		.config = &kit.slot, .state_dir = kit.state_dir, .boot_id = { { 2 } }
	};
	struct faults walk = { .only = "stat64 ", .wants_each = true };
	struct slots first;
	unsigned refused = 0;

	kit.slot.initial_len = 10;
	first = open_slots(1);
	slots_fini(&first);
	while (faults_next(&walk)) {
		OTA_AUTO(slots_fini) struct slots slots = { .record = { .fd = -1 } };
		struct ota_error err = { 0 };

		faults_arm(&walk);
		refused += slots_open(&origin, &slots, &err) != OTA_OK;
		cr_expect_eq(faults_disarm(&walk), err.code != OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
	}

	cr_expect_geq(refused, 2 * 4, "of both slots, by the record and by what runs");
}

Test(slot_block, any_call_may_fail)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	tear_down();
	temporary_in_memory = true;
	set_up();
	kit.to.len = 400000;
	install_kit_renew(&kit, 3);
	while (faults_next(&walk)) {
		uint64_t room = 0;

		install_kit_run("rm -f %s/install && head -c 400000 /dev/zero | "
				"dd of=%s conv=notrunc status=none",
			kit.state_dir, kit.slot.devices[1]);
		faults_arm(&walk);
		if (slot_block_medium.room(&kit.work.to, &room, NULL) == OTA_OK)
			refused += install_kit_apply(&kit) != OTA_OK;
		(void)faults_disarm(&walk);
		cr_assert_eq(install_kit_apply(&kit), OTA_OK, "after %s: %s",
			faults_text(&walk), kit.err.text);
		cr_expect(install_kit_is_there(&kit, 1), "%s", faults_text(&walk));
	}
	cr_expect_gt(refused, 30);
}

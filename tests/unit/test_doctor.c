#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "agent/port/boot_grub.h"
#include "agent/port/command.h"
#include "agent/port/doctor.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/samples.h"
#include "tests/unit/temporary.h"

/* ---- the end of a child ---- */

void __gcov_dump(void);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

void __wrap__exit(int status)
{
#ifdef LINES_ARE_COUNTED
	__gcov_dump();
#endif
	__real__exit(status);
}

/* ---- the device ---- */

static struct agent_config config;
static struct doctor_world world;
static struct doctor doctor;
static struct ota_error err;
static char paths[16][512];
static unsigned path_count;

/* Path of a file of the test. */
static const char *at(const char *name)
{
	char *path = paths[path_count++ % 16];

	(void)snprintf(path, sizeof paths[0], "%s/%s", temporary_dir, name);
	return path;
}

static void set_path(char out[static AGENT_PATH_CAP], const char *name)
{
	(void)snprintf(out, AGENT_PATH_CAP, "%s", at(name));
}

static void mode(const char *name, mode_t bits)
{
	cr_assert_eq(chmod(at(name), bits), 0, "%s", name);
}

static void write_root(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf root = sample_envelope(OTA_DOC_ROOT);

	cr_assert_eq(
		ota_file_replace(at("root"), ota_buf_bytes(&root), 0644, &err), OTA_OK);
}

static void write_grubenv(const char *order, const char *script)
{
	struct boot_text text = { .value = { [BOOT_VAR_A_LEFT] = "3",
					  [BOOT_VAR_A_STATE] = "good",
					  [BOOT_VAR_B_LEFT] = "3",
					  [BOOT_VAR_B_STATE] = "good" } };
	struct boot_grub grub;
	struct boot_store store;

	(void)snprintf(text.value[BOOT_VAR_ORDER], BOOT_VALUE_CAP, "%s", order);
	(void)snprintf(text.value[BOOT_VAR_SCRIPT], BOOT_VALUE_CAP, "%s", script);
	cr_assert_eq(boot_grub_open(at("grubenv"), &grub, &err), OTA_OK);
	store = boot_grub_store(&grub);
	cr_assert_eq(store.store(store.ctx, &text, &err), OTA_OK);
}

static void use_grub(void)
{
	write_grubenv("A B", "1");
	config.boot =
		(struct agent_boot_config){ .type = AGENT_BOOT_GRUB, .deadline_s = 5 };
	set_path(config.boot.path, "grubenv");
	config.reboot_count = 1;
	(void)snprintf(config.reboot[0], AGENT_PATH_CAP, "true");
}

static void use_partitions(void)
{
	config.slot.type = AGENT_SLOT_BLOCK;
	temporary_write("slot-a", "image of a");
	temporary_write("slot-b", "image of b");
	set_path(config.slot.devices[0], "slot-a");
	set_path(config.slot.devices[1], "slot-b");
}

/* A device without a fault; each test makes one. */
static void set_up(void)
{
	temporary_make();
	config = (struct agent_config){ .device = "gw-1",
		.fleet = SAMPLE_FLEET,
		.user = "nobody",
		.spool_max_bytes = 1,
		.decoder_ram_bytes = 1 << 20,
		.broker = { .url = "tcp://127.0.0.1:1883" } };
	world = (struct doctor_world){ .utc_s = SAMPLE_ISSUED };
	world.watchdog = strdup(at("watchdog"));
	world.meminfo = strdup(at("meminfo"));
	world.mounts = strdup(at("mounts"));
	world.cmdline = strdup(at("cmdline"));
	world.efi_dir = strdup(temporary_dir);
	write_root();
	temporary_write("key",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
	mode("key", 0600);
	temporary_write("watchdog", "");
	temporary_write("meminfo", "MemTotal: 999999 kB\nMemAvailable:   65536 kB\n");
	temporary_write("mounts", "");
	temporary_write("cmdline", "sluice.slot=a\n");
	temporary_write("a.img", "image");
	cr_assert_eq(mkdir(at("hooks"), 0755), 0);
	temporary_write("hooks/health", "#!/bin/sh\n");
	mode("hooks/health", 0755);
	set_path(config.root_file, "root");
	set_path(config.device_key_file, "key");
	set_path(config.state_dir, "state");
	set_path(config.spool_dir, "spool");
	set_path(config.hooks_dir, "hooks");
	set_path(config.slot.dir, "");
}

TestSuite(doctor, .init = set_up, .fini = temporary_remove, .timeout = 60);

/* Expect a finding of a check at a level that contains text. */
static void expect(const char *check, enum doctor_level level, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	bool found = false;

	doctor_examine(&config, &world, &doctor);
	for (size_t i = 0; i < doctor.count && !found; i++)
		found = strcmp(doctor.findings[i].check->name, check) == 0 &&
			doctor.findings[i].level == level &&
			strstr(doctor.findings[i].what, text) != NULL;
	cr_assert_eq(doctor_print_text(&doctor, &said), OTA_OK);
	cr_expect(found, "%s: %s in\n%s", check, text, ota_buf_text(&said));
}

Test(doctor, a_device_without_a_fault_has_no_errors)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };

	use_grub();
	use_partitions();
	doctor_examine(&config, &world, &doctor);
	cr_assert_eq(doctor_print_text(&doctor, &said), OTA_OK);
	cr_expect_eq(doctor_count(&doctor, DOCTOR_ERROR), 0, "%s", ota_buf_text(&said));
	cr_expect(strstr(ota_buf_text(&said), "\n0 errors, ") != NULL);
}

Test(doctor, a_root_that_is_missing_wrong_foreign_or_expired)
{
	world.utc_s = SAMPLE_ISSUED + 10 * UINT64_C(31536000);
	expect("root", DOCTOR_WARNING, "has expired");
	(void)snprintf(config.fleet, sizeof config.fleet, "other");
	expect("root", DOCTOR_ERROR, "not of other");
	temporary_write("root", "nonsense");
	expect("root", DOCTOR_ERROR, "root");
	cr_assert_eq(remove(at("root")), 0);
	expect("root", DOCTOR_ERROR, "No such file");
}

Test(doctor, a_key_that_others_can_read_or_that_is_none)
{
	mode("key", 0640);
	expect("key", DOCTOR_ERROR, "must be for its owner alone");
	mode("key", 0600);
	temporary_write("key", "short\n");
	expect("key", DOCTOR_ERROR, "64 hex digits");
}

Test(doctor, a_clock_that_cannot_be_right)
{
	world.utc_s = 86400;
	expect("clock", DOCTOR_WARNING, "86400 s since 1970");
	world.utc_s = UINT64_C(5000000000);
	expect("clock", DOCTOR_WARNING, "5000000000");
}

Test(doctor, too_little_memory)
{
	config.decoder_ram_bytes = UINT64_C(100) << 20;
	expect("memory", DOCTOR_ERROR, "65536 KiB of memory are free");
	temporary_write("meminfo", "");
	expect("memory", DOCTOR_WARNING, "does not say");
}

Test(doctor, no_watchdog)
{
	cr_assert_eq(remove(world.watchdog), 0);
	expect("watchdog", DOCTOR_WARNING, "there is no ");
}

Test(doctor, a_user_that_is_none_or_root)
{
	(void)snprintf(config.user, sizeof config.user, "no-such-user");
	expect("user", DOCTOR_ERROR, "there is no user no-such-user");
	(void)snprintf(config.user, sizeof config.user, "root");
	expect("user", DOCTOR_ERROR, "user root is root");
	config.user[0] = '\0';
	expect("user", DOCTOR_WARNING, "`user` is not set");
}

Test(doctor, a_reboot_that_boots_nothing)
{
	use_grub();
	(void)snprintf(config.reboot[0], AGENT_PATH_CAP, "no-such-command");
	expect("reboot", DOCTOR_ERROR, "no such command");
	config.reboot_count = 0;
	expect("reboot", DOCTOR_ERROR, "never boots the other slot");
}

Test(doctor, a_state_directory_in_memory_or_not_to_be_written)
{
	(void)snprintf(config.state_dir, AGENT_PATH_CAP, "/dev/shm/sluice-no-such");
	expect("state", DOCTOR_ERROR, "gone at every boot");
	(void)snprintf(config.state_dir, AGENT_PATH_CAP, "/proc/sluice");
	expect("state", DOCTOR_ERROR, "`state_dir`: /proc");
	set_path(config.state_dir, "key/below");
	expect("state", DOCTOR_ERROR, "is no directory");
}

Test(doctor, a_spool_without_room_or_in_memory)
{
	config.spool_max_bytes = UINT64_C(1) << 60;
	expect("spool", DOCTOR_WARNING, "less than `spool.max`");
	(void)snprintf(config.spool_dir, AGENT_PATH_CAP, "/dev/shm/sluice-no-such");
	expect("spool", DOCTOR_WARNING, "a boot loses what was fetched");
}

Test(doctor, hooks_that_others_can_write_or_nobody_can_run)
{
	mode("hooks/health", 0777);
	expect("hooks", DOCTOR_ERROR, "health can be written by others");
	mode("hooks/health", 0644);
	expect("hooks", DOCTOR_ERROR, "health cannot be run");
	mode("hooks", 0777);
	expect("hooks", DOCTOR_ERROR, "hooks can be written by others");
	cr_assert_eq(mkdir(at("hooks/before-install.d"), 0755), 0);
	temporary_write("hooks/before-install.d/10-power", "");
	expect("hooks", DOCTOR_ERROR, "before-install.d/10-power cannot be run");
	set_path(config.hooks_dir, "no");
	expect("hooks", DOCTOR_ERROR, "no is no directory");
	config.hooks_dir[0] = '\0';
	expect("hooks", DOCTOR_WARNING, "there are no hooks");
}

Test(doctor, files_without_an_image)
{
	expect("slots", DOCTOR_OK, "a.img is the image to begin with");
	cr_assert_eq(remove(at("a.img")), 0);
	expect("slots", DOCTOR_ERROR, "there is neither ");
	set_path(config.slot.initial, "first.img");
	expect("slots", DOCTOR_ERROR, "there is neither ");
	temporary_write("first.img", "image");
	expect("slots", DOCTOR_OK, "first.img is the image to begin with");
}

Test(doctor, files_without_room_for_another_image)
{
	const off_t most = (off_t)8 << 40; /* bytes; none of them on the disk */

	temporary_write("current", "image");
	expect("slots", DOCTOR_OK, "current leads to an image");
	cr_assert_eq(truncate(at("current"), most), 0);
	expect("slots", DOCTOR_WARNING, "less than the image that runs");
}

Test(doctor, partitions_that_are_missing_the_same_or_unlike)
{
	use_grub();
	use_partitions();
	temporary_write("slot-b", "a longer image of b");
	expect("slots", DOCTOR_WARNING, "slot a has 10 bytes, slot b 19");
	cr_assert_eq(remove(at("slot-b")), 0);
	expect("slots", DOCTOR_ERROR, "slot-b: No such file");
	cr_assert_eq(link(at("slot-a"), at("slot-b")), 0);
	expect("slots", DOCTOR_ERROR, "are the same device");
	set_path(config.slot.devices[1], "hooks");
	expect("slots", DOCTOR_ERROR, "is no block device");
}

Test(doctor, partitions_without_a_boot_loader)
{
	use_partitions();
	expect("boot", DOCTOR_ERROR, "no boot loader chooses between them");
}

Test(doctor, a_grub_that_nobody_provisioned_or_that_does_not_count)
{
	use_grub();
	expect("boot", DOCTOR_OK, "a boot script counts tries");
	write_grubenv("A B", "");
	expect("boot", DOCTOR_ERROR, "SCRIPT is not set");
	write_grubenv("A B", "9");
	expect("boot", DOCTOR_WARNING, "version 9");
	write_grubenv("B A", "1");
	expect("boot", DOCTOR_WARNING, "slot a runs, the next boot tries b");
	cr_assert_eq(remove(at("grubenv.2")), 0);
	expect("boot", DOCTOR_WARNING, "grubenv.2: ");
	temporary_write("grubenv", "");
	expect("boot", DOCTOR_ERROR, "grubenv: ");
}

Test(doctor, a_slot_that_runs_and_is_not_known)
{
	use_grub();
	temporary_write("cmdline", "quiet\n");
	expect("boot", DOCTOR_ERROR, "which slot runs is not known");
	temporary_write("cmdline", "sluice.slot=a sluice.slot=b\n");
	expect("boot", DOCTOR_ERROR, "sluice.slot=a and sluice.slot=b");
}

Test(doctor, a_uboot_environment_with_one_copy)
{
	config.boot =
		(struct agent_boot_config){ .type = AGENT_BOOT_UBOOT, .deadline_s = 5 };
	set_path(config.boot.path, "fw_env.config");
	expect("boot", DOCTOR_ERROR, "fw_env.config: open: No such file");
	temporary_write("fw_env.config", "/dev/null 0 0x1000\n");
	expect("boot", DOCTOR_WARNING, "the environment has one copy");
	temporary_write("fw_env.config", "/dev/null 0 0x1000\n/dev/null 0x1000 0x1000\n");
	expect("boot", DOCTOR_OK, "the environment has two copies");
	cr_assert_eq(setenv("PATH", temporary_dir, 1), 0);
	expect("boot", DOCTOR_ERROR, "fw_setenv: no such command");
}

Test(doctor, a_uboot_environment_that_boots_nothing)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	const char *const argv[] = { "fw_setenv", "-c", config.boot.path, "-f",
		at("vars"), "-s", at("vars"), NULL };
	const struct command command = { .argv = argv, .deadline_ms = 10000 };
	char text[1200];

	config.boot =
		(struct agent_boot_config){ .type = AGENT_BOOT_UBOOT, .deadline_s = 5 };
	set_path(config.boot.path, "fw_env.config");
	(void)snprintf(text, sizeof text, "%s 0 0x1000\n%s 0x1000 0x1000\n", at("medium"),
		at("medium"));
	temporary_write("fw_env.config", text);
	temporary_write("medium", "");
	cr_assert_eq(truncate(at("medium"), 0x2000), 0);
	expect("boot", DOCTOR_ERROR, "fw_printenv: exit status");
	temporary_write("vars", "BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_A_STATE=good\n"
				"BOOT_B_LEFT=3\nBOOT_B_STATE=good\nBOOT_SCRIPT=1\n");
	cr_assert_eq(command_run(&command, &said, &err), OTA_OK, "%s", err.text);
	expect("boot", DOCTOR_ERROR, "has no bootcmd");
	temporary_write("vars", "bootcmd=run distro_bootcmd\n");
	cr_assert_eq(command_run(&command, &said, &err), OTA_OK, "%s", err.text);
	expect("boot", DOCTOR_OK, "a boot script counts tries");
	cr_expect_eq(doctor_count(&doctor, DOCTOR_ERROR), 1, "only that of reboot");
}

Test(doctor, a_systemd_boot_without_templates_or_with_a_default)
{
	config.boot = (struct agent_boot_config){ .type = AGENT_BOOT_SYSTEMD };
	set_path(config.boot.path, "");
	temporary_write("sluice-2-a.conf", "");
	temporary_write("sluice-1-b.off", "");
	temporary_write("sluice-a.template", "");
	expect("boot", DOCTOR_WARNING, "sluice-b.template: No such file");
	expect("boot", DOCTOR_WARNING, "slot b is bad: there is nothing to fall back to");
	expect("boot", DOCTOR_OK, "slot a runs and is booted next");
	temporary_write("LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "");
	expect("boot", DOCTOR_ERROR, "LoaderEntryDefault is set");
	cr_assert_eq(rename(at("sluice-2-a.conf"), at("sluice-2-a.off")), 0);
	cr_assert_eq(rename(at("sluice-1-b.off"), at("sluice-1-b.conf")), 0);
	expect("boot", DOCTOR_ERROR, "slot a runs, and the boot loader holds it for bad");
}

Test(doctor, a_command_that_others_can_write)
{
	config.boot =
		(struct agent_boot_config){ .type = AGENT_BOOT_CUSTOM, .deadline_s = 5 };
	set_path(config.boot.path, "boot");
	expect("boot", DOCTOR_ERROR, "boot: No such file");
	temporary_write("boot", "#!/bin/sh\n");
	mode("boot", 0777);
	expect("boot", DOCTOR_ERROR, "boot can be written by others");
	mode("boot", 0644);
	expect("boot", DOCTOR_ERROR, "boot: Permission denied");
}

Test(doctor, a_broker_that_cannot_be_reached)
{
	world.broker_ms = 10000;
	(void)snprintf(config.broker.url, sizeof config.broker.url, "tcp://127.0.0.1:1");
	expect("broker", DOCTOR_WARNING, "127.0.0.1 port 1: Connection refused");
	expect("broker", DOCTOR_WARNING, "is not encrypted");
	(void)snprintf(
		config.broker.url, sizeof config.broker.url, "tcp://no.such.invalid:1");
	expect("broker", DOCTOR_WARNING, "the name cannot be resolved");
	(void)snprintf(config.broker.url, sizeof config.broker.url, "tcp://nowhere");
	expect("broker", DOCTOR_ERROR, "has no host and port");
	(void)snprintf(config.broker.url, sizeof config.broker.url, "ssl://127.0.0.1:1");
	set_path(config.broker.ca_file, "no-ca");
	expect("broker", DOCTOR_ERROR, "no-ca");
}

static void set_url(const char *host, unsigned port)
{
	(void)snprintf(config.broker.url, sizeof config.broker.url, "%s:%u", host, port);
}

Test(doctor, a_broker_whose_url_is_none)
{
	static const char *const urls[] = { "nothing", "tcp://nowhere", "tcp://:1",
		"tcp://host:12345678" };

	world.broker_ms = 10000;
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		(void)snprintf(
			config.broker.url, sizeof config.broker.url, "%s", urls[i]);
		expect("broker", DOCTOR_ERROR, "has no host and port");
	}
}

/* A socket that listens on the loopback, and its port. */
static int new_listener(unsigned *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* Connect until nobody is let in any more. */
static void fill(unsigned port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (int i = 0; i < 20; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		(void)connect(fd, (const struct sockaddr *)&at, sizeof at);
	}
}

Test(doctor, a_broker_that_can_be_reached_or_does_not_answer)
{
	unsigned port;

	config.user[0] = '\0';
	world.broker_ms = 60000;
	(void)new_listener(&port);
	set_url("tcp://127.0.0.1", port);
	expect("broker", DOCTOR_OK, "can be reached");
	set_url("tcp://[127.0.0.1]", port);
	expect("broker", DOCTOR_OK, "127.0.0.1 port");
	set_url("tcp://[127.0.0.1", port);
	expect("broker", DOCTOR_WARNING, "the name cannot be resolved");
	set_url("tcp://[]", port);
	expect("broker", DOCTOR_WARNING, "the name cannot be resolved");
	fill(port);
	set_url("tcp://127.0.0.1", port);
	expect("broker", DOCTOR_WARNING, "no answer"); /* after its own 5 s */
	world.broker_ms = 1;
	expect("broker", DOCTOR_WARNING, "no answer");
}

Test(doctor, a_broker_that_a_user_nobody_knows_cannot_try)
{
	unsigned port;

	if (geteuid() != 0)
		cr_skip_test("SKIPPED, not root: net becomes no other user");
	world.broker_ms = 60000;
	(void)new_listener(&port);
	set_url("tcp://127.0.0.1", port);
	(void)snprintf(config.user, sizeof config.user, "no-such-user");
	expect("broker", DOCTOR_WARNING, "no-such-user");
}

Test(doctor, a_broker_that_cannot_be_tried)
{
	unsigned port;

	world.broker_ms = 60000;
	(void)new_listener(&port);
	set_url("tcp://127.0.0.1", port);
	cr_assert(faults_arm_text("waitpid,4,0"));
	expect("broker", DOCTOR_OK, "can be reached");
	cr_expect(faults_fired());
	cr_assert(faults_arm_text("write,5,0"));
	expect("broker", DOCTOR_WARNING, "no answer");
	cr_assert(faults_arm_text("pipe,24,0"));
	doctor_examine(&config, &world, &doctor);
	cr_expect(faults_fired());
	cr_expect_gt(doctor.count, 0, "the rest is looked at");
}

Test(doctor, json_holds_the_same)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	const cJSON *findings;
	cJSON *json;

	(void)snprintf(config.user, sizeof config.user, "a\"b\\c");
	doctor_examine(&config, &world, &doctor);
	cr_assert_eq(doctor_print_json(&doctor, &said), OTA_OK);
	json = cJSON_Parse(ota_buf_text(&said));
	cr_assert_not_null(json, "%s", ota_buf_text(&said));
	findings = cJSON_GetObjectItem(json, "findings");
	cr_expect_eq((size_t)cJSON_GetArraySize(findings), doctor.count);
	cr_expect_eq((size_t)cJSON_GetObjectItem(json, "errors")->valueint,
		doctor_count(&doctor, DOCTOR_ERROR));
	cr_expect_not_null(cJSON_GetObjectItem(cJSON_GetArrayItem(findings, 0), "why"));
	cJSON_Delete(json);
}

/* Whatever it cannot look at, it says so or has nothing to say of it. */
Test(doctor, any_call_may_fail)
{
	struct faults walk = { .only = "stat64 access statfs64 ota_path_join open64 "
				       "fstat64 read malloc calloc realloc opendir " };
	unsigned said = 0;

	use_grub();
	use_partitions();
	while (faults_next(&walk)) {
		faults_arm(&walk);
		doctor_examine(&config, &world, &doctor);
		(void)faults_disarm(&walk);
		cr_expect_gt(doctor.count, 5, "%s", faults_text(&walk));
		said += doctor_count(&doctor, DOCTOR_ERROR) > 0;
		doctor_examine(&config, &world, &doctor);
		cr_expect_eq(doctor_count(&doctor, DOCTOR_ERROR), 0, "after %s",
			faults_text(&walk));
	}
	cr_expect_gt(said, 15, "%u of %u", said, walk.count);
}

Test(doctor, without_memory_nothing_is_printed)
{
	static enum ota_code (*const prints[])(const struct doctor *,
		struct ota_buf *) = { doctor_print_text, doctor_print_json };
	struct faults walk = { .only = "malloc realloc " };
	unsigned fired = 0;

	doctor_examine(&config, &world, &doctor);
	while (faults_next(&walk))
		for (size_t i = 0; i < 2; i++) {
			OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
			enum ota_code rc;

			faults_arm(&walk);
			rc = prints[i](&doctor, &said);
			cr_expect_eq(rc, faults_disarm(&walk) ? OTA_E_NOMEM : OTA_OK);
			fired += rc != OTA_OK;
		}
	cr_expect_gt(fired, 5);
}

Test(doctor, a_slot_that_is_mounted)
{
	char line[128];
	struct stat st;

	if (stat("/dev/loop0", &st) != 0 || !S_ISBLK(st.st_mode) ||
		access("/dev/loop0", R_OK) != 0)
		cr_skip_test("SKIPPED, not root: /dev/loop0 cannot be read");
	use_grub();
	use_partitions();
	(void)snprintf(config.slot.devices[1], AGENT_PATH_CAP, "/dev/loop0");
	(void)snprintf(line, sizeof line, "36 35 %u:%u / /mnt rw - ext4 /dev/loop0 rw\n",
		major(st.st_rdev), minor(st.st_rdev));
	temporary_write("mounts", line);
	expect("slots", DOCTOR_ERROR, "slot b, /dev/loop0: is mounted");
}

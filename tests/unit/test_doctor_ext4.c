#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "agent/port/doctor_checks.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* What the doctor says of the file system that holds state and spool: real ones, made by
 * mke2fs in loop devices. */

static struct install_kit kit;
static struct agent_config config = { .spool_max_bytes = 1 };
static struct doctor doctor;
static char loop[AGENT_PATH_CAP], mounted[256];

static void set_up(void)
{
	temporary_make();
	(void)snprintf(kit.dir, sizeof kit.dir, "%s", temporary_dir);
	(void)snprintf(mounted, sizeof mounted, "%s/mnt", temporary_dir);
	cr_assert_eq(mkdir(mounted, 0755), 0);
	(void)snprintf(config.state_dir, AGENT_PATH_CAP, "%s/state", mounted);
	(void)snprintf(config.spool_dir, AGENT_PATH_CAP, "%s/spool", mounted);
}

static void tear_down(void)
{
	if (loop[0] != '\0') {
		install_kit_run("umount %s", mounted);
		install_kit_unloop(loop);
	}
	temporary_remove();
}

TestSuite(doctor_ext4, .init = set_up, .fini = tear_down, .timeout = 60);

static bool use_file_system(const char *make)
{
	if (!install_kit_is_root("a file system in a loop device"))
		return false;
	install_kit_loop(&kit, "disk", 8 << 20, loop);
	install_kit_run("%s %s && mount %s %s", make, loop, loop, mounted);
	return true;
}

/* Look at both; how many warnings there are. */
static size_t look(void)
{
	doctor = (struct doctor){ .config = &config };
	doctor_look_at_state(&doctor);
	doctor_look_at_spool(&doctor);
	return doctor_count(&doctor, DOCTOR_WARNING);
}

static bool is_said(const char *text)
{
	for (size_t i = 0; i < doctor.count; i++)
		if (doctor.findings[i].level == DOCTOR_WARNING &&
			strstr(doctor.findings[i].what, text) != NULL)
			return true;
	return false;
}

Test(doctor_ext4, checksums_are_warned_of_once)
{
	if (!use_file_system("mke2fs -q -t ext4 -O metadata_csum"))
		return;
	cr_expect_eq(look(), 1);
	cr_expect(is_said("has metadata_csum"));
	cr_expect(is_said(loop));
	cr_expect(is_said("`state_dir`"));
}

Test(doctor_ext4, the_spool_of_another_device_is_looked_at)
{
	if (!use_file_system("mke2fs -q -t ext4 -O metadata_csum"))
		return;
	(void)snprintf(config.state_dir, AGENT_PATH_CAP, "/dev/shm");
	(void)look();
	cr_expect(is_said("`spool.dir`: the ext4 on"));
}

Test(doctor_ext4, without_checksums_there_is_nothing_to_say)
{
	if (!use_file_system("mke2fs -q -t ext4 -O ^metadata_csum"))
		return;
	cr_expect_eq(look(), 0);
}

Test(doctor_ext4, what_the_doctor_advises_helps)
{
	if (!use_file_system("mke2fs -q -t ext4 -O metadata_csum"))
		return;
	install_kit_run("(umount %s && e2fsck -f -p %s && "
			"tune2fs -O ^metadata_csum %s && mount %s %s) >%s/said",
		mounted, loop, loop, loop, mounted, temporary_dir);
	cr_expect_eq(look(), 0);
}

Test(doctor_ext4, an_older_ext_has_none)
{
	if (!use_file_system("mke2fs -q -t ext2"))
		return;
	cr_expect_eq(look(), 0);
}

Test(doctor_ext4, who_may_not_read_the_device_is_told)
{
	if (!use_file_system("mke2fs -q -t ext4 -O metadata_csum"))
		return;
	cr_assert(faults_arm_text("open64,5,0"));
	cr_expect_eq(look(), 1);
	cr_expect(faults_fired());
	cr_expect(is_said("cannot be read (Input/output error)"));
	cr_assert_eq(chmod(temporary_dir, 0755), 0);
	cr_assert_eq(chmod(mounted, 0777), 0);
	cr_assert_eq(seteuid(65534), 0);
	(void)look();
	cr_assert_eq(seteuid(0), 0);
	cr_expect(is_said("cannot be read (Permission denied)"));
}

/* A call without which it is not known to be ext4. */
static bool is_of_directory(const char *fault)
{
	return strncmp(fault, "statfs64,", 9) == 0 || strncmp(fault, "stat64,", 7) == 0;
}

Test(doctor_ext4, each_call_that_fails_is_told_or_passed_over)
{
	struct faults walk = {
		.only = "open64 pread64 readlink fstat64 statfs64 stat64 "
	};

	if (!use_file_system("mke2fs -q -t ext4 -O metadata_csum"))
		return;
	while (faults_next(&walk)) {
		const char *fault = faults_text(&walk);
		bool fired;

		faults_arm(&walk);
		doctor = (struct doctor){ .config = &config };
		doctor_look_at_ext4(&doctor, "state_dir", mounted);
		fired = faults_disarm(&walk);
		cr_expect_eq(
			doctor.count, !fired || !is_of_directory(fault), "%s", fault);
	}
	cr_expect_gt(walk.count, 6);
}

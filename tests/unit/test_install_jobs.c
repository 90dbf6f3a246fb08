#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/port/install_jobs.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* Jobs on real threads and as real processes, on a loop of the test. */

enum { DEADLINE_MS = 60000 };

static struct install_kit kit;
static struct agent_config config;
static struct slots slots;
static struct install_jobs jobs;
static struct agent_result result; /* the last one */
static unsigned answers;
static uv_loop_t loop;

static void on_done(void *ctx, const struct agent_result *found)
{
	(void)ctx;
	result = *found;
	answers++;
}

static void set_up(void)
{
	temporary_in_memory = true;
	temporary_make();
	install_kit_init(&kit, temporary_dir, 50000, 1);
	config = (struct agent_config){ .device = "gw-1",
		.slot = kit.slot,
		.hook_deadline_s = 60,
		.decoder_ram_bytes = 16 << 20 };
	(void)snprintf(config.spool_dir, AGENT_PATH_CAP, "%s", kit.spool_dir);
	(void)snprintf(config.state_dir, AGENT_PATH_CAP, "%s", kit.state_dir);
	(void)snprintf(config.hooks_dir, AGENT_PATH_CAP, "%s/hooks", temporary_dir);
	cr_assert_eq(ota_dir_make(config.hooks_dir, 0755, NULL), OTA_OK);
	slots = (struct slots){ .config = &config.slot };
	cr_assert_eq(uv_loop_init(&loop), 0);
	install_jobs_init(&jobs, &loop, &config, &slots);
	install_jobs_answer_to(&jobs, on_done, NULL);
}

static void tear_down(void)
{
	install_kit_fini(&kit);
	temporary_remove();
}

TestSuite(install_jobs, .init = set_up, .fini = tear_down, .timeout = 110);

static void close_all(void)
{
	install_jobs_close(&jobs);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void turn_until_answers(unsigned want)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;
	uv_timer_t tick;

	cr_assert_eq(uv_timer_init(&loop, &tick), 0);
	cr_assert_eq(uv_timer_start(&tick, on_tick, 10, 10), 0);
	while (answers < want && ota_clock_mono_ms() < until_ms)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	cr_assert_eq(answers, want);
}

static uint64_t start(const struct agent_job *job)
{
	static uint64_t serial;
	struct agent_job mine = *job;
	unsigned before = answers;

	mine.serial = ++serial;
	mine.patch = kit.work.patch;
	mine.version = "2.0";
	cr_assert_eq(install_jobs_start(&jobs, &mine, NULL), OTA_OK);
	cr_expect_eq(answers, before, "never from within the call");
	return serial;
}

/* Do a job to its end: its code. */
static enum ota_code run(const struct agent_job *job)
{
	unsigned before = answers;
	uint64_t serial = start(job);

	turn_until_answers(before + 1);
	cr_expect_eq(result.serial, serial);
	return result.error.code;
}

static enum ota_code run_kind(enum agent_job_kind kind, unsigned slot)
{
	return run(&(struct agent_job){ .kind = kind, .slot = slot });
}

static enum ota_code run_hook(const char *name)
{
	return run(&(struct agent_job){ .kind = AGENT_JOB_HOOK, .hook = name });
}

static void write_script(const char *name, const char *body)
{
	char text[512], path[2 * AGENT_PATH_CAP];

	(void)snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
	(void)snprintf(path, sizeof path, "%s/%s", config.hooks_dir, name);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of(text), 0755, NULL), OTA_OK);
}

/* ---- the digest of an image ---- */

static void use_image(const char *text)
{
	char path[2 * AGENT_PATH_CAP];

	(void)snprintf(path, sizeof path, "%s/a.img", kit.slot.dir);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of(text), 0600, NULL), OTA_OK);
}

static void expect_digest_of(const char *text)
{
	struct ota_digest want = ota_digest_of(ota_bytes_of(text));

	cr_assert_eq(run_kind(AGENT_JOB_HASH, 0), OTA_OK, "%s", result.error.text);
	cr_expect(ota_digest_equal(&result.digest, &want), "%s", text);
}

/* What is remembered is made wrong, so that it shows whether it was used. */
static bool is_read_again(void)
{
	struct ota_digest right = jobs.known.digest;

	jobs.known.digest.at[0] ^= 1;
	cr_assert_eq(run_kind(AGENT_JOB_HASH, 0), OTA_OK, "%s", result.error.text);
	return ota_digest_equal(&result.digest, &right);
}

Test(install_jobs, a_file_that_did_not_change_is_not_read_again)
{
	expect_digest_of("old");
	cr_expect_not(is_read_again());
	close_all();
}

Test(install_jobs, a_file_that_changed_in_any_way_is_read_again)
{
	use_image("old");
	expect_digest_of("old");
	jobs.known.st.st_dev++;
	cr_expect(is_read_again(), "device");
	jobs.known.st.st_ino++;
	cr_expect(is_read_again(), "file");
	jobs.known.st.st_size++;
	cr_expect(is_read_again(), "length");
	jobs.known.st.st_mtim.tv_sec++;
	cr_expect(is_read_again(), "seconds");
	jobs.known.st.st_mtim.tv_nsec++;
	cr_expect(is_read_again(), "nanoseconds");
	use_image("another");
	expect_digest_of("another");
	close_all();
}

/* What holds an image beside other bytes may be written by others: always read. */
Test(install_jobs, an_image_in_a_larger_place_is_always_read)
{
	config.slot.type = AGENT_SLOT_BLOCK;
	(void)snprintf(config.slot.devices[0], AGENT_PATH_CAP, "%s/medium", kit.dir);
	temporary_write("medium", "image and more");
	slots.table.slots[0].image_len = 5;
	expect_digest_of("image");
	cr_expect_not(jobs.known.valid);
	close_all();
}

Test(install_jobs, a_device_is_always_read)
{
	static uint8_t zeros[1 << 20];
	struct ota_digest want = ota_digest_of((struct ota_bytes){ zeros, sizeof zeros });

	if (!install_kit_is_root("no loop device can be attached"))
		return;
	config.slot.type = AGENT_SLOT_BLOCK;
	install_kit_loop(&kit, "disk", sizeof zeros, config.slot.devices[0]);
	cr_expect_eq(run_kind(AGENT_JOB_HASH, 0), OTA_OK, "%s", result.error.text);
	cr_expect(ota_digest_equal(&result.digest, &want));
	cr_expect_not(jobs.known.valid);
	close_all();
	install_kit_unloop(config.slot.devices[0]);
}

Test(install_jobs, an_image_that_cannot_be_read_is_told_and_forgotten)
{
	struct faults walk = {
		.only = "open64 fstat64 pread64 malloc calloc aligned_alloc "
			"uv_queue_work ota_path_join "
	};

	while (faults_next(&walk)) {
		enum ota_code rc;

		faults_arm(&walk);
		rc = run_kind(AGENT_JOB_HASH, 0);
		(void)faults_disarm(&walk);
		cr_expect(rc == OTA_OK || result.error.text[0] != '\0', "%s",
			faults_text(&walk));
		expect_digest_of("old");
		jobs.known.valid = false;
	}
	cr_expect_geq(walk.count, 7);
	close_all();
}

/* ---- work ---- */

/* A patch that is there is installed by tests/integration/test_install.c: the decoder is
 * the agent itself, which this program is not. */
Test(install_jobs, a_patch_is_verified_and_one_that_is_not_there_is_not_installed)
{
	cr_expect_eq(run_kind(AGENT_JOB_VERIFY, 1), OTA_OK, "%s", result.error.text);
	install_kit_run("rm -r %s/*", kit.spool_dir);
	cr_expect_eq(run_kind(AGENT_JOB_VERIFY, 1), OTA_E_NOTFOUND);
	cr_expect_eq(run_kind(AGENT_JOB_INSTALL, 1), OTA_E_NOTFOUND);
	close_all();
}

/* The manifest names no table of blocks. */
Test(install_jobs, a_scan_that_cannot_be_is_told)
{
	cr_expect_neq(run_kind(AGENT_JOB_SCAN, 0), OTA_OK);
	cr_expect_neq(result.error.text[0], '\0');
	close_all();
}

Test(install_jobs, work_that_is_stopped_says_nothing_and_the_next_begins_behind_it)
{
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_VERIFY, .slot = 1 });
	install_jobs_stop(&jobs);
	cr_expect_eq(run_kind(AGENT_JOB_HASH, 0), OTA_OK, "%s", result.error.text);
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_VERIFY, .slot = 1 });
	close_all();
	cr_expect_eq(answers, 1, "one was stopped by the next, one by the end");
}

/* ---- hooks ---- */

Test(install_jobs, a_hook_that_is_not_there_has_nothing_against_it)
{
	cr_expect_eq(run_hook("health"), OTA_OK, "%s", result.error.text);
	close_all();
}

Test(install_jobs, a_hook_is_told_the_image_it_is_about)
{
	write_script("health", "case $SLUICE_IMAGE in */a.img) ;; *) exit 9 ;; esac");
	write_script(
		"before-reboot", "case $SLUICE_IMAGE in */b.img) ;; *) exit 9 ;; esac");
	cr_expect_eq(run_hook("before-reboot"), OTA_OK, "%s", result.error.text);
	cr_expect_eq(run_hook("health"), OTA_OK, "%s", result.error.text);
	close_all();
}

Test(install_jobs, a_hook_that_is_stopped_is_killed_and_says_nothing)
{
	write_script("health", "sleep 600");
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_HOOK, .hook = "health" });
	install_jobs_stop(&jobs);
	cr_expect_eq(run_kind(AGENT_JOB_HASH, 0), OTA_OK);
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_HOOK, .hook = "health" });
	install_jobs_stop(&jobs);
	close_all();
	cr_expect_eq(answers, 1);
}

static void use_script(const char *body)
{
	(void)snprintf(config.policy.power_command, AGENT_PATH_CAP, "%s/hooks/power",
		temporary_dir);
	write_script("power", body);
}

Test(install_jobs, a_script_of_the_policy_decides)
{
	cr_expect_eq(run_hook("power"), OTA_OK, "nobody is asked");
	use_script("exit 0");
	cr_expect_eq(run_hook("power"), OTA_OK, "%s", result.error.text);
	use_script("echo flat battery; exit 1");
	cr_expect_eq(run_hook("power"), OTA_E_HOOK);
	cr_expect_not_null(
		strstr(result.error.text, "flat battery"), "%s", result.error.text);
	close_all();
}

Test(install_jobs, a_script_that_was_asked_for_and_is_not_there_holds_back)
{
	(void)snprintf(config.policy.power_command, AGENT_PATH_CAP, "/no/such/script");
	cr_expect_eq(run_hook("power"), OTA_E_HOOK);
	cr_expect_not_null(
		strstr(result.error.text, "power_command"), "%s", result.error.text);
	close_all();
}

Test(install_jobs, a_script_that_is_stopped_is_killed_and_says_nothing)
{
	use_script("sleep 600");
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_HOOK, .hook = "power" });
	install_jobs_stop(&jobs);
	cr_expect_eq(run_kind(AGENT_JOB_HASH, 0), OTA_OK);
	close_all();
}

/* A job that follows on another takes its turn; of two that wait the newer is left. */
Test(install_jobs, of_jobs_that_wait_the_newest_is_done)
{
	uint64_t last;

	write_script("health", "sleep 600");
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_HOOK, .hook = "health" });
	install_jobs_stop(&jobs);
	(void)start(&(struct agent_job){ .kind = AGENT_JOB_VERIFY, .slot = 1 });
	last = start(&(struct agent_job){ .kind = AGENT_JOB_HASH });
	turn_until_answers(1);
	cr_expect_eq(result.serial, last);
	close_all();
}

Test(install_jobs, each_call_of_a_hook_may_fail_and_is_told)
{
	struct faults walk = { .only = "calloc malloc strdup pipe2 uv_spawn "
				       "ota_path_join opendir access " };

	use_script("exit 0");
	write_script("health", "exit 0");
	while (faults_next(&walk)) {
		faults_arm(&walk);
		cr_expect(run_hook("power") == OTA_OK || result.error.text[0] != '\0',
			"%s", faults_text(&walk));
		cr_expect(run_hook("health") == OTA_OK || result.error.text[0] != '\0',
			"%s", faults_text(&walk));
		(void)faults_disarm(&walk);
		cr_expect_eq(run_hook("power"), OTA_OK, "after %s: %s",
			faults_text(&walk), result.error.text);
		cr_expect_eq(run_hook("health"), OTA_OK, "after %s: %s",
			faults_text(&walk), result.error.text);
	}
	cr_expect_geq(walk.count, 8);
	close_all();
}

#include <criterion/criterion.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/port/install_hooks.h"
#include "agent/port/install_policy.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static uv_loop_t loop;
static struct ota_error answer;
static unsigned answers;

static void set_up(void)
{
	temporary_make();
	cr_assert_eq(uv_loop_init(&loop), 0);
}

static void tear_down(void)
{
	(void)uv_loop_close(&loop);
	temporary_remove();
}

TestSuite(install_hooks, .init = set_up, .fini = tear_down);

static void on_done(void *ctx, const struct ota_error *result)
{
	(void)ctx;
	answer = *result;
	answers++;
}

static void path_of(const char *name, char out[static 512])
{
	(void)snprintf(out, 512, "%s/%s", temporary_dir, name);
}

/* An executable that notes its name in `ran`, and exits with a status. */
static void write_hook(const char *name, const char *status)
{
	char path[512], text[1200];

	(void)snprintf(text, sizeof text,
		"#!/bin/sh\necho \"${0##*/}\" >>%s/ran\nexit %s\n", temporary_dir,
		status);
	temporary_write(name, text);
	path_of(name, path);
	cr_assert_eq(chmod(path, 0755), 0);
}

static void make_dir(const char *name)
{
	char path[512];

	path_of(name, path);
	cr_assert_eq(mkdir(path, 0755), 0);
}

static struct install_hook_call call_of(const char *name)
{
	return (struct install_hook_call){ .dir = temporary_dir,
		.name = name,
		.device = "gw-1",
		.version = "2.0",
		.image = "/slots/a.img",
		.deadline_s = 5 };
}

static enum ota_code run(const char *name)
{
	const struct install_hook_call call = call_of(name);
	struct install_hooks *hooks;
	enum ota_code rc;

	answer = (struct ota_error){ 0 };
	rc = install_hooks_start(&loop, &call, on_done, NULL, &hooks, &answer);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	return rc == OTA_OK ? answer.code : rc;
}

static void expect_ran(const char *names)
{
	char path[512], text[512] = "";
	FILE *file;

	path_of("ran", path);
	file = fopen(path, "r");
	if (file != NULL) {
		text[fread(text, 1, sizeof text - 1, file)] = '\0';
		(void)fclose(file);
	}
	(void)remove(path);
	for (char *at = text; *at != '\0'; at++)
		if (*at == '\n')
			*at = ' ';
	cr_expect_str_eq(text, names);
}

Test(install_hooks, all_of_a_phase_run_in_the_order_of_their_names)
{
	make_dir("health.d");
	write_hook("health.d/20-app", "0");
	write_hook("health.d/10-net", "0");
	write_hook("health.d/100-late", "0");
	write_hook("health", "0");
	cr_expect_eq(run("health"), OTA_OK, "%s", answer.text);
	cr_expect_eq(answers, 1);
	expect_ran("health 10-net 100-late 20-app ");
}

Test(install_hooks, the_first_that_does_not_say_go_decides_and_is_named)
{
	make_dir("health.d");
	write_hook("health.d/10-net", "0");
	write_hook("health.d/20-app", "21");
	write_hook("health.d/30-more", "1");
	cr_expect_eq(run("health"), OTA_E_BUSY);
	cr_expect_str_eq(answer.text, "hook health.d/20-app asks to come later");
	expect_ran("10-net 20-app ");
	write_hook("health.d/20-app", "1");
	cr_expect_eq(run("health"), OTA_E_HOOK);
	cr_expect_str_eq(answer.text, "hook health.d/20-app exited with 1");
	write_hook("health", "1");
	cr_expect_eq(run("health"), OTA_E_HOOK);
	cr_expect_str_eq(answer.text, "hook health exited with 1");
}

Test(install_hooks, what_editors_and_packages_leave_behind_is_passed_over)
{
	static const char *const names[] = { "health.d/app~", "health.d/app.dpkg-old",
		"health.d/.hidden", "health.d/#app#" };

	make_dir("health.d");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		write_hook(names[i], "1");
	cr_expect_eq(run("health"), OTA_E_NOTFOUND);
	write_hook("health.d/app", "0");
	cr_expect_eq(run("health"), OTA_OK, "%s", answer.text);
	expect_ran("app ");
}

Test(install_hooks, one_that_cannot_be_run_is_a_veto_wherever_it_stands)
{
	make_dir("health.d");
	write_hook("health.d/10-net", "0");
	temporary_write("health.d/20-app", "no script");
	cr_expect_eq(run("health"), OTA_E_HOOK);
	cr_expect_not_null(
		strstr(answer.text, "health.d/20-app cannot be run"), "%s", answer.text);
}

Test(install_hooks, without_any_there_is_nothing_to_run)
{
	cr_expect_eq(run("health"), OTA_E_NOTFOUND);
	make_dir("health.d");
	cr_expect_eq(run("health"), OTA_E_NOTFOUND);
	temporary_write("rescue.d", "no directory");
	cr_expect_eq(run("rescue"), OTA_E_HOOK);
	cr_expect_eq(answers, 0);
}

Test(install_hooks, more_than_it_can_hold_is_a_veto)
{
	char name[64];

	make_dir("health.d");
	for (unsigned i = 0; i <= INSTALL_HOOKS_MAX; i++) {
		(void)snprintf(name, sizeof name, "health.d/%u", i);
		write_hook(name, "0");
	}
	cr_expect_eq(run("health"), OTA_E_HOOK);
	cr_expect_not_null(strstr(answer.text, "more than 64"), "%s", answer.text);
	expect_ran("");
}

Test(install_hooks, after_a_kill_nothing_more_is_begun)
{
	const struct install_hook_call call = call_of("health");
	struct install_hooks *hooks;

	make_dir("health.d");
	temporary_write("health.d/10-long", "#!/bin/sh\nsleep 1000\n");
	write_hook("health.d/20-next", "0");
	{
		char path[512];

		path_of("health.d/10-long", path);
		cr_assert_eq(chmod(path, 0755), 0);
	}
	cr_assert_eq(
		install_hooks_start(&loop, &call, on_done, NULL, &hooks, NULL), OTA_OK);
	install_hooks_kill(hooks);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answers, 1);
	cr_expect_eq(answer.code, OTA_E_HOOK);
	expect_ran("");
}

/* It has gone well, and is killed before that is known. */
Test(install_hooks, after_a_kill_that_came_too_late_nothing_more_is_begun)
{
	const struct install_hook_call call = call_of("health");
	struct install_hooks *hooks;
	siginfo_t ended;

	make_dir("health.d");
	write_hook("health.d/10-short", "0");
	write_hook("health.d/20-next", "0");
	cr_assert_eq(
		install_hooks_start(&loop, &call, on_done, NULL, &hooks, NULL), OTA_OK);
	cr_assert_eq(waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT), 0);
	install_hooks_kill(hooks);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answers, 1);
	cr_expect_eq(answer.code, OTA_OK);
	expect_ran("10-short ");
}

Test(install_hooks, a_name_that_is_too_long_is_none)
{
	char name[128] = "health.d/";

	make_dir("health.d");
	(void)memset(name + strlen(name), 'a', 65);
	write_hook(name, "1");
	cr_expect_eq(run("health"), OTA_E_NOTFOUND);
	name[strlen(name) - 1] = '\0';
	write_hook(name, "0");
	cr_expect_eq(run("health"), OTA_OK);
}

Test(install_hooks, what_cannot_be_looked_at_is_a_veto)
{
	struct install_hook_call call = call_of("health");
	struct install_hooks *hooks = NULL;
	struct faults walk = { 0 };
	char path[512];

	temporary_write("file", "");
	path_of("file", path);
	call.dir = path;
	cr_expect_eq(install_hooks_start(&loop, &call, on_done, NULL, &hooks, &answer),
		OTA_E_HOOK);
	cr_expect_not_null(strstr(answer.text, "cannot be read: Not a directory"), "%s",
		answer.text);
	cr_assert(faults_arm_text("calloc,12,0"));
	cr_expect_eq(install_hooks_start(&loop, &call, on_done, NULL, &hooks, &answer),
		OTA_E_NOMEM);
	cr_expect(faults_disarm(&walk));
	cr_expect_null(hooks);
}

/* Else a veto that was not read would not be asked for. */
Test(install_hooks, a_directory_that_cannot_be_read_to_its_end_is_a_veto)
{
	make_dir("health.d");
	write_hook("health.d/10-net", "1");
	for (unsigned n = 0; n < 4; n++) {
		char text[32];

		(void)snprintf(text, sizeof text, "readdir64,5,%u", n);
		cr_assert(faults_arm_text(text));
		cr_expect_eq(run("health"), OTA_E_HOOK);
		cr_expect(faults_fired());
		cr_expect_not_null(
			strstr(answer.text, "health.d cannot be read: Input/output"),
			"%s", answer.text);
	}
	expect_ran("");
}

Test(install_hooks, without_a_directory_there_are_none)
{
	struct install_hook_call call = call_of("health");
	struct install_hooks *hooks = NULL;

	call.dir = "";
	cr_expect_eq(install_hooks_start(&loop, &call, on_done, NULL, &hooks, &answer),
		OTA_E_NOTFOUND);
	cr_expect_str_eq(answer.text, "there are no hooks");
	cr_expect_null(hooks);
}

/* ---- scripts of the policy */

static enum ota_code ask(const struct agent_policy_config *policy, const char *hook)
{
	struct install_hook_call call = call_of(hook);
	struct install_hook *script;
	enum ota_code rc;

	answer = (struct ota_error){ 0 };
	rc = install_policy_call(policy, hook, &call, &answer);
	if (rc == OTA_OK)
		rc = install_hook_start(&loop, &call, on_done, NULL, &script, &answer);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	return rc == OTA_OK ? answer.code : rc;
}

static void write_script(const char *name, const char *body)
{
	char path[512], text[1200];

	(void)snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
	temporary_write(name, text);
	path_of(name, path);
	cr_assert_eq(chmod(path, 0755), 0);
}

Test(install_hooks, a_script_of_the_policy_says_why)
{
	static const struct {
		const char *body, *text;
		enum ota_code code;
	} rows[] = { { "echo ignored; exit 0", "", OTA_OK },
		{ "echo battery at 12 %; echo more; exit 1",
			"power_command exited with 1: battery at 12 %", OTA_E_HOOK },
		{ "exit 1", "power_command exited with 1", OTA_E_HOOK },
		{ "printf 'a\\033[1mb'; exit 2",
			"power_command exited with 2: a\\x1b[1mb", OTA_E_HOOK },
		{ "echo soon; exit 21", "power_command asks to come later: soon",
			OTA_E_BUSY } };
	struct agent_policy_config policy = { 0 };

	path_of("power", policy.power_command);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		write_script("power", rows[i].body);
		cr_expect_eq(ask(&policy, "power"), rows[i].code, "row %zu", i);
		cr_expect_str_eq(
			answer.text, rows[i].text, "row %zu: %s", i, answer.text);
	}
}

Test(install_hooks, a_lock_file_holds_with_its_reason_before_the_script_is_asked)
{
	struct agent_policy_config policy = { 0 };
	char expected[1200];

	path_of("lock", policy.lock_file);
	cr_expect_eq(ask(&policy, "lock"), OTA_E_NOTFOUND, "no lock, no script");
	temporary_write("lock", "filling bottles\nuntil noon\n");
	(void)snprintf(
		expected, sizeof expected, "lock %s: filling bottles", policy.lock_file);
	cr_expect_eq(ask(&policy, "lock"), OTA_E_HOOK);
	cr_expect_str_eq(answer.text, expected);
	temporary_write("lock", "");
	(void)snprintf(expected, sizeof expected, "lock %s", policy.lock_file);
	cr_expect_eq(ask(&policy, "lock"), OTA_E_HOOK);
	cr_expect_str_eq(answer.text, expected);
	(void)remove(policy.lock_file);
	path_of("asked", policy.lock_command);
	write_script("asked", "echo busy; exit 1");
	cr_expect_eq(ask(&policy, "lock"), OTA_E_HOOK);
	cr_expect_str_eq(answer.text, "reboot_lock_command exited with 1: busy");
}

/* Whatever keeps it from being looked at. */
Test(install_hooks, a_lock_that_cannot_be_read_holds_without_a_reason)
{
	struct agent_policy_config policy = { 0 };
	struct faults walk = { .only = "malloc realloc read open64 " };
	char text[4096 + 1] = "";
	char expected[1200];

	path_of("lock", policy.lock_file);
	(void)snprintf(expected, sizeof expected, "lock %s", policy.lock_file);
	make_dir("lock");
	cr_expect_eq(ask(&policy, "lock"), OTA_E_HOOK);
	cr_expect_str_eq(answer.text, expected);
	cr_assert_eq(rmdir(policy.lock_file), 0);
	(void)memset(text, 'x', sizeof text - 1); /* there is no room for a NUL */
	temporary_write("lock", text);
	while (faults_next(&walk)) {
		struct install_hook_call call = call_of("lock");

		answer = (struct ota_error){ 0 };
		faults_arm(&walk);
		cr_expect_eq(install_policy_call(&policy, "lock", &call, &answer),
			OTA_E_HOOK, "%s", faults_text(&walk));
		(void)faults_disarm(&walk);
		cr_expect_eq(strncmp(answer.text, expected, strlen(expected)), 0,
			"%s: %s", faults_text(&walk), answer.text);
	}
	cr_expect_gt(walk.count, 4);
	path_of("lock/below", policy.lock_file);
	cr_expect_eq(ask(&policy, "lock"), OTA_E_HOOK, "no directory: %s", answer.text);
}

Test(install_hooks, of_a_policy_there_are_three_questions)
{
	struct agent_policy_config policy = { 0 };

	cr_expect(install_policy_is("metered"));
	cr_expect(install_policy_is("power"));
	cr_expect(install_policy_is("lock"));
	cr_expect_not(install_policy_is("health"));
	cr_expect_eq(ask(&policy, "metered"), OTA_E_NOTFOUND);
	path_of("metered", policy.metered_command);
	write_script("metered", "exit 21");
	cr_expect_eq(ask(&policy, "metered"), OTA_E_BUSY);
	cr_expect_str_eq(answer.text, "metered_command asks to come later");
}

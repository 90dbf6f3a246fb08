#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/install_hook.h"
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

TestSuite(install_hook, .init = set_up, .fini = tear_down);

static void on_done(void *ctx, const struct ota_error *result)
{
	(void)ctx;
	answer = *result;
	answers++;
}

static void write_hook(const char *name, const char *body)
{
	char path[512], text[1024];

	(void)snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
	temporary_write(name, text);
	(void)snprintf(path, sizeof path, "%s/%s", temporary_dir, name);
	cr_assert_eq(chmod(path, 0755), 0);
}

static enum ota_code run(const char *name, struct install_hook **hook)
{
	const struct install_hook_call call = { .dir = temporary_dir,
		.name = name,
		.device = "gw-1",
		.version = "2.0",
		.image = "/slots/a.img",
		.deadline_s = 1 };

	return install_hook_start(&loop, &call, on_done, NULL, hook, &answer);
}

Test(install_hook, the_exit_status_decides)
{
	static const struct {
		const char *body;
		enum ota_code code;
		const char *text;
	} rows[] = { { "exit 0", OTA_OK, "" },
		{ "exit 1", OTA_E_HOOK, "hook health exited with 1" },
		{ "exit 21", OTA_E_BUSY, "hook health asks to come later" },
		{ "exit 255", OTA_E_HOOK, "hook health exited with 255" },
		{ "kill -9 $$", OTA_E_HOOK, "hook health died of signal 9" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct install_hook *hook;

		answer = (struct ota_error){ 0 };
		write_hook("health", rows[i].body);
		cr_assert_eq(run("health", &hook), OTA_OK);
		cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
		cr_expect_eq(answers, i + 1, "answers once");
		cr_expect_eq(answer.code, rows[i].code, "row %zu", i);
		cr_expect_str_eq(answer.text, rows[i].text);
	}
}

Test(install_hook, one_that_hangs_is_killed_with_its_children)
{
	struct install_hook *hook;

	write_hook("health", "sleep 1000 & sleep 1000");
	cr_assert_eq(run("health", &hook), OTA_OK);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answer.code, OTA_E_TIMEOUT);
	cr_expect_str_eq(answer.text, "hook health ran longer than 1 s");
}

Test(install_hook, one_that_is_stopped_answers_as_well)
{
	struct install_hook *hook;

	write_hook("health", "sleep 1000");
	cr_assert_eq(run("health", &hook), OTA_OK);
	install_hook_kill(hook);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answer.code, OTA_E_HOOK);
}

Test(install_hook, one_that_is_not_there_is_not_found)
{
	struct install_hook *hook;

	cr_expect_eq(run("health", &hook), OTA_E_NOTFOUND);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answers, 0);
}

Test(install_hook, one_that_cannot_be_run_is_a_veto)
{
	struct install_hook *hook;

	temporary_write("health", "no script");
	cr_expect_eq(run("health", &hook), OTA_E_HOOK);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_not_null(strstr(answer.text, "cannot be run"), "%s", answer.text);
}

Test(install_hook, it_is_told_what_it_is_about)
{
	struct install_hook *hook;

	write_hook("health",
		"[ \"$SLUICE_HOOK $SLUICE_DEVICE $SLUICE_VERSION $SLUICE_IMAGE\" = "
		"'health gw-1 2.0 /slots/a.img' ]");
	cr_assert_eq(run("health", &hook), OTA_OK);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answer.code, OTA_OK, "%s", answer.text);
}

Test(install_hook, without_a_path_there_is_one)
{
	struct install_hook *hook;

	cr_assert_eq(unsetenv("PATH"), 0);
	write_hook("health", "[ \"$PATH\" = /usr/sbin:/usr/bin:/sbin:/bin ]");
	cr_assert_eq(run("health", &hook), OTA_OK);
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(answer.code, OTA_OK, "%s", answer.text);
}

Test(install_hook, without_a_directory_there_are_none)
{
	const struct install_hook_call call = { .dir = "", .name = "health" };
	struct install_hook *hook = NULL;

	cr_expect_eq(install_hook_start(&loop, &call, on_done, NULL, &hook, &answer),
		OTA_E_NOTFOUND);
	cr_expect_str_eq(answer.text, "there are no hooks");
	cr_expect_null(hook);
}

#include "tests/unit/install_kit.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/port/spool.h"
#include "proto/base/own.h"
#include "proto/delta/encode.h"
#include "proto/io/files.h"

static void make_noise(struct ota_buf *out, size_t len, uint64_t x)
{
	out->len = 0;
	for (size_t i = 0; i < len; i += sizeof x) {
		size_t left = len - i;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		cr_assert_eq(ota_buf_add(out, (struct ota_bytes){ (const uint8_t *)&x,
						      left < 8 ? left : 8 }),
			OTA_OK);
	}
}

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static void path_in(const char *dir, const char *name, char out[static AGENT_PATH_CAP])
{
	cr_assert_eq(ota_path_join(dir, name, out, AGENT_PATH_CAP, NULL), OTA_OK);
}

static void spool(struct install_kit *kit, const struct ota_buf *patch)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	char hex[OTA_DIGEST_HEX_CAP], dir[AGENT_PATH_CAP], path[AGENT_PATH_CAP];
	struct ota_error err = { 0 };

	cr_assert_eq(ota_manifest_encode(&kit->manifest, &bytes, NULL), OTA_OK);
	kit->work.patch = ota_digest_of(ota_buf_bytes(&bytes));
	cr_assert_eq(spool_manifest_write(kit->spool_dir, &kit->work.patch,
			     ota_buf_bytes(&bytes), &err),
		OTA_OK, "%s", err.text);
	ota_digest_hex(&kit->work.patch, hex);
	path_in(kit->spool_dir, hex, dir);
	path_in(dir, SPOOL_DATA, path);
	cr_assert_eq(ota_file_replace(path, ota_buf_bytes(patch), 0600, &err), OTA_OK,
		"%s", err.text);
}

/* Make a patch of kit->to, and put it into the spool. */
static void make_patch(struct install_kit *kit)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf patch = { 0 };
	struct ota_bytes to = ota_buf_bytes(&kit->to);
	struct ota_source source = ota_source_of(&to);
	const struct ota_sink sink = { .ctx = &patch, .write = keep };
	const struct ota_encode_job job = {
		.codec = OTA_CODEC_FULL, .to = &source, .options = { .level = 1 }
	};
	struct ota_error err = { 0 };

	ota_manifest_fini(&kit->manifest);
	cr_assert_eq(ota_patch_encode(&job, &sink, &kit->manifest, &err), OTA_OK, "%s",
		err.text);
	spool(kit, &patch);
}

void install_kit_renew(struct install_kit *kit, uint64_t seed)
{
	make_noise(&kit->to, kit->to.len, seed);
	make_patch(kit);
}

void install_kit_take(struct install_kit *kit, const char *name)
{
	char path[AGENT_PATH_CAP];

	path_in(kit->dir, name, path);
	kit->to.len = 0;
	cr_assert_eq(ota_file_read(path, 64 << 20, &kit->to, NULL), OTA_OK, "%s", path);
	make_patch(kit);
}

void install_kit_init(struct install_kit *kit, const char *dir, size_t len, uint64_t seed)
{
	char path[AGENT_PATH_CAP];

	*kit = (struct install_kit){ 0 };
	(void)snprintf(kit->dir, sizeof kit->dir, "%s", dir);
	path_in(dir, "spool", kit->spool_dir);
	path_in(dir, "state", kit->state_dir);
	path_in(dir, "slots", kit->slot.dir);
	cr_assert_eq(ota_dir_make(kit->spool_dir, 0700, NULL), OTA_OK);
	cr_assert_eq(ota_dir_make(kit->state_dir, 0700, NULL), OTA_OK);
	cr_assert_eq(ota_dir_make(kit->slot.dir, 0700, NULL), OTA_OK);
	path_in(kit->slot.dir, "a.img", path);
	cr_assert_eq(ota_file_replace(path, ota_bytes_of("old"), 0600, NULL), OTA_OK);
	kit->work.spool_dir = kit->spool_dir;
	kit->work.state_dir = kit->state_dir;
	kit->work.from = (struct slot_place){ &kit->slot, 0 };
	kit->work.to = (struct slot_place){ &kit->slot, 1 };
	kit->work.ram_max = 16 << 20;
	kit->work.decoder = AGENT;
	kit->to.len = 0;
	make_noise(&kit->to, len, seed);
	install_kit_renew(kit, seed);
}

void install_kit_fini(struct install_kit *kit)
{
	ota_buf_fini(&kit->to);
	ota_manifest_fini(&kit->manifest);
}

enum ota_code install_kit_apply(struct install_kit *kit)
{
	enum ota_code rc;

	kit->err = (struct ota_error){ 0 };
	rc = install_work_apply(&kit->work, &kit->err);
	cr_assert_eq(rc == OTA_OK, kit->err.code == OTA_OK, "%s", kit->err.text);
	return rc;
}

bool install_kit_apply_until(struct install_kit *kit, uint64_t len)
{
	const struct rlimit limit = { len, len }, no_core = { 0, 0 };
	pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)signal(SIGXFSZ, SIG_DFL);
		if (setrlimit(RLIMIT_CORE, &no_core) != 0 ||
			setrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(2);
		_exit(install_work_apply(&kit->work, NULL) == OTA_OK ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ;
}

bool install_kit_is_there(const struct install_kit *kit, unsigned slot)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	const struct slot_place place = { &kit->slot, slot };
	struct ota_digest digest;
	struct ota_error err = { 0 };

	cr_assert_eq(slot_image_open(&place, kit->to.len, &image, &err), OTA_OK, "%s",
		err.text);
	cr_assert_eq(image_file_digest(&image, NULL, &digest, &err), OTA_OK);
	return ota_digest_equal(&digest, &kit->manifest.to);
}

void install_kit_flip(const struct install_kit *kit, uint64_t offset)
{
	const struct slot_place place = { &kit->slot, 1 };
	char path[AGENT_PATH_CAP];
	ota_autoclose int fd = -1;
	uint8_t byte;

	cr_assert_eq(
		slot_medium_of(place.config)->image_path(&place, path, NULL), OTA_OK);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	cr_assert_eq(fsync(fd), 0);
}

/* ---- what only root can do ---- */

bool install_kit_is_root(const char *what)
{
	if (geteuid() == 0)
		return true;
	cr_skip_test("SKIPPED, not root: %s", what);
	return false;
}

void install_kit_run(const char *format, ...)
{
	char command[4 * AGENT_PATH_CAP];
	va_list args;
	int status;

	va_start(args, format);
	cr_assert_lt(
		vsnprintf(command, sizeof command, format, args), (int)sizeof command);
	va_end(args);
	status = system(command);
	cr_assert_eq(status, 0, "%s: %d", command, status);
}

void install_kit_loop(const struct install_kit *kit, const char *name, uint64_t len,
	char out[static AGENT_PATH_CAP])
{
	char said[AGENT_PATH_CAP];
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };

	path_in(kit->dir, "losetup", said);
	install_kit_run("truncate -s %llu %s/%s && losetup -f --show %s/%s >%s",
		(unsigned long long)len, kit->dir, name, kit->dir, name, said);
	cr_assert_eq(ota_file_read(said, AGENT_PATH_CAP - 1, &text, NULL), OTA_OK);
	cr_assert_not_null(ota_buf_text(&text));
	(void)snprintf(out, AGENT_PATH_CAP, "%s", (const char *)text.at);
	out[strcspn(out, "\n")] = '\0';
}

void install_kit_unloop(const char *device)
{
	install_kit_run("losetup -d %s", device);
}

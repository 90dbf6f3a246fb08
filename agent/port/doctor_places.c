#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "agent/port/doctor_checks.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

static const uint64_t STATE_ROOM = UINT64_C(4) << 20; /* bytes */

static const char *const hook_names[] = { "before-install", "before-reboot", "health",
	"rescue" };

/* The directory itself, or what it will be made in. */
static void nearest(const char *dir, char out[static AGENT_PATH_CAP])
{
	(void)snprintf(out, AGENT_PATH_CAP, "%s", dir);
	while (access(out, F_OK) != 0) {
		char *slash = strrchr(out, '/');

		if (slash == NULL || slash == out) {
			(void)snprintf(out, AGENT_PATH_CAP, slash == NULL ? "." : "/");
			return;
		}
		*slash = '\0';
	}
}

static bool is_in_memory(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* What state and spool have in common; false if it was an error. */
static bool look_at_dir(struct doctor *d, const char *key, const char *dir)
{
	char path[AGENT_PATH_CAP];
	struct stat st;

	nearest(dir, path);
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		doctor_say(d, DOCTOR_ERROR, "name a directory",
			"`%s`: %s is no directory", key, path);
		return false;
	}
	if (access(path, W_OK) != 0) {
		doctor_say(d, DOCTOR_ERROR,
			"let it be on a partition that is mounted read-write",
			"`%s`: %s: %s", key, path, strerror(errno));
		return false;
	}
	return true;
}

void doctor_look_at_state(struct doctor *d)
{
	const char *dir = d->config->state_dir;
	char path[AGENT_PATH_CAP];
	uint64_t room = 0;

	if (!look_at_dir(d, "state_dir", dir))
		return;
	nearest(dir, path);
	if (is_in_memory(path))
		doctor_say(d, DOCTOR_ERROR, "put it on a data partition",
			"`state_dir`: %s is kept in memory and gone at every boot", dir);
	if (ota_disk_free(path, &room, NULL) != OTA_OK || room < STATE_ROOM)
		doctor_say(d, DOCTOR_ERROR, "make room; 4 MiB are plenty",
			"`state_dir`: %s has %" PRIu64 " KiB free", dir, room / 1024);
	else
		doctor_say(d, DOCTOR_OK, "", "`state_dir`: %s is writable", dir);
	doctor_look_at_ext4(d, "state_dir", path);
}

/* One warning is enough. */
static bool is_beside_state(const struct doctor *d, const char *path)
{
	char state[AGENT_PATH_CAP];
	struct stat a, b;

	nearest(d->config->state_dir, state);
	return stat(path, &a) == 0 && stat(state, &b) == 0 && a.st_dev == b.st_dev;
}

void doctor_look_at_spool(struct doctor *d)
{
	const char *dir = d->config->spool_dir;
	char path[AGENT_PATH_CAP];
	uint64_t room = 0;

	if (!look_at_dir(d, "spool.dir", dir))
		return;
	nearest(dir, path);
	if (is_in_memory(path))
		doctor_say(d, DOCTOR_WARNING, "put it on a data partition",
			"`spool.dir`: %s is kept in memory: a boot loses what was "
			"fetched",
			dir);
	if (ota_disk_free(path, &room, NULL) != OTA_OK ||
		room < d->config->spool_max_bytes)
		doctor_say(d, DOCTOR_WARNING,
			"make room, or lower `spool.max` to what you mean to hold",
			"`spool.dir`: %s has %" PRIu64
			" MiB free, less than `spool.max`, "
			"%" PRIu64,
			dir, room >> 20, d->config->spool_max_bytes >> 20);
	else
		doctor_say(d, DOCTOR_OK, "", "`spool.dir`: %s has room", dir);
	if (!is_beside_state(d, path))
		doctor_look_at_ext4(d, "spool.dir", path);
}

/* ---- hooks ---- */

static bool is_ours(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & 022) == 0;
}

/* One executable that would be run. */
static void look_at_hook(struct doctor *d, const char *dir, const char *name)
{
	char path[AGENT_PATH_CAP];
	struct stat st;

	if (ota_path_join(dir, name, path, sizeof path, NULL) != OTA_OK ||
		stat(path, &st) != 0)
		return;
	if (!is_ours(&st))
		doctor_say(d, DOCTOR_ERROR, "chown root, chmod 755",
			"%s can be written by others than root", path);
	else if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		doctor_say(d, DOCTOR_ERROR, "chmod 755, or remove it",
			"%s cannot be run: it would refuse every update", path);
	else
		doctor_say(d, DOCTOR_OK, "", "hook %s", path);
}

/* Letters, digits, '-' and '_', as install_hooks.h has it. */
static bool is_hook_name(const char *name)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_";

	return name[strspn(name, chars)] == '\0';
}

static void look_at_phase_dir(struct doctor *d, const char *phase)
{
	char name[64], path[AGENT_PATH_CAP];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	(void)snprintf(name, sizeof name, "%s.d", phase);
	if (ota_path_join(d->config->hooks_dir, name, path, sizeof path, NULL) !=
			OTA_OK ||
		stat(path, &st) != 0)
		return;
	if (!is_ours(&st))
		doctor_say(d, DOCTOR_ERROR, "chown root, chmod 755",
			"%s can be written by others than root", path);
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (is_hook_name(entry->d_name))
			look_at_hook(d, path, entry->d_name);
	(void)closedir(dir);
}

void doctor_look_at_hooks(struct doctor *d)
{
	const char *dir = d->config->hooks_dir;
	struct stat st;

	if (dir[0] == '\0') {
		doctor_say(d, DOCTOR_WARNING,
			"write a hook `health` that says whether the device does its "
			"work, "
			"and name its directory with `hooks`",
			"there are no hooks: an image that boots and reaches the broker "
			"is "
			"taken for a good one");
		return;
	}
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		doctor_say(d, DOCTOR_ERROR, "make it, or correct `hooks`",
			"%s is no directory", dir);
		return;
	}
	if (!is_ours(&st))
		doctor_say(d, DOCTOR_ERROR, "chown root, chmod 755",
			"%s can be written by others than root", dir);
	for (size_t i = 0; i < sizeof hook_names / sizeof hook_names[0]; i++) {
		look_at_hook(d, dir, hook_names[i]);
		look_at_phase_dir(d, hook_names[i]);
	}
}

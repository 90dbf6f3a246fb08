#include "agent/port/install_hooks.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/port/config.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { ENTRY_CAP = 65, LABEL_CAP = 140 }; /* bytes with the NUL */

static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789-_";

struct install_hooks {
	uv_loop_t *loop; /* borrowed */
	install_hook_done *done;
	void *ctx; /* borrowed */
	char dir[AGENT_PATH_CAP], name[OTA_NAME_CAP], device[OTA_NAME_CAP],
		version[OTA_NAME_CAP], image[AGENT_PATH_CAP];
	uint32_t deadline_s;
	bool single; /* <dir>/PHASE is there and has not run yet */
	char entries[INSTALL_HOOKS_MAX][ENTRY_CAP];
	size_t count, next;
	bool killed;
	struct install_hook *running; /* releases itself; one of them always runs */
};

static bool is_hook_name(const char *name)
{
	size_t len = strlen(name);

	return len < ENTRY_CAP && strspn(name, LETTERS) == len;
}

static OTA_CHECKED enum ota_code add_entry(
	struct install_hooks *h, const char *name, struct ota_error *err)
{
	if (!is_hook_name(name))
		return OTA_OK;
	if (h->count == INSTALL_HOOKS_MAX)
		return ota_fail(err, OTA_E_HOOK, "hook %s: more than %d executables",
			h->name, INSTALL_HOOKS_MAX);
	(void)snprintf(h->entries[h->count++], ENTRY_CAP, "%s", name);
	return OTA_OK;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static OTA_CHECKED enum ota_code list(struct install_hooks *h, struct ota_error *err)
{
	char path[AGENT_PATH_CAP + OTA_NAME_CAP + 4];
	const struct dirent *entry;
	enum ota_code rc = OTA_OK;
	DIR *dir;

	(void)snprintf(path, sizeof path, "%s/%s", h->dir, h->name);
	h->single = access(path, F_OK) == 0 || errno != ENOENT;
	(void)snprintf(path, sizeof path, "%s/%s.d", h->dir, h->name);
	dir = opendir(path);
	if (dir == NULL && errno == ENOENT)
		return OTA_OK;
	if (dir == NULL)
		return ota_fail(err, OTA_E_HOOK, "hooks of %s cannot be read: %s", path,
			strerror(errno));
	errno = 0;
	while (rc == OTA_OK && (entry = readdir(dir)) != NULL)
		rc = add_entry(h, entry->d_name, err);
	if (rc == OTA_OK && errno != 0)
		rc = ota_fail(err, OTA_E_HOOK, "hooks of %s cannot be read: %s", path,
			strerror(errno));
	(void)closedir(dir);
	qsort(h->entries, h->count, ENTRY_CAP, compare);
	return rc;
}

static void answer(struct install_hooks *h, const struct ota_error *result)
{
	h->done(h->ctx, result);
	free(h);
}

static void on_done(void *ctx, const struct ota_error *result);

static OTA_CHECKED enum ota_code start(
	struct install_hooks *h, const char *entry, struct ota_error *err)
{
	char path[AGENT_PATH_CAP + OTA_NAME_CAP + ENTRY_CAP + 4], label[LABEL_CAP];
	struct install_hook_call call = { .dir = h->dir,
		.name = h->name,
		.device = h->device,
		.version = h->version,
		.image = h->image,
		.deadline_s = h->deadline_s };

	if (entry != NULL) {
		(void)snprintf(path, sizeof path, "%s/%s.d/%s", h->dir, h->name, entry);
		(void)snprintf(label, sizeof label, "hook %s.d/%s", h->name, entry);
		call.path = path;
		call.label = label;
	}
	return install_hook_start(h->loop, &call, on_done, h, &h->running, err);
}

/* The next that is still there. OTA_E_NOTFOUND: there is none any more. */
static OTA_CHECKED enum ota_code start_next(
	struct install_hooks *h, struct ota_error *err)
{
	enum ota_code rc = OTA_E_NOTFOUND;

	if (h->single) {
		h->single = false;
		rc = start(h, NULL, err);
	}
	while (rc == OTA_E_NOTFOUND && h->next < h->count)
		rc = start(h, h->entries[h->next++], err);
	return rc;
}

static void on_done(void *ctx, const struct ota_error *result)
{
	struct install_hooks *h = ctx;
	struct ota_error last = *result;
	enum ota_code rc;

	if (last.code != OTA_OK || h->killed) {
		answer(h, &last);
		return;
	}
	rc = start_next(h, &last);
	if (rc == OTA_OK)
		return;
	if (rc == OTA_E_NOTFOUND)
		last = (struct ota_error){ 0 };
	answer(h, &last);
}

void install_hooks_kill(struct install_hooks *hooks)
{
	hooks->killed = true;
	install_hook_kill(hooks->running);
}

enum ota_code install_hooks_start(uv_loop_t *loop, const struct install_hook_call *call,
	install_hook_done *done, void *ctx, struct install_hooks **out,
	struct ota_error *err)
{
	ota_autofree struct install_hooks *h = NULL;
	enum ota_code rc;

	if (call->dir[0] == '\0')
		return ota_fail(err, OTA_E_NOTFOUND, "there are no hooks");
	h = calloc(1, sizeof *h);
	if (h == NULL)
		return ota_fail(err, OTA_E_NOMEM, "hook %s", call->name);
	h->loop = loop;
	h->done = done;
	h->ctx = ctx;
	h->deadline_s = call->deadline_s;
	(void)snprintf(h->dir, sizeof h->dir, "%s", call->dir);
	(void)snprintf(h->name, sizeof h->name, "%s", call->name);
	(void)snprintf(h->device, sizeof h->device, "%s", call->device);
	(void)snprintf(h->version, sizeof h->version, "%s", call->version);
	(void)snprintf(h->image, sizeof h->image, "%s", call->image);
	rc = list(h, err);
	if (rc == OTA_OK)
		rc = start_next(h, err);
	if (rc == OTA_OK)
		*out = ota_take(&h);
	return rc;
}

#ifndef AGENT_PORT_INSTALL_HOOK_H
#define AGENT_PORT_INSTALL_HOOK_H

/* Hooks: executables of one directory that say go (exit 0), no (any other) or later (21).
 * They get an empty standard input, our standard error for both outputs (but see
 * tells_why), and:
 *
 *   SLUICE_HOOK     name of the hook
 *   SLUICE_DEVICE   name of the device
 *   SLUICE_VERSION  version of the image this is about, may be empty
 *   SLUICE_IMAGE    path of an image: the running one (before-install, health), or the
 *                   one about to be booted (before-reboot)
 *   PATH            as ours */

#include <uv.h>

#include "proto/base/bytes.h"
#include "proto/base/names.h"

enum { INSTALL_HOOK_LATER = 21 }; /* exit status */

/** What to run; everything is borrowed for the call. */
struct install_hook_call {
	const char *dir; /* of the hooks; "": there are none */
	const char *name, *device, *version, *image;
	const char *path;  /* of the executable; NULL: <dir>/<name> */
	const char *label; /* what texts call it; NULL: "hook <name>" */
	bool tells_why;    /* the first line of its standard output goes into the text */
	uint32_t deadline_s;
};

/** How it ended: OTA_OK, OTA_E_HOOK, OTA_E_BUSY (later) or OTA_E_TIMEOUT, with text. */
typedef void install_hook_done(void *ctx, const struct ota_error *result);

/** One run of a hook. Releases itself after done was called. */
struct install_hook;

/**
 * Run a hook.
 *
 * done  called once, from the loop, never from within this call; out is void after it
 *
 * Returns OTA_OK; OTA_E_NOTFOUND if there is no such hook, OTA_E_HOOK if it cannot be
 * run, or OTA_E_NOMEM; then done is not called.
 */
OTA_CHECKED enum ota_code install_hook_start(uv_loop_t *loop,
	const struct install_hook_call *call, install_hook_done *done, void *ctx,
	struct install_hook **out, struct ota_error *err);

/** Kill it with all its children; done still answers. */
void install_hook_kill(struct install_hook *hook);

#endif

#ifndef AGENT_PORT_INSTALL_HOOKS_H
#define AGENT_PORT_INSTALL_HOOKS_H

/* All hooks of one phase, one after the other: <dir>/PHASE if it is there, then the
 * executables of <dir>/PHASE.d in the order of their names ("10-power", "20-app"). The
 * first that does not exit 0 decides for the phase; each has the whole deadline.
 *
 * As run-parts(8) has it, names are made of letters, digits, '-' and '_': what an editor
 * or a package manager leaves behind ("app~", "app.dpkg-old", ".hidden") is passed over.
 * What has such a name and cannot be run is a veto. */

#include "agent/port/install_hook.h"

enum { INSTALL_HOOKS_MAX = 64 }; /* of a phase */

/** One run of a phase. Releases itself after done was called. */
struct install_hooks;

/** As install_hook_start(), for all hooks of the phase call->name; path, label and
 *  tells_why are not looked at. OTA_E_HOOK also for a directory that cannot be read. */
OTA_CHECKED enum ota_code install_hooks_start(uv_loop_t *loop,
	const struct install_hook_call *call, install_hook_done *done, void *ctx,
	struct install_hooks **out, struct ota_error *err);

/** Kill what runs; nothing more is begun, done still answers. */
void install_hooks_kill(struct install_hooks *hooks);

#endif

#ifndef TESTS_INTEGRATION_AGENT_INSTALL_H
#define TESTS_INTEGRATION_AGENT_INSTALL_H

/* The real `sluice-agent install` as a child of the test, which plays `net` at the other
 * end of the socketpair and the supervisor, with real images, a real patch, hooks that
 * are scripts, and documents signed by the people of tests/sim/world.h. */

#include <sys/types.h>

#include "agent/port/spool.h"
#include "tests/sim/world.h"

struct agent_install {
	char dir[64];        /* holds everything; removed at the end */
	const char *program; /* the agent, unless it is another one */
	char env[256];       /* "NAME=VALUE" for the next start alone; "": none */
	unsigned may_fail;   /* how often it may end by itself, with exit status 1 */
	struct world people;
	struct ota_buf from, to; /* owned; the images */
	struct ota_buf patch;    /* owned */
	struct ota_digest chunks[16];
	struct ota_digest digest; /* of the manifest */
	pid_t pid;                /* 0: not running */
	int fd;
	unsigned boot;
	int exit_status; /* of the last one that ended */

	struct ota_report report;          /* the last one */
	bool kill_in[OTA_N_UPDATE_STATES]; /* kill -9 once, when it is first reported */
	bool damage; /* at the next FETCH one byte of the spool is wrong */
	unsigned kills, boots, restarts, fetches;
};

/** Make two images, their patch, a configuration and signed documents. Nothing runs. */
void agent_install_init(struct agent_install *install);

/** Make another image, shorter by `less` bytes than the first, its patch and newer
 *  documents, and say so if the process runs. */
void agent_install_renew(struct agent_install *install, size_t less);

/** Write an executable hook: the body of a shell script. */
void agent_install_hook(
	struct agent_install *install, const char *name, const char *body);

/** Start the process, and start it again whenever it ends, as the supervisor does; answer
 *  it as net does; until it reports `state`. False after 30 s. */
bool agent_install_run(struct agent_install *install, enum ota_update_state state);

/** As agent_install_run(), until it reports CONFIRMED: true; or FAILED, or that it waits
 *  for memory, which it does for a minute: false. When it is quiet, net says its
 *  documents again, as it does after a new link. A deadline that passes fails the test.
 */
bool agent_install_run_to_end(struct agent_install *install);

/** True if applications read these bytes. */
bool agent_install_runs(const struct agent_install *install, const struct ota_buf *image);

/** End it if it runs, and remove the folder. */
void agent_install_fini(struct agent_install *install);

#endif

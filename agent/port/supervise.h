#ifndef AGENT_PORT_SUPERVISE_H
#define AGENT_PORT_SUPERVISE_H

/* The process that starts `install` and `net` and holds nothing itself. When net ends it
 * is started again, and install goes on without it meanwhile: an image whose net cannot
 * start has to be taken back. When install ends net is ended too, and both are started
 * again. Either waits 0.2 s first, doubling to 10 s, from 0.2 s again once it lived 60 s.
 * When install ends with INSTALL_EXIT_REBOOT both start at once, as after a boot. */

#include "agent/port/config.h"

/**
 * Run until SIGTERM or SIGINT, which both children are then given; one that has not ended
 * 10 s later is killed.
 *
 * path    of the configuration, given to the children; borrowed
 * config  what it says; borrowed
 *
 * Returns the exit code: 0 when told to end, 1 after a failure that was logged.
 *
 * The children are this program again (/proc/self/exe), with a socket as descriptor 3: at
 * that of install nets come in, that of net is connected to it; install is told the boot
 * with --boot. The text names the kernel's boot, and unless `reboot` is a command, this
 * start too: with `reboot: self` a restart of the supervisor stands for a boot.
 */
int supervise_run(const char *path, const struct agent_config *config);

#endif

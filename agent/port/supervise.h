#ifndef AGENT_PORT_SUPERVISE_H
#define AGENT_PORT_SUPERVISE_H

/* The process that starts `install` and `net` and holds nothing itself. The two live and
 * die together: when one ends the other is ended too, and both start again with a new
 * socketpair, after 0.2 s doubling to 10 s, from 0.2 s again once they lived 60 s. When
 * install ends with INSTALL_EXIT_REBOOT both start at once, as after a boot. */

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
 * The children are this program again (/proc/self/exe), with the socketpair as descriptor
 * 3; install is told the boot with --boot. The text names the kernel's boot, and unless
 * `reboot` is a command, this start too: with `reboot: self` a restart of the supervisor
 * stands for a boot.
 */
int supervise_run(const char *path, const struct agent_config *config);

#endif

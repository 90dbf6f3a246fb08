#ifndef AGENT_PORT_INSTALL_H
#define AGENT_PORT_INSTALL_H

#include "agent/port/config.h"

/** Exit codes of the install process, beside 0 (told to end) and 1 (failed). */
enum { INSTALL_EXIT_REBOOT = 4 };

/**
 * Be the install process until told to end. Opens no socket and gives up the right to.
 *
 * config  borrowed
 * fd      SOCK_SEQPACKET socket, taken: a listening one, at which nets come and go
 *         (install_link.h); or its end of a socketpair with the only net: when that
 * closes the other end it ends with 1 boot    names this boot: another text than at the
 * last start is a boot, the same is a restart within it
 *
 * Returns the exit code: 0 after SIGTERM or SIGINT, INSTALL_EXIT_REBOOT when the device
 * is to be "rebooted" by starting again (`reboot: self`), 1 after a failure that was
 * logged.
 */
int install_run(const struct agent_config *config, int fd, const char *boot);

#endif

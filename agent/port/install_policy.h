#ifndef AGENT_PORT_INSTALL_POLICY_H
#define AGENT_PORT_INSTALL_POLICY_H

/* The scripts of the policy. They run as hooks do: with the same environment and
 * deadline, without network. Exit 0 lets it go on, anything else holds it back for a
 * minute, and the first line that the script writes is the reason in the report. */

#include "agent/port/config.h"
#include "agent/port/install_hook.h"

/** True if a hook of a job is a script of the policy: "metered", "power" or "lock". */
bool install_policy_is(const char *hook);

/**
 * Say which executable a script of the policy is.
 *
 * call  path, label and tells_why are filled; borrowed from policy
 *
 * Returns OTA_OK; OTA_E_NOTFOUND if nothing is to be asked: go on; OTA_E_HOOK if the
 * answer is no without asking: the lock file is there, its first line is the reason.
 */
OTA_CHECKED enum ota_code install_policy_call(const struct agent_policy_config *policy,
	const char *hook, struct install_hook_call *call, struct ota_error *err);

#endif

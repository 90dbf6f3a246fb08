#include "agent/port/install_policy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { REASON_CAP = 101, LOCK_LEN_MAX = 4096 }; /* bytes */

bool install_policy_is(const char *hook)
{
	return strcmp(hook, "metered") == 0 || strcmp(hook, "power") == 0 ||
	       strcmp(hook, "lock") == 0;
}

/* A lock that is there holds, also if what it says cannot be read. */
static OTA_CHECKED enum ota_code check_lock_file(const char *path, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char reason[REASON_CAP] = "", *line;

	if (path[0] == '\0' || (access(path, F_OK) != 0 && errno == ENOENT))
		return OTA_OK;
	if (ota_file_read_plain(path, LOCK_LEN_MAX, &text, NULL) == OTA_OK &&
		ota_buf_add_u8(&text, 0) == OTA_OK) {
		line = (char *)text.at;
		line[strcspn(line, "\n")] = '\0';
		ota_escape(line, reason, sizeof reason);
	}
	return ota_fail(err, OTA_E_HOOK, "lock %s%s%s", path,
		reason[0] == '\0' ? "" : ": ", reason);
}

enum ota_code install_policy_call(const struct agent_policy_config *policy,
	const char *hook, struct install_hook_call *call, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (strcmp(hook, "metered") == 0) {
		call->path = policy->metered_command;
		call->label = "metered_command";
	} else if (strcmp(hook, "power") == 0) {
		call->path = policy->power_command;
		call->label = "power_command";
	} else {
		rc = check_lock_file(policy->lock_file, err);
		call->path = policy->lock_command;
		call->label = "reboot_lock_command";
	}
	call->tells_why = true;
	if (rc == OTA_OK && call->path[0] == '\0')
		return OTA_E_NOTFOUND;
	return rc;
}

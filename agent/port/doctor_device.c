#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "agent/port/command.h"
#include "agent/port/doctor_checks.h"
#include "agent/port/install_files.h"
#include "proto/base/own.h"
#include "proto/wire/trust.h"

enum { MEMINFO_MAX = 65536 };

static const uint64_t CLOCK_MIN_UTC_S = 1735689600;  /* 2025-01-01 */
static const uint64_t CLOCK_MAX_UTC_S = 4102444800U; /* 2100-01-01 */

void doctor_look_at_root(struct doctor *d)
{
	static const char advice[] =
		"put the signed root of the fleet there, as `sluice init` made it";
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	const char *path = d->config->root_file;
	struct ota_trust trust = { 0 };
	struct ota_error err = { 0 };
	enum ota_code rc = ota_file_read(path, OTA_ENVELOPE_LEN_MAX, &bytes, &err);

	if (rc == OTA_OK) {
		rc = ota_trust_anchor(&trust, ota_buf_bytes(&bytes), &err);
		if (rc != OTA_OK)
			rc = ota_wrap(&err, rc, "%s", path);
	}
	if (rc != OTA_OK)
		doctor_say(d, DOCTOR_ERROR, advice, "%s", err.text);
	else if (strcmp(trust.root.fleet, d->config->fleet) != 0)
		doctor_say(d, DOCTOR_ERROR,
			"correct `fleet`, or put the right root there",
			"%s is the root of fleet %s, not of %s", path, trust.root.fleet,
			d->config->fleet);
	else if (trust.root.expires_utc_s < d->world.utc_s)
		doctor_say(d, DOCTOR_WARNING,
			"put the newest root there; or let the broker hold the chain",
			"%s: root %" PRIu64 " has expired", path, trust.root.version);
	else
		doctor_say(d, DOCTOR_OK, "", "%s: root %" PRIu64 " of fleet %s", path,
			trust.root.version, trust.root.fleet);
}

void doctor_look_at_key(struct doctor *d)
{
	struct ota_secret_key key;
	struct ota_error err = { 0 };

	if (install_files_key(d->config->device_key_file, &key, &err) != OTA_OK) {
		doctor_say(d, DOCTOR_ERROR,
			"put the key there that `sluice device add` made; chmod 600, "
			"chown "
			"root",
			"%s", err.text);
		return;
	}
	ota_secret_key_fini(&key);
	doctor_say(
		d, DOCTOR_OK, "", "%s: for its owner alone", d->config->device_key_file);
}

void doctor_look_at_clock(struct doctor *d)
{
	if (d->world.utc_s < CLOCK_MIN_UTC_S || d->world.utc_s > CLOCK_MAX_UTC_S)
		doctor_say(d, DOCTOR_WARNING,
			"set the clock at boot: NTP, a battery, or a saved time",
			"the clock says %" PRIu64 " s since 1970, which cannot be",
			d->world.utc_s);
	else
		doctor_say(d, DOCTOR_OK, "", "the clock may be right");
}

void doctor_look_at_memory(struct doctor *d)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	uint64_t need = d->config->decoder_ram_bytes, available_kib = 0;
	const char *at = NULL;

	if (ota_file_read(d->world.meminfo, MEMINFO_MAX, &text, NULL) == OTA_OK &&
		ota_buf_text(&text) != NULL)
		at = strstr(ota_buf_text(&text), "MemAvailable:");
	if (at == NULL || sscanf(at, "MemAvailable: %" SCNu64, &available_kib) != 1)
		doctor_say(d, DOCTOR_WARNING, "mount /proc",
			"%s does not say how much memory is free", d->world.meminfo);
	else if (available_kib * 1024 < need)
		doctor_say(d, DOCTOR_ERROR,
			"lower `limits.decoder_ram`: larger patches are then refused, "
			"not "
			"failed",
			"%" PRIu64
			" KiB of memory are free, the decoder may take %" PRIu64,
			available_kib, need / 1024);
	else
		doctor_say(d, DOCTOR_OK, "",
			"%" PRIu64
			" KiB of memory are free, the decoder may take %" PRIu64,
			available_kib, need / 1024);
}

void doctor_look_at_watchdog(struct doctor *d)
{
	if (access(d->world.watchdog, F_OK) != 0)
		doctor_say(d, DOCTOR_WARNING,
			"load the driver of the watchdog (softdog if there is no other) "
			"and "
			"set RuntimeWatchdogSec= in systemd",
			"there is no %s", d->world.watchdog);
	else
		doctor_say(d, DOCTOR_OK, "", "%s is there", d->world.watchdog);
}

void doctor_look_at_user(struct doctor *d)
{
	const char *user = d->config->user;
	const struct passwd *entry = user[0] == '\0' ? NULL : getpwnam(user);

	if (user[0] == '\0')
		doctor_say(d, DOCTOR_WARNING,
			"name an unprivileged user with `user`, like sluice-net",
			"`user` is not set: the network process stays what it is started "
			"as");
	else if (entry == NULL)
		doctor_say(d, DOCTOR_ERROR,
			"useradd --system --no-create-home, or correct `user`",
			"there is no user %s", user);
	else if (entry->pw_uid == 0)
		doctor_say(d, DOCTOR_ERROR, "name an unprivileged user with `user`",
			"user %s is root", user);
	else
		doctor_say(d, DOCTOR_OK, "", "the network process becomes %s", user);
}

void doctor_look_at_reboot(struct doctor *d)
{
	const struct agent_config *c = d->config;
	struct ota_error err = { 0 };
	char path[AGENT_PATH_CAP];

	if (c->reboot_count == 0 && c->boot.type != AGENT_BOOT_NONE)
		doctor_say(d, DOCTOR_ERROR, "set `reboot: [systemctl, reboot]`",
			"`reboot` is self: the device never boots the other slot");
	else if (c->reboot_count == 0)
		doctor_say(d, DOCTOR_OK, "", "the agent starts itself again");
	else if (command_find(c->reboot[0], path, sizeof path, &err) != OTA_OK)
		doctor_say(d, DOCTOR_ERROR, "correct `reboot`", "%s", err.text);
	else
		doctor_say(d, DOCTOR_OK, "", "%s reboots the device", path);
}

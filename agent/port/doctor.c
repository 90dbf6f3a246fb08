#include "agent/port/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/port/doctor_checks.h"
#include "agent/port/mounts.h"
#include "proto/base/names.h"
#include "proto/io/loop.h"

enum { BROKER_MS = 10000 };

static const struct doctor_check checks[] = {
	{ "root", "it is what this device trusts first; without it no update is believed",
		doctor_look_at_root },
	{ "key", "it signs what this device reports; who else has it can lie in its name",
		doctor_look_at_key },
	{ "clock", "update windows follow it, and documents expire by it",
		doctor_look_at_clock },
	{ "memory",
		"a patch that needs more memory than there is ends in a failed update",
		doctor_look_at_memory },
	{ "watchdog", "an image that hangs before the agent runs is left by a reset only",
		doctor_look_at_watchdog },
	{ "user", "the process that talks to the network must not be root",
		doctor_look_at_user },
	{ "reboot", "an update is not tried before the device boots",
		doctor_look_at_reboot },
	{ "state", "the journal must outlive a power cut", doctor_look_at_state },
	{ "spool", "patches wait there; what came is not fetched again after a cut",
		doctor_look_at_spool },
	{ "hooks", "hooks run as root and can stop an update", doctor_look_at_hooks },
	{ "slots", "an update is written to the slot that does not run",
		doctor_look_at_slots },
	{ "boot", "the boot loader brings the device back when an image fails",
		doctor_look_at_boot },
	{ "broker", "orders and patches come from there", doctor_look_at_broker },
};

enum { N_CHECKS = sizeof checks / sizeof checks[0] };

#define DOCTOR_LEVEL_TEXT(name, text) text,
static const char *const level_texts[] = { DOCTOR_LEVELS(DOCTOR_LEVEL_TEXT) };
#undef DOCTOR_LEVEL_TEXT

struct doctor_world doctor_world_here(void)
{
	return (struct doctor_world){ .utc_s = ota_clock_utc_s(),
		.watchdog = "/dev/watchdog",
		.meminfo = "/proc/meminfo",
		.mounts = MOUNTS_TABLE,
		.cmdline = "/proc/cmdline",
		.efi_dir = "/sys/firmware/efi/efivars",
		.broker_ms = BROKER_MS };
}

void doctor_say(struct doctor *doctor, enum doctor_level level, const char *advice,
	const char *fmt, ...)
{
	struct doctor_finding *finding;
	char what[DOCTOR_TEXT_CAP];
	va_list args;

	if (doctor->count == DOCTOR_FINDINGS_MAX)
		return;
	finding = &doctor->findings[doctor->count++];
	*finding = (struct doctor_finding){
		.level = level, .check = doctor->check, .advice = advice
	};
	va_start(args, fmt);
	(void)vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	ota_escape(what, finding->what, sizeof finding->what);
}

void doctor_examine(const struct agent_config *config, const struct doctor_world *world,
	struct doctor *out)
{
	out->config = config;
	out->world = *world;
	out->count = 0;
	for (size_t i = 0; i < N_CHECKS; i++) {
		out->check = &checks[i];
		checks[i].look(out);
	}
}

size_t doctor_count(const struct doctor *doctor, enum doctor_level level)
{
	size_t count = 0;

	for (size_t i = 0; i < doctor->count; i++)
		count += doctor->findings[i].level == level;
	return count;
}

/* ---- output ---- */

static OTA_CHECKED enum ota_code print_finding(
	const struct doctor_finding *finding, struct ota_buf *out)
{
	static const char *const marks[N_DOCTOR_LEVELS] = { "OK", "WARNING", "ERROR" };
	enum ota_code rc = ota_buf_printf(out, "%-8s %-9s %s\n", marks[finding->level],
		finding->check->name, finding->what);

	if (rc == OTA_OK && finding->level != DOCTOR_OK)
		rc = ota_buf_printf(out,
			"                   why: %s\n"
			"                   do:  %s\n",
			finding->check->why, finding->advice);
	return rc;
}

enum ota_code doctor_print_text(const struct doctor *doctor, struct ota_buf *out)
{
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; rc == OTA_OK && i < doctor->count; i++)
		rc = print_finding(&doctor->findings[i], out);
	return rc == OTA_OK ? ota_buf_printf(out, "%zu errors, %zu warnings\n",
				      doctor_count(doctor, DOCTOR_ERROR),
				      doctor_count(doctor, DOCTOR_WARNING))
			    : rc;
}

/* A member of an object; texts are printable ASCII. */
static OTA_CHECKED enum ota_code print_member(
	struct ota_buf *out, const char *name, const char *text, const char *end)
{
	enum ota_code rc = ota_buf_printf(out, "\"%s\":\"", name);

	for (; rc == OTA_OK && *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			rc = ota_buf_add_u8(out, '\\');
		if (rc == OTA_OK)
			rc = ota_buf_add_u8(out, (uint8_t)*text);
	}
	return rc == OTA_OK ? ota_buf_printf(out, "\"%s", end) : rc;
}

static OTA_CHECKED enum ota_code print_object(
	const struct doctor_finding *finding, struct ota_buf *out)
{
	const char *const members[][2] = { { "check", finding->check->name },
		{ "level", level_texts[finding->level] }, { "what", finding->what },
		{ "why", finding->check->why }, { "do", finding->advice } };
	enum { LAST = sizeof members / sizeof members[0] - 1 };
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; rc == OTA_OK && i <= LAST; i++)
		rc = print_member(
			out, members[i][0], members[i][1], i == LAST ? "}" : ",");
	return rc;
}

enum ota_code doctor_print_json(const struct doctor *doctor, struct ota_buf *out)
{
	enum ota_code rc = ota_buf_printf(out, "{\"findings\":[");

	for (size_t i = 0; rc == OTA_OK && i < doctor->count; i++) {
		rc = ota_buf_printf(out, "%s{", i == 0 ? "" : ",");
		if (rc == OTA_OK)
			rc = print_object(&doctor->findings[i], out);
	}
	return rc == OTA_OK ? ota_buf_printf(out, "],\"errors\":%zu,\"warnings\":%zu}\n",
				      doctor_count(doctor, DOCTOR_ERROR),
				      doctor_count(doctor, DOCTOR_WARNING))
			    : rc;
}

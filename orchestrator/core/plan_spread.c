#include "orchestrator/core/plan_spread.h"

#include <stdio.h>

#include "orchestrator/core/registry.h"
#include "orchestrator/core/spread.h"
#include "orchestrator/core/stage.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

static const char *text_of(const char *text)
{
	return text != NULL ? text : "";
}

static size_t list_devices(
	const struct core *core, const struct rollout *rollout, struct spread_device *out)
{
	const struct rollout_limits *limits = &rollout->spec.limits;
	size_t count = 0;

	for (size_t i = 0; i < core->device_count; i++) {
		const struct device *device = core->devices[i];

		if (stage_concerns(rollout, device))
			out[count++] = (struct spread_device){
				.id = device->id,
				.cohort = device->cohort,
				.site = text_of(device_label(device, limits->site_label)),
				.group = text_of(
					device_label(device, limits->group_label)),
				.hardware = device->report.hardware,
			};
	}
	return count;
}

static void warn_of_stage(
	cJSON *warnings, const char *name, const struct spread_stage *stage)
{
	char text[CORE_TEXT_CAP];

	if (stage->whole_sites > 0) {
		(void)snprintf(text, sizeof text,
			"stage %.64s takes all devices of %u site%s (%.64s)", name,
			stage->whole_sites, stage->whole_sites == 1 ? "" : "s",
			stage->site);
		tree_push_text(warnings, text);
	}
	if (stage->whole_groups > 0) {
		(void)snprintf(text, sizeof text,
			"stage %.64s takes all devices of %u redundancy group%s (%.64s)",
			name, stage->whole_groups, stage->whole_groups == 1 ? "" : "s",
			stage->group);
		tree_push_text(warnings, text);
	}
}

static void warn_of_all(
	cJSON *warnings, const char *last, const struct spread_report *report)
{
	char text[CORE_TEXT_CAP];

	for (uint32_t i = 0; i < report->late_count && i < SPREAD_NAMES_MAX; i++) {
		(void)snprintf(text, sizeof text,
			"no device of hardware %.64s is in a stage before %.64s",
			report->late[i], last);
		tree_push_text(warnings, text);
	}
	if (report->stuck_groups == 0)
		return;
	(void)snprintf(text, sizeof text,
		"all devices of %u redundancy group%s share a bucket (%.64s): the "
		"rollout "
		"will wait there, unless a stage names one of them",
		report->stuck_groups, report->stuck_groups == 1 ? "" : "s",
		report->stuck);
	tree_push_text(warnings, text);
}

void plan_spread(const struct core *core, const struct rollout *rollout, cJSON *warnings)
{
	const struct rollout_spec *spec = &rollout->spec;
	const struct grant *grant = grant_find(core, &spec->release);
	ota_autofree struct spread_device *devices =
		core_alloc(core->device_count + 1, sizeof *devices);
	size_t count = list_devices(core, rollout, devices);
	struct spread_report report;
	uint8_t salt[OTA_SALT_LEN] = { 0 };

	if (grant == NULL)
		spread_salt(spec, devices, count, salt);
	spread_place(spec, grant != NULL ? grant->doc.salt : salt, devices, count);
	report = spread_look(devices, count, spec->stage_count);
	for (uint32_t s = 0; s < spec->stage_count; s++)
		warn_of_stage(warnings, spec->stages[s].name, &report.stages[s]);
	warn_of_all(warnings, spec->stages[spec->stage_count - 1].name, &report);
}

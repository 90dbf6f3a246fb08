#include "orchestrator/core/spread.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/tree.h"
#include "orchestrator/core/wave.h"
#include "proto/base/own.h"
#include "proto/wire/admit.h"
#include "proto/wire/digest.h"

/* What a fault of the spread costs when salts are compared: neighbours are at most 1000
 * for each stage. */
#define COST_STUCK UINT64_C(1000000000)
#define COST_LATE  UINT64_C(10000000)
#define COST_GROUP UINT64_C(1000000)
#define COST_SITE  UINT64_C(100000)

/* ---- devices of one site, group or hardware, one after another */

typedef const char *(*name_of)(const struct spread_device *device);

static const char *site_of(const struct spread_device *device)
{
	return device->site;
}

static const char *group_of(const struct spread_device *device)
{
	return device->group;
}

static const char *hardware_of(const struct spread_device *device)
{
	return device->hardware;
}

static int by_site(const void *a, const void *b)
{
	const struct spread_device *const *x = a, *const *y = b;

	return strcmp((*x)->site, (*y)->site);
}

static int by_group(const void *a, const void *b)
{
	const struct spread_device *const *x = a, *const *y = b;

	return strcmp((*x)->group, (*y)->group);
}

static int by_hardware(const void *a, const void *b)
{
	const struct spread_device *const *x = a, *const *y = b;

	return strcmp((*x)->hardware, (*y)->hardware);
}

/* Devices of one name. */
struct cluster {
	const char *name;
	const struct spread_device **at; /* borrowed */
	size_t count;
};

/* The next one of a sorted list; those without a name and stage are not in the list. */
static struct cluster next_cluster(
	const struct spread_device **list, size_t count, name_of name)
{
	struct cluster c = { .name = name(list[0]), .at = list };

	while (c.count < count && strcmp(name(list[c.count]), c.name) == 0)
		c.count++;
	return c;
}

static bool is_of_one_stage(const struct cluster *c)
{
	for (size_t i = 1; i < c->count; i++)
		if (c->at[i]->stage != c->at[0]->stage)
			return false;
	return true;
}

static bool is_of_one_bucket(const struct cluster *c)
{
	for (size_t i = 1; i < c->count; i++)
		if (c->at[i]->bucket != c->at[0]->bucket ||
			strcmp(c->at[i]->cohort, c->at[0]->cohort) != 0)
			return false;
	return true;
}

/* ---- looking */

struct look {
	const struct spread_device **list; /* owned */
	size_t count;
	uint32_t last; /* index of the last stage */
	uint64_t together[SPEC_STAGES_MAX], devices[SPEC_STAGES_MAX];
	struct spread_report report;
};

static void list_devices(struct look *look, const struct spread_device *devices,
	size_t count, name_of name)
{
	look->count = 0;
	for (size_t i = 0; i < count; i++)
		if (devices[i].stage != SPREAD_NO_STAGE && name(&devices[i])[0] != '\0')
			look->list[look->count++] = &devices[i];
}

static void see_site(struct look *look, const struct cluster *c)
{
	uint64_t here[SPEC_STAGES_MAX] = { 0 };

	for (size_t i = 0; i < c->count; i++)
		here[c->at[i]->stage]++;
	for (uint32_t s = 0; s < look->last; s++) {
		look->devices[s] += here[s];
		look->together[s] += here[s] * (here[s] - (here[s] > 0));
	}
	if (c->count < 2 || c->at[0]->stage == look->last || !is_of_one_stage(c))
		return;
	look->report.stages[c->at[0]->stage].whole_sites++;
	look->report.stages[c->at[0]->stage].site = c->name;
}

static void see_group(struct look *look, const struct cluster *c)
{
	if (c->count < 2)
		return;
	if (is_of_one_bucket(c)) {
		look->report.stuck_groups++;
		look->report.stuck = c->name;
	}
	if (c->at[0]->stage == look->last || !is_of_one_stage(c))
		return;
	look->report.stages[c->at[0]->stage].whole_groups++;
	look->report.stages[c->at[0]->stage].group = c->name;
}

static void see_hardware(struct look *look, const struct cluster *c)
{
	struct spread_report *report = &look->report;

	if (c->at[0]->stage != look->last || !is_of_one_stage(c))
		return;
	if (report->late_count < SPREAD_NAMES_MAX)
		report->late[report->late_count] = c->name;
	report->late_count++;
}

static void see_all(struct look *look, name_of name,
	void (*see)(struct look *, const struct cluster *))
{
	for (size_t i = 0; i < look->count;) {
		struct cluster c = next_cluster(look->list + i, look->count - i, name);

		see(look, &c);
		i += c.count;
	}
}

struct spread_report spread_look(
	const struct spread_device *devices, size_t count, uint32_t stage_count)
{
	struct look look = { .last = stage_count - 1 };

	look.list = core_alloc(count + 1, sizeof(*look.list));
	list_devices(&look, devices, count, site_of);
	qsort(look.list, look.count, sizeof(*look.list), by_site);
	see_all(&look, site_of, see_site);
	list_devices(&look, devices, count, group_of);
	qsort(look.list, look.count, sizeof(*look.list), by_group);
	see_all(&look, group_of, see_group);
	list_devices(&look, devices, count, hardware_of);
	qsort(look.list, look.count, sizeof(*look.list), by_hardware);
	if (look.last > 0)
		see_all(&look, hardware_of, see_hardware);
	for (uint32_t s = 0; s < look.last; s++)
		if (look.devices[s] > 1)
			look.report.neighbours +=
				look.together[s] * OTA_PERMILLE_ALL /
				(look.devices[s] * (look.devices[s] - 1));
	free(look.list);
	return look.report;
}

/* ---- salts */

static void fill_buckets(const struct spread_device *devices, size_t count,
	const char *cohort, struct wave_buckets *out)
{
	*out = (struct wave_buckets){ 0 };
	for (size_t i = 0; i < count; i++)
		if (strcmp(devices[i].cohort, cohort) == 0)
			out->count[devices[i].bucket]++;
}

static bool takes(const struct rollout_stage *stage, uint64_t permille,
	const struct spread_device *device)
{
	if (stage->kind == STAGE_DEVICES)
		return ota_is_canary(stage->devices, stage->device_count, device->id);
	return device->bucket < permille;
}

void spread_place(const struct rollout_spec *spec,
	const uint8_t salt[static OTA_SALT_LEN], struct spread_device *devices,
	size_t count)
{
	struct wave_buckets buckets;

	for (size_t i = 0; i < count; i++) {
		devices[i].bucket = ota_bucket(salt, devices[i].id);
		devices[i].stage = SPREAD_NO_STAGE;
	}
	for (uint32_t s = 0; s < spec->stage_count; s++) {
		const struct rollout_stage *stage = &spec->stages[s];
		uint64_t permille = stage->permille;

		if (stage->kind == STAGE_COUNT) {
			fill_buckets(devices, count, stage->cohort, &buckets);
			permille = wave_of_count(&buckets, stage->count).permille;
		}
		for (size_t i = 0; i < count; i++)
			if (devices[i].stage == SPREAD_NO_STAGE &&
				strcmp(devices[i].cohort, stage->cohort) == 0 &&
				takes(stage, permille, &devices[i]))
				devices[i].stage = s;
	}
}

static uint64_t cost_of(const struct spread_report *report)
{
	uint64_t cost = report->neighbours + report->stuck_groups * COST_STUCK +
			report->late_count * COST_LATE;

	for (uint32_t s = 0; s < SPEC_STAGES_MAX; s++)
		cost += report->stages[s].whole_groups * COST_GROUP +
			report->stages[s].whole_sites * COST_SITE;
	return cost;
}

static void salt_of(const struct ota_digest *release, uint8_t number,
	uint8_t salt[static OTA_SALT_LEN])
{
	struct ota_hasher hasher;
	struct ota_digest digest;

	ota_hasher_init(&hasher);
	ota_hasher_add(&hasher, ota_bytes_of("sluice salt"));
	ota_hasher_add(&hasher, (struct ota_bytes){ release->at, OTA_DIGEST_LEN });
	ota_hasher_add(&hasher, (struct ota_bytes){ &number, 1 });
	digest = ota_hasher_result(&hasher);
	memcpy(salt, digest.at, OTA_SALT_LEN);
}

void spread_salt(const struct rollout_spec *spec, struct spread_device *devices,
	size_t count, uint8_t salt[static OTA_SALT_LEN])
{
	uint64_t least = UINT64_MAX;
	size_t salts = SPREAD_WORK / (count + 1) + 1;

	for (unsigned n = 0; n < SPREAD_SALTS && n < salts && least > 0; n++) {
		struct spread_report report;
		uint8_t tried[OTA_SALT_LEN];

		salt_of(&spec->release, (uint8_t)n, tried);
		spread_place(spec, tried, devices, count);
		report = spread_look(devices, count, spec->stage_count);
		if (cost_of(&report) < least) {
			least = cost_of(&report);
			memcpy(salt, tried, OTA_SALT_LEN);
		}
	}
}

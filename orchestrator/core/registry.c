#include "orchestrator/core/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/survey.h"
#include "orchestrator/core/tree.h"
#include "proto/wire/admit.h"

/* Append a zeroed record to one of the core's arrays and yield it. */
#define ADD(core, list, count)                                                        \
	((core)->list = core_grow((core)->list, (core)->count, sizeof *(core)->list), \
		(core)->list[(core)->count++] = core_alloc(1, sizeof **(core)->list))

static void name_set(char to[OTA_NAME_CAP], const char *name)
{
	size_t len = strnlen(name, OTA_NAME_LEN_MAX);

	memcpy(to, name, len);
	to[len] = '\0';
}

/* ---- devices */

size_t device_index_after(const struct core *core, const char *after)
{
	size_t low = 0, high = core->device_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(core->devices[mid]->id, after) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct device *device_find(const struct core *core, const char *id)
{
	size_t i = device_index_after(core, id);

	if (i == 0 || strcmp(core->devices[i - 1]->id, id) != 0)
		return NULL;
	return core->devices[i - 1];
}

struct device *device_add(struct core *core, const char *id)
{
	size_t at = device_index_after(core, id);
	struct device *device = ADD(core, devices, device_count);

	memmove(&core->devices[at + 1], &core->devices[at],
		(core->device_count - 1 - at) * sizeof *core->devices);
	core->devices[at] = device;
	name_set(device->id, id);
	return device;
}

void device_set_labels(
	struct core *core, struct device *device, const struct labels *labels)
{
	core->relabelled++;
	free(device->labels);
	device->labels = NULL;
	if (labels->count > 0)
		device->labels = core_alloc(labels->count, sizeof *device->labels);
	for (uint32_t i = 0; i < labels->count; i++)
		memcpy(device->labels[i], labels->at[i], sizeof labels->at[i]);
	device->label_count = labels->count;
}

uint32_t device_bucket(struct device *device, const uint8_t salt[static OTA_SALT_LEN])
{
	if (!device->bucket_known || memcmp(device->salt, salt, OTA_SALT_LEN) != 0) {
		memcpy(device->salt, salt, OTA_SALT_LEN);
		device->bucket = ota_bucket(salt, device->id);
		device->bucket_known = true;
	}
	return device->bucket;
}

const char *device_label(const struct device *device, const char *key)
{
	size_t len = strlen(key);

	for (uint32_t i = 0; i < device->label_count; i++)
		if (strncmp(device->labels[i], key, len) == 0 &&
			device->labels[i][len] == '=')
			return device->labels[i] + len + 1;
	return NULL;
}

bool device_has_label(const struct device *device, const char *key, const char *value)
{
	size_t len = strlen(key);

	for (uint32_t i = 0; i < device->label_count; i++) {
		const char *label = device->labels[i];

		if (strncmp(label, key, len) == 0 && label[len] == '=' &&
			strcmp(label + len + 1, value) == 0)
			return true;
	}
	return false;
}

/* ---- attempts */

struct attempt *attempt_find(const struct device *device, const struct rollout *rollout)
{
	struct attempt *attempt = device->attempts;

	while (attempt != NULL && attempt->rollout != rollout)
		attempt = attempt->older;
	return attempt;
}

struct attempt *attempt_of(struct device *device, struct rollout *rollout)
{
	struct attempt *attempt = attempt_find(device, rollout);
	struct attempt **at = &device->attempts;

	if (attempt != NULL)
		return attempt;
	attempt = core_alloc(1, sizeof *attempt);
	attempt->rollout = rollout;
	while (*at != NULL && (*at)->rollout->number > rollout->number)
		at = &(*at)->older;
	attempt->older = *at;
	*at = attempt;
	return attempt;
}

/* ---- the rest */

struct rollout *rollout_find(const struct core *core, const char *name)
{
	for (size_t i = 0; i < core->rollout_count; i++)
		if (strcmp(core->rollouts[i]->spec.rollout, name) == 0)
			return core->rollouts[i];
	return NULL;
}

struct rollout *rollout_add(struct core *core, const struct rollout_spec *spec)
{
	struct rollout *rollout = ADD(core, rollouts, rollout_count);

	rollout->spec = *spec;
	rollout->number = core->rollout_count;
	rollout->survey = survey_new();
	return rollout;
}

struct release *release_find(const struct core *core, const struct ota_digest *digest)
{
	for (size_t i = 0; i < core->release_count; i++)
		if (ota_digest_equal(&core->releases[i]->digest, digest))
			return core->releases[i];
	return NULL;
}

struct release *release_add(struct core *core, const struct ota_digest *digest)
{
	struct release *release = ADD(core, releases, release_count);

	release->digest = *digest;
	return release;
}

struct grant *grant_find(const struct core *core, const struct ota_digest *release)
{
	for (size_t i = 0; i < core->grant_count; i++)
		if (ota_digest_equal(&core->grants[i]->doc.release, release))
			return core->grants[i];
	return NULL;
}

struct grant *grant_of(struct core *core, const struct ota_digest *release)
{
	struct grant *grant = grant_find(core, release);

	if (grant == NULL) {
		grant = ADD(core, grants, grant_count);
		grant->doc.release = *release;
	}
	return grant;
}

struct image *image_find(const struct core *core, const struct ota_digest *digest)
{
	for (size_t i = 0; i < core->image_count; i++)
		if (ota_digest_equal(&core->images[i]->digest, digest))
			return core->images[i];
	return NULL;
}

struct image *image_add(struct core *core, const struct core_image *image)
{
	struct image *added = ADD(core, images, image_count);

	added->digest = image->digest;
	added->len = image->len;
	(void)snprintf(added->advice, sizeof added->advice, "%s", image->advice);
	return added;
}

struct patch *patch_find(const struct core *core, const struct ota_digest *from,
	const struct ota_digest *to)
{
	for (size_t i = 0; i < core->patch_count; i++) {
		struct patch *patch = core->patches[i];

		if (ota_digest_equal(&patch->made.from, from) &&
			ota_digest_equal(&patch->made.to, to))
			return patch;
	}
	return NULL;
}

struct patch *patch_add(
	struct core *core, const struct ota_digest *from, const struct ota_digest *to)
{
	struct patch *patch = ADD(core, patches, patch_count);

	patch->made.from = *from;
	patch->made.to = *to;
	return patch;
}

struct cohort *cohort_find(const struct core *core, const char *name)
{
	for (size_t i = 0; i < core->cohort_count; i++)
		if (strcmp(core->cohorts[i]->name, name) == 0)
			return core->cohorts[i];
	return NULL;
}

struct cohort *cohort_of(struct core *core, const char *name)
{
	struct cohort *cohort = cohort_find(core, name);

	if (cohort == NULL) {
		cohort = ADD(core, cohorts, cohort_count);
		name_set(cohort->name, name);
	}
	return cohort;
}

struct stored *stored_find(
	const struct core *core, enum ota_doc_type type, const char *key)
{
	for (size_t i = 0; i < core->document_count; i++) {
		struct stored *stored = core->documents[i];

		if (stored->type == type && strcmp(stored->key, key) == 0)
			return stored;
	}
	return NULL;
}

struct stored *stored_set(struct core *core, enum ota_doc_type type, const char *key,
	struct ota_bytes envelope)
{
	struct stored *stored = stored_find(core, type, key);

	if (stored == NULL) {
		stored = ADD(core, documents, document_count);
		stored->type = type;
		name_set(stored->key, key);
	}
	stored->envelope.len = 0;
	if (ota_buf_add(&stored->envelope, envelope) != OTA_OK)
		core_out_of_memory();
	return stored;
}

static void stored_remove(struct core *core, enum ota_doc_type type, const char *key)
{
	struct stored *stored = stored_find(core, type, key);
	size_t at = 0;

	if (stored == NULL)
		return;
	while (core->documents[at] != stored)
		at++;
	core->documents[at] = core->documents[--core->document_count];
	ota_buf_fini(&stored->envelope);
	free(stored);
}

void grant_remove(struct core *core, const struct ota_digest *release)
{
	struct grant *grant = grant_find(core, release);
	char key[OTA_DIGEST_HEX_CAP];
	size_t at = 0;

	ota_digest_hex(release, key);
	stored_remove(core, OTA_DOC_GRANT, key);
	if (grant == NULL)
		return;
	while (core->grants[at] != grant)
		at++;
	core->grants[at] = core->grants[--core->grant_count];
	free(grant);
}

/* ---- the end */

static void device_free(struct device *device)
{
	while (device->attempts != NULL) {
		struct attempt *older = device->attempts->older;

		free(device->attempts);
		device->attempts = older;
	}
	free(device->labels);
	free(device);
}

static void free_all(void *list, size_t count)
{
	void **records = list;

	for (size_t i = 0; i < count; i++)
		free(records[i]);
	free(list);
}

static void free_rows(struct core *core)
{
	for (size_t i = 0; i < core->row_count; i++) {
		free(core->rows[i].key);
		cJSON_Delete(core->rows[i].tree);
	}
	free(core->rows);
}

void registry_fini(struct core *core)
{
	free_rows(core);
	for (size_t i = 0; i < core->device_count; i++)
		device_free(core->devices[i]);
	free(core->devices);
	for (size_t i = 0; i < core->document_count; i++)
		ota_buf_fini(&core->documents[i]->envelope);
	for (size_t i = 0; i < core->approval_count; i++)
		ota_buf_fini(&core->approvals[i]->envelope);
	for (size_t i = 0; i < core->cohort_count; i++)
		ota_buf_fini(&core->cohorts[i]->envelope);
	for (size_t i = 0; i < core->claim_count; i++)
		ota_buf_fini(&core->claims[i]->report);
	for (size_t i = 0; i < core->rollout_count; i++)
		survey_free(core->rollouts[i]->survey);
	free_all(core->approvals, core->approval_count);
	free_all(core->claims, core->claim_count);
	free_all(core->tokens, core->token_count);
	free_all(core->documents, core->document_count);
	free_all(core->cohorts, core->cohort_count);
	free_all(core->releases, core->release_count);
	free_all(core->grants, core->grant_count);
	free_all(core->images, core->image_count);
	free_all(core->patches, core->patch_count);
	free_all(core->rollouts, core->rollout_count);
	fleet_spec_fini(&core->spec);
	free(core->catalog);
	free(core->fresh);
	free(core->changes);
}

/* The world of a twin's core: a store that keeps nothing, people with keys, patches that
 * are made at once. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/sim/twin_inside.h"
#include "proto/base/own.h"
#include "proto/wire/topics.h"

enum { DOCUMENT_LIFE_S = 10 * TWIN_LIFE_S, IMAGE_LEN = 4000000, PATCH_LEN = 90000 };

/* ---- the port */

static void nothing(void *ctx)
{
	(void)ctx;
}

static void drop(void *ctx, enum core_table table, const char *key)
{
	(void)ctx;
	(void)table;
	(void)key;
}

static const char *text_of(const cJSON *tree, const char *key)
{
	const char *text =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, key));

	return text != NULL ? text : "";
}

static uint32_t stage_of(const struct twin *twin, const char *name)
{
	uint32_t i = 0;

	while (i + 1 < twin->c->spec->stage_count &&
		strcmp(twin->c->spec->stages[i].name, name) != 0)
		i++;
	return i;
}

static bool is_end(enum rollout_state state)
{
	return state == ROLLOUT_COMPLETED || state == ROLLOUT_HALTED ||
	       state == ROLLOUT_REVERTING || state == ROLLOUT_ABORTED;
}

/* The audit log tells every move of the rollout. */
static void audit(void *ctx, const char *who, const char *action, struct ota_bytes detail)
{
	struct twin *twin = ctx;
	struct twin_outcome *out = &twin->outcome;
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;

	(void)who;
	if (twin->ended || strncmp(action, "rollout.", 8) != 0 ||
		ota_json_parse(detail, false, &tree, NULL) != OTA_OK)
		return;
	(void)rollout_state_of(text_of(tree, "state"), &out->state);
	out->stage = stage_of(twin, text_of(tree, "stage"));
	out->reason = OTA_OK;
	for (uint32_t code = 1; out->reason == OTA_OK && code < UINT8_MAX; code++)
		if (strcmp(ota_code_name(ota_code_of_number(code)),
			    text_of(tree, "reason")) == 0)
			out->reason = code;
	(void)snprintf(out->text, sizeof out->text, "%s", text_of(tree, "text"));
	out->elapsed_s = twin->now.utc_s - twin->began_s;
	twin->ended = is_end(out->state);
}

static struct twin_group *group_of(struct twin *twin, const char *cohort)
{
	for (uint32_t i = 0; i < twin->c->cohort_count; i++)
		if (strcmp(twin->groups[i].name, cohort) == 0)
			return &twin->groups[i];
	return NULL;
}

static void retain(void *ctx, const char *topic, struct ota_bytes payload)
{
	struct twin *twin = ctx;
	struct twin_group *group;
	struct ota_topic at;
	struct ota_envelope e;

	if (strstr(topic, "/cohort/") == NULL ||
		ota_topic_parse(TWIN_FLEET, topic, &at, NULL) != OTA_OK ||
		(group = group_of(twin, at.name)) == NULL)
		return;
	group->ordered = payload.len > 0 &&
			 ota_envelope_parse(payload, &e, NULL) == OTA_OK &&
			 ota_order_parse(e.payload, &group->order, NULL) == OTA_OK;
	group->changed = true;
}

static void patch_on_broker(void *ctx, const struct ota_digest *patch)
{
	(void)ctx;
	(void)patch;
}

static void make_patch(
	void *ctx, const struct ota_digest *from, const struct ota_digest *to)
{
	struct twin *twin = ctx;

	if (twin->asked_count < sizeof twin->asked / sizeof twin->asked[0])
		twin->asked[twin->asked_count++] =
			(struct core_patch){ .from = *from, .to = *to };
}

static enum ota_code seal(enum ota_doc_type type, struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bare = { 0 };
	const uint8_t *id = (const uint8_t *)TWIN_FLEET_ID;
	enum ota_code rc = ota_envelope_seal(type, id, payload, &bare, NULL);

	if (rc == OTA_OK)
		rc = ota_envelope_sign(ota_buf_bytes(&bare), key, out, NULL);
	return rc;
}

/* Once the core has seen that its key is good, nobody looks at a signature any more. */
static void sign(
	void *ctx, enum ota_doc_type type, struct ota_bytes payload, struct ota_buf *out)
{
	struct twin *twin = ctx;
	const uint8_t *id = (const uint8_t *)TWIN_FLEET_ID;
	enum ota_code rc =
		twin->started ? ota_envelope_seal(type, id, payload, out, NULL)
			      : seal(type, payload, &twin->keys[OTA_ROLE_ONLINE], out);

	if (rc != OTA_OK)
		__builtin_trap(); /* no memory */
}

static void fill_random(void *ctx, uint8_t *out, size_t len)
{
	struct twin *twin = ctx;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)dice_throw(&twin->dice);
}

/* ---- people */

static void make_keys(struct twin *twin)
{
	uint8_t seed[32];

	for (int role = 0; role < OTA_N_ROLES; role++) {
		memset(seed, role + 1, sizeof seed);
		twin->keys[role] = ota_secret_key_from_seed(seed);
	}
}

static enum ota_code make_root(struct twin *twin, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_root root = { .version = 1,
		.fleet = TWIN_FLEET,
		.issued_utc_s = TWIN_UTC_S,
		.expires_utc_s = TWIN_UTC_S + (uint64_t)DOCUMENT_LIFE_S };
	enum ota_code rc;

	memcpy(root.fleet_id, TWIN_FLEET_ID, sizeof root.fleet_id);
	for (int role = 0; role < OTA_N_ROLES; role++) {
		struct ota_keyset *set = &root.roles[role].set;

		root.roles[role].epoch = 1;
		set->keys[set->count++] = ota_secret_key_public(&twin->keys[role]);
		set->threshold = 1;
	}
	rc = ota_root_encode(&root, &payload, err);
	if (rc == OTA_OK)
		rc = seal(OTA_DOC_ROOT, ota_buf_bytes(&payload),
			&twin->keys[OTA_ROLE_ROOT], &twin->root);
	return rc;
}

static enum ota_code hand_in(struct twin *twin, enum ota_doc_type type,
	const struct ota_buf *payload, struct ota_digest *digest, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct core_accepted accepted = { 0 };
	enum ota_code rc = seal(
		type, ota_buf_bytes(payload), &twin->keys[ota_doc_role(type)], &envelope);

	if (rc == OTA_OK)
		rc = core_document(twin->core, twin->now, "twin",
			ota_buf_bytes(&envelope), &accepted, err);
	*digest = accepted.digest;
	return rc;
}

static enum ota_code make_release(struct twin *twin, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_release release = { .product = TWIN_PRODUCT,
		.version = "2.0",
		.counter = 2,
		.hardware = { TWIN_HARDWARE },
		.hardware_count = 1,
		.image = twin->image,
		.image_len = IMAGE_LEN };
	enum ota_code rc = ota_release_encode(&release, &payload, err);

	if (rc == OTA_OK)
		rc = hand_in(twin, OTA_DOC_RELEASE, &payload, &twin->release, err);
	return rc;
}

static enum ota_code make_catalog(struct twin *twin, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	ota_autofree struct ota_catalog *catalog = calloc(1, sizeof *catalog);
	struct ota_digest digest;
	enum ota_code rc;

	if (catalog == NULL)
		return ota_fail(err, OTA_E_NOMEM, "catalog");
	catalog->seq = 1;
	catalog->issued_utc_s = TWIN_UTC_S;
	catalog->expires_utc_s = TWIN_UTC_S + (uint64_t)DOCUMENT_LIFE_S;
	catalog->releases[catalog->release_count++] = twin->release;
	rc = ota_catalog_encode(catalog, &payload, err);
	if (rc == OTA_OK)
		rc = hand_in(twin, OTA_DOC_CATALOG, &payload, &digest, err);
	return rc;
}

enum ota_code twin_world_init(struct twin *twin, struct ota_error *err)
{
	const struct core_port port = { twin, nothing, nothing, NULL, drop, audit, retain,
		patch_on_broker, patch_on_broker, make_patch, sign, fill_random };
	enum ota_code rc;

	twin->now = (struct core_now){ .mono_ms = 1000, .utc_s = TWIN_UTC_S };
	twin->old = ota_digest_of(ota_bytes_of("1.0"));
	twin->image = ota_digest_of(ota_bytes_of("2.0"));
	make_keys(twin);
	rc = make_root(twin, err);
	twin->core = core_new(&port, TWIN_FLEET);
	if (rc == OTA_OK && twin->core == NULL)
		rc = ota_fail(err, OTA_E_NOMEM, "core");
	if (rc == OTA_OK)
		rc = core_start(twin->core, twin->now, ota_buf_bytes(&twin->root), err);
	twin->started = true;
	if (rc == OTA_OK)
		rc = make_release(twin, err);
	if (rc == OTA_OK)
		rc = make_catalog(twin, err);
	if (rc == OTA_OK) {
		core_image(twin->core, twin->now, "twin",
			&(struct core_image){ twin->old, IMAGE_LEN, "" });
		core_image(twin->core, twin->now, "twin",
			&(struct core_image){ twin->image, IMAGE_LEN, "" });
	}
	return rc;
}

enum ota_code twin_world_fleet(struct twin *twin, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	ota_autofree struct fleet_cohort *cohorts =
		calloc(twin->c->cohort_count, sizeof *cohorts);
	struct fleet_spec fleet = { .fleet = TWIN_FLEET,
		.cohorts = cohorts,
		.cohort_count = twin->c->cohort_count };

	for (uint32_t i = 0; cohorts != NULL && i < fleet.cohort_count; i++) {
		struct fleet_cohort *cohort = &cohorts[i];
		struct fleet_term *term = &cohort->labels[cohort->label_count++];

		memcpy(cohort->name, twin->c->cohorts[i].name, sizeof cohort->name);
		(void)snprintf(term->key, sizeof term->key, "twin");
		memcpy(term->values[term->value_count++], cohort->name,
			sizeof cohort->name);
	}
	if (cohorts != NULL)
		tree = fleet_spec_to_json(&fleet);
	if (tree == NULL)
		return ota_fail(err, OTA_E_NOMEM, "fleet");
	return core_set_fleet(twin->core, twin->now, "twin", tree, err);
}

/* ---- the rollout */

static void name_canaries(const struct rollout_spec *spec, struct ota_grant *grant)
{
	for (uint32_t s = 0; s < spec->stage_count; s++)
		for (uint32_t d = 0; d < spec->stages[s].device_count; d++)
			if (grant->canary_count < OTA_CANARIES_MAX)
				memcpy(grant->canaries[grant->canary_count++],
					spec->stages[s].devices[d], OTA_NAME_CAP);
}

static enum ota_code make_grant(
	struct twin *twin, const uint8_t salt[static OTA_SALT_LEN], struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_digest digest;
	struct ota_grant grant = { .seq = 2,
		.release = twin->release,
		.max_permille = OTA_PERMILLE_ALL,
		.not_before_utc_s = twin->now.utc_s,
		.issued_utc_s = twin->now.utc_s,
		.expires_utc_s = twin->now.utc_s + (uint64_t)DOCUMENT_LIFE_S / 2 };
	enum ota_code rc;

	memcpy(grant.salt, salt, sizeof grant.salt);
	name_canaries(twin->c->spec, &grant);
	rc = ota_grant_encode(&grant, &payload, err);
	if (rc == OTA_OK)
		rc = hand_in(twin, OTA_DOC_GRANT, &payload, &digest, err);
	return rc;
}

enum ota_code twin_world_apply(
	struct twin *twin, const uint8_t salt[static OTA_SALT_LEN], struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	enum ota_code rc = make_grant(twin, salt, err);

	if (rc != OTA_OK)
		return rc;
	if (spec != NULL) {
		*spec = *twin->c->spec;
		spec->release = twin->release;
		tree = rollout_spec_to_json(spec);
	}
	if (tree == NULL)
		return ota_fail(err, OTA_E_NOMEM, "rollout");
	twin->began_s = twin->now.utc_s;
	rc = core_apply(twin->core, twin->now, "twin", tree, err);
	twin_world_settle(twin);
	return rc;
}

void twin_world_settle(struct twin *twin)
{
	while (twin->asked_count > 0) {
		struct core_patch patch = twin->asked[--twin->asked_count];
		struct ota_bytes name = { (const uint8_t *)&patch,
			2 * sizeof patch.from };
		bool full = ota_digest_is_zero(&patch.from);

		patch.patch = ota_digest_of(name);
		patch.codec = full ? 1 : 2; /* full, vcdiff */
		patch.full_len = IMAGE_LEN;
		patch.patch_len = full ? IMAGE_LEN : PATCH_LEN;
		core_patch_made(twin->core, twin->now, &patch);
	}
}

#include "tests/sim/fleet_world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/manifest.h"
#include "tests/sim/fleet_device.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "fleet world: %s\n", what);
	abort();
}

/* ---- the port */

static void begin(void *ctx)
{
	struct fw_world *w = ctx;

	must(!w->in_transaction, "a transaction in a transaction");
	w->in_transaction = true;
}

static void commit(void *ctx)
{
	struct fw_world *w = ctx;

	must(w->in_transaction, "commit without begin");
	w->in_transaction = false;
}

static struct fw_row *row_of(struct fw_world *w, enum core_table table, const char *key)
{
	for (size_t i = 0; i < w->row_count; i++)
		if (w->rows[i].table == table && strcmp(w->rows[i].key, key) == 0)
			return &w->rows[i];
	return NULL;
}

static void put(void *ctx, enum core_table table, const char *key, struct ota_bytes value)
{
	struct fw_world *w = ctx;
	struct fw_row *row = row_of(w, table, key);

	must(w->in_transaction, "put outside a transaction");
	if (row == NULL) {
		w->rows = reallocarray(w->rows, w->row_count + 1, sizeof *w->rows);
		row = &w->rows[w->row_count++];
		*row = (struct fw_row){ .table = table, .key = strdup(key) };
	}
	row->value.len = 0;
	must(ota_buf_add(&row->value, value) == OTA_OK, "memory");
}

static void drop(void *ctx, enum core_table table, const char *key)
{
	struct fw_world *w = ctx;
	struct fw_row *row = row_of(w, table, key);

	must(w->in_transaction, "drop outside a transaction");
	if (row == NULL)
		return;
	free(row->key);
	ota_buf_fini(&row->value);
	*row = w->rows[--w->row_count];
}

static void audit(void *ctx, const char *who, const char *action, struct ota_bytes detail)
{
	struct fw_world *w = ctx;
	size_t used = strlen(w->actions);

	must(w->in_transaction, "audit outside a transaction");
	must(ota_json_scan(detail, true, NULL) == OTA_OK, "audit detail is no JSON");
	must(who[0] != '\0', "audit without who");
	w->order_count += strcmp(action, "order") == 0;
	if (strcmp(action, "order") != 0 && strcmp(action, "start") != 0 &&
		strcmp(action, "rollout.restart") != 0)
		(void)snprintf(
			w->actions + used, sizeof w->actions - used, "%s ", action);
}

static struct fw_topic *topic_of(struct fw_world *w, const char *topic)
{
	for (size_t i = 0; i < w->topic_count; i++)
		if (strcmp(w->topics[i].topic, topic) == 0)
			return &w->topics[i];
	return NULL;
}

static void retain(void *ctx, const char *topic, struct ota_bytes payload)
{
	struct fw_world *w = ctx;
	struct fw_topic *held = topic_of(w, topic);

	must(w->in_transaction, "retain outside a transaction");
	w->fresh_count += strstr(topic, "/fresh") != NULL;
	if (held == NULL) {
		w->topics =
			reallocarray(w->topics, w->topic_count + 1, sizeof *w->topics);
		held = &w->topics[w->topic_count++];
		*held = (struct fw_topic){ 0 };
		(void)snprintf(held->topic, sizeof held->topic, "%s", topic);
	}
	held->payload.len = 0;
	if (payload.len > 0)
		must(ota_buf_add(&held->payload, payload) == OTA_OK, "memory");
}

static void retain_patch(void *ctx, const struct ota_digest *patch)
{
	struct fw_world *w = ctx;

	must(w->in_transaction, "retain_patch outside a transaction");
	for (unsigned i = 0; i < w->on_broker_count; i++)
		if (ota_digest_equal(&w->on_broker[i], patch))
			return;
	w->on_broker[w->on_broker_count++] = *patch;
}

static void release_patch(void *ctx, const struct ota_digest *patch)
{
	struct fw_world *w = ctx;

	for (unsigned i = 0; i < w->on_broker_count; i++)
		if (ota_digest_equal(&w->on_broker[i], patch))
			w->on_broker[i] = w->on_broker[--w->on_broker_count];
}

static void make_patch(
	void *ctx, const struct ota_digest *from, const struct ota_digest *to)
{
	struct fw_world *w = ctx;

	for (unsigned i = 0; i < w->asked_count; i++)
		if (ota_digest_equal(&w->asked[i].from, from) &&
			ota_digest_equal(&w->asked[i].to, to))
			return;
	w->asked[w->asked_count++] = (struct core_patch){ .from = *from, .to = *to };
}

static void sign(
	void *ctx, enum ota_doc_type type, struct ota_bytes payload, struct ota_buf *out)
{
	struct fw_world *w = ctx;

	fw_seal(type, payload, &w->keys[OTA_ROLE_ONLINE], out);
}

static void fill_random(void *ctx, uint8_t *out, size_t len)
{
	memset(out, (int)++((struct fw_world *)ctx)->draws, len);
}

/* ---- the core's life */

static enum ota_code load(struct fw_world *w, struct core **out, struct ota_error *err)
{
	const struct core_port port = { w, begin, commit, put, drop, audit, retain,
		retain_patch, release_patch, make_patch, sign, fill_random };
	enum ota_code rc = OTA_OK;

	*out = core_new(&port, FW_FLEET);
	for (size_t i = 0; rc == OTA_OK && i < w->row_count; i++)
		rc = core_load(*out, w->rows[i].table, w->rows[i].key,
			ota_buf_bytes(&w->rows[i].value), err);
	return rc == OTA_OK ? core_start(*out, w->now, ota_buf_bytes(&w->root), err) : rc;
}

static void start(struct fw_world *w)
{
	struct ota_error err = { .text = "?" };

	must(load(w, &w->core, &err) == OTA_OK, err.text);
	must(!w->in_transaction, "a transaction is left open");
}

enum ota_code fw_try_start(struct fw_world *w, struct ota_error *err)
{
	struct core *core = NULL;
	enum ota_code rc = load(w, &core, err);

	core_free(core);
	return rc;
}

void fw_restart(struct fw_world *w)
{
	core_free(w->core);
	w->asked_count = 0;
	w->restart_count++;
	start(w);
}

static void make_patches(struct fw_world *w)
{
	while (w->asked_count > 0 && !w->keep_asked) {
		struct core_patch patch = w->asked[--w->asked_count];
		struct ota_bytes name = { (const uint8_t *)&patch,
			2 * sizeof patch.from };

		patch.patch = ota_digest_of(name);
		patch.codec = ota_digest_is_zero(&patch.from) ? OTA_CODEC_FULL
							      : OTA_CODEC_VCDIFF;
		patch.full_len = 1000000;
		patch.patch_len = ota_digest_is_zero(&patch.from) ? 1000000 : 90000;
		core_patch_made(w->core, w->now, &patch);
	}
}

/* After every call into the core. */
static enum ota_code after(struct fw_world *w, enum ota_code rc)
{
	must(!w->in_transaction, "a transaction is left open");
	make_patches(w);
	if (w->restarts)
		fw_restart(w);
	make_patches(w);
	return rc;
}

static void make_keys(struct fw_world *w)
{
	uint8_t seed[32];

	for (int role = 0; role < OTA_N_ROLES; role++) {
		memset(seed, role + 1, sizeof seed);
		w->keys[role] = ota_secret_key_from_seed(seed);
	}
}

static void add_operator(struct ota_role_keys *role, const struct fw_operators *operators)
{
	role->set.keys[role->set.count++] = ota_secret_key_public(operators->second);
	role->set.threshold = operators->threshold;
	role->wide = operators->wide;
}

static void make_root(struct fw_world *w, uint64_t version)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_root root = { .version = version,
		.fleet = FW_FLEET,
		.issued_utc_s = FW_UTC_S,
		.expires_utc_s = FW_UTC_S + UINT64_C(365) * 86400 };

	memcpy(root.fleet_id, FW_FLEET_ID, sizeof root.fleet_id);
	for (int role = 0; role < OTA_N_ROLES; role++) {
		struct ota_keyset *set = &root.roles[role].set;

		root.roles[role].epoch = 1;
		set->keys[set->count++] = ota_secret_key_public(&w->keys[role]);
		set->threshold = 1;
	}
	if (w->operators.second != NULL)
		add_operator(&root.roles[OTA_ROLE_OPERATOR], &w->operators);
	else
		root.roles[OTA_ROLE_ONLINE].epoch = version;
	must(ota_root_encode(&root, &payload, NULL) == OTA_OK, "root");
	w->root.len = 0;
	fw_seal(OTA_DOC_ROOT, ota_buf_bytes(&payload), &w->keys[OTA_ROLE_ROOT], &w->root);
}

static cJSON *parsed(const char *json)
{
	struct ota_error err = { .text = "?" };
	cJSON *tree = NULL;

	if (ota_json_parse(ota_bytes_of(json), false, &tree, &err) != OTA_OK)
		must(false, err.text);
	return tree;
}

struct fw_world *fw_open(void)
{
	struct fw_world *w = calloc(1, sizeof *w);
	OTA_AUTO(ota_json_fini)
	cJSON *fleet = parsed("{\"fleet\":\"demo\",\"cohorts\":["
			      "{\"name\":\"lab\",\"labels\":{\"ring\":[\"lab\"]}},"
			      "{\"name\":\"canary\",\"labels\":{\"ring\":[\"canary\"]}},"
			      "{\"name\":\"fleet\",\"facts\":{\"hardware\":[\"gw-100\","
			      "\"gw-200\"]}}]}");

	must(w != NULL, "memory");
	w->now = (struct core_now){ .mono_ms = 1000, .utc_s = FW_UTC_S };
	make_keys(w);
	make_root(w, 1);
	start(w);
	must(after(w, core_set_fleet(w->core, w->now, "admin", fleet, NULL)) == OTA_OK,
		"fleet");
	return w;
}

void fw_close(struct fw_world *w)
{
	core_free(w->core);
	for (size_t i = 0; i < w->row_count; i++) {
		free(w->rows[i].key);
		ota_buf_fini(&w->rows[i].value);
	}
	for (size_t i = 0; i < w->topic_count; i++)
		ota_buf_fini(&w->topics[i].payload);
	free(w->rows);
	free(w->topics);
	ota_buf_fini(&w->root);
	free(w);
}

/* ---- people */

static void hand_in(struct fw_world *w, enum ota_doc_type type,
	const struct ota_buf *payload, struct core_accepted *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct ota_error err = { .text = "?" };
	enum ota_code rc;

	fw_seal(type, ota_buf_bytes(payload), &w->keys[ota_doc_role(type)], &envelope);
	rc = core_document(
		w->core, w->now, "release", ota_buf_bytes(&envelope), out, &err);
	must(after(w, rc) == OTA_OK, err.text);
}

static void hand_in_catalog(struct fw_world *w)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	ota_autofree struct ota_catalog *catalog = calloc(1, sizeof *catalog);

	catalog->seq = ++w->document_seq;
	catalog->issued_utc_s = w->now.utc_s;
	catalog->expires_utc_s = w->now.utc_s + UINT64_C(90) * 86400;
	catalog->release_count = w->catalog_count;
	memcpy(catalog->releases, w->catalog_list, sizeof w->catalog_list);
	must(ota_catalog_encode(catalog, &payload, NULL) == OTA_OK, "catalog");
	hand_in(w, OTA_DOC_CATALOG, &payload, NULL);
}

void fw_withdraw(struct fw_world *w)
{
	w->catalog_count = 0;
	hand_in_catalog(w);
}

static void hand_in_root(struct fw_world *w, uint64_t version)
{
	struct ota_error err = { .text = "?" };

	make_root(w, version);
	if (after(w, core_document(w->core, w->now, "admin", ota_buf_bytes(&w->root),
			     NULL, &err)) != OTA_OK)
		must(false, err.text);
	for (unsigned i = 0; i < w->device_count; i++)
		must(ota_trust_root(&w->devices[i].trust, ota_buf_bytes(&w->root),
			     NULL) == OTA_OK,
			"follow the root");
}

void fw_rotate(struct fw_world *w)
{
	const uint8_t seed[32] = { 0x99 };

	w->keys[OTA_ROLE_ONLINE] = ota_secret_key_from_seed(seed);
	hand_in_root(w, 2);
}

void fw_operators(struct fw_world *w, const struct ota_secret_key *second,
	uint32_t threshold, uint32_t wide)
{
	w->operators = (struct fw_operators){ second, threshold, wide,
		w->operators.changes + 1 };
	hand_in_root(w, 1 + w->operators.changes);
}

struct ota_digest fw_release(struct fw_world *w, const char *version, uint64_t counter)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_digest image = ota_digest_of(ota_bytes_of(version));
	struct core_accepted doc;
	struct ota_release release = { .product = "gateway",
		.counter = counter,
		.hardware = { "gw-100" },
		.hardware_count = 1,
		.image = image,
		.image_len = 4000000 };

	(void)snprintf(release.version, sizeof release.version, "%s", version);
	must(ota_release_encode(&release, &payload, NULL) == OTA_OK, "release");
	hand_in(w, OTA_DOC_RELEASE, &payload, &doc);
	w->catalog_list[w->catalog_count++] = doc.digest;
	hand_in_catalog(w);
	core_image(w->core, w->now, "release",
		&(struct core_image){ image, release.image_len, "" });
	(void)after(w, OTA_OK);
	return doc.digest;
}

void fw_grant(struct fw_world *w, const struct ota_digest *release, uint64_t permille,
	const char *canary)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_grant grant = { .seq = ++w->document_seq,
		.release = *release,
		.max_permille = permille,
		.salt = { 1, 2, 3, 4 },
		.not_before_utc_s = w->now.utc_s,
		.issued_utc_s = w->now.utc_s,
		.expires_utc_s = w->now.utc_s + UINT64_C(14) * 86400 };

	if (canary != NULL)
		(void)snprintf(
			grant.canaries[grant.canary_count++], OTA_NAME_CAP, "%s", canary);
	must(ota_grant_encode(&grant, &payload, NULL) == OTA_OK, "grant");
	hand_in(w, OTA_DOC_GRANT, &payload, NULL);
}

enum ota_code fw_apply(struct fw_world *w, const char *json,
	const struct ota_digest *release, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = parsed(json);
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(release, hex);
	must(cJSON_AddStringToObject(tree, "release", hex) != NULL, "memory");
	return after(w, core_apply(w->core, w->now, "admin", tree, err));
}

enum ota_code fw_steer(struct fw_world *w, const char *rollout, const char *verb)
{
	const struct core_steer steer = { rollout, verb, "because", false };

	return after(w, core_command(w->core, w->now, "admin", &steer, NULL));
}

/* ---- devices */

void fw_add_devices(
	struct fw_world *w, const char *ring, unsigned count, enum fw_script script)
{
	for (unsigned i = 0; i < count; i++) {
		OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
		struct fw_device *d = &w->devices[w->device_count++];

		fw_device_init(w, d, ring, i + 1);
		d->script = script;
		fw_device_registration(d, ring, tree);
		if (w->label != NULL)
			must(cJSON_AddItemToArray(
				     cJSON_GetObjectItemCaseSensitive(tree, "labels"),
				     cJSON_CreateString(w->label)),
				"memory");
		must(after(w, core_add_device(w->core, w->now, "enrol", tree, NULL)) ==
				OTA_OK,
			"register");
		if (script != FW_AWAY)
			fw_connect(w, d);
	}
}

void fw_connect(struct fw_world *w, struct fw_device *d)
{
	struct ota_online online = { .online = !d->dead, .nonce = FW_NONCE };

	must(after(w, core_presence(w->core, w->now, d->id, &online, NULL)) == OTA_OK,
		"presence");
	if (!d->dead)
		must(fw_report(w, d) == OTA_OK, "report");
}

struct fw_device *fw_device(struct fw_world *w, const char *id)
{
	for (unsigned i = 0; i < w->device_count; i++)
		if (strcmp(w->devices[i].id, id) == 0)
			return &w->devices[i];
	must(false, "no such device");
	return NULL;
}

enum ota_code fw_report(struct fw_world *w, struct fw_device *d)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 }, envelope = { 0 };
	struct ota_error err = { .text = "?" };

	d->report.counter++;
	if (ota_report_encode(&d->report, &payload, &err) != OTA_OK)
		must(false, err.text);
	fw_seal(OTA_DOC_REPORT, ota_buf_bytes(&payload), &d->key, &envelope);
	return after(
		w, core_report(w->core, w->now, d->id, ota_buf_bytes(&envelope), NULL));
}

void fw_step(struct fw_world *w)
{
	w->now.utc_s += FW_STEP_S;
	w->now.mono_ms += FW_STEP_S * 1000;
	(void)core_tick(w->core, w->now);
	(void)after(w, OTA_OK);
	for (unsigned i = 0; i < w->device_count; i++)
		fw_device_move(w, &w->devices[i]);
}

/* ---- looking */

bool fw_until(struct fw_world *w, const char *rollout, const char *state, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		if (strcmp(fw_state(w, rollout), state) == 0)
			return true;
		fw_step(w);
	}
	return strcmp(fw_state(w, rollout), state) == 0;
}

static const cJSON *node_at(const cJSON *tree, const char *path)
{
	char part[OTA_NAME_CAP];

	while (tree != NULL && *path != '\0') {
		size_t len = strcspn(path, ".");

		(void)snprintf(part, sizeof part, "%.*s", (int)len, path);
		tree = cJSON_IsArray(tree)
			       ? cJSON_GetArrayItem(tree, (int)strtol(part, NULL, 10))
			       : cJSON_GetObjectItemCaseSensitive(tree, part);
		path += len + (path[len] == '.');
	}
	return tree;
}

const char *fw_text(const cJSON *tree, const char *path)
{
	const char *text = cJSON_GetStringValue(node_at(tree, path));

	return text != NULL ? text : "";
}

uint64_t fw_number(const cJSON *tree, const char *path)
{
	const cJSON *node = node_at(tree, path);

	if (cJSON_IsTrue(node))
		return 1;
	return cJSON_IsNumber(node) ? (uint64_t)node->valuedouble : 0;
}

const char *fw_state(struct fw_world *w, const char *rollout)
{
	static char state[OTA_NAME_CAP];
	OTA_AUTO(ota_json_fini) cJSON *tree = core_rollout_json(w->core, w->now, rollout);

	(void)snprintf(state, sizeof state, "%s", fw_text(tree, "state"));
	return state;
}

const char *fw_rule(struct fw_world *w, const char *device)
{
	static char rule[OTA_NAME_CAP];
	OTA_AUTO(ota_json_fini) cJSON *tree = core_explain_json(w->core, w->now, device);

	(void)snprintf(rule, sizeof rule, "%s", fw_text(tree, "rule"));
	return rule;
}

unsigned fw_count_running(const struct fw_world *w, const char *version)
{
	unsigned count = 0;

	for (unsigned i = 0; i < w->device_count; i++)
		count += strcmp(w->devices[i].report.version, version) == 0;
	return count;
}

struct ota_bytes fw_topic_payload(struct fw_world *w, const struct ota_topic *topic)
{
	char text[OTA_TOPIC_CAP];
	struct fw_topic *held;

	ota_topic_print(FW_FLEET, topic, text);
	held = topic_of(w, text);
	return held != NULL ? ota_buf_bytes(&held->payload) : (struct ota_bytes){ 0 };
}

bool fw_order(struct fw_world *w, const char *cohort, struct ota_order *out)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_ORDER };
	struct ota_bytes bytes;
	struct ota_envelope e;

	(void)snprintf(topic.name, sizeof topic.name, "%s", cohort);
	bytes = fw_topic_payload(w, &topic);
	return bytes.len > 0 && ota_envelope_parse(bytes, &e, NULL) == OTA_OK &&
	       ota_order_parse(e.payload, out, NULL) == OTA_OK;
}

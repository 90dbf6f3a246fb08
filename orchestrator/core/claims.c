#include "orchestrator/core/claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/fleet.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/reports.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tokens.h"
#include "orchestrator/core/tree.h"

enum { WHO_CAP = sizeof "token:" + TOKEN_ID_CAP, TOKEN_TEXT_MAX = 128 };

void key_fingerprint(const struct ota_public_key *key, char out[static FINGERPRINT_CAP])
{
	uint8_t hash[OTA_PK_HASH_LEN];

	ota_public_key_hash(key, hash);
	ota_hex_encode((struct ota_bytes){ hash, sizeof hash }, out);
}

/* ---- records */

struct claim *claim_find(const struct core *core, const char *id)
{
	for (size_t i = 0; i < core->claim_count; i++)
		if (strcmp(core->claims[i]->id, id) == 0)
			return core->claims[i];
	return NULL;
}

struct claim *claim_add(struct core *core)
{
	struct claim *claim = core_alloc(1, sizeof *claim);

	core->claims = core_grow(core->claims, core->claim_count, sizeof *core->claims);
	core->claims[core->claim_count++] = claim;
	return claim;
}

static void claim_drop(struct core *core, struct claim *claim)
{
	size_t at = 0;

	while (core->claims[at] != claim)
		at++;
	core->claim_count--;
	memmove(&core->claims[at], &core->claims[at + 1],
		(core->claim_count - at) * sizeof *core->claims);
	store_drop_claim(core, claim);
	ota_buf_fini(&claim->report);
	free(claim);
}

/* ---- what it says */

void claim_report(struct claim *claim, struct ota_bytes envelope)
{
	claim->report.len = 0;
	if (ota_buf_add(&claim->report, envelope) != OTA_OK)
		core_out_of_memory();
}

void claim_presence(struct claim *claim, const struct ota_online *online)
{
	claim->presence = *online;
	claim->has_presence = true;
}

/* What it reported last was refused if the device is not what it was; then it says so. */
void claim_hand_over(struct core *core, struct claim *claim)
{
	struct ota_error ignored = { 0 };

	if (claim->has_presence)
		(void)!reports_presence(core, claim->id, &claim->presence, &ignored);
	if (claim->report.len > 0)
		(void)!reports_take(
			core, claim->id, ota_buf_bytes(&claim->report), &ignored);
	claim_drop(core, claim);
}

/* ---- a second key */

static void tree_fingerprint(
	cJSON *tree, const char *name, const struct ota_public_key *key)
{
	char hex[FINGERPRINT_CAP];

	key_fingerprint(key, hex);
	tree_text(tree, name, hex);
}

enum ota_code claims_second_key(struct core *core, const char *who,
	const struct key_clash *clash, struct ota_error *err)
{
	struct second_key *second = clash->second;
	cJSON *detail;

	if (second->at_s == 0 || !ota_public_key_equal(&second->key, clash->presented)) {
		second->at_s = core->now.utc_s;
		second->key = *clash->presented;
		detail = tree_object();
		tree_text(detail, "device", clash->id);
		tree_fingerprint(detail, "held", clash->held);
		tree_fingerprint(detail, "presented", clash->presented);
		store_audit(core, who, "device.second-key", detail);
	}
	return ota_fail(err, OTA_E_CONFLICT,
		"device %s has another key, and keeps it; this is an alarm", clash->id);
}

/* ---- claiming */

struct presented {
	struct token *token; /* borrowed */
	char who[WHO_CAP];
	char id[OTA_NAME_CAP];
	struct ota_public_key key;
};

static enum ota_code read_claim(const struct core *core, const cJSON *json,
	struct presented *out, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);
	char text[TOKEN_TEXT_MAX] = "";
	enum ota_code rc;

	ota_json_text_copy(&r, "token", text, sizeof text);
	ota_json_name(&r, "id", out->id);
	ota_json_hex(&r, "key", out->key.at, OTA_PK_LEN);
	rc = ota_json_finish(&r);
	if (rc != OTA_OK)
		return rc;
	out->token = token_find(core, text);
	if (out->token == NULL)
		return ota_fail(err, OTA_E_DENIED, "there is no such token");
	memcpy(out->who, "token:", sizeof "token:" - 1);
	memcpy(out->who + sizeof "token:" - 1, out->token->id, TOKEN_ID_CAP);
	return OTA_OK;
}

/* Whoever holds a token that is used up or expired may be a thief: that is written down,
 * unlike tokens that never were. */
static enum ota_code refuse(struct core *core, const struct presented *p,
	enum ota_code code, struct ota_error *err)
{
	const char *why = code == OTA_E_EXPIRED ? "the token has expired"
						: "the token was used already";
	cJSON *detail = tree_object();

	tree_text(detail, "device", p->id);
	tree_fingerprint(detail, "presented", &p->key);
	tree_text(detail, "text", why);
	store_audit(core, p->who, "token.refuse", detail);
	return ota_fail(err, code, "%s; ask for another one", why);
}

static bool is_same_claim(const struct token *token, const struct presented *p)
{
	return strcmp(token->device, p->id) == 0 &&
	       ota_public_key_equal(&token->key, &p->key);
}

static cJSON *answer(const struct core *core, const struct presented *p)
{
	cJSON *tree = tree_object();

	tree_text(tree, "id", p->id);
	tree_text(
		tree, "state", device_find(core, p->id) != NULL ? "accepted" : "pending");
	tree_fingerprint(tree, "fingerprint", &p->key);
	return tree;
}

static void take(struct core *core, const struct presented *p)
{
	struct claim *claim = claim_add(core);
	cJSON *detail = tree_object();

	memcpy(claim->id, p->id, sizeof claim->id);
	memcpy(claim->token, p->token->id, sizeof claim->token);
	claim->key = p->key;
	claim->labels = p->token->labels;
	claim->claimed_s = core->now.utc_s;
	store_claim(core, claim);
	tree_text(detail, "device", claim->id);
	tree_fingerprint(detail, "fingerprint", &claim->key);
	store_audit(core, p->who, "device.claim", detail);
}

/* An id that is known keeps the key it has. */
static enum ota_code take_known(struct core *core, const struct presented *p,
	struct device *device, struct ota_error *err)
{
	const struct key_clash clash = { p->id, &device->key, &p->key, &device->second };
	enum ota_code rc = OTA_OK;

	if (!ota_public_key_equal(&device->key, &p->key)) {
		rc = claims_second_key(core, p->who, &clash, err);
		store_device(core, device);
	}
	return rc;
}

static enum ota_code take_pending(struct core *core, const struct presented *p,
	struct claim *claim, struct ota_error *err)
{
	const struct key_clash clash = { p->id, &claim->key, &p->key, &claim->second };
	enum ota_code rc = OTA_OK;

	if (!ota_public_key_equal(&claim->key, &p->key)) {
		rc = claims_second_key(core, p->who, &clash, err);
		store_claim(core, claim);
	}
	return rc;
}

enum ota_code claims_take(
	struct core *core, const cJSON *json, cJSON **out, struct ota_error *err)
{
	struct presented p = { 0 };
	struct device *device;
	struct claim *claim;
	enum ota_code rc = read_claim(core, json, &p, err);

	if (rc != OTA_OK)
		return rc;
	device = device_find(core, p.id);
	claim = claim_find(core, p.id);
	if (p.token->used_s != 0) {
		if (!is_same_claim(p.token, &p) || (device == NULL && claim == NULL))
			return refuse(core, &p, OTA_E_DENIED, err);
	} else if (p.token->expires_s <= core->now.utc_s) {
		return refuse(core, &p, OTA_E_EXPIRED, err);
	} else {
		token_use(core, p.token, p.id, &p.key);
	}
	if (device != NULL)
		rc = take_known(core, &p, device, err);
	else if (claim != NULL)
		rc = take_pending(core, &p, claim, err);
	else
		take(core, &p);
	if (rc == OTA_OK)
		*out = answer(core, &p);
	return rc;
}

/* ---- people */

static void audit_judgement(struct core *core, const char *who, const char *action,
	const char *id, const char *fingerprint)
{
	cJSON *detail = tree_object();

	tree_text(detail, "device", id);
	tree_text(detail, "fingerprint", fingerprint);
	store_audit(core, who, action, detail);
}

/* Of a device of the fleet, it says that the key it has is the right one. */
static void acknowledge(struct core *core, struct device *device)
{
	device->second = (struct second_key){ 0 };
	store_device(core, device);
}

enum ota_code claims_accept(struct core *core, const char *who, const char *id,
	const cJSON *json, struct ota_error *err)
{
	struct ota_json_reader r = ota_json_read(json, err);
	struct device *device = device_find(core, id);
	struct claim *claim = claim_find(core, id);
	char given[FINGERPRINT_CAP] = "", held[FINGERPRINT_CAP];
	uint8_t hash[OTA_PK_HASH_LEN];
	enum ota_code rc;

	ota_json_hex(&r, "fingerprint", hash, sizeof hash);
	rc = ota_json_finish(&r);
	if (rc != OTA_OK)
		return rc;
	if (device == NULL && claim == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "no device %s waits", id);
	ota_hex_encode((struct ota_bytes){ hash, sizeof hash }, given);
	key_fingerprint(device != NULL ? &device->key : &claim->key, held);
	if (strcmp(given, held) != 0) {
		audit_judgement(core, who, "device.accept-refused", id, given);
		return ota_fail(err, OTA_E_CONFLICT,
			"the key of %s has another fingerprint; compare it with what the "
			"device shows",
			id);
	}
	audit_judgement(core, who, "device.accept", id, held);
	if (device != NULL)
		acknowledge(core, device);
	else
		fleet_enrol(core, who, claim->id, &claim->key, &claim->labels);
	return OTA_OK;
}

enum ota_code claims_reject(
	struct core *core, const char *who, const char *id, struct ota_error *err)
{
	struct claim *claim = claim_find(core, id);
	char fingerprint[FINGERPRINT_CAP];

	if (device_find(core, id) != NULL)
		return ota_fail(err, OTA_E_STATE, "device %s is accepted already", id);
	if (claim == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "no device %s waits", id);
	key_fingerprint(&claim->key, fingerprint);
	audit_judgement(core, who, "device.reject", id, fingerprint);
	claim_drop(core, claim);
	return OTA_OK;
}

/* ---- looking */

void claims_view_second(cJSON *tree, const struct second_key *second)
{
	cJSON *of;

	if (second->at_s == 0)
		return;
	of = tree_add(tree, "second_key", tree_object());
	tree_fingerprint(of, "fingerprint", &second->key);
	tree_u64(of, "at", second->at_s);
}

cJSON *claim_view(const struct claim *claim)
{
	cJSON *tree = tree_object(), *labels;
	char key[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ claim->key.at, OTA_PK_LEN }, key);
	tree_text(tree, "id", claim->id);
	tree_text(tree, "key", key);
	tree_fingerprint(tree, "fingerprint", &claim->key);
	labels = tree_add(tree, "labels", tree_array());
	for (uint32_t i = 0; i < claim->labels.count; i++)
		tree_push_text(labels, claim->labels.at[i]);
	tree_bool(tree, "pending", true);
	tree_u64(tree, "claimed_s", claim->claimed_s);
	tree_text(tree, "token", claim->token);
	tree_bool(tree, "reported", claim->report.len > 0);
	claims_view_second(tree, &claim->second);
	return tree;
}

cJSON *claims_view(const struct core *core)
{
	cJSON *tree = tree_object();
	cJSON *list = tree_add(tree, "claims", tree_array());

	for (size_t i = 0; i < core->claim_count; i++)
		(void)tree_push(list, claim_view(core->claims[i]));
	return tree;
}

static void add_alarm(cJSON *alarms, const char *id, const struct ota_public_key *held,
	const struct second_key *second)
{
	char ours[FINGERPRINT_CAP], theirs[FINGERPRINT_CAP];
	char text[2 * FINGERPRINT_CAP + 64] = "";
	cJSON *tree;

	if (second->at_s == 0)
		return;
	key_fingerprint(held, ours);
	key_fingerprint(&second->key, theirs);
	(void)snprintf(
		text, sizeof text, "key %s was presented, %s is held", theirs, ours);
	tree = tree_push(alarms, tree_object());
	tree_text(tree, "device", id);
	tree_u64(tree, "error", OTA_E_SECONDKEY);
	tree_text(tree, "error_name", ota_code_name(OTA_E_SECONDKEY));
	tree_text(tree, "error_text", text);
}

void claims_add_alarms(const struct core *core, cJSON *alarms)
{
	for (size_t i = 0; i < core->device_count; i++)
		add_alarm(alarms, core->devices[i]->id, &core->devices[i]->key,
			&core->devices[i]->second);
	for (size_t i = 0; i < core->claim_count; i++)
		add_alarm(alarms, core->claims[i]->id, &core->claims[i]->key,
			&core->claims[i]->second);
}

#include "tests/sim/fleet_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "fleet device: %s\n", what);
	abort();
}

void fw_seal(enum ota_doc_type type, struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bare = { 0 };
	const uint8_t *fleet_id = (const uint8_t *)FW_FLEET_ID;

	must(ota_envelope_seal(type, fleet_id, payload, &bare, NULL) == OTA_OK &&
			ota_envelope_sign(ota_buf_bytes(&bare), key, out, NULL) == OTA_OK,
		"seal");
}

void fw_device_init(
	const struct fw_world *w, struct fw_device *d, const char *ring, unsigned n)
{
	struct ota_report *r = &d->report;
	uint8_t seed[32] = { 0x55 };

	*d = (struct fw_device){ 0 };
	(void)snprintf(d->id, sizeof d->id, "%s-%u", ring, n);
	memcpy(seed + 1, d->id, strnlen(d->id, sizeof seed - 2));
	d->key = ota_secret_key_from_seed(seed);
	must(ota_trust_anchor(&d->trust, ota_buf_bytes(&w->root), NULL) == OTA_OK,
		"anchor");
	*r = (struct ota_report){ .boot = 1,
		.agent = "0.1.0",
		.product = "gateway",
		.hardware = "gw-100",
		.version = "1.0",
		.running = ota_digest_of(ota_bytes_of("1.0")),
		.running_counter = 1,
		.root = 1,
		.confirmed = true };
	memcpy(r->device, d->id, sizeof r->device);
}

void fw_device_registration(const struct fw_device *d, const char *ring, cJSON *tree)
{
	const struct ota_public_key key = ota_secret_key_public(&d->key);
	cJSON *labels;
	char label[OTA_LABEL_CAP], hex[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
	(void)snprintf(label, sizeof label, "ring=%s", ring);
	must(cJSON_AddStringToObject(tree, "id", d->id) != NULL &&
			cJSON_AddStringToObject(tree, "key", hex) != NULL,
		"memory");
	labels = cJSON_AddArrayToObject(tree, "labels");
	must(cJSON_AddItemToArray(labels, cJSON_CreateString(label)), "memory");
}

/* ---- reading the broker, as an agent does */

struct docs {
	struct ota_fresh fresh;
	struct ota_catalog catalog;
	struct ota_assign assign;
	struct ota_order order;
	struct ota_release release;
	struct ota_grant grant;
	struct ota_case c;
};

static struct ota_bytes payload_of(struct fw_world *w, enum ota_topic_kind kind,
	const char *name, const struct ota_digest *digest)
{
	struct ota_topic topic = { .kind = kind };

	(void)snprintf(topic.name, sizeof topic.name, "%s", name);
	if (digest != NULL)
		topic.digest = *digest;
	return fw_topic_payload(w, &topic);
}

static void read_order(struct fw_world *w, struct fw_device *d, struct docs *docs)
{
	struct ota_trust *t = &d->trust;
	struct ota_error err = { .text = "?" };

	if (ota_trust_order(t, payload_of(w, OTA_TOPIC_ORDER, docs->assign.cohort, NULL),
		    docs->assign.cohort, &docs->order, &err) != OTA_OK)
		must(false, err.text); /* the core never publishes what is refused */
	docs->c.order = &docs->order;
	docs->c.order_digest = t->order.digest;
	must(ota_trust_release(t,
		     payload_of(w, OTA_TOPIC_RELEASE, "", &docs->order.release),
		     &docs->release, &docs->c.release_digest, NULL) == OTA_OK,
		"release");
	docs->c.release = &docs->release;
	if (ota_trust_grant(t, payload_of(w, OTA_TOPIC_GRANT, "", &docs->order.release),
		    &docs->grant, NULL) == OTA_OK)
		docs->c.grant = &docs->grant;
}

/* False while there is no order. */
static bool read_docs(struct fw_world *w, struct fw_device *d, struct docs *docs)
{
	struct ota_trust *t = &d->trust;
	struct ota_error err = { .text = "?" };
	struct ota_bytes order;

	docs->c = (struct ota_case){ .trusted_utc_s = ota_trust_now(t, w->now.utc_s),
		.root = &t->root,
		.fresh = &docs->fresh,
		.catalog = &docs->catalog };
	if (ota_trust_fresh(t, payload_of(w, OTA_TOPIC_FRESH, "", NULL), &docs->fresh,
		    &err) != OTA_OK)
		must(false, err.text);
	if (payload_of(w, OTA_TOPIC_CATALOG, "", NULL).len == 0 ||
		payload_of(w, OTA_TOPIC_ASSIGN, d->id, NULL).len == 0)
		return false;
	must(ota_trust_catalog(t, payload_of(w, OTA_TOPIC_CATALOG, "", NULL),
		     &docs->fresh.catalog, &docs->catalog, NULL) == OTA_OK,
		"catalog");
	docs->c.catalog_digest = t->catalog.digest;
	must(ota_trust_assign(t, payload_of(w, OTA_TOPIC_ASSIGN, d->id, NULL), d->id,
		     &docs->assign, NULL) == OTA_OK,
		"assign");
	order = payload_of(w, OTA_TOPIC_ORDER, docs->assign.cohort, NULL);
	if (order.len > 0)
		read_order(w, d, docs);
	return order.len > 0;
}

/* ---- acting */

static void say(struct fw_world *w, struct fw_device *d, enum ota_update_state state)
{
	d->report.state = state;
	must(fw_report(w, d) == OTA_OK, "report");
}

static void flip(struct fw_device *d, const char *version, const struct ota_digest *image)
{
	(void)snprintf(d->report.version, sizeof d->report.version, "%s", version);
	d->report.other = d->report.running;
	d->report.claims = (struct ota_digest){ { 0 } };
	d->report.running = *image;
	d->report.boot++;
}

/* Confirmed devices go back by their share. */
static bool is_told(const struct fw_device *d, const struct docs *docs)
{
	const struct ota_order *order = &docs->order;

	return order->permille == OTA_PERMILLE_ALL ||
	       ota_is_canary(order->canaries, order->canary_count, d->id) ||
	       (docs->c.grant != NULL &&
		       ota_bucket(docs->grant.salt, d->id) < order->permille);
}

static void fail_before_boot(struct fw_world *w, struct fw_device *d, enum ota_code code)
{
	d->report.error = code;
	(void)snprintf(d->report.error_text, sizeof d->report.error_text, "as scripted");
	d->tried_seq = d->report.assign_seq;
	memcpy(d->tried, d->report.rollout, sizeof d->tried);
	d->failures++;
	say(w, d, OTA_UPDATE_FAILED);
}

static void go_back(struct fw_world *w, struct fw_device *d, const struct docs *docs)
{
	char version[OTA_VERSION_CAP];
	struct ota_digest image = d->old;

	if (!ota_digest_equal(&d->report.running, &docs->order.image)) {
		if (d->report.state != OTA_UPDATE_IDLE &&
			d->report.state != OTA_UPDATE_FAILED)
			say(w, d, OTA_UPDATE_IDLE);
		return;
	}
	if (d->report.confirmed && !is_told(d, docs))
		return;
	if (d->script == FW_STUCK_BACK) {
		fail_before_boot(w, d, OTA_E_ROLLBACK);
		return;
	}
	memcpy(version, d->old_version, sizeof version);
	flip(d, version, &image);
	d->report.confirmed = true;
	say(w, d, OTA_UPDATE_CONFIRMED);
}

static void fail(struct fw_world *w, struct fw_device *d, enum ota_code code)
{
	struct ota_digest image = d->old;
	char version[OTA_VERSION_CAP];

	memcpy(version, d->old_version, sizeof version);
	flip(d, version, &image);
	d->report.confirmed = true;
	fail_before_boot(w, d, code);
}

static void die(struct fw_world *w, struct fw_device *d)
{
	d->dead = true;
	fw_connect(w, d);
}

static void reboot_into_new(
	struct fw_world *w, struct fw_device *d, const struct docs *docs)
{
	if (d->script == FW_BRICK) {
		die(w, d);
		return;
	}
	d->old = d->report.running;
	memcpy(d->old_version, d->report.version, sizeof d->old_version);
	flip(d, docs->release.version, &docs->release.image);
	d->installs++;
	d->report.confirmed = false;
	say(w, d, OTA_UPDATE_PROVING);
}

static void prove(struct fw_world *w, struct fw_device *d)
{
	if (d->script == FW_UNHEALTHY || (d->script == FW_FLAKY && d->failures < 1)) {
		fail(w, d, OTA_E_HEALTH);
	} else if (d->script == FW_STUCK) {
		fail(w, d, OTA_E_ROLLBACK);
	} else {
		d->report.confirmed = true;
		say(w, d, OTA_UPDATE_CONFIRMED);
	}
}

/* The image that the device patches: what it claims, where it can repair that. */
static struct ota_digest source_of(
	const struct fw_device *d, const struct ota_order *order)
{
	const struct ota_digest *claims = &d->report.claims;

	for (uint32_t i = 0; i < order->patch_count; i++)
		if (!ota_digest_is_zero(claims) && d->script != FW_NO_REPAIR &&
			ota_digest_equal(&order->patches[i].from, claims))
			return *claims;
	return d->report.running;
}

/* Only a newer assign, or another rollout, makes a device try again. */
static bool has_failed(const struct fw_device *d, const struct docs *docs)
{
	return d->tried_seq == docs->assign.seq &&
	       strcmp(d->tried, docs->order.rollout) == 0;
}

static void begin(struct fw_world *w, struct fw_device *d, const struct docs *docs)
{
	struct ota_report *r = &d->report;
	struct ota_self self = { .device = d->id,
		.product = r->product,
		.hardware = r->hardware,
		.version = r->version,
		.running = source_of(d, &docs->order) };
	enum ota_code rc = ota_admit(&self, &docs->c, NULL, NULL);
	bool new_order = r->order_seq != docs->order.seq;

	r->order_seq = docs->order.seq;
	if (rc == OTA_OK && d->script == FW_NO_ROOM) {
		rc = OTA_E_NOSPACE;
		r->error = rc;
	}
	if (rc == OTA_E_PRECURSOR)
		r->error = rc;
	if (rc != OTA_OK || has_failed(d, docs) || d->script == FW_MUTE) {
		r->wait = rc;
		if (new_order)
			must(fw_report(w, d) == OTA_OK, "report");
		return;
	}
	r->error = 0;
	r->error_text[0] = '\0';
	r->wait = 0;
	memcpy(r->rollout, docs->order.rollout, sizeof r->rollout);
	r->release = docs->order.release;
	say(w, d, OTA_UPDATE_OFFERED);
}

static void work(struct fw_world *w, struct fw_device *d, const struct docs *docs)
{
	switch (d->report.state) {
	case OTA_UPDATE_OFFERED:
		say(w, d, OTA_UPDATE_INSTALLING);
		break;
	case OTA_UPDATE_INSTALLING:
		if (d->script == FW_CRAMPED && d->failures < 2)
			fail_before_boot(w, d, OTA_E_NOSPACE);
		else
			say(w, d, OTA_UPDATE_REBOOTING);
		break;
	case OTA_UPDATE_REBOOTING:
		reboot_into_new(w, d, docs);
		break;
	case OTA_UPDATE_PROVING:
		prove(w, d);
		break;
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		begin(w, d, docs);
		break;
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_ROLLING_BACK:
	case OTA_N_UPDATE_STATES:
		must(false, "a state no script has");
	}
}

void fw_device_move(struct fw_world *w, struct fw_device *d)
{
	ota_autofree struct docs *docs = calloc(1, sizeof *docs);

	if (d->dead || d->script == FW_AWAY || !read_docs(w, d, docs))
		return;
	memcpy(d->report.cohort, docs->assign.cohort, sizeof d->report.cohort);
	d->report.assign_seq = docs->assign.seq;
	d->report.fresh_seq = docs->fresh.seq;
	if (docs->order.state == OTA_ORDER_REVERT)
		go_back(w, d, docs);
	else if (docs->order.state == OTA_ORDER_GO ||
		 d->report.state > OTA_UPDATE_INSTALLING)
		work(w, d, docs);
}

#include "tests/integration/light.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/loop.h"

static _Noreturn void give_up(const struct light *d, const char *what)
{
	(void)fprintf(stderr, "light device %s: %s\n", d->link->id, what);
	exit(1);
}

/* ---- what it holds of the broker */

static struct light_topic *topic_of(struct light *d, const char *topic)
{
	for (size_t i = 0; i < d->topic_count; i++)
		if (strcmp(d->topics[i].topic, topic) == 0)
			return &d->topics[i];
	return NULL;
}

static struct ota_bytes held(
	struct light *d, enum ota_topic_kind kind, const struct ota_digest *digest)
{
	struct ota_topic topic = { .kind = kind };
	const struct light_topic *found;
	char text[OTA_TOPIC_CAP];

	if (digest)
		topic.digest = *digest;
	ota_topic_print(d->fleet, &topic, text);
	found = topic_of(d, text);
	return found ? ota_buf_bytes(&found->payload) : (struct ota_bytes){ 0 };
}

static void hold(struct light *d, const char *topic, struct ota_bytes payload)
{
	struct light_topic *at = topic_of(d, topic);

	if (!at && d->topic_count == LIGHT_TOPICS_MAX)
		give_up(d, "too many topics");
	if (!at)
		at = &d->topics[d->topic_count++];
	(void)snprintf(at->topic, sizeof at->topic, "%s", topic);
	at->payload.len = 0;
	if (payload.len > 0 && ota_buf_add(&at->payload, payload) != OTA_OK)
		give_up(d, "out of memory");
}

/* ---- what it says */

static void go_on(void *ctx, enum ota_code code);

/* Goes on once the broker has it. */
static void say(struct light *d, enum ota_update_state state)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_REPORT };
	OTA_AUTO(ota_buf_fini)
	struct ota_buf payload = { 0 }, bare = { 0 }, sealed = { 0 };
	struct ota_report *r = &d->report;
	char text[OTA_TOPIC_CAP];
	struct ota_mqtt_message message = { text, { 0 }, 1, true };

	r->state = state;
	r->counter++;
	r->fresh_seq = d->trust.fresh.seq;
	r->assign_seq = d->trust.assign.seq;
	r->order_seq = d->trust.order.seq;
	memcpy(r->cohort, d->assign.cohort, sizeof r->cohort);
	memcpy(topic.name, d->link->id, sizeof topic.name);
	ota_topic_print(d->fleet, &topic, text);
	if (ota_report_encode(r, &payload, NULL) != OTA_OK ||
		ota_envelope_seal(OTA_DOC_REPORT, d->trust.root.fleet_id,
			ota_buf_bytes(&payload), &bare, NULL) != OTA_OK ||
		ota_envelope_sign(ota_buf_bytes(&bare), &d->link->key, &sealed, NULL) !=
			OTA_OK)
		give_up(d, "report");
	message.payload = ota_buf_bytes(&sealed);
	d->busy = true;
	if (ota_mqtt_publish(d->link->link, &message, go_on, d) != OTA_OK)
		give_up(d, "publish");
}

static void say_online(struct light *d)
{
	struct ota_online online = { .online = true };
	struct ota_topic topic = { .kind = OTA_TOPIC_ONLINE };
	char text[OTA_TOPIC_CAP], payload[OTA_ONLINE_CAP];
	struct ota_mqtt_message message = { text, { 0 }, 1, true };

	memset(online.nonce, 'c', sizeof online.nonce - 1);
	ota_online_print(&online, payload);
	message.payload = ota_bytes_of(payload);
	memcpy(topic.name, d->link->id, sizeof topic.name);
	ota_topic_print(d->fleet, &topic, text);
	if (ota_mqtt_publish(d->link->link, &message, NULL, NULL) != OTA_OK)
		give_up(d, "publish");
}

/* ---- an update */

static bool has_chunks(struct light *d, const struct ota_patch_ref *ref)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct ota_topic topic = { .kind = OTA_TOPIC_CHUNK, .digest = ref->patch };
	struct ota_bytes bytes = held(d, OTA_TOPIC_MANIFEST, &ref->patch), data;

	if (ota_manifest_parse(bytes, &manifest, NULL) != OTA_OK)
		return false;
	for (uint32_t i = 0; i < manifest.chunk_count; i++) {
		const struct light_topic *chunk;
		char text[OTA_TOPIC_CAP];
		uint32_t index;

		topic.index = i;
		ota_topic_print(d->fleet, &topic, text);
		chunk = topic_of(d, text);
		if (!chunk || ota_chunk_check(&manifest, ota_buf_bytes(&chunk->payload),
				      &index, &data, NULL) != OTA_OK)
			return false;
	}
	return true;
}

static void refuse(struct light *d, const char *what, const struct ota_error *err)
{
	d->refused++;
	(void)snprintf(d->text, sizeof d->text, "%s: %s", what, err->text);
}

/* All that an order stands on, as far as it is here. */
struct docs {
	struct ota_catalog catalog;
	struct ota_release release;
	struct ota_grant grant;
	struct ota_case c;
};

static void read_docs(struct light *d, struct docs *docs)
{
	const struct ota_digest *name = &d->order.release;
	struct ota_trust *t = &d->trust;

	docs->c = (struct ota_case){ .root = &t->root,
		.trusted_utc_s = ota_trust_now(t, ota_clock_utc_s()),
		.order_digest = t->order.digest };
	docs->c.fresh = t->fresh.seq ? &d->fresh : NULL;
	docs->c.order = t->order.seq ? &d->order : NULL;
	if (ota_trust_catalog(t, held(d, OTA_TOPIC_CATALOG, NULL), &d->fresh.catalog,
		    &docs->catalog, NULL) == OTA_OK)
		docs->c.catalog = &docs->catalog;
	docs->c.catalog_digest = t->catalog.digest;
	if (ota_trust_release(t, held(d, OTA_TOPIC_RELEASE, name), &docs->release,
		    &docs->c.release_digest, NULL) == OTA_OK)
		docs->c.release = &docs->release;
	if (ota_trust_grant(t, held(d, OTA_TOPIC_GRANT, name), &docs->grant, NULL) ==
		OTA_OK)
		docs->c.grant = &docs->grant;
}

/* Documents come one after the other: what does not fit together yet will in a moment. */
static void look(struct light *d)
{
	const struct ota_error gap = { .text = "an order came before its patch" };
	struct ota_report *r = &d->report;
	struct ota_self self = { .device = d->link->id,
		.product = r->product,
		.hardware = r->hardware,
		.version = r->version,
		.running = r->running,
		.counter = r->running_counter };
	ota_autofree struct docs *docs = calloc(1, sizeof *docs);
	struct ota_patch_ref ref;

	if (!docs || d->busy)
		return;
	read_docs(d, docs);
	if (ota_admit(&self, &docs->c, &ref, NULL) != OTA_OK)
		return;
	if (!has_chunks(d, &ref)) {
		refuse(d, "patch", &gap);
		return;
	}
	d->begins++;
	d->target = docs->release.image;
	memcpy(d->target_version, docs->release.version, sizeof d->target_version);
	memcpy(r->rollout, d->order.rollout, sizeof r->rollout);
	r->release = d->order.release;
	say(d, OTA_UPDATE_OFFERED);
}

static void boot(struct light *d)
{
	struct ota_report *r = &d->report;

	r->boot++;
	r->other = r->running;
	r->other_counter = r->running_counter;
	r->running = d->target;
	r->running_counter++;
	memcpy(r->version, d->target_version, sizeof r->version);
	r->confirmed = false;
	say(d, OTA_UPDATE_PROVING);
}

static void go_on(void *ctx, enum ota_code code)
{
	struct light *d = ctx;

	if (code != OTA_OK)
		return; /* closing */
	d->busy = false;
	switch (d->report.state) {
	case OTA_UPDATE_OFFERED:
		say(d, OTA_UPDATE_INSTALLING);
		break;
	case OTA_UPDATE_INSTALLING:
		say(d, OTA_UPDATE_REBOOTING);
		break;
	case OTA_UPDATE_REBOOTING:
		boot(d);
		break;
	case OTA_UPDATE_PROVING:
		d->report.confirmed = true;
		say(d, OTA_UPDATE_CONFIRMED);
		break;
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_ROLLING_BACK:
	case OTA_UPDATE_FAILED:
	case OTA_N_UPDATE_STATES:
		look(d);
		break;
	}
}

/* ---- what comes */

/* An order that came before the assign that makes it ours. */
static enum ota_code accept_order(struct light *d, struct ota_error *err)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_ORDER };
	const struct light_topic *found;
	char text[OTA_TOPIC_CAP];

	memcpy(topic.name, d->assign.cohort, sizeof topic.name);
	ota_topic_print(d->fleet, &topic, text);
	found = topic_of(d, text);
	if (!found || found->payload.len == 0)
		return OTA_OK;
	return ota_trust_order(
		&d->trust, ota_buf_bytes(&found->payload), topic.name, &d->order, err);
}

static enum ota_code take_document(struct light *d, const struct ota_topic *topic,
	struct ota_bytes payload, struct ota_error *err)
{
	struct ota_trust *t = &d->trust;
	enum ota_code rc;

	if (topic->kind == OTA_TOPIC_FRESH)
		return ota_trust_fresh(t, payload, &d->fresh, err);
	if (topic->kind == OTA_TOPIC_ASSIGN) {
		rc = ota_trust_assign(t, payload, d->link->id, &d->assign, err);
		return rc == OTA_OK ? accept_order(d, err) : rc;
	}
	if (topic->kind == OTA_TOPIC_ORDER && strcmp(topic->name, d->assign.cohort) == 0)
		return accept_order(d, err);
	return OTA_OK;
}

/* An agent says what it refuses, and that this is over. */
static void tell_refusal(struct light *d, const struct ota_error *err)
{
	if (d->busy || d->report.error == (uint64_t)err->code)
		return;
	d->report.error = (uint64_t)err->code;
	memcpy(d->report.error_text, err->text, sizeof d->report.error_text);
	say(d, d->report.state);
}

static void take(struct light *d, const char *text, struct ota_bytes payload)
{
	struct ota_error err = { 0 };
	struct ota_topic topic;

	if (ota_topic_parse(d->fleet, text, &topic, NULL) != OTA_OK)
		return; /* of another fleet */
	hold(d, text, payload);
	if (payload.len > 0)
		err.code = take_document(d, &topic, payload, &err);
	if (err.code != OTA_OK)
		refuse(d, text, &err);
	if (topic.kind == OTA_TOPIC_FRESH || err.code != OTA_OK)
		tell_refusal(d, &err);
	look(d);
}

static void on_message(
	void *ctx, const char *text, struct ota_bytes payload, bool retained)
{
	struct light_link *link = ctx;

	(void)retained;
	for (struct light *d = link->lives; d; d = d->next)
		take(d, text, payload);
}

/* ---- the connection */

static void on_up(void *ctx)
{
	struct light_link *link = ctx;

	link->ups++;
}

void light_open(struct light_link *link, const struct broker *broker, const char *id,
	uint8_t seed)
{
	static const struct ota_mqtt_events events = { .up = on_up,
		.message = on_message };
	struct ota_mqtt_config config = peer_config(broker, id, "localhost");
	struct ota_error err = { 0 };

	*link = (struct light_link){ .key = sample_key(seed) };
	(void)snprintf(link->id, sizeof link->id, "%s", id);
	if (ota_mqtt_new(peer_loop(), &config, &events, link, &link->link, &err) ==
		OTA_OK)
		return;
	(void)fprintf(stderr, "%s: %s\n", id, err.text);
	exit(1);
}

void light_await_open(struct light_link *link)
{
	if (peer_wait(&link->ups, 1))
		return;
	(void)fprintf(stderr, "%s does not get in\n", link->id);
	exit(1);
}

static void on_closed(void *ctx)
{
	struct light_link *link = ctx;

	link->closed++;
}

void light_close(struct light_link *link)
{
	ota_mqtt_close(link->link, on_closed, link);
}

void light_await_close(struct light_link *link)
{
	(void)peer_wait(&link->closed, 1);
}

/* ---- life */

static void subscribe(struct light *d)
{
	static const char *const below[] = { "patch/#", "release/+", "grant/+", "catalog",
		"cohort/+/order", "fresh" };
	enum { BELOW = sizeof below / sizeof below[0] };
	char text[BELOW + 1][OTA_TOPIC_CAP];
	const char *filters[BELOW + 1];
	struct ota_topic assign = { .kind = OTA_TOPIC_ASSIGN };

	for (size_t i = 0; i < BELOW; i++) {
		(void)snprintf(
			text[i], OTA_TOPIC_CAP, "sluice/1/%s/%s", d->fleet, below[i]);
		filters[i] = text[i];
	}
	memcpy(assign.name, d->link->id, sizeof assign.name);
	ota_topic_print(d->fleet, &assign, text[BELOW]);
	filters[BELOW] = text[BELOW];
	if (ota_mqtt_subscribe(d->link->link, filters, BELOW + 1, NULL, NULL) != OTA_OK)
		give_up(d, "subscribe");
}

void light_begin(struct light *light, struct light_link *link,
	const struct ota_root *root, const struct ota_digest *image)
{
	OTA_AUTO(ota_buf_fini)
	struct ota_buf envelope =
		sample_sign(OTA_DOC_ROOT, root, (char[]){ SAMPLE_ROOT_KEY, 0 });

	memset(light, 0, sizeof *light);
	light->link = link;
	light->next = link->lives;
	link->lives = light;
	light->report = (struct ota_report){ .boot = 1,
		.agent = "0.1.0",
		.product = "gateway",
		.hardware = "gw-100",
		.version = "1.0",
		.running = *image,
		.running_counter = 1,
		.root = 1,
		.confirmed = true };
	memcpy(light->report.device, link->id, sizeof light->report.device);
	memcpy(light->fleet, root->fleet, sizeof light->fleet);
	if (ota_trust_anchor(&light->trust, ota_buf_bytes(&envelope), NULL) != OTA_OK)
		give_up(light, "root");
	subscribe(light);
}

void light_report(struct light *light)
{
	say_online(light);
	say(light, OTA_UPDATE_IDLE);
}

void light_registration(const struct light *light, const char *label, struct ota_buf *out)
{
	const struct ota_public_key key = ota_secret_key_public(&light->link->key);
	char hex[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
	if (ota_buf_printf(out, "{\"id\":\"%s\",\"key\":\"%s\",\"labels\":[\"%s\"]}",
		    light->link->id, hex, label) != OTA_OK)
		give_up(light, "out of memory");
}

void light_end(struct light *light)
{
	struct light **at = &light->link->lives;

	while (*at != light)
		at = &(*at)->next;
	*at = light->next;
	for (size_t i = 0; i < light->topic_count; i++)
		ota_buf_fini(&light->topics[i].payload);
	light->topic_count = 0;
}

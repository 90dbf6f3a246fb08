#include "tests/sim/world_people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"

struct ota_digest world_image(uint8_t n)
{
	struct ota_digest digest;

	memset(digest.at, n, sizeof digest.at);
	return digest;
}

/* Not an assertion of Criterion's: programs that run no test make documents, too. */
static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc == OTA_OK)
		return;
	(void)fprintf(stderr, "people: %s %s\n", ota_code_name(rc), err->text);
	abort();
}

void people_sign(struct world *w, enum ota_topic_kind kind, enum ota_doc_type type,
	struct ota_bytes payload)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
	struct ota_error err = { 0 };

	must(ota_envelope_seal(type, w->root.fleet_id, payload, &sealed, &err), &err);
	w->docs[kind].len = 0;
	must(ota_envelope_sign(ota_buf_bytes(&sealed), &w->keys[ota_doc_role(type)],
		     &w->docs[kind], &err),
		&err);
}

static struct ota_digest digest_of(const struct world *w, enum ota_topic_kind kind)
{
	struct ota_envelope envelope;
	struct ota_error err = { 0 };

	must(ota_envelope_parse(ota_buf_bytes(&w->docs[kind]), &envelope, &err), &err);
	return ota_envelope_digest(&envelope);
}

/* Encode world->noun, and sign it. */
#define SIGN(w, KIND, noun)                                                            \
	do {                                                                           \
		OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };                 \
		struct ota_error e = { 0 };                                            \
                                                                                       \
		must(ota_##noun##_encode(&(w)->noun, &payload, &e), &e);               \
		people_sign(                                                           \
			w, OTA_TOPIC_##KIND, OTA_DOC_##KIND, ota_buf_bytes(&payload)); \
	} while (0)

static void sign_manifest(struct world *w)
{
	struct ota_error err = { 0 };

	w->manifest_bytes.len = 0;
	must(ota_manifest_encode(&w->manifest, &w->manifest_bytes, &err), &err);
	w->order.patches[0].patch = ota_digest_of(ota_buf_bytes(&w->manifest_bytes));
	if (w->order.patch_count == 0)
		w->order.patch_count = 1;
}

void world_sign(struct world *w)
{
	SIGN(w, RELEASE, release);
	w->order.release = digest_of(w, OTA_TOPIC_RELEASE);
	w->grant.release = w->order.release;
	w->catalog.releases[0] = w->order.release;
	w->catalog.revoked[0] = w->order.release;
	sign_manifest(w);
	SIGN(w, CATALOG, catalog);
	SIGN(w, GRANT, grant);
	SIGN(w, ORDER, order);
	SIGN(w, ASSIGN, assign);
	w->fresh.catalog = digest_of(w, OTA_TOPIC_CATALOG);
	w->fresh.orders[0].order = digest_of(w, OTA_TOPIC_ORDER);
	w->fresh.orders[0].seq = w->order.seq;
	SIGN(w, FRESH, fresh);
}

void world_next(struct world *w)
{
	w->order.seq++;
	w->fresh.seq++;
	w->catalog.seq++;
	w->grant.seq++;
	w->assign.seq++;
}

void people_sign_root(struct world *w)
{
	struct ota_error err = { 0 };

	SIGN(w, ROOT, root);
	w->root_bytes.len = 0;
	must(ota_buf_add(&w->root_bytes, ota_buf_bytes(&w->docs[OTA_TOPIC_ROOT])), &err);
}

void people_next_root(struct world *w)
{
	w->root.version++;
	SIGN(w, ROOT, root);
}

static void make_root(struct world *w)
{
	w->root.version = 1;
	memcpy(w->root.fleet, "demo", 5);
	w->root.fleet_id[0] = 5;
	w->root.issued_utc_s = WORLD_UTC_S - WORLD_DAY_S;
	w->root.expires_utc_s = WORLD_UTC_S + 365 * WORLD_DAY_S;
	for (unsigned i = 0; i < OTA_N_ROLES; i++) {
		uint8_t seed[32] = { (uint8_t)(i + 1) };
		struct ota_role_keys *role = &w->root.roles[i];

		w->keys[i] = ota_secret_key_from_seed(seed);
		role->set.keys[0] = ota_secret_key_public(&w->keys[i]);
		role->set.count = role->set.threshold = 1;
		role->epoch = 1;
	}
	w->device_key = ota_secret_key_from_seed((uint8_t[32]){ 99 });
	people_sign_root(w);
}

static void make_release(struct world *w)
{
	w->release = (struct ota_release){ .product = "gateway",
		.version = "2.0",
		.counter = 2,
		.floor = 2,
		.hardware = { "rev-b" },
		.hardware_count = 1,
		.image = world_image(2),
		.image_len = 1000000 };
	w->catalog = (struct ota_catalog){ .seq = 1,
		.issued_utc_s = WORLD_UTC_S,
		.expires_utc_s = WORLD_UTC_S + 90 * WORLD_DAY_S,
		.release_count = 1 };
	w->grant = (struct ota_grant){ .seq = 1,
		.max_permille = OTA_PERMILLE_ALL,
		.not_before_utc_s = WORLD_UTC_S - 10,
		.issued_utc_s = WORLD_UTC_S - 10,
		.expires_utc_s = WORLD_UTC_S + 14 * WORLD_DAY_S };
}

static void make_order(struct world *w)
{
	w->order = (struct ota_order){ .cohort = "lab",
		.seq = 1,
		.rollout = "spring",
		.state = OTA_ORDER_GO,
		.image = w->release.image,
		.image_len = w->release.image_len,
		.counter = w->release.counter,
		.hardware = { "rev-b" },
		.hardware_count = 1,
		.permille = OTA_PERMILLE_ALL,
		.install_s = 600,
		.prove_s = 120 };
	w->order.patches[0].from = world_image(1);
	w->assign = (struct ota_assign){ .device = "gw-1", .seq = 1, .cohort = "lab" };
	w->fresh = (struct ota_fresh){ .seq = 1,
		.root = 1,
		.issued_utc_s = WORLD_UTC_S,
		.expires_utc_s = WORLD_UTC_S + WORLD_DAY_S,
		.order_count = 1,
		.orders = { { .cohort = "lab" } } };
}

static void make_manifest(struct world *w)
{
	static struct ota_digest chunks[4];

	w->manifest = (struct ota_manifest){ .codec = OTA_CODEC_VCDIFF,
		.window_log = 20,
		.chunk_len = OTA_CHUNK_LEN_MIN,
		.chunk_count = 4,
		.patch_len = 4 * OTA_CHUNK_LEN_MIN,
		.raw_len = 4 * OTA_CHUNK_LEN_MIN,
		.from_len = 900000,
		.to_len = w->release.image_len,
		.decoder_ram = 4 << 20,
		.from = world_image(1),
		.to = w->release.image,
		.chunks = chunks };
}

void people_init(struct world *w)
{
	make_root(w);
	make_release(w);
	make_order(w);
	make_manifest(w);
}

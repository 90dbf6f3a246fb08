#include "tests/unit/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/doc_table.h"

enum { CHUNK_LAST_LEN = 100 };

static const uint8_t fleet_id[OTA_FLEET_ID_LEN] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
	0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };

/* Samples are right or the test program ends. */
static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc == OTA_OK)
		return;
	(void)fprintf(stderr, "sample: %s: %s\n", ota_code_name(rc), err->text);
	abort();
}

struct ota_secret_key sample_key(uint8_t seed_byte)
{
	uint8_t seed[32];

	memset(seed, seed_byte, sizeof seed);
	return ota_secret_key_from_seed(seed);
}

struct ota_public_key sample_public(uint8_t seed_byte)
{
	struct ota_secret_key key = sample_key(seed_byte);

	return ota_secret_key_public(&key);
}

struct ota_digest sample_digest(const char *text)
{
	return ota_digest_of(ota_bytes_of(text));
}

static struct ota_role_keys one_key(uint8_t seed_byte)
{
	return (struct ota_role_keys){
		.set = { .keys = { sample_public(seed_byte) },
			.count = 1,
			.threshold = 1 },
		.epoch = 1,
	};
}

struct ota_root sample_root(void)
{
	struct ota_root root = {
		.version = 1,
		.fleet = SAMPLE_FLEET,
		.issued_utc_s = SAMPLE_ISSUED,
		.expires_utc_s = SAMPLE_ISSUED + 31536000,
		.roles = { one_key(SAMPLE_ROOT_KEY), one_key(SAMPLE_RELEASE_KEY),
			one_key(SAMPLE_OPERATOR_KEY), one_key(SAMPLE_ONLINE_KEY) },
	};

	memcpy(root.fleet_id, fleet_id, sizeof fleet_id);
	return root;
}

struct ota_root sample_next_root(void)
{
	struct ota_root root = sample_root();

	root.version = 2;
	root.roles[OTA_ROLE_ROOT].set.keys[0] = sample_public(SAMPLE_ROOT_KEY_2);
	return root;
}

struct ota_release sample_release(void)
{
	return (struct ota_release){
		.product = "gateway",
		.version = "1.4.0",
		.counter = 14,
		.floor = 13,
		.hardware = { "gw-1", "gw-2" },
		.hardware_count = 2,
		.image = sample_digest("image 1.4.0"),
		.image_len = 104857600,
		.class = OTA_CLASS_SECURITY,
		.notes = "OpenSSL 3.0.15; says \"ready\" at boot",
		.needs = { "1.3.0" },
		.needs_count = 1,
	};
}

struct ota_catalog sample_catalog(void)
{
	struct ota_release release = sample_release();

	return (struct ota_catalog){
		.seq = 7,
		.issued_utc_s = SAMPLE_ISSUED,
		.expires_utc_s = SAMPLE_EXPIRES,
		.releases = { sample_name(OTA_DOC_RELEASE, &release) },
		.release_count = 1,
		.revoked = { sample_digest("a release that was withdrawn") },
		.revoked_count = 1,
		.minimum = { { .product = "gateway", .counter = 12 } },
		.minimum_count = 1,
	};
}

struct ota_grant sample_grant(void)
{
	struct ota_release release = sample_release();
	struct ota_grant grant = {
		.seq = 3,
		.release = sample_name(OTA_DOC_RELEASE, &release),
		.max_permille = 1000,
		.canaries = { "gw-0007" },
		.canary_count = 1,
		.not_before_utc_s = SAMPLE_ISSUED,
		.issued_utc_s = SAMPLE_ISSUED,
		.expires_utc_s = SAMPLE_ISSUED + 1209600,
	};

	memset(grant.salt, 0x5a, sizeof grant.salt);
	return grant;
}

struct ota_order sample_order(void)
{
	struct ota_release release = sample_release();
	struct ota_order order = {
		.cohort = SAMPLE_COHORT,
		.seq = 21,
		.rollout = "r-2025-10",
		.state = OTA_ORDER_GO,
		.release = sample_name(OTA_DOC_RELEASE, &release),
		.image = release.image,
		.image_len = release.image_len,
		.counter = release.counter,
		.hardware_count = release.hardware_count,
		.permille = 1000,
		.canaries = { "gw-0007" },
		.canary_count = 1,
		.patches = { { sample_digest("image 1.3.0"), sample_digest("patch") },
			{ { { 0 } }, sample_digest("full image") } },
		.patch_count = 2,
		.window = { .from_min = 60, .to_min = 300 },
		.jitter_s = 600,
		.install_s = 3600,
		.prove_s = 900,
	};

	memcpy(order.hardware, release.hardware, sizeof order.hardware);
	return order;
}

struct ota_fresh sample_fresh(void)
{
	struct ota_catalog catalog = sample_catalog();
	struct ota_order order = sample_order();

	return (struct ota_fresh){
		.seq = 1234,
		.root = 1,
		.catalog = sample_name(OTA_DOC_CATALOG, &catalog),
		.issued_utc_s = SAMPLE_ISSUED,
		.expires_utc_s = SAMPLE_ISSUED + 86400,
		.orders = { { .cohort = SAMPLE_COHORT,
			.seq = order.seq,
			.order = sample_name(OTA_DOC_ORDER, &order) } },
		.order_count = 1,
	};
}

struct ota_assign sample_assign(void)
{
	return (struct ota_assign){
		.device = SAMPLE_DEVICE,
		.seq = 2,
		.cohort = SAMPLE_COHORT,
		.labels = { "site=berlin", "ring=3" },
		.label_count = 2,
	};
}

struct ota_report sample_report(void)
{
	struct ota_release release = sample_release();
	struct ota_report report = {
		.device = SAMPLE_DEVICE,
		.boot = 9,
		.counter = 120,
		.agent = "0.1.0",
		.product = "gateway",
		.hardware = "gw-2",
		.version = "1.3.0",
		.running = sample_digest("image 1.3.0"),
		.other = sample_digest("image 1.2.0"),
		.running_counter = 13,
		.other_counter = 12,
		.floor = 12,
		.root = 1,
		.fresh_seq = 1234,
		.order_seq = 21,
		.assign_seq = 2,
		.cohort = SAMPLE_COHORT,
		.state = OTA_UPDATE_FETCHING,
		.rollout = "r-2025-10",
		.release = sample_name(OTA_DOC_RELEASE, &release),
		.confirmed = true,
		.chunks = 2,
		.chunks_total = 3,
		.bytes = 8192,
	};

	memset(report.nonce, 0xc3, sizeof report.nonce);
	return report;
}

const void *sample_of(enum ota_doc_type type)
{
	static union sample_doc doc;

	memset(&doc, 0, sizeof doc);
	switch (type) {
	case OTA_DOC_ROOT:
		doc.root = sample_root();
		break;
	case OTA_DOC_RELEASE:
		doc.release = sample_release();
		break;
	case OTA_DOC_CATALOG:
		doc.catalog = sample_catalog();
		break;
	case OTA_DOC_GRANT:
		doc.grant = sample_grant();
		break;
	case OTA_DOC_FRESH:
		doc.fresh = sample_fresh();
		break;
	case OTA_DOC_ORDER:
		doc.order = sample_order();
		break;
	case OTA_DOC_ASSIGN:
		doc.assign = sample_assign();
		break;
	case OTA_DOC_REPORT:
		doc.report = sample_report();
		break;
	}
	return &doc;
}

static const struct ota_doc_spec *spec_of(enum ota_doc_type type)
{
	static const struct ota_doc_spec *const specs[] = { &ota_doc_root,
		&ota_doc_release, &ota_doc_catalog, &ota_doc_grant, &ota_doc_fresh,
		&ota_doc_order, &ota_doc_assign, &ota_doc_report };

	return specs[type - 1];
}

enum ota_code sample_encode(enum ota_doc_type type, const void *doc, struct ota_buf *out,
	struct ota_error *err)
{
	out->len = 0;
	return ota_doc_encode(spec_of(type), doc, out, err);
}

enum ota_code sample_parse(enum ota_doc_type type, struct ota_bytes payload, void *doc,
	struct ota_error *err)
{
	return ota_doc_parse(spec_of(type), payload, doc, err);
}

struct ota_buf sample_seal(
	enum ota_doc_type type, struct ota_bytes payload, const char *keys)
{
	struct ota_buf envelope = { 0 };
	struct ota_error err = { 0 };

	must(ota_envelope_seal(type, fleet_id, payload, &envelope, &err), &err);
	for (; *keys != '\0'; keys++) {
		struct ota_secret_key key = sample_key((uint8_t)*keys);
		struct ota_buf more = { 0 };

		must(ota_envelope_sign(ota_buf_bytes(&envelope), &key, &more, &err),
			&err);
		ota_buf_fini(&envelope);
		envelope = more;
	}
	return envelope;
}

struct ota_buf sample_sign(enum ota_doc_type type, const void *doc, const char *keys)
{
	struct ota_buf payload = { 0 }, envelope;
	struct ota_error err = { 0 };

	must(sample_encode(type, doc, &payload, &err), &err);
	envelope = sample_seal(type, ota_buf_bytes(&payload), keys);
	ota_buf_fini(&payload);
	return envelope;
}

enum ota_code sample_follow(
	struct ota_trust *trust, const struct ota_root *root, const char *keys)
{
	struct ota_buf bytes = sample_sign(OTA_DOC_ROOT, root, keys);
	enum ota_code rc = ota_trust_root(trust, ota_buf_bytes(&bytes), NULL);

	ota_buf_fini(&bytes);
	return rc;
}

struct ota_buf sample_envelope(enum ota_doc_type type)
{
	const char key[] = { (char)(SAMPLE_ROOT_KEY + ota_doc_role(type)), '\0' };

	return sample_sign(type, sample_of(type), key);
}

struct ota_digest sample_name(enum ota_doc_type type, const void *doc)
{
	struct ota_buf bytes = sample_sign(type, doc, "");
	struct ota_envelope envelope;
	struct ota_error err = { 0 };
	struct ota_digest name;

	must(ota_envelope_parse(ota_buf_bytes(&bytes), &envelope, &err), &err);
	name = ota_envelope_digest(&envelope);
	ota_buf_fini(&bytes);
	return name;
}

struct ota_trust sample_trust(void)
{
	struct ota_buf root = sample_envelope(OTA_DOC_ROOT);
	struct ota_trust trust = { 0 };
	struct ota_error err = { 0 };

	must(ota_trust_anchor(&trust, ota_buf_bytes(&root), &err), &err);
	ota_buf_fini(&root);
	return trust;
}

struct ota_bytes sample_chunk(uint32_t index)
{
	static uint8_t bytes[OTA_CHUNK_LEN_MIN];

	memset(bytes, 'a' + (int)index, sizeof bytes);
	return (struct ota_bytes){ bytes, index == 2 ? CHUNK_LAST_LEN : sizeof bytes };
}

struct ota_manifest sample_manifest(void)
{
	struct ota_manifest m = {
		.codec = OTA_CODEC_VCDIFF,
		.window_log = 20,
		.chunk_len = OTA_CHUNK_LEN_MIN,
		.chunk_count = 3,
		.patch_len = 2 * OTA_CHUNK_LEN_MIN + CHUNK_LAST_LEN,
		.raw_len = 20000,
		.from_len = 104857600,
		.to_len = 104857600,
		.decoder_ram = 4194304,
		.from = sample_digest("image 1.3.0"),
		.to = sample_digest("image 1.4.0"),
		.chunks = calloc(3, sizeof(struct ota_digest)),
	};

	if (m.chunks == NULL)
		abort();
	for (uint32_t i = 0; i < m.chunk_count; i++)
		m.chunks[i] = ota_digest_of(sample_chunk(i));
	return m;
}

struct ota_block_table sample_block_table(void)
{
	struct ota_block_table table = {
		.block_len = OTA_BLOCK_LEN_MIN,
		.count = 2,
		.image_len = OTA_BLOCK_LEN_MIN + 100,
		.image = sample_digest("image 1.3.0"),
		.blocks = calloc(2, sizeof(struct ota_block)),
	};

	if (table.blocks == NULL)
		abort();
	table.blocks[0] = (struct ota_block){ sample_digest("block 0"),
		sample_digest("packed block 0"), 14 };
	table.blocks[1] = (struct ota_block){ sample_digest("block 1"),
		sample_digest("block 1"), 100 };
	return table;
}

struct ota_need sample_need(void)
{
	static const uint8_t lacks[] = { 0x05 };

	return (struct ota_need){
		.patch = sample_digest("patch"),
		.chunk_count = 3,
		.bitmap = { lacks, sizeof lacks },
	};
}

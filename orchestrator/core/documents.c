#include "orchestrator/core/documents.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/core/approvals.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

/* ---- topics */

static void assert_one(struct core *core, const struct stored *stored)
{
	struct ota_topic topic = { 0 };

	switch (stored->type) {
	case OTA_DOC_ROOT:
		topic.kind = OTA_TOPIC_ROOT;
		(void)sscanf(stored->key, "%" SCNu64, &topic.root);
		break;
	case OTA_DOC_CATALOG:
		topic.kind = OTA_TOPIC_CATALOG;
		break;
	case OTA_DOC_RELEASE:
		topic.kind = OTA_TOPIC_RELEASE;
		break;
	case OTA_DOC_GRANT:
		topic.kind = OTA_TOPIC_GRANT;
		break;
	case OTA_DOC_FRESH:
	case OTA_DOC_ORDER:
	case OTA_DOC_ASSIGN:
	case OTA_DOC_REPORT:
		return;
	}
	if (stored->type == OTA_DOC_RELEASE || stored->type == OTA_DOC_GRANT)
		if (ota_digest_parse(stored->key, &topic.digest, NULL) != OTA_OK)
			return;
	store_retain(core, &topic, ota_buf_bytes(&stored->envelope));
}

void documents_assert(struct core *core)
{
	for (size_t i = 0; i < core->document_count; i++)
		assert_one(core, core->documents[i]);
}

/* Keep, publish and write down an accepted document. */
static void keep(struct core *core, const char *who, const char *key,
	const struct ota_envelope *e, struct ota_bytes bytes)
{
	struct stored *stored = stored_set(core, e->type, key, bytes);
	cJSON *detail = tree_object();

	stored->digest = ota_envelope_digest(e);
	store_document(core, stored);
	assert_one(core, stored);
	tree_text(detail, "type", ota_doc_type_text(e->type));
	tree_text(detail, "key", key);
	tree_digest(detail, "digest", &stored->digest);
	store_audit(core, who, "document.add", detail);
}

/* True if exactly this document is kept under key already. */
static bool is_kept(
	const struct core *core, const char *key, const struct ota_envelope *e)
{
	const struct stored *stored = stored_find(core, e->type, key);
	struct ota_digest digest = ota_envelope_digest(e);

	return stored != NULL && ota_digest_equal(&stored->digest, &digest);
}

/* ---- one of each kind */

static void root_key(uint64_t version, char key[static OTA_DIGEST_HEX_CAP])
{
	(void)snprintf(key, OTA_DIGEST_HEX_CAP, "%" PRIu64, version);
}

/* What the online key signed before is worth nothing under another one. */
static void sign_all_again(struct core *core)
{
	for (size_t i = 0; i < core->cohort_count; i++)
		core->cohorts[i]->again = core->cohorts[i]->ordered;
	core->orders_due = true;
	core->assigns_due = true;
}

static enum ota_code accept_catalog(struct core *core, const char *who,
	struct ota_bytes bytes, const struct ota_envelope *e, struct ota_error *err)
{
	struct ota_catalog catalog;
	enum ota_code rc = ota_trust_catalog(&core->trust, bytes, NULL, &catalog, err);

	if (rc != OTA_OK || is_kept(core, "", e))
		return rc;
	if (core->catalog == NULL)
		core->catalog = core_alloc(1, sizeof *core->catalog);
	*core->catalog = catalog;
	keep(core, who, "", e, bytes);
	core->fresh_due = true;
	return OTA_OK;
}

static enum ota_code accept_release(struct core *core, const char *who,
	struct ota_bytes bytes, const struct ota_envelope *e, struct ota_error *err)
{
	char key[OTA_DIGEST_HEX_CAP];
	struct ota_release doc;
	struct ota_digest digest;
	enum ota_code rc = ota_trust_release(&core->trust, bytes, &doc, &digest, err);

	if (rc != OTA_OK || release_find(core, &digest) != NULL)
		return rc;
	release_add(core, &digest)->doc = doc;
	ota_digest_hex(&digest, key);
	keep(core, who, key, e, bytes);
	return OTA_OK;
}

/* One that was put together with the signatures it has. */
static enum ota_code put_in_force(struct core *core, const char *who,
	struct ota_bytes bytes, const struct ota_grant *doc, struct ota_error *err)
{
	const struct grant *held = grant_find(core, &doc->release);
	char key[OTA_DIGEST_HEX_CAP];
	struct ota_envelope e;
	struct grant *grant;
	enum ota_code rc = ota_envelope_parse(bytes, &e, err);

	ota_digest_hex(&doc->release, key);
	if (rc != OTA_OK || is_kept(core, key, &e))
		return rc;
	if (held != NULL && held->doc.seq >= doc->seq)
		return ota_fail(err, OTA_E_SEQUENCE,
			"grant %" PRIu64 ": %" PRIu64 " is in force", doc->seq,
			held->doc.seq);
	grant = grant_of(core, &doc->release);
	grant->doc = *doc;
	grant->digest = ota_envelope_digest(&e);
	keep(core, who, key, &e, bytes);
	approvals_drop(core, &doc->release, doc->seq);
	core->orders_due = true;
	return OTA_OK;
}

static enum ota_code accept_grant(
	struct core *core, const char *who, struct ota_bytes bytes, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf joined = { 0 };
	struct ota_grant doc;
	enum ota_code rc = approvals_join(core, bytes, &joined, err);

	if (rc == OTA_OK)
		rc = ota_trust_grant(&core->trust, ota_buf_bytes(&joined), &doc, err);
	if (rc == OTA_E_THRESHOLD)
		return approvals_keep(core, who, ota_buf_bytes(&joined), err);
	if (rc != OTA_OK)
		return rc;
	return put_in_force(core, who, ota_buf_bytes(&joined), &doc, err);
}

/* ---- a root that changes the operators */

static void copy(struct ota_buf *out, const struct ota_buf *in)
{
	if (ota_buf_add(out, ota_buf_bytes(in)) != OTA_OK)
		core_out_of_memory();
}

static void lapse(struct core *core, const struct stored *stored, const char *why)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_GRANT };
	cJSON *detail = tree_object();

	tree_text(detail, "release", stored->key);
	tree_digest(detail, "digest", &stored->digest);
	tree_text(detail, "text", why);
	store_audit(core, "core", "grant.lapse", detail);
	store_drop_document(core, stored);
	if (ota_digest_parse(stored->key, &topic.digest, NULL) != OTA_OK)
		return;
	store_retain(core, &topic, (struct ota_bytes){ 0 });
	grant_remove(core, &topic.digest);
}

/* A grant stands if its signatures do under the new root, and goes out again: devices
 * have dropped theirs. Else what is left of them waits for others. */
static void judge_again(struct core *core, const struct stored *stored)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_error why = { 0 };
	struct ota_grant doc;
	enum ota_code rc;

	copy(&bytes, &stored->envelope);
	rc = ota_trust_grant(&core->trust, ota_buf_bytes(&bytes), &doc, &why);
	if (rc != OTA_E_THRESHOLD && rc != OTA_E_SIGNATURE) {
		assert_one(core, stored);
		return;
	}
	lapse(core, stored, why.text);
	(void)accept_grant(core, "core", ota_buf_bytes(&bytes), NULL);
}

static void judge_grants_again(struct core *core)
{
	for (size_t i = core->document_count; i-- > 0;)
		if (core->documents[i]->type == OTA_DOC_GRANT)
			judge_again(core, core->documents[i]);
	for (size_t i = core->approval_count; i-- > 0;) {
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
		const struct ota_digest release = core->approvals[i]->doc.release;
		enum ota_code rc;

		copy(&bytes, &core->approvals[i]->envelope);
		rc = accept_grant(core, "core", ota_buf_bytes(&bytes), NULL);
		if (rc == OTA_E_SIGNATURE)
			approvals_drop(core, &release, UINT64_MAX);
	}
	core->orders_due = true;
}

enum ota_code documents_check_voice(
	const struct core *core, const struct ota_trust *trust, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf probe = { 0 };
	struct ota_envelope e;
	enum ota_code rc;

	core->port.sign(core->port.ctx, OTA_DOC_FRESH, ota_bytes_of("{}"), &probe);
	rc = ota_trust_open(trust, OTA_DOC_FRESH, ota_buf_bytes(&probe), &e, err);
	if (rc != OTA_OK)
		rc = ota_wrap(
			err, rc, "online key under root %" PRIu64, trust->root.version);
	return rc;
}

/* Follow the chain to the next root. One that would silence us is refused: no device
 * would hear who holds the new online key, until that one speaks. */
static enum ota_code follow(
	struct core *core, struct ota_bytes bytes, struct ota_error *err)
{
	struct ota_trust next = core->trust;
	enum ota_code rc = ota_trust_root(&next, bytes, err);

	if (rc != OTA_OK)
		return rc;
	if (documents_check_voice(core, &next, NULL) != OTA_OK)
		return ota_fail(err, OTA_E_CONFLICT,
			"root %" PRIu64 " does not list the online key of this sluiced: "
			"add the new key beside it, change online_key, then remove this "
			"one",
			next.root.version);
	core->trust = next;
	return OTA_OK;
}

static enum ota_code accept_root(struct core *core, const char *who,
	struct ota_bytes bytes, const struct ota_envelope *e, struct ota_error *err)
{
	const uint64_t epoch = core->trust.root.roles[OTA_ROLE_ONLINE].epoch;
	const struct ota_role_keys before = core->trust.root.roles[OTA_ROLE_OPERATOR];
	bool anchored = core->trust.anchored;
	char key[OTA_DIGEST_HEX_CAP];
	enum ota_code rc;

	for (size_t i = 0; i < core->document_count; i++)
		if (is_kept(core, core->documents[i]->key, e))
			return OTA_OK;
	rc = anchored ? follow(core, bytes, err)
		      : ota_trust_anchor(&core->trust, bytes, err);
	if (rc != OTA_OK)
		return rc;
	root_key(core->trust.root.version, key);
	keep(core, who, key, e, bytes);
	core->fresh_due = true;
	if (anchored && core->trust.root.roles[OTA_ROLE_ONLINE].epoch != epoch)
		sign_all_again(core);
	if (anchored &&
		!ota_role_keys_equal(&before, &core->trust.root.roles[OTA_ROLE_OPERATOR]))
		judge_grants_again(core);
	return OTA_OK;
}

enum ota_code documents_accept(struct core *core, const char *who, struct ota_bytes bytes,
	struct ota_envelope *out, struct ota_error *err)
{
	struct ota_envelope e;
	enum ota_code rc = ota_envelope_parse(bytes, &e, err);

	if (rc != OTA_OK)
		return rc;
	switch (e.type) {
	case OTA_DOC_ROOT:
		rc = accept_root(core, who, bytes, &e, err);
		break;
	case OTA_DOC_CATALOG:
		rc = accept_catalog(core, who, bytes, &e, err);
		break;
	case OTA_DOC_RELEASE:
		rc = accept_release(core, who, bytes, &e, err);
		break;
	case OTA_DOC_GRANT:
		rc = accept_grant(core, who, bytes, err);
		break;
	case OTA_DOC_FRESH:
	case OTA_DOC_ORDER:
	case OTA_DOC_ASSIGN:
	case OTA_DOC_REPORT:
		return ota_fail(err, OTA_E_DOCTYPE, "a %s is not for people to bring",
			ota_doc_type_text(e.type));
	}
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", ota_doc_type_text(e.type));
	*out = e;
	return OTA_OK;
}

/* ---- after a restart */

static enum ota_code restore_roots(struct core *core, struct ota_error *err)
{
	uint64_t version = UINT64_MAX;
	char key[OTA_DIGEST_HEX_CAP];
	const struct stored *stored;
	enum ota_code rc;

	for (size_t i = 0; i < core->document_count; i++) {
		uint64_t found = UINT64_MAX;

		if (core->documents[i]->type == OTA_DOC_ROOT)
			(void)sscanf(core->documents[i]->key, "%" SCNu64, &found);
		if (found < version)
			version = found;
	}
	if (version == UINT64_MAX)
		return OTA_OK;
	root_key(version, key);
	stored = stored_find(core, OTA_DOC_ROOT, key);
	if (stored == NULL)
		return ota_fail(err, OTA_E_FORMAT, "no root %s", key);
	rc = ota_trust_anchor(&core->trust, ota_buf_bytes(&stored->envelope), err);
	while (rc == OTA_OK) {
		root_key(++version, key);
		stored = stored_find(core, OTA_DOC_ROOT, key);
		if (stored == NULL)
			break;
		rc = ota_trust_root(&core->trust, ota_buf_bytes(&stored->envelope), err);
	}
	return rc;
}

static enum ota_code restore_catalog(struct core *core, const struct stored *stored,
	const struct ota_envelope *e, struct ota_error *err)
{
	struct ota_catalog catalog;
	enum ota_code rc = ota_catalog_parse(e->payload, &catalog, err);

	if (rc != OTA_OK)
		return rc;
	core->catalog = core_alloc(1, sizeof *core->catalog);
	*core->catalog = catalog;
	core->trust.catalog = (struct ota_seen){
		.epoch = core->trust.root.roles[OTA_ROLE_RELEASE].epoch,
		.seq = catalog.seq,
		.digest = stored->digest,
	};
	return OTA_OK;
}

static enum ota_code restore_one(
	struct core *core, struct stored *stored, struct ota_error *err)
{
	struct ota_envelope e;
	struct ota_release release;
	struct ota_grant grant;
	enum ota_code rc = ota_envelope_parse(ota_buf_bytes(&stored->envelope), &e, err);

	if (rc != OTA_OK)
		return rc;
	stored->digest = ota_envelope_digest(&e);
	if (e.type == OTA_DOC_CATALOG)
		return restore_catalog(core, stored, &e, err);
	if (e.type == OTA_DOC_RELEASE) {
		rc = ota_release_parse(e.payload, &release, err);
		if (rc == OTA_OK)
			release_add(core, &stored->digest)->doc = release;
	} else if (e.type == OTA_DOC_GRANT) {
		rc = ota_grant_parse(e.payload, &grant, err);
		if (rc == OTA_OK) {
			struct grant *kept = grant_of(core, &grant.release);

			kept->doc = grant;
			kept->digest = stored->digest;
		}
	}
	return rc;
}

enum ota_code documents_restore(struct core *core, struct ota_error *err)
{
	enum ota_code rc = restore_roots(core, err);

	for (size_t i = 0; rc == OTA_OK && i < core->document_count; i++) {
		struct stored *stored = core->documents[i];

		rc = restore_one(core, stored, err);
		if (rc != OTA_OK)
			rc = ota_wrap(err, rc, "stored %s '%s'",
				ota_doc_type_text(stored->type), stored->key);
	}
	return rc;
}

/* ---- what the catalog says */

static bool is_listed(
	const struct ota_digest *digests, uint32_t count, const struct ota_digest *digest)
{
	for (uint32_t i = 0; i < count; i++)
		if (ota_digest_equal(&digests[i], digest))
			return true;
	return false;
}

static uint64_t minimum_of(const struct ota_catalog *catalog, const char *product)
{
	for (uint32_t i = 0; i < catalog->minimum_count; i++)
		if (strcmp(catalog->minimum[i].product, product) == 0)
			return catalog->minimum[i].counter;
	return 0;
}

enum ota_code documents_allow(const struct core *core, const struct release *release,
	uint64_t now_utc_s, struct ota_error *err)
{
	const struct ota_catalog *catalog = core->catalog;
	const char *version = release->doc.version;

	if (catalog == NULL)
		return ota_fail(err, OTA_E_UNLISTED, "there is no catalog yet");
	if (is_listed(catalog->revoked, catalog->revoked_count, &release->digest))
		return ota_fail(
			err, OTA_E_UNLISTED, "release %s has been revoked", version);
	if (!is_listed(catalog->releases, catalog->release_count, &release->digest))
		return ota_fail(err, OTA_E_UNLISTED,
			"release %s is not in catalog %" PRIu64, version, catalog->seq);
	if (release->doc.counter < minimum_of(catalog, release->doc.product))
		return ota_fail(err, OTA_E_UNLISTED,
			"release %s is below the catalog's minimum for %s", version,
			release->doc.product);
	if (catalog->expires_utc_s <= now_utc_s)
		return ota_fail(err, OTA_E_EXPIRED, "catalog %" PRIu64, catalog->seq);
	return OTA_OK;
}

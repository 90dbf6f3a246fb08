#include "orchestrator/core/approvals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/claims.h"
#include "orchestrator/core/registry.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"
#include "proto/base/own.h"

enum { FINGERPRINT_SHOWN = 8 };

static const struct ota_keyset *operators_of(const struct core *core)
{
	return &core->trust.root.roles[OTA_ROLE_OPERATOR].set;
}

static struct approval *find(const struct core *core, const struct ota_digest *release)
{
	for (size_t i = 0; i < core->approval_count; i++)
		if (ota_digest_equal(&core->approvals[i]->doc.release, release))
			return core->approvals[i];
	return NULL;
}

const struct approval *approval_find(
	const struct core *core, const struct ota_digest *release)
{
	return find(core, release);
}

/* ---- who signed */

static uint32_t signed_by(const struct core *core, const struct approval *approval,
	bool by[static OTA_KEYS_MAX])
{
	struct ota_envelope e;

	if (ota_envelope_parse(ota_buf_bytes(&approval->envelope), &e, NULL) != OTA_OK)
		return 0;
	return ota_envelope_signed_by(&e, operators_of(core), by);
}

static uint32_t needed_of(const struct core *core, const struct approval *approval)
{
	return ota_grant_threshold(&core->trust.root, approval->doc.max_permille);
}

uint32_t approvals_missing(const struct core *core, const struct ota_envelope *envelope)
{
	struct ota_digest digest = ota_envelope_digest(envelope);
	bool by[OTA_KEYS_MAX] = { false };

	for (size_t i = 0; i < core->approval_count; i++) {
		const struct approval *approval = core->approvals[i];

		if (ota_digest_equal(&approval->digest, &digest))
			return needed_of(core, approval) - signed_by(core, approval, by);
	}
	return 0;
}

/* The beginnings of the fingerprints of those who signed, or of those who did not. */
static void list_keys(const struct core *core, const bool by[static OTA_KEYS_MAX],
	bool which, char out[static CORE_TEXT_CAP])
{
	size_t used = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < operators_of(core)->count; i++) {
		char hex[FINGERPRINT_CAP];

		if (by[i] != which || used + FINGERPRINT_SHOWN + 2 >= CORE_TEXT_CAP)
			continue;
		key_fingerprint(&operators_of(core)->keys[i], hex);
		used += (size_t)snprintf(out + used, CORE_TEXT_CAP - used, "%s%.*s",
			used > 0 ? " " : "", FINGERPRINT_SHOWN, hex);
	}
}

void approval_text(const struct core *core, const struct approval *approval,
	char out[static CORE_TEXT_CAP])
{
	char signers[CORE_TEXT_CAP], others[CORE_TEXT_CAP];
	bool by[OTA_KEYS_MAX] = { false };
	uint32_t count = signed_by(core, approval, by),
		 needed = needed_of(core, approval);

	list_keys(core, by, true, signers);
	list_keys(core, by, false, others);
	(void)snprintf(out, CORE_TEXT_CAP,
		"grant of %" PRIu64
		" permille: %u of %u operators signed (%.80s), %u of these "
		"have to: %.80s",
		approval->doc.max_permille, count, needed, signers,
		needed > count ? needed - count : 0, others);
}

static bool is_expired(const struct core *core, const struct approval *approval)
{
	return approval->doc.expires_utc_s <= core->now.utc_s;
}

enum ota_code approvals_reason(const struct core *core, const struct ota_digest *release,
	enum ota_code code, struct ota_error *err)
{
	const struct approval *approval = find(core, release);
	char text[CORE_TEXT_CAP];

	if (approval == NULL || is_expired(core, approval) ||
		(code != OTA_E_NOGRANT && code != OTA_E_SHARE && code != OTA_E_EXPIRED))
		return code;
	approval_text(core, approval, text);
	return ota_fail(err, OTA_E_APPROVAL, "%s", text);
}

static void push_keys(const struct core *core, const bool by[static OTA_KEYS_MAX],
	bool which, cJSON *list)
{
	for (uint32_t i = 0; i < operators_of(core)->count; i++) {
		char hex[FINGERPRINT_CAP];

		if (by[i] != which)
			continue;
		key_fingerprint(&operators_of(core)->keys[i], hex);
		tree_push_text(list, hex);
	}
}

cJSON *approval_view(const struct core *core, const struct approval *approval)
{
	cJSON *tree = tree_object(), *list;
	bool by[OTA_KEYS_MAX] = { false };
	uint32_t count = signed_by(core, approval, by),
		 needed = needed_of(core, approval);

	tree_u64(tree, "seq", approval->doc.seq);
	tree_u64(tree, "permille", approval->doc.max_permille);
	list = tree_add(tree, "canaries", tree_array());
	for (uint32_t i = 0; i < approval->doc.canary_count; i++)
		tree_push_text(list, approval->doc.canaries[i]);
	tree_u64(tree, "expires", approval->doc.expires_utc_s);
	tree_u64(tree, "needed", needed);
	tree_u64(tree, "missing", needed > count ? needed - count : 0);
	push_keys(core, by, true, tree_add(tree, "signed", tree_array()));
	push_keys(core, by, false, tree_add(tree, "may_sign", tree_array()));
	return tree;
}

/* ---- taking one */

enum ota_code approvals_join(const struct core *core, struct ota_bytes bytes,
	struct ota_buf *out, struct ota_error *err)
{
	struct ota_keyset any = *operators_of(core);
	const struct approval *held;
	struct ota_bytes other = bytes;
	struct ota_envelope e;
	struct ota_digest digest;
	struct ota_grant doc;
	enum ota_code rc = ota_envelope_parse(bytes, &e, err);

	any.threshold = 1;
	if (rc == OTA_OK)
		rc = ota_envelope_verify(&e, core->trust.root.fleet_id, &any, err);
	if (rc == OTA_OK)
		rc = ota_grant_parse(e.payload, &doc, err);
	if (rc != OTA_OK)
		return rc;
	digest = ota_envelope_digest(&e);
	held = find(core, &doc.release);
	if (held != NULL && ota_digest_equal(&held->digest, &digest))
		other = ota_buf_bytes(&held->envelope);
	return ota_envelope_join(other, bytes, &any, out, err);
}

static enum ota_code check_newer(const struct core *core, const struct ota_grant *doc,
	const struct ota_digest *digest, struct ota_error *err)
{
	const struct grant *in_force = grant_find(core, &doc->release);
	const struct approval *held = find(core, &doc->release);

	if (in_force != NULL && in_force->doc.seq >= doc->seq)
		return ota_fail(err, OTA_E_SEQUENCE,
			"grant %" PRIu64 ": %" PRIu64 " is in force", doc->seq,
			in_force->doc.seq);
	if (held != NULL && (held->doc.seq > doc->seq ||
				    (held->doc.seq == doc->seq &&
					    !ota_digest_equal(&held->digest, digest))))
		return ota_fail(err, OTA_E_SEQUENCE,
			"grant %" PRIu64 ": %" PRIu64 " waits for signatures", doc->seq,
			held->doc.seq);
	return OTA_OK;
}

static struct approval *approval_of(struct core *core, const struct ota_digest *release)
{
	struct approval *approval = find(core, release);

	if (approval != NULL)
		return approval;
	core->approvals =
		core_grow(core->approvals, core->approval_count, sizeof *core->approvals);
	approval = core_alloc(1, sizeof *approval);
	core->approvals[core->approval_count++] = approval;
	approval->doc.release = *release;
	return approval;
}

static struct approval *set(struct core *core, const struct ota_grant *doc,
	const struct ota_digest *digest, struct ota_bytes bytes)
{
	struct approval *approval = approval_of(core, &doc->release);

	approval->doc = *doc;
	approval->digest = *digest;
	approval->envelope.len = 0;
	if (ota_buf_add(&approval->envelope, bytes) != OTA_OK)
		core_out_of_memory();
	return approval;
}

static void audit_signing(
	struct core *core, const char *who, const struct approval *approval)
{
	cJSON *detail = approval_view(core, approval);

	tree_digest(detail, "release", &approval->doc.release);
	tree_digest(detail, "digest", &approval->digest);
	store_audit(core, who, "grant.sign", detail);
}

enum ota_code approvals_keep(
	struct core *core, const char *who, struct ota_bytes bytes, struct ota_error *err)
{
	const struct approval *held;
	struct approval *approval;
	struct ota_envelope e;
	struct ota_digest digest;
	struct ota_grant doc;
	enum ota_code rc = ota_envelope_parse(bytes, &e, err);

	if (rc == OTA_OK)
		rc = ota_grant_parse(e.payload, &doc, err);
	if (rc != OTA_OK)
		return rc;
	digest = ota_envelope_digest(&e);
	if (doc.expires_utc_s <= core->trust.trusted_utc_s)
		return ota_fail(err, OTA_E_EXPIRED, "grant %" PRIu64, doc.seq);
	rc = check_newer(core, &doc, &digest, err);
	if (rc != OTA_OK)
		return rc;
	held = find(core, &doc.release);
	if (held != NULL && ota_bytes_equal(ota_buf_bytes(&held->envelope), bytes))
		return OTA_OK;
	approval = set(core, &doc, &digest, bytes);
	store_approval(core, approval);
	audit_signing(core, who, approval);
	return OTA_OK;
}

void approvals_drop(struct core *core, const struct ota_digest *release, uint64_t seq)
{
	struct approval *approval = find(core, release);
	size_t at = 0;

	if (approval == NULL || approval->doc.seq > seq)
		return;
	while (core->approvals[at] != approval)
		at++;
	core->approvals[at] = core->approvals[--core->approval_count];
	store_drop_approval(core, approval);
	ota_buf_fini(&approval->envelope);
	free(approval);
}

enum ota_code approvals_restore(
	struct core *core, struct ota_bytes envelope, struct ota_error *err)
{
	struct ota_envelope e;
	struct ota_digest digest;
	struct ota_grant doc;
	enum ota_code rc = ota_envelope_parse(envelope, &e, err);

	if (rc == OTA_OK)
		rc = ota_grant_parse(e.payload, &doc, err);
	if (rc != OTA_OK)
		return rc;
	digest = ota_envelope_digest(&e);
	(void)set(core, &doc, &digest, envelope);
	return OTA_OK;
}

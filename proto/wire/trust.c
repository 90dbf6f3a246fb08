#include "proto/wire/trust.h"

#include <string.h>

#include "proto/base/own.h"

static void raise_time(struct ota_trust *trust, uint64_t utc_s)
{
	if (utc_s > trust->trusted_utc_s)
		trust->trusted_utc_s = utc_s;
}

uint64_t ota_trust_now(struct ota_trust *trust, uint64_t now_utc_s)
{
	raise_time(trust, now_utc_s);
	return trust->trusted_utc_s;
}

/* Signed by its own root keys, for its own fleet. */
static OTA_CHECKED enum ota_code verify_self(const struct ota_envelope *envelope,
	const struct ota_root *root, struct ota_error *err)
{
	return ota_envelope_verify(
		envelope, root->fleet_id, &root->roles[OTA_ROLE_ROOT].set, err);
}

static OTA_CHECKED enum ota_code parse_root_envelope(
	struct ota_bytes in, struct ota_envelope *out, struct ota_error *err)
{
	struct ota_envelope envelope = { 0 };
	enum ota_code rc = ota_envelope_parse(in, &envelope, err);

	if (rc != OTA_OK)
		return rc;
	if (envelope.type != OTA_DOC_ROOT)
		return ota_fail(err, OTA_E_DOCTYPE, "%s where root belongs",
			ota_doc_type_text(envelope.type));
	*out = envelope;
	return OTA_OK;
}

enum ota_code ota_trust_anchor(
	struct ota_trust *trust, struct ota_bytes envelope, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_root root = { 0 };
	enum ota_code rc;

	if (trust->anchored)
		return ota_fail(err, OTA_E_CONFLICT, "there is an anchor already");
	rc = parse_root_envelope(envelope, &parsed, err);
	if (rc != OTA_OK)
		return rc;
	rc = ota_root_parse(parsed.payload, &root, err);
	if (rc != OTA_OK)
		return rc;
	rc = verify_self(&parsed, &root, err);
	if (rc != OTA_OK)
		return rc;
	trust->root = root;
	trust->anchored = true;
	raise_time(trust, root.issued_utc_s);
	return OTA_OK;
}

/* OTA_OK if payload says what is held already under this version. */
static OTA_CHECKED enum ota_code check_same_root(
	const struct ota_root *held, struct ota_bytes payload, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf ours = { 0 };
	enum ota_code rc = ota_root_encode(held, &ours, err);

	if (rc != OTA_OK)
		return rc;
	if (!ota_bytes_equal(ota_buf_bytes(&ours), payload))
		return ota_fail(err, OTA_E_ROOTCHAIN, "another root %llu is held",
			(unsigned long long)held->version);
	return OTA_OK;
}

/* What may never change from a root to the next. */
static OTA_CHECKED enum ota_code check_next_root(
	const struct ota_root *held, const struct ota_root *next, struct ota_error *err)
{
	if (next->version != held->version + 1)
		return ota_fail(err, OTA_E_ROOTCHAIN, "root %llu after root %llu",
			(unsigned long long)next->version,
			(unsigned long long)held->version);
	if (memcmp(next->fleet_id, held->fleet_id, OTA_FLEET_ID_LEN) != 0 ||
		strcmp(next->fleet, held->fleet) != 0)
		return ota_fail(err, OTA_E_FLEET, "root of another fleet");
	for (unsigned i = 0; i < OTA_N_ROLES; i++)
		if (next->roles[i].epoch < held->roles[i].epoch)
			return ota_fail(err, OTA_E_ROOTCHAIN, "epoch of %s falls",
				ota_role_text(i));
	return OTA_OK;
}

enum ota_code ota_trust_root(
	struct ota_trust *trust, struct ota_bytes envelope, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_root next = { 0 };
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_ROOT, envelope, &parsed, err);

	if (rc != OTA_OK)
		return rc;
	rc = ota_root_parse(parsed.payload, &next, err);
	if (rc != OTA_OK)
		return rc;
	if (next.version == trust->root.version)
		return check_same_root(&trust->root, parsed.payload, err);
	rc = check_next_root(&trust->root, &next, err);
	if (rc != OTA_OK)
		return rc;
	rc = verify_self(&parsed, &next, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "by its own keys");
	trust->root = next;
	raise_time(trust, next.issued_utc_s);
	return OTA_OK;
}

enum ota_code ota_trust_open(const struct ota_trust *trust, enum ota_doc_type type,
	struct ota_bytes envelope, struct ota_envelope *out, struct ota_error *err)
{
	enum ota_role role = ota_doc_role(type);
	struct ota_envelope parsed = { 0 };
	enum ota_code rc;

	if (!trust->anchored)
		return ota_fail(err, OTA_E_ROOTCHAIN, "no root is held");
	rc = ota_envelope_parse(envelope, &parsed, err);
	if (rc != OTA_OK)
		return rc;
	if (parsed.type != type || role >= OTA_N_ROLES)
		return ota_fail(err, OTA_E_DOCTYPE, "%s where %s belongs",
			ota_doc_type_text(parsed.type), ota_doc_type_text(type));
	rc = ota_envelope_verify(
		&parsed, trust->root.fleet_id, &trust->root.roles[role].set, err);
	if (rc != OTA_OK)
		return rc;
	*out = parsed;
	return OTA_OK;
}

/* What a document would leave behind in its ota_seen. */
static struct ota_seen seen_of(
	const struct ota_trust *trust, const struct ota_envelope *envelope, uint64_t seq)
{
	return (struct ota_seen){
		.epoch = trust->root.roles[ota_doc_role(envelope->type)].epoch,
		.seq = seq,
		.digest = ota_envelope_digest(envelope),
	};
}

/* Sequences count within an epoch; in a new one everything is newer. */
static OTA_CHECKED enum ota_code check_seq(
	const struct ota_seen *held, const struct ota_seen *next, struct ota_error *err)
{
	if (next->epoch != held->epoch || next->seq > held->seq)
		return OTA_OK;
	if (next->seq < held->seq)
		return ota_fail(err, OTA_E_SEQUENCE, "sequence %llu after %llu",
			(unsigned long long)next->seq, (unsigned long long)held->seq);
	if (!ota_digest_equal(&next->digest, &held->digest))
		return ota_fail(err, OTA_E_SEQUENCE, "other content under sequence %llu",
			(unsigned long long)next->seq);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_in_force(const struct ota_trust *trust,
	const char *what, uint64_t expires_utc_s, struct ota_error *err)
{
	if (expires_utc_s <= trust->trusted_utc_s)
		return ota_fail(err, OTA_E_EXPIRED, "%s expired at %llu", what,
			(unsigned long long)expires_utc_s);
	return OTA_OK;
}

enum ota_code ota_trust_fresh(struct ota_trust *trust, struct ota_bytes envelope,
	struct ota_fresh *out, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_fresh fresh;
	struct ota_seen seen;
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_FRESH, envelope, &parsed, err);

	if (rc == OTA_OK)
		rc = ota_fresh_parse(parsed.payload, &fresh, err);
	if (rc != OTA_OK)
		return rc;
	seen = seen_of(trust, &parsed, fresh.seq);
	rc = check_seq(&trust->fresh, &seen, err);
	if (rc == OTA_OK)
		rc = check_in_force(trust, "fresh", fresh.expires_utc_s, err);
	if (rc != OTA_OK)
		return rc;
	trust->fresh = seen;
	raise_time(trust, fresh.issued_utc_s);
	*out = fresh;
	return OTA_OK;
}

enum ota_code ota_trust_catalog(struct ota_trust *trust, struct ota_bytes envelope,
	const struct ota_digest *want, struct ota_catalog *out, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_catalog catalog;
	struct ota_seen seen;
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_CATALOG, envelope, &parsed, err);

	if (rc == OTA_OK)
		rc = ota_catalog_parse(parsed.payload, &catalog, err);
	if (rc != OTA_OK)
		return rc;
	seen = seen_of(trust, &parsed, catalog.seq);
	rc = check_seq(&trust->catalog, &seen, err);
	if (rc == OTA_OK && want != NULL && !ota_digest_equal(want, &seen.digest))
		rc = ota_fail(err, OTA_E_DIGEST, "not the catalog that fresh names");
	if (rc == OTA_OK)
		rc = check_in_force(trust, "catalog", catalog.expires_utc_s, err);
	if (rc != OTA_OK)
		return rc;
	trust->catalog = seen;
	raise_time(trust, catalog.issued_utc_s);
	*out = catalog;
	return OTA_OK;
}

enum ota_code ota_trust_release(const struct ota_trust *trust, struct ota_bytes envelope,
	struct ota_release *out, struct ota_digest *digest, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_RELEASE, envelope, &parsed, err);

	if (rc == OTA_OK)
		rc = ota_release_parse(parsed.payload, out, err);
	if (rc == OTA_OK && digest != NULL)
		*digest = ota_envelope_digest(&parsed);
	return rc;
}

bool ota_role_keys_equal(const struct ota_role_keys *a, const struct ota_role_keys *b)
{
	return a->epoch == b->epoch && a->wide == b->wide &&
	       a->set.threshold == b->set.threshold && a->set.count == b->set.count &&
	       memcmp(a->set.keys, b->set.keys, a->set.count * sizeof *a->set.keys) == 0;
}

uint32_t ota_grant_threshold(const struct ota_root *root, uint64_t max_permille)
{
	const struct ota_role_keys *operators = &root->roles[OTA_ROLE_OPERATOR];
	bool wide = max_permille > OTA_PERMILLE_NARROW;

	return wide && operators->wide != 0 ? operators->wide : operators->set.threshold;
}

/* By as many operators as its share needs; that some signed is known. */
static OTA_CHECKED enum ota_code check_operators(const struct ota_trust *trust,
	const struct ota_envelope *envelope, const struct ota_grant *grant,
	struct ota_error *err)
{
	struct ota_keyset keys = trust->root.roles[OTA_ROLE_OPERATOR].set;
	enum ota_code rc;

	if (ota_grant_threshold(&trust->root, grant->max_permille) == keys.threshold)
		return OTA_OK;
	keys.threshold = ota_grant_threshold(&trust->root, grant->max_permille);
	rc = ota_envelope_verify(envelope, trust->root.fleet_id, &keys, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%llu permille",
			(unsigned long long)grant->max_permille);
	return OTA_OK;
}

enum ota_code ota_trust_grant(const struct ota_trust *trust, struct ota_bytes envelope,
	struct ota_grant *out, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_grant grant;
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_GRANT, envelope, &parsed, err);

	if (rc == OTA_OK)
		rc = ota_grant_parse(parsed.payload, &grant, err);
	if (rc == OTA_OK)
		rc = check_operators(trust, &parsed, &grant, err);
	if (rc == OTA_OK)
		rc = check_in_force(trust, "grant", grant.expires_utc_s, err);
	if (rc != OTA_OK)
		return rc;
	if (grant.not_before_utc_s > trust->trusted_utc_s)
		return ota_fail(err, OTA_E_NOGRANT, "grant begins at %llu",
			(unsigned long long)grant.not_before_utc_s);
	*out = grant;
	return OTA_OK;
}

enum ota_code ota_trust_order(struct ota_trust *trust, struct ota_bytes envelope,
	const char *cohort, struct ota_order *out, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_order order;
	struct ota_seen seen;
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_ORDER, envelope, &parsed, err);

	if (rc == OTA_OK)
		rc = ota_order_parse(parsed.payload, &order, err);
	if (rc != OTA_OK)
		return rc;
	if (strcmp(order.cohort, cohort) != 0)
		return ota_fail(err, OTA_E_COHORT, "order for cohort '%s', not '%s'",
			order.cohort, cohort);
	seen = seen_of(trust, &parsed, order.seq);
	rc = check_seq(&trust->order, &seen, err);
	if (rc != OTA_OK)
		return rc;
	trust->order = seen;
	*out = order;
	return OTA_OK;
}

enum ota_code ota_trust_assign(struct ota_trust *trust, struct ota_bytes envelope,
	const char *device, struct ota_assign *out, struct ota_error *err)
{
	struct ota_envelope parsed = { 0 };
	struct ota_assign assign;
	struct ota_seen seen;
	enum ota_code rc = ota_trust_open(trust, OTA_DOC_ASSIGN, envelope, &parsed, err);

	if (rc == OTA_OK)
		rc = ota_assign_parse(parsed.payload, &assign, err);
	if (rc != OTA_OK)
		return rc;
	if (strcmp(assign.device, device) != 0)
		return ota_fail(err, OTA_E_DEVICE, "assign for device '%s', not '%s'",
			assign.device, device);
	seen = seen_of(trust, &parsed, assign.seq);
	rc = check_seq(&trust->assign, &seen, err);
	if (rc != OTA_OK)
		return rc;
	trust->assign = seen;
	*out = assign;
	return OTA_OK;
}

enum ota_code ota_report_open(struct ota_bytes envelope,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], const struct ota_public_key *key,
	const char *device, struct ota_report *out, struct ota_error *err)
{
	struct ota_keyset keys = { .keys = { *key }, .count = 1, .threshold = 1 };
	struct ota_envelope parsed = { 0 };
	struct ota_report report;
	enum ota_code rc = ota_envelope_parse(envelope, &parsed, err);

	if (rc == OTA_OK && parsed.type != OTA_DOC_REPORT)
		rc = ota_fail(err, OTA_E_DOCTYPE, "%s where report belongs",
			ota_doc_type_text(parsed.type));
	if (rc == OTA_OK)
		rc = ota_envelope_verify(&parsed, fleet_id, &keys, err);
	if (rc == OTA_OK)
		rc = ota_report_parse(parsed.payload, &report, err);
	if (rc != OTA_OK)
		return rc;
	if (strcmp(report.device, device) != 0)
		return ota_fail(err, OTA_E_DEVICE, "report of device '%s', not '%s'",
			report.device, device);
	*out = report;
	return OTA_OK;
}

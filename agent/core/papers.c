#include "agent/core/papers.h"

#include <string.h>

const char *papers_cohort(const struct papers *papers)
{
	return papers->has[OTA_TOPIC_ASSIGN] ? papers->assign.cohort : "";
}

const struct ota_order *papers_order(const struct papers *papers)
{
	return papers->has[OTA_TOPIC_ORDER] ? &papers->order : NULL;
}

static const struct ota_fresh_order *listed(const struct papers *papers)
{
	for (uint32_t i = 0; i < papers->fresh.order_count; i++)
		if (strcmp(papers->fresh.orders[i].cohort, papers->order.cohort) == 0)
			return &papers->fresh.orders[i];
	return NULL;
}

bool papers_order_is_listed(const struct papers *papers)
{
	const struct ota_fresh_order *row;

	if (!papers->has[OTA_TOPIC_FRESH] || !papers->has[OTA_TOPIC_ORDER])
		return false;
	row = listed(papers);
	return row != NULL && row->seq == papers->order.seq &&
	       ota_digest_equal(&row->order, &papers->trust.order.digest);
}

struct ota_case papers_case(const struct papers *p)
{
	return (struct ota_case){
		.trusted_utc_s = p->trust.trusted_utc_s,
		.root = p->trust.anchored ? &p->trust.root : NULL,
		.fresh = p->has[OTA_TOPIC_FRESH] ? &p->fresh : NULL,
		.catalog = p->has[OTA_TOPIC_CATALOG] ? &p->catalog : NULL,
		.release = p->has[OTA_TOPIC_RELEASE] ? &p->release : NULL,
		.order = papers_order(p),
		.grant = p->has[OTA_TOPIC_GRANT] ? &p->grant : NULL,
		.order_digest = p->trust.order.digest,
		.release_digest = p->order.release,
		.catalog_digest = p->trust.catalog.digest,
	};
}

/* True if a kind was not held, or with another digest than now. */
static bool note(struct papers *p, enum ota_topic_kind kind,
	const struct ota_digest *before, const struct ota_digest *now)
{
	bool changed = !p->has[kind] || !ota_digest_equal(before, now);

	p->has[kind] = true;
	return changed;
}

/* What operators of before signed counts no more once other keys, or more of them, have
 * to: the grant has to come again, which the orchestrator sees to. */
static OTA_CHECKED enum ota_code take_root(
	struct papers *p, struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	const struct ota_role_keys operators = p->trust.root.roles[OTA_ROLE_OPERATOR];
	uint64_t before = p->trust.root.version;
	enum ota_code rc = ota_trust_root(&p->trust, envelope, err);

	if (rc != OTA_OK)
		return rc;
	*changed = p->trust.root.version != before;
	if (!ota_role_keys_equal(&operators, &p->trust.root.roles[OTA_ROLE_OPERATOR]))
		p->has[OTA_TOPIC_GRANT] = false;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_fresh(
	struct papers *p, struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	struct ota_digest before = p->trust.fresh.digest;
	enum ota_code rc = ota_trust_fresh(&p->trust, envelope, &p->fresh, err);

	if (rc == OTA_OK)
		*changed = note(p, OTA_TOPIC_FRESH, &before, &p->trust.fresh.digest);
	return rc;
}

/* Whether it is the one that fresh names is asked at the decision: the two come in any
 * order. */
static OTA_CHECKED enum ota_code take_catalog(
	struct papers *p, struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	struct ota_digest before = p->trust.catalog.digest;
	enum ota_code rc = ota_trust_catalog(&p->trust, envelope, NULL, &p->catalog, err);

	if (rc == OTA_OK)
		*changed = note(p, OTA_TOPIC_CATALOG, &before, &p->trust.catalog.digest);
	return rc;
}

static void drop_order(struct papers *p)
{
	p->has[OTA_TOPIC_ORDER] = false;
	p->has[OTA_TOPIC_RELEASE] = false;
	p->has[OTA_TOPIC_GRANT] = false;
}

static OTA_CHECKED enum ota_code take_assign(struct papers *p, const char *device,
	struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	struct ota_digest before = p->trust.assign.digest;
	char cohort[OTA_NAME_CAP];
	bool had = p->has[OTA_TOPIC_ASSIGN];
	enum ota_code rc;

	memcpy(cohort, p->assign.cohort, sizeof cohort);
	rc = ota_trust_assign(&p->trust, envelope, device, &p->assign, err);
	if (rc != OTA_OK)
		return rc;
	*changed = note(p, OTA_TOPIC_ASSIGN, &before, &p->trust.assign.digest);
	if (had && strcmp(cohort, p->assign.cohort) != 0) {
		p->trust.order = (struct ota_seen){ 0 };
		drop_order(p);
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_order(
	struct papers *p, struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	struct ota_digest before = p->trust.order.digest;
	struct ota_digest release = p->order.release;
	enum ota_code rc;

	if (!p->has[OTA_TOPIC_ASSIGN])
		return ota_fail(err, OTA_E_STATE, "order before assign");
	rc = ota_trust_order(&p->trust, envelope, p->assign.cohort, &p->order, err);
	if (rc != OTA_OK)
		return rc;
	*changed = note(p, OTA_TOPIC_ORDER, &before, &p->trust.order.digest);
	if (!ota_digest_equal(&release, &p->order.release)) {
		p->has[OTA_TOPIC_RELEASE] = false;
		p->has[OTA_TOPIC_GRANT] = false;
	}
	return OTA_OK;
}

static bool is_wanted(const struct papers *p, const struct ota_digest *release)
{
	return p->has[OTA_TOPIC_ORDER] && ota_digest_equal(release, &p->order.release);
}

static OTA_CHECKED enum ota_code take_release(
	struct papers *p, struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	struct ota_release release;
	struct ota_digest digest;
	enum ota_code rc = ota_trust_release(&p->trust, envelope, &release, &digest, err);

	if (rc != OTA_OK)
		return rc;
	if (!is_wanted(p, &digest))
		return ota_fail(err, OTA_E_STATE, "release that no order names");
	*changed = !p->has[OTA_TOPIC_RELEASE];
	p->release = release;
	p->has[OTA_TOPIC_RELEASE] = true;
	return OTA_OK;
}

/* A grant may be widened under the same release: by sequence, never back. */
static OTA_CHECKED enum ota_code take_grant(
	struct papers *p, struct ota_bytes envelope, bool *changed, struct ota_error *err)
{
	struct ota_digest digest = ota_digest_of(envelope);
	struct ota_grant grant;
	enum ota_code rc = ota_trust_grant(&p->trust, envelope, &grant, err);

	if (rc != OTA_OK)
		return rc;
	if (!is_wanted(p, &grant.release))
		return ota_fail(err, OTA_E_STATE, "grant that no order needs");
	if (p->has[OTA_TOPIC_GRANT] && grant.seq < p->grant.seq)
		return ota_fail(err, OTA_E_SEQUENCE, "grant %llu after %llu",
			(unsigned long long)grant.seq, (unsigned long long)p->grant.seq);
	*changed = note(p, OTA_TOPIC_GRANT, &p->grant_digest, &digest);
	p->grant = grant;
	p->grant_digest = digest;
	return OTA_OK;
}

enum ota_code papers_take(struct papers *papers, const char *device,
	enum ota_topic_kind kind, struct ota_bytes envelope, bool *changed,
	struct ota_error *err)
{
	switch (kind) {
	case OTA_TOPIC_ROOT:
		return take_root(papers, envelope, changed, err);
	case OTA_TOPIC_FRESH:
		return take_fresh(papers, envelope, changed, err);
	case OTA_TOPIC_CATALOG:
		return take_catalog(papers, envelope, changed, err);
	case OTA_TOPIC_ASSIGN:
		return take_assign(papers, device, envelope, changed, err);
	case OTA_TOPIC_ORDER:
		return take_order(papers, envelope, changed, err);
	case OTA_TOPIC_RELEASE:
		return take_release(papers, envelope, changed, err);
	case OTA_TOPIC_GRANT:
		return take_grant(papers, envelope, changed, err);
	case OTA_TOPIC_MANIFEST:
	case OTA_TOPIC_CHUNK:
	case OTA_TOPIC_BLOCK_TABLE:
	case OTA_TOPIC_BLOCK:
	case OTA_TOPIC_REPORT:
	case OTA_TOPIC_ONLINE:
	case OTA_TOPIC_NEED:
	case OTA_TOPIC_PROGRESS:
	case OTA_N_TOPIC_KINDS:
		break;
	}
	return ota_fail(err, OTA_E_DOCTYPE, "topic kind %d", (int)kind);
}

#include "orchestrator/cli/catalog.h"

#include "orchestrator/cli/client.h"
#include "orchestrator/cli/document.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum ota_code catalog_current(const struct context *context,
	const struct ota_trust *trust, struct ota_catalog *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct client_request request = { .method = "GET",
		.path = "/documents/catalog/current" };
	struct ota_envelope envelope;
	enum ota_code rc = client_send(context, &request, &bytes, err);

	if (rc == OTA_E_NOTFOUND) {
		*out = (struct ota_catalog){ 0 };
		return OTA_OK;
	}
	if (rc == OTA_OK)
		rc = ota_trust_open(
			trust, OTA_DOC_CATALOG, ota_buf_bytes(&bytes), &envelope, err);
	if (rc == OTA_OK)
		rc = ota_catalog_parse(envelope.payload, out, err);
	return rc;
}

/* Where a digest stands in a list; count if it does not. */
static uint32_t place_of(
	const struct ota_digest *list, uint32_t count, const struct ota_digest *digest)
{
	uint32_t i = 0;

	while (i < count && !ota_digest_equal(&list[i], digest))
		i++;
	return i;
}

static bool is_revoked(
	const struct ota_catalog *catalog, const struct ota_digest *release)
{
	return place_of(catalog->revoked, catalog->revoked_count, release) <
	       catalog->revoked_count;
}

bool catalog_allows(const struct ota_catalog *catalog, const struct ota_digest *release)
{
	return !is_revoked(catalog, release) &&
	       place_of(catalog->releases, catalog->release_count, release) <
		       catalog->release_count;
}

enum ota_code catalog_allow(struct ota_catalog *catalog, const struct ota_digest *release,
	struct ota_error *err)
{
	if (is_revoked(catalog, release))
		return ota_fail(err, OTA_E_CONFLICT,
			"the release was revoked, which is for ever: sign a new one");
	if (catalog_allows(catalog, release))
		return OTA_OK;
	if (catalog->release_count == OTA_RELEASES_MAX)
		return ota_fail(err, OTA_E_LIMIT, "the catalog is full (%d releases)",
			OTA_RELEASES_MAX);
	catalog->releases[catalog->release_count++] = *release;
	return OTA_OK;
}

enum ota_code catalog_revoke(struct ota_catalog *catalog,
	const struct ota_digest *release, struct ota_error *err)
{
	uint32_t at = place_of(catalog->releases, catalog->release_count, release);

	if (is_revoked(catalog, release))
		return OTA_OK;
	if (catalog->revoked_count == OTA_RELEASES_MAX)
		return ota_fail(err, OTA_E_LIMIT, "the catalog has %d revoked releases",
			OTA_RELEASES_MAX);
	catalog->revoked[catalog->revoked_count++] = *release;
	if (at < catalog->release_count)
		catalog->releases[at] = catalog->releases[--catalog->release_count];
	return OTA_OK;
}

enum ota_code catalog_sign(const struct ota_trust *trust, struct ota_catalog *catalog,
	const struct ota_secret_key *key, struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	enum ota_code rc;

	catalog->seq++;
	catalog->issued_utc_s = ota_clock_utc_s();
	catalog->expires_utc_s = catalog->issued_utc_s + CATALOG_LIFE_S;
	rc = ota_catalog_encode(catalog, &payload, err);
	if (rc == OTA_OK)
		rc = document_sign(OTA_DOC_CATALOG, trust->root.fleet_id,
			ota_buf_bytes(&payload), key, out, err);
	return rc;
}

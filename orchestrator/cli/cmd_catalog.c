/* catalog show, renew, publish: what releases are allowed, and for how long. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/catalog.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/document.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { PREFIX_MIN = 8 }; /* hex digits that name a release */

const struct cli_option catalog_renew_options[] = {
	{ "allow", 'a', "RELEASE", "a release to allow; repeat for more" },
	{ "revoke", 'r', "RELEASE", "a release to revoke, for ever; repeat for more" },
	{ "empty", 0, NULL,
		"begin with an empty one: none in force, or not by today's keys" },
	{ "key", 'k', "FILE", "release key (default: that of the fleet's keys)" },
	{ "out", 'o', "FILE", "only write it; for a second signature, say" },
	{ 0 },
};

/* One release the server knows, by the first digits of its digest. */
static OTA_CHECKED enum ota_code find_release(const cJSON *releases, const char *text,
	struct ota_digest *out, struct ota_error *err)
{
	const cJSON *one, *found = NULL;
	size_t len = strlen(text);

	if (len < PREFIX_MIN || len != strspn(text, "0123456789abcdef"))
		return ota_fail(err, OTA_E_USAGE,
			"'%.80s' is no release: give %d hex digits of its digest or more "
			"(sluice release list)",
			text, PREFIX_MIN);
	cJSON_ArrayForEach(one, tree_item(releases, "releases"))
	{
		if (strncmp(tree_text(one, "digest"), text, len) != 0)
			continue;
		if (found != NULL)
			return ota_fail(err, OTA_E_CONFLICT,
				"%s begins the digests of two releases", text);
		found = one;
	}
	if (found == NULL)
		return ota_fail(
			err, OTA_E_NOTFOUND, "no release begins with %.80s", text);
	return ota_digest_parse(tree_text(found, "digest"), out, err);
}

static OTA_CHECKED enum ota_code change(const struct context *context,
	const struct cli_call *call, struct ota_catalog *catalog, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *releases = NULL;
	enum ota_code rc = client_get(context, "/releases", &releases, err);

	for (size_t i = 0; rc == OTA_OK && i < call->value_count; i++) {
		const struct cli_value *value = &call->values[i];
		bool allow = strcmp(value->name, "allow") == 0;
		struct ota_digest release;

		if (!allow && strcmp(value->name, "revoke") != 0)
			continue;
		rc = find_release(releases, value->value, &release, err);
		if (rc == OTA_OK)
			rc = allow ? catalog_allow(catalog, &release, err)
				   : catalog_revoke(catalog, &release, err);
	}
	return rc;
}

static void print_catalog(const struct cli_call *call, const struct ota_catalog *catalog,
	struct ota_bytes payload)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	char expires[32];

	if (call->json && ota_json_parse(payload, true, &tree, NULL) == OTA_OK) {
		output_json(tree);
		return;
	}
	printf("Catalog %llu: %u release%s allowed, %u revoked, until %s\n",
		(unsigned long long)catalog->seq, catalog->release_count,
		catalog->release_count == 1 ? "" : "s", catalog->revoked_count,
		output_time(catalog->expires_utc_s, expires));
}

/* What an envelope of a catalog says. */
static OTA_CHECKED enum ota_code tell(
	const struct cli_call *call, struct ota_bytes bytes, struct ota_error *err)
{
	ota_autofree struct ota_catalog *catalog = calloc(1, sizeof *catalog);
	struct ota_envelope envelope;
	enum ota_code rc;

	if (catalog == NULL)
		return ota_fail(err, OTA_E_NOMEM, "catalog");
	rc = ota_envelope_parse(bytes, &envelope, err);
	if (rc == OTA_OK)
		rc = ota_catalog_parse(envelope.payload, catalog, err);
	if (rc == OTA_OK)
		print_catalog(call, catalog, envelope.payload);
	return rc;
}

enum ota_code cmd_catalog_show(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct client_request request = { .method = "GET",
		.path = "/documents/catalog/current" };
	struct context context;
	enum ota_code rc = context_load(call, &context, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = client_send(&context, &request, &bytes, err);
	if (rc == OTA_OK)
		rc = tell(call, ota_buf_bytes(&bytes), err);
	return rc;
}

enum ota_code cmd_catalog_renew(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	ota_autofree struct ota_trust *trust = calloc(1, sizeof *trust);
	ota_autofree struct ota_catalog *catalog = calloc(1, sizeof *catalog);
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key key = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct context context;
	enum ota_code rc = context_load(call, &context, err);

	(void)exit_code;
	if (trust == NULL || catalog == NULL)
		return ota_fail(err, OTA_E_NOMEM, "catalog");
	if (rc == OTA_OK)
		rc = context_trust(&context, trust, err);
	if (rc == OTA_OK && !cli_has(call, "empty"))
		rc = catalog_current(&context, trust, catalog, err);
	if (rc == OTA_OK)
		rc = change(&context, call, catalog, err);
	if (rc == OTA_OK)
		rc = context_key(&context, call, OTA_ROLE_RELEASE, &key, err);
	if (rc == OTA_OK)
		rc = catalog_sign(trust, catalog, &key, &envelope, err);
	if (rc == OTA_OK)
		rc = cli_has(call, "out") ? ota_file_replace(cli_value(call, "out", ""),
						    ota_buf_bytes(&envelope), 0644, err)
					  : client_post_document(&context,
						    ota_buf_bytes(&envelope), NULL, err);
	if (rc == OTA_OK)
		rc = tell(call, ota_buf_bytes(&envelope), err);
	return rc;
}

enum ota_code cmd_catalog_publish(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_envelope envelope = { 0 };
	struct context context;
	enum ota_code rc = context_load(call, &context, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = document_read(call->operands[0], &bytes, &envelope, err);
	if (rc == OTA_OK && envelope.type != OTA_DOC_CATALOG)
		rc = ota_fail(err, OTA_E_DOCTYPE, "%s is a %s, not a catalog",
			call->operands[0], ota_doc_type_text(envelope.type));
	if (rc == OTA_OK)
		rc = client_post_document(&context, ota_buf_bytes(&bytes), NULL, err);
	if (rc == OTA_OK)
		rc = tell(call, ota_buf_bytes(&bytes), err);
	return rc;
}

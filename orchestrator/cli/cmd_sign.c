/* sign, inspect, verify: documents as files, on any machine, without a server. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/context.h"
#include "orchestrator/cli/document.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/patch_file.h"
#include "orchestrator/cli/patch_tree.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

const struct cli_option sign_options[] = {
	{ "key", 'k', "FILE",
		"the secret key (default: that of the role in the fleet's keys)" },
	{ "out", 'o', "FILE", "where to write (default: in place)" },
	{ 0 },
};

const struct cli_option verify_options[] = {
	{ "root", 'r', "FILE", "the root to check against (default: the fleet's)" },
	{ 0 },
};

enum ota_code cmd_sign(const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf signed_bytes = { 0 };
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key secret = { 0 };
	struct context context = { 0 };
	struct ota_envelope envelope;
	enum ota_code rc = document_read(call->operands[0], &bytes, &envelope, err);

	(void)exit_code;
	if (rc == OTA_OK && !cli_has(call, "key"))
		rc = context_load(call, &context, err);
	if (rc == OTA_OK)
		rc = context_key(
			&context, call, ota_doc_role(envelope.type), &secret, err);
	if (rc == OTA_OK)
		rc = ota_envelope_sign(
			ota_buf_bytes(&bytes), &secret, &signed_bytes, err);
	if (rc == OTA_OK)
		rc = ota_file_replace(cli_value(call, "out", call->operands[0]),
			ota_buf_bytes(&signed_bytes), 0644, err);
	if (rc == OTA_OK)
		rc = ota_envelope_parse(ota_buf_bytes(&signed_bytes), &envelope, err);
	if (rc == OTA_OK && !call->json)
		printf("%s: signed, %u signature%s\n",
			cli_value(call, "out", call->operands[0]), envelope.nsig,
			envelope.nsig == 1 ? "" : "s");
	if (rc == OTA_OK && call->json) {
		OTA_AUTO(ota_json_fini) cJSON *tree = document_tree(&envelope);

		output_json(tree);
	}
	return rc;
}

static void print_text(const cJSON *tree, const struct ota_envelope *envelope)
{
	const cJSON *signer;

	printf("%s, %u byte payload\n",
		cJSON_GetObjectItemCaseSensitive(tree, "type")->valuestring,
		(unsigned)envelope->payload.len);
	printf("digest    %s\n",
		cJSON_GetObjectItemCaseSensitive(tree, "digest")->valuestring);
	cJSON_ArrayForEach(signer, cJSON_GetObjectItemCaseSensitive(tree, "signed_by"))
		printf("signed by %s...\n", signer->valuestring);
	output_json(cJSON_GetObjectItemCaseSensitive(tree, "payload"));
	printf("(signatures not checked here; 'sluice verify' does)\n");
}

/* A patch file, if it is one: told by its magic. */
static OTA_CHECKED enum ota_code inspect_patch(const char *path, struct ota_error *err)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	enum ota_code rc = patch_file_inspect(path, &manifest, err);

	if (rc != OTA_OK)
		return rc;
	tree = patch_tree(&manifest);
	output_json(tree);
	return OTA_OK;
}

enum ota_code cmd_inspect(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_envelope envelope;
	enum ota_code rc;

	(void)exit_code;
	if (inspect_patch(call->operands[0], NULL) == OTA_OK)
		return OTA_OK;
	rc = document_read(call->operands[0], &bytes, &envelope, err);
	if (rc != OTA_OK)
		return rc;
	rc = ota_json_scan(envelope.payload, true, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "payload of %s", call->operands[0]);
	tree = document_tree(&envelope);
	if (tree == NULL)
		return ota_fail(err, OTA_E_NOMEM, "payload of %s", call->operands[0]);
	if (call->json)
		output_json(tree);
	else
		print_text(tree, &envelope);
	return OTA_OK;
}

/* Parse the payload as its type, so that a signed but senseless document is refused. */
static OTA_CHECKED enum ota_code check_payload(
	const struct ota_envelope *envelope, struct ota_error *err)
{
	union {
		struct ota_root root;
		struct ota_release release;
		struct ota_catalog catalog;
		struct ota_grant grant;
		struct ota_fresh fresh;
		struct ota_order order;
		struct ota_assign assign;
		struct ota_report report;
	} *any = calloc(1, sizeof *any);
	ota_autofree void *owned = any;

	if (owned == NULL)
		return ota_fail(err, OTA_E_NOMEM, "document");
	switch (envelope->type) {
	case OTA_DOC_ROOT:
		return ota_root_parse(envelope->payload, &any->root, err);
	case OTA_DOC_RELEASE:
		return ota_release_parse(envelope->payload, &any->release, err);
	case OTA_DOC_CATALOG:
		return ota_catalog_parse(envelope->payload, &any->catalog, err);
	case OTA_DOC_GRANT:
		return ota_grant_parse(envelope->payload, &any->grant, err);
	case OTA_DOC_FRESH:
		return ota_fresh_parse(envelope->payload, &any->fresh, err);
	case OTA_DOC_ORDER:
		return ota_order_parse(envelope->payload, &any->order, err);
	case OTA_DOC_ASSIGN:
		return ota_assign_parse(envelope->payload, &any->assign, err);
	case OTA_DOC_REPORT:
		return ota_report_parse(envelope->payload, &any->report, err);
	}
	return ota_fail(err, OTA_E_DOCTYPE, "type %d", (int)envelope->type);
}

/* A grant needs as many operators as its share asks for. */
static OTA_CHECKED enum ota_code check_operators(const struct ota_trust *trust,
	const struct ota_envelope *envelope, struct ota_error *err)
{
	struct ota_keyset keys = trust->root.roles[OTA_ROLE_OPERATOR].set;
	struct ota_grant grant;
	enum ota_code rc;

	if (envelope->type != OTA_DOC_GRANT)
		return OTA_OK;
	rc = ota_grant_parse(envelope->payload, &grant, err);
	if (rc != OTA_OK)
		return rc;
	keys.threshold = ota_grant_threshold(&trust->root, grant.max_permille);
	return ota_envelope_verify(envelope, trust->root.fleet_id, &keys, err);
}

static OTA_CHECKED enum ota_code load_root(
	const struct cli_call *call, struct ota_trust *trust, struct ota_error *err)
{
	const char *path = cli_value(call, "root", NULL);
	struct context context = { 0 };
	enum ota_code rc = OTA_OK;

	if (path == NULL)
		rc = context_load(call, &context, err);
	else if (strlen(path) < sizeof context.root_path)
		memcpy(context.root_path, path, strlen(path) + 1);
	else
		rc = ota_fail(err, OTA_E_LIMIT, "path '%s' is too long", path);
	if (rc == OTA_OK)
		rc = context_trust(&context, trust, err);
	return rc;
}

enum ota_code cmd_verify(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	ota_autofree struct ota_trust *trust = calloc(1, sizeof *trust);
	struct ota_envelope envelope;
	enum ota_code rc = document_read(call->operands[0], &bytes, &envelope, err);

	(void)exit_code;
	if (trust == NULL)
		return ota_fail(err, OTA_E_NOMEM, "root");
	if (rc == OTA_OK)
		rc = load_root(call, trust, err);
	if (rc == OTA_OK && ota_doc_role(envelope.type) == OTA_ROLE_DEVICE)
		return ota_fail(err, OTA_E_DOCTYPE,
			"a report is signed by its device; the orchestrator checks it");
	if (rc == OTA_OK)
		rc = ota_trust_open(
			trust, envelope.type, ota_buf_bytes(&bytes), &envelope, err);
	if (rc == OTA_OK)
		rc = check_payload(&envelope, err);
	if (rc == OTA_OK)
		rc = check_operators(trust, &envelope, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", call->operands[0]);
	if (call->json) {
		OTA_AUTO(ota_json_fini) cJSON *tree = document_tree(&envelope);

		output_json(tree);
	} else {
		printf("%s: good, a %s signed by the %s role of fleet %s\n",
			call->operands[0], ota_doc_type_text(envelope.type),
			ota_role_text(ota_doc_role(envelope.type)), trust->root.fleet);
	}
	return OTA_OK;
}

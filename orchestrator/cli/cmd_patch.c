/* diff, patch: the codecs on files, without a fleet; and patches as `inspect` shows them.
 */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/patch_file.h"
#include "orchestrator/cli/patch_tree.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

const struct cli_option diff_options[] = {
	{ "out", 'o', "PATCH", "the patch file to write" },
	{ "codec", 'c', "auto|full|vcdiff|predict",
		"how to make it (default auto: the smallest of all)" },
	{ "explain", 0, NULL,
		"also tell where its bytes went; makes all codecs' patches" },
	{ 0 },
};

const struct cli_option patch_options[] = {
	{ "out", 'o', "NEW", "the file to write" },
	{ "raw", 0, "FILE", "write the patch as it travels there, and apply nothing" },
	{ 0 },
};

cJSON *patch_tree(const struct ota_manifest *manifest)
{
	cJSON *tree = cJSON_CreateObject();

	cJSON_AddStringToObject(tree, "type", "patch");
	cJSON_AddStringToObject(tree, "codec", ota_codec_text(manifest->codec));
	ota_json_add_digest(tree, "from", &manifest->from);
	ota_json_add_u64(tree, "from_len", manifest->from_len);
	ota_json_add_digest(tree, "to", &manifest->to);
	ota_json_add_u64(tree, "to_len", manifest->to_len);
	ota_json_add_u64(tree, "patch_len", manifest->patch_len);
	ota_json_add_u64(tree, "raw_len", manifest->raw_len);
	ota_json_add_u64(tree, "chunk_len", manifest->chunk_len);
	ota_json_add_u64(tree, "chunks", manifest->chunk_count);
	ota_json_add_u64(tree, "window_log", manifest->window_log);
	ota_json_add_u64(tree, "decoder_ram", manifest->decoder_ram);
	return tree;
}

/* explain may be NULL. */
static void print_json(const struct ota_manifest *manifest, struct patch_explain *explain)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = patch_tree(manifest);

	if (explain != NULL)
		cJSON_AddItemToObject(tree, "explain", patch_explain_tree(explain));
	output_json(tree);
}

static void print_text(const char *path, const struct ota_manifest *manifest)
{
	char patch[24], image[24], ram[24];

	printf("%s: %s patch of %s in %u chunk%s for an image of %s; decoding takes %s\n",
		path, ota_codec_text(manifest->codec),
		output_bytes(manifest->patch_len, patch), manifest->chunk_count,
		manifest->chunk_count == 1 ? "" : "s",
		output_bytes(manifest->to_len, image),
		output_bytes(manifest->decoder_ram, ram));
}

static void print_diff(const struct cli_call *call, const struct patch_file_job *job,
	const struct ota_manifest *manifest)
{
	if (call->json) {
		print_json(manifest, job->explain);
		return;
	}
	print_text(job->patch_path, manifest);
	if (job->explain != NULL)
		patch_explain_print(job->explain);
}

enum ota_code cmd_diff(const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	OTA_AUTO(patch_explain_fini) struct patch_explain explain = { 0 };
	const char *codec = cli_value(call, "codec", "auto");
	struct progress_bar bar;
	struct patch_file_job job = {
		.old_path = call->operands[0],
		.new_path = call->operands[1],
		.codec = PATCH_FILE_AUTO,
		.progress = { .ctx = &bar, .tick = progress_tick },
		.explain = cli_has(call, "explain") ? &explain : NULL,
	};
	enum ota_code rc = cli_need(call, "out", &job.patch_path, err);

	(void)exit_code;
	if (rc == OTA_OK && strcmp(codec, "auto") != 0)
		rc = ota_codec_of(codec, &job.codec, err);
	if (rc != OTA_OK)
		return rc;
	progress_begin(&bar, "diff");
	rc = patch_file_make(&job, &manifest, err);
	progress_end(&bar);
	if (rc == OTA_OK)
		print_diff(call, &job, &manifest);
	return rc;
}

enum ota_code cmd_patch(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct progress_bar bar;
	struct patch_file_job job = {
		.old_path = call->operands[0],
		.patch_path = call->operands[1],
		.progress = { .ctx = &bar, .tick = progress_tick },
	};
	enum ota_code rc;

	(void)exit_code;
	if (cli_has(call, "raw"))
		return patch_file_extract(
			job.patch_path, cli_value(call, "raw", ""), err);
	rc = cli_need(call, "out", &job.new_path, err);
	if (rc != OTA_OK)
		return rc;
	progress_begin(&bar, "patch");
	rc = patch_file_apply(&job, &manifest, err);
	progress_end(&bar);
	if (rc == OTA_OK && call->json)
		print_json(&manifest, NULL);
	return rc;
}

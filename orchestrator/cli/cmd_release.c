/* release create, publish, list: images become signed releases that the catalog allows.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/cli/catalog.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/document.h"
#include "orchestrator/cli/image_advice.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum { READ_LEN = 1 << 20 }; /* bytes at a time */

const struct cli_option release_create_options[] = {
	{ "product", 'p', "NAME", "what the image is for" },
	{ "version", 'v', "NAME", "its version, for people" },
	{ "hardware", 'w', "NAME", "hardware it may run on; repeat for more" },
	{ "counter", 'c', "N", "monotonic number (default: one above the newest)" },
	{ "floor", 0, "N", "no device goes below N once it confirmed this (default 0)" },
	{ "class", 0, "feature|security", "kind of release (default feature)" },
	{ "needs", 0, "VERSION", "a version that must run before; repeat for more" },
	{ "notes", 'n', "TEXT", "for people" },
	{ "key", 'k', "FILE", "release key (default: that of the fleet's keys)" },
	{ "out", 'o', "FILE", "write the signed release there" },
	{ "offline", 0, NULL, "only write --out; publish later with 'release publish'" },
	{ 0 },
};

const struct cli_option release_publish_options[] = {
	{ "key", 'k', "FILE", "release key that signs the catalog" },
	{ 0 },
};

/* ---- the image ------------------------------------------------------------------------
 */

static OTA_CHECKED enum ota_code hash_file(
	const char *path, struct ota_digest *digest, uint64_t *len, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ota_autofree uint8_t *piece = malloc(READ_LEN);
	struct ota_hasher hasher;
	struct progress_bar bar;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ota_fail(
			err, OTA_E_NOTFOUND, "image %s is not a readable file", path);
	if (piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "image %s", path);
	ota_hasher_init(&hasher);
	progress_begin(&bar, "digest");
	for (uint64_t at = 0; at < (uint64_t)st.st_size;) {
		uint64_t left = (uint64_t)st.st_size - at;
		size_t n = left < READ_LEN ? (size_t)left : READ_LEN;
		enum ota_code rc = ota_fd_read_at(fd, at, piece, n, err);

		if (rc != OTA_OK)
			return ota_wrap(err, rc, "image %s", path);
		ota_hasher_add(&hasher, (struct ota_bytes){ piece, n });
		at += n;
		(void)progress_tick(&bar, at, (uint64_t)st.st_size);
	}
	progress_end(&bar);
	*digest = ota_hasher_result(&hasher);
	*len = (uint64_t)st.st_size;
	return OTA_OK;
}

/* ---- the release ----------------------------------------------------------------------
 */

/* All values of a repeated option, as names. */
static OTA_CHECKED enum ota_code take_names(const struct cli_call *call,
	const char *option, char (*out)[OTA_NAME_CAP], uint32_t max, uint32_t *count,
	struct ota_error *err)
{
	for (size_t i = 0; i < call->value_count; i++) {
		enum ota_code rc;

		if (strcmp(call->values[i].name, option) != 0)
			continue;
		if (*count == max)
			return ota_fail(
				err, OTA_E_LIMIT, "more than %u --%s", max, option);
		rc = ota_name_copy(call->values[i].value, option, out[*count], err);
		if (rc != OTA_OK)
			return rc;
		++*count;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_names_of_release(
	const struct cli_call *call, struct ota_release *release, struct ota_error *err)
{
	const char *product, *version;
	enum ota_code rc = cli_need(call, "product", &product, err);

	if (rc == OTA_OK)
		rc = ota_name_copy(product, "product", release->product, err);
	if (rc == OTA_OK)
		rc = cli_need(call, "version", &version, err);
	if (rc == OTA_OK)
		rc = ota_name_copy(version, "version", release->version, err);
	if (rc == OTA_OK)
		rc = take_names(call, "hardware", release->hardware, OTA_HARDWARE_MAX,
			&release->hardware_count, err);
	if (rc == OTA_OK)
		rc = take_names(call, "needs", release->needs, OTA_NEEDS_MAX,
			&release->needs_count, err);
	if (rc == OTA_OK && release->hardware_count == 0)
		return ota_fail(
			err, OTA_E_USAGE, "sluice release create needs --hardware");
	return rc;
}

static OTA_CHECKED enum ota_code take_rest(const struct cli_call *call, uint64_t next,
	struct ota_release *release, struct ota_error *err)
{
	const char *class = cli_value(call, "class", "feature");
	const char *notes = cli_value(call, "notes", "");
	unsigned long long counter, floor;
	enum ota_code rc = cli_number(call, "counter", next, &counter, err);

	if (rc == OTA_OK)
		rc = cli_number(call, "floor", 0, &floor, err);
	if (rc != OTA_OK)
		return rc;
	if (floor > counter)
		return ota_fail(err, OTA_E_USAGE,
			"--floor %llu is above the counter %llu", floor, counter);
	if (strcmp(class, "feature") != 0 && strcmp(class, "security") != 0)
		return ota_fail(err, OTA_E_USAGE,
			"--class is feature or security, not '%s'", class);
	if (strlen(notes) >= sizeof release->notes)
		return ota_fail(err, OTA_E_LIMIT, "--notes over %zu bytes",
			sizeof release->notes - 1);
	release->counter = counter;
	release->floor = floor;
	release->class = class[0] == 's' ? OTA_CLASS_SECURITY : OTA_CLASS_FEATURE;
	memcpy(release->notes, notes, strlen(notes) + 1);
	return OTA_OK;
}

/* One above the newest counter the server knows for a product. */
static OTA_CHECKED enum ota_code next_counter(const struct context *context,
	const char *product, uint64_t *out, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	const cJSON *one;
	uint64_t newest = 0;
	enum ota_code rc = client_get(context, "/releases", &tree, err);

	if (rc != OTA_OK)
		return rc;
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(tree, "releases"))
	{
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(one, "product");
		const cJSON *counter = cJSON_GetObjectItemCaseSensitive(one, "counter");

		if (!cJSON_IsString(name) || !cJSON_IsNumber(counter))
			continue;
		if (strcmp(name->valuestring, product) == 0 &&
			(uint64_t)counter->valuedouble > newest)
			newest = (uint64_t)counter->valuedouble;
	}
	*out = newest + 1;
	return OTA_OK;
}

/* Sign and post the next catalog, which lists one release more. */
static OTA_CHECKED enum ota_code list_release(const struct context *context,
	const struct ota_secret_key *key, const struct ota_digest *release,
	struct ota_error *err)
{
	ota_autofree struct ota_trust *trust = calloc(1, sizeof *trust);
	ota_autofree struct ota_catalog *catalog = calloc(1, sizeof *catalog);
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	enum ota_code rc;

	if (trust == NULL || catalog == NULL)
		return ota_fail(err, OTA_E_NOMEM, "catalog");
	rc = context_trust(context, trust, err);
	if (rc == OTA_OK)
		rc = catalog_current(context, trust, catalog, err);
	if (rc != OTA_OK || catalog_allows(catalog, release))
		return rc;
	rc = catalog_allow(catalog, release, err);
	if (rc == OTA_OK)
		rc = catalog_sign(trust, catalog, key, &envelope, err);
	if (rc == OTA_OK)
		rc = client_post_document(context, ota_buf_bytes(&envelope), NULL, err);
	return rc;
}

/* ---- the verbs ------------------------------------------------------------------------
 */

struct work {
	struct context context;
	struct ota_secret_key key;
	struct ota_release release;
	struct ota_digest digest;
	struct ota_buf envelope;
	bool sent; /* the image travelled */
};

static void work_fini(struct work *work)
{
	ota_secret_key_fini(&work->key);
	ota_buf_fini(&work->envelope);
}

static OTA_CHECKED enum ota_code publish(
	struct work *work, const char *image_path, struct ota_error *err)
{
	enum ota_code rc;

	rc = client_post_document(
		&work->context, ota_buf_bytes(&work->envelope), NULL, err);
	if (rc == OTA_OK)
		rc = client_put_image(&work->context, image_path, &work->release.image,
			&work->sent, err);
	if (rc == OTA_OK)
		rc = list_release(&work->context, &work->key, &work->digest, err);
	return rc;
}

static void print_release(
	const struct cli_call *call, const struct work *work, const char *image_path)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	cJSON *warnings = cJSON_CreateArray();
	char hex[OTA_DIGEST_HEX_CAP], size[24], advice[OTA_ADVICE_CAP];
	bool is_advised = image_advice(image_path, advice);

	ota_digest_hex(&work->digest, hex);
	cJSON_AddStringToObject(tree, "release", hex);
	cJSON_AddStringToObject(tree, "product", work->release.product);
	cJSON_AddStringToObject(tree, "version", work->release.version);
	ota_json_add_u64(tree, "counter", work->release.counter);
	ota_json_add_digest(tree, "image", &work->release.image);
	ota_json_add_u64(tree, "image_len", work->release.image_len);
	cJSON_AddBoolToObject(tree, "published", !cli_has(call, "offline"));
	if (is_advised)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(advice));
	cJSON_AddItemToObject(tree, "warnings", warnings);
	if (call->json) {
		output_json(tree);
		return;
	}
	printf("%s %s  counter %llu, %s%s\nrelease %s\n", work->release.product,
		work->release.version, (unsigned long long)work->release.counter,
		output_bytes(work->release.image_len, size),
		cli_has(call, "offline") ? "" : ", published", hex);
	if (is_advised)
		printf("warning: %s\n", advice);
}

static OTA_CHECKED enum ota_code sign_release(
	struct work *work, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	ota_autofree struct ota_trust *trust = calloc(1, sizeof *trust);
	struct ota_envelope view;
	enum ota_code rc;

	if (trust == NULL)
		return ota_fail(err, OTA_E_NOMEM, "release");
	rc = context_trust(&work->context, trust, err);
	if (rc == OTA_OK)
		rc = ota_release_encode(&work->release, &payload, err);
	if (rc == OTA_OK)
		rc = document_sign(OTA_DOC_RELEASE, trust->root.fleet_id,
			ota_buf_bytes(&payload), &work->key, &work->envelope, err);
	if (rc == OTA_OK)
		rc = ota_envelope_parse(ota_buf_bytes(&work->envelope), &view, err);
	if (rc != OTA_OK)
		return rc;
	work->digest = ota_envelope_digest(&view);
	if (cli_has(call, "out"))
		rc = ota_file_replace(cli_value(call, "out", ""),
			ota_buf_bytes(&work->envelope), 0644, err);
	return rc;
}

enum ota_code cmd_release_create(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(work_fini) struct work work = { 0 };
	bool offline = cli_has(call, "offline");
	uint64_t next = 1;
	enum ota_code rc;

	(void)exit_code;
	if (offline && (!cli_has(call, "out") || !cli_has(call, "counter")))
		return ota_fail(err, OTA_E_USAGE, "--offline needs --out and --counter");
	rc = context_load(call, &work.context, err);
	if (rc == OTA_OK)
		rc = take_names_of_release(call, &work.release, err);
	if (rc == OTA_OK && !offline)
		rc = next_counter(&work.context, work.release.product, &next, err);
	if (rc == OTA_OK)
		rc = take_rest(call, next, &work.release, err);
	if (rc == OTA_OK)
		rc = context_key(&work.context, call, OTA_ROLE_RELEASE, &work.key, err);
	if (rc == OTA_OK)
		rc = hash_file(call->operands[0], &work.release.image,
			&work.release.image_len, err);
	if (rc == OTA_OK)
		rc = sign_release(&work, call, err);
	if (rc == OTA_OK && !offline)
		rc = publish(&work, call->operands[0], err);
	if (rc == OTA_OK)
		print_release(call, &work, call->operands[0]);
	return rc;
}

enum ota_code cmd_release_publish(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(work_fini) struct work work = { 0 };
	struct ota_envelope view;
	struct ota_digest image;
	uint64_t len;
	enum ota_code rc = context_load(call, &work.context, err);

	(void)exit_code;
	if (rc == OTA_OK)
		rc = document_read(call->operands[0], &work.envelope, &view, err);
	if (rc == OTA_OK)
		rc = ota_release_parse(view.payload, &work.release, err);
	if (rc == OTA_OK)
		rc = context_key(&work.context, call, OTA_ROLE_RELEASE, &work.key, err);
	if (rc == OTA_OK)
		rc = hash_file(call->operands[1], &image, &len, err);
	if (rc != OTA_OK)
		return rc;
	if (!ota_digest_equal(&image, &work.release.image))
		return ota_fail(err, OTA_E_DIGEST, "%s is not the image that %s signs",
			call->operands[1], call->operands[0]);
	work.digest = ota_envelope_digest(&view);
	rc = publish(&work, call->operands[1], err);
	if (rc == OTA_OK)
		print_release(call, &work, call->operands[1]);
	return rc;
}

enum ota_code cmd_release_list(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	static const char *const headings[] = { "PRODUCT", "VERSION", "COUNTER", "SIZE",
		"CLASS", "GRANTED", "RELEASE", NULL };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct context context;
	const cJSON *one;
	struct table *table;
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK)
		rc = client_get(&context, "/releases", &tree, err);
	if (rc != OTA_OK)
		return rc;
	if (call->json) {
		output_json(tree);
		return OTA_OK;
	}
	table = table_new(headings);
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(tree, "releases"))
	{
		char size[24];

		table_row(table);
		table_cell(table, "%s", tree_text(one, "product"));
		table_cell(table, "%s", tree_text(one, "version"));
		table_cell(
			table, "%llu", (unsigned long long)tree_number(one, "counter"));
		table_cell(
			table, "%s", output_bytes(tree_number(one, "image_len"), size));
		table_cell(table, "%s", tree_text(one, "class"));
		table_cell(table, "%.1f %%",
			(double)tree_number(one, "granted_permille") / 10);
		table_cell(table, "%.16s", tree_text(one, "digest"));
	}
	table_print(table);
	*exit_code = cJSON_GetArraySize(
			     cJSON_GetObjectItemCaseSensitive(tree, "releases")) == 0
			     ? CLI_NOTHING
			     : CLI_OK;
	return OTA_OK;
}

/* approve: an operator grants a release a share of the fleet. The key never leaves this
 * machine; the server only gets the signed grant. */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/approve_salt.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/document.h"
#include "orchestrator/cli/output.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "proto/wire/admit.h"

enum { DEFAULT_LIFE_DAYS = 14, DAY_S = 86400 };

const struct cli_option approve_options[] = {
	{ "share", 0, "PERCENT",
		"how far it may go (default: as far as the rollout plans)" },
	{ "days", 0, "N", "how long the grant lives (default 14)" },
	{ "key", 'k', "FILE", "operator key (default: that of the fleet's keys)" },
	{ "out", 'o', "FILE", "write the grant there and do not send it" },
	{ "add", 0, NULL, "sign the grant that waits for another operator" },
	{ "file", 0, "FILE", "with --add: sign the grant in that file" },
	{ "new", 0, NULL, "make another grant in place of one that waits" },
	{ 0 },
};

struct approval {
	struct context context;
	struct ota_trust trust;
	struct ota_secret_key key;
	struct ota_grant grant;
	char rollout[OTA_NAME_CAP];
	cJSON *tree;             /* owned: the rollout as the server tells it */
	struct ota_buf envelope; /* owned */
	uint64_t missing;        /* signatures */
};

static void approval_free(struct approval **approval)
{
	if (*approval == NULL)
		return;
	ota_secret_key_fini(&(*approval)->key);
	cJSON_Delete((*approval)->tree);
	ota_buf_fini(&(*approval)->envelope);
	free(*approval);
}

/* "12.5" or "12.5%" as permille. */
static OTA_CHECKED enum ota_code read_share(
	const char *text, uint64_t *permille, struct ota_error *err)
{
	double percent;
	char unit = '%', end;
	int n = sscanf(text, "%lf%c%c", &percent, &unit, &end);

	if (n < 1 || n > 2 || unit != '%' || !(percent >= 0 && percent <= 100))
		return ota_fail(err, OTA_E_USAGE,
			"--share is a percentage from 0%% to 100%%, not '%s'", text);
	*permille = (uint64_t)(percent * 10 + 0.5);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code add_canary(
	struct ota_grant *grant, const char *device, struct ota_error *err)
{
	const struct ota_grant *held = grant;

	if (ota_is_canary(held->canaries, held->canary_count, device))
		return OTA_OK;
	if (grant->canary_count == OTA_CANARIES_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "more than %d named devices", OTA_CANARIES_MAX);
	return ota_name_copy(
		device, "device", grant->canaries[grant->canary_count++], err);
}

/* The furthest share and all named devices that the rollout's stages plan. A stage by
 * count may need the whole cohort's share: it is bounded by the order, not the grant. */
static OTA_CHECKED enum ota_code planned(
	struct approval *a, uint64_t *permille, struct ota_error *err)
{
	const cJSON *stage, *device;

	*permille = 0;
	cJSON_ArrayForEach(stage, tree_item(tree_item(a->tree, "spec"), "stages"))
	{
		uint64_t share = tree_item(stage, "count") != NULL
					 ? OTA_PERMILLE_ALL
					 : tree_number(stage, "permille");

		if (share > *permille)
			*permille = share;
		cJSON_ArrayForEach(device, tree_item(stage, "devices"))
		{
			enum ota_code rc =
				add_canary(&a->grant, device->valuestring, err);

			if (rc != OTA_OK)
				return rc;
		}
	}
	return OTA_OK;
}

/* Of the grant that waits for signatures; 0: none does. */
static uint64_t waiting_seq(const struct approval *a)
{
	return tree_number(tree_item(a->tree, "approval"), "seq");
}

/* To make another grant while one waits is not what a second operator means to do. */
static OTA_CHECKED enum ota_code check_waiting(
	const struct approval *a, const struct cli_call *call, struct ota_error *err)
{
	const cJSON *waiting = tree_item(a->tree, "approval");

	if (waiting == NULL || cli_has(call, "new") ||
		tree_number(waiting, "expires") <= ota_clock_utc_s())
		return OTA_OK;
	return ota_fail(err, OTA_E_CONFLICT,
		"a grant of %.1f %% waits for %llu more signature(s): sign it with "
		"--add, or make another with --new",
		(double)tree_number(waiting, "permille") / 10,
		(unsigned long long)tree_number(waiting, "missing"));
}

/* A wider grant keeps the salt of the one before it: the buckets stay as they are. The
 * first one has the salt that spreads the early stages best. */
static OTA_CHECKED enum ota_code follow_earlier(struct approval *a, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	ota_autofree struct ota_grant *earlier = calloc(1, sizeof *earlier);
	char hex[OTA_DIGEST_HEX_CAP], path[OTA_DIGEST_HEX_CAP + 32];
	struct client_request get = { .method = "GET", .path = path };
	struct ota_envelope view;
	enum ota_code rc;

	if (earlier == NULL)
		return ota_fail(err, OTA_E_NOMEM, "grant");
	ota_digest_hex(&a->grant.release, hex);
	(void)snprintf(path, sizeof path, "/documents/grant/%s", hex);
	rc = client_send(&a->context, &get, &bytes, err);
	if (rc == OTA_E_NOTFOUND) {
		a->grant.seq = waiting_seq(a) + 1;
		return approve_salt(
			&a->context, tree_item(a->tree, "spec"), a->grant.salt, err);
	}
	if (rc == OTA_OK)
		rc = ota_trust_open(
			&a->trust, OTA_DOC_GRANT, ota_buf_bytes(&bytes), &view, err);
	if (rc == OTA_OK)
		rc = ota_grant_parse(view.payload, earlier, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "grant in force");
	a->grant.seq =
		1 + (waiting_seq(a) > earlier->seq ? waiting_seq(a) : earlier->seq);
	memcpy(a->grant.salt, earlier->salt, sizeof a->grant.salt);
	for (uint32_t i = 0; rc == OTA_OK && i < earlier->canary_count; i++)
		rc = add_canary(&a->grant, earlier->canaries[i], err);
	return rc;
}

static OTA_CHECKED enum ota_code fill_grant(
	struct approval *a, const struct cli_call *call, struct ota_error *err)
{
	const cJSON *release = tree_item(a->tree, "spec");
	unsigned long long days;
	enum ota_code rc = cli_number(call, "days", DEFAULT_LIFE_DAYS, &days, err);

	if (rc == OTA_OK && (days == 0 || days > 365))
		return ota_fail(err, OTA_E_USAGE, "--days is 1 to 365");
	if (rc == OTA_OK)
		rc = ota_digest_parse(
			tree_text(release, "release"), &a->grant.release, err);
	if (rc == OTA_OK)
		rc = follow_earlier(a, err);
	if (rc == OTA_OK)
		rc = planned(a, &a->grant.max_permille, err);
	if (rc == OTA_OK && cli_has(call, "share"))
		rc = read_share(
			cli_value(call, "share", ""), &a->grant.max_permille, err);
	if (rc != OTA_OK)
		return rc;
	a->grant.issued_utc_s = ota_clock_utc_s();
	a->grant.not_before_utc_s = a->grant.issued_utc_s;
	a->grant.expires_utc_s = a->grant.issued_utc_s + days * DAY_S;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code load_rollout(
	struct approval *a, const struct cli_call *call, struct ota_error *err)
{
	char path[OTA_NAME_CAP + 16];
	enum ota_code rc = context_load(call, &a->context, err);

	if (rc == OTA_OK)
		rc = ota_name_copy(call->operands[0], "rollout", a->rollout, err);
	if (rc == OTA_OK)
		rc = context_trust(&a->context, &a->trust, err);
	if (rc == OTA_OK)
		rc = context_key(&a->context, call, OTA_ROLE_OPERATOR, &a->key, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(path, sizeof path, "/rollouts/%s", a->rollout);
	return client_get(&a->context, path, &a->tree, err);
}

static const struct ota_keyset *operators_of(const struct approval *a)
{
	return &a->trust.root.roles[OTA_ROLE_OPERATOR].set;
}

/* How many operators have yet to sign, by the root at hand. */
static OTA_CHECKED enum ota_code count_missing(struct approval *a, struct ota_error *err)
{
	uint32_t needed = ota_grant_threshold(&a->trust.root, a->grant.max_permille);
	bool by[OTA_KEYS_MAX] = { false };
	struct ota_envelope view;
	uint32_t count;
	enum ota_code rc = ota_envelope_parse(ota_buf_bytes(&a->envelope), &view, err);

	if (rc != OTA_OK)
		return rc;
	count = ota_envelope_signed_by(&view, operators_of(a), by);
	a->missing = needed > count ? needed - count : 0;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code make_grant(
	struct approval *a, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	enum ota_code rc = check_waiting(a, call, err);

	if (rc == OTA_OK)
		rc = fill_grant(a, call, err);
	if (rc == OTA_OK)
		rc = ota_grant_encode(&a->grant, &payload, err);
	if (rc == OTA_OK)
		rc = document_sign(OTA_DOC_GRANT, a->trust.root.fleet_id,
			ota_buf_bytes(&payload), &a->key, &a->envelope, err);
	return rc;
}

/* ---- the signature of another operator */

static OTA_CHECKED enum ota_code load_waiting(const struct approval *a,
	const struct cli_call *call, struct ota_buf *out, struct ota_error *err)
{
	char path[OTA_DIGEST_HEX_CAP + 16];
	struct client_request get = { .method = "GET", .path = path };
	const char *file = cli_value(call, "file", NULL);

	if (file != NULL)
		return ota_file_read(file, OTA_ENVELOPE_LEN_MAX, out, err);
	(void)snprintf(path, sizeof path, "/approvals/%.64s",
		tree_text(tree_item(a->tree, "spec"), "release"));
	return client_send(&a->context, &get, out, err);
}

/* It is a grant for this rollout's release, that an operator of the root signed: the
 * server or whoever brought the file may be an enemy. */
static OTA_CHECKED enum ota_code check_grant(
	struct approval *a, const struct ota_envelope *view, struct ota_error *err)
{
	struct ota_keyset any = *operators_of(a);
	char hex[OTA_DIGEST_HEX_CAP];
	enum ota_code rc;

	any.threshold = 1;
	if (view->type != OTA_DOC_GRANT)
		return ota_fail(err, OTA_E_DOCTYPE, "a %s, not a grant",
			ota_doc_type_text(view->type));
	rc = ota_envelope_verify(view, a->trust.root.fleet_id, &any, err);
	if (rc == OTA_OK)
		rc = ota_grant_parse(view->payload, &a->grant, err);
	if (rc != OTA_OK)
		return rc;
	ota_digest_hex(&a->grant.release, hex);
	if (strcmp(hex, tree_text(tree_item(a->tree, "spec"), "release")) != 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"the grant is not for the release of rollout '%s'", a->rollout);
	if (a->grant.expires_utc_s <= ota_clock_utc_s())
		return ota_fail(err, OTA_E_EXPIRED, "the grant; make another with --new");
	return OTA_OK;
}

/* Our key is an operator's, and has not signed yet. */
static OTA_CHECKED enum ota_code check_signer(
	const struct approval *a, const struct ota_envelope *view, struct ota_error *err)
{
	const struct ota_public_key ours = ota_secret_key_public(&a->key);
	bool by[OTA_KEYS_MAX] = { false };

	(void)ota_envelope_signed_by(view, operators_of(a), by);
	for (uint32_t i = 0; i < operators_of(a)->count; i++) {
		if (!ota_public_key_equal(&operators_of(a)->keys[i], &ours))
			continue;
		if (by[i])
			return ota_fail(err, OTA_E_CONFLICT,
				"this key signed already; another operator has to");
		return OTA_OK;
	}
	return ota_fail(err, OTA_E_DENIED, "this key is no operator's in %s",
		a->context.root_path);
}

static OTA_CHECKED enum ota_code add_signature(
	struct approval *a, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct ota_envelope view;
	enum ota_code rc = load_waiting(a, call, &bytes, err);

	if (rc == OTA_OK)
		rc = ota_envelope_parse(ota_buf_bytes(&bytes), &view, err);
	if (rc == OTA_OK)
		rc = check_grant(a, &view, err);
	if (rc == OTA_OK)
		rc = check_signer(a, &view, err);
	if (rc == OTA_OK)
		rc = ota_envelope_sign(ota_buf_bytes(&bytes), &a->key, &a->envelope, err);
	return rc;
}

/* ---- the result */

static OTA_CHECKED enum ota_code hand_over(
	struct approval *a, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	enum ota_code rc;

	if (cli_has(call, "out"))
		return ota_file_replace(cli_value(call, "out", ""),
			ota_buf_bytes(&a->envelope), 0644, err);
	rc = client_post_document(&a->context, ota_buf_bytes(&a->envelope), &answer, err);
	if (rc == OTA_OK)
		a->missing = tree_number(answer, "missing");
	return rc;
}

static cJSON *grant_tree(const struct approval *a)
{
	cJSON *tree = cJSON_CreateObject();

	cJSON_AddStringToObject(tree, "rollout", a->rollout);
	ota_json_add_digest(tree, "release", &a->grant.release);
	ota_json_add_u64(tree, "max_permille", a->grant.max_permille);
	ota_json_add_u64(tree, "canaries", a->grant.canary_count);
	ota_json_add_u64(tree, "expires", a->grant.expires_utc_s);
	ota_json_add_u64(tree, "missing", a->missing);
	return tree;
}

static void print_grant(const struct cli_call *call, const struct approval *a)
{
	char until[32];

	if (call->json) {
		OTA_AUTO(ota_json_fini) cJSON *tree = grant_tree(a);

		output_json(tree);
		return;
	}
	printf("%s: release of rollout '%s' to at most %.1f %% of the fleet",
		a->missing > 0 ? "Signed" : "Granted", a->rollout,
		(double)a->grant.max_permille / 10);
	if (a->grant.canary_count > 0)
		printf(" and %u named device%s", a->grant.canary_count,
			a->grant.canary_count == 1 ? "" : "s");
	printf(", until %s.\n", output_time(a->grant.expires_utc_s, until));
	if (a->missing > 0)
		printf("Not granted yet: %llu more operator%s to sign it, with\n"
		       "  sluice approve %s --add\n",
			(unsigned long long)a->missing,
			a->missing == 1 ? " has" : "s have", a->rollout);
}

enum ota_code cmd_approve(
	const struct cli_call *call, int *exit_code, struct ota_error *err)
{
	OTA_AUTO(approval_free) struct approval *a = calloc(1, sizeof *a);
	enum ota_code rc;

	(void)exit_code;
	if (a == NULL)
		return ota_fail(err, OTA_E_NOMEM, "approval");
	if (cli_has(call, "file") && !cli_has(call, "add"))
		return ota_fail(err, OTA_E_USAGE, "--file goes with --add");
	if (cli_has(call, "add") && (cli_has(call, "share") || cli_has(call, "days")))
		return ota_fail(err, OTA_E_USAGE,
			"--add signs the grant as it stands; --share and --days make "
			"another");
	rc = load_rollout(a, call, err);
	if (rc == OTA_OK)
		rc = cli_has(call, "add") ? add_signature(a, call, err)
					  : make_grant(a, call, err);
	if (rc == OTA_OK)
		rc = count_missing(a, err);
	if (rc == OTA_OK)
		rc = hand_over(a, call, err);
	if (rc == OTA_OK)
		print_grant(call, a);
	return rc;
}

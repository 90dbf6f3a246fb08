#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Devices that present a key with a token, and are accepted by their fingerprint. */

static struct fw_world *world;

enum { TOKEN_CAP = 128, HEX_CAP = 2 * OTA_PK_LEN + 1, HOUR_S = 3600 };

static void open_world(void)
{
	world = fw_open();
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(claims, .init = open_world, .fini = close_world);

static cJSON *parsed(const char *text)
{
	cJSON *tree = NULL;

	cr_assert_eq(ota_json_parse(ota_bytes_of(text), false, &tree, NULL), OTA_OK, "%s",
		text);
	return tree;
}

/* A token for a device of the ring "lab". */
static void make_token(uint64_t valid_s, char out[static TOKEN_CAP])
{
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	char text[128];

	(void)snprintf(text, sizeof text, "{\"labels\":[\"ring=lab\"],\"valid_s\":%u}",
		(unsigned)valid_s);
	OTA_AUTO(ota_json_fini) cJSON *body = parsed(text);
	cr_assert_eq(
		core_add_token(world->core, world->now, "bench", body, &answer, NULL),
		OTA_OK);
	cr_assert_eq(fw_number(answer, "expires"), world->now.utc_s + valid_s);
	(void)snprintf(out, TOKEN_CAP, "%s", fw_text(answer, "token"));
}

static void key_hex(uint8_t seed_byte, char out[static HEX_CAP])
{
	const uint8_t seed[32] = { seed_byte };
	struct ota_secret_key key = ota_secret_key_from_seed(seed);
	struct ota_public_key public_key = ota_secret_key_public(&key);

	ota_hex_encode((struct ota_bytes){ public_key.at, OTA_PK_LEN }, out);
}

static enum ota_code claim_as(
	const char *token, const char *id, const char *key, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *answer = NULL;
	char text[512];

	(void)snprintf(text, sizeof text,
		"{\"token\":\"%s\",\"id\":\"%s\",\"key\":\"%s\"}", token, id, key);
	OTA_AUTO(ota_json_fini) cJSON *body = parsed(text);
	return core_claim(world->core, world->now, body, &answer, err);
}

static enum ota_code claim(const char *token, const char *id, uint8_t seed_byte)
{
	char key[HEX_CAP];

	key_hex(seed_byte, key);
	return claim_as(token, id, key, NULL);
}

static void claim_afresh(const char *id, uint8_t seed_byte)
{
	char token[TOKEN_CAP];

	make_token(HOUR_S, token);
	cr_assert_eq(claim(token, id, seed_byte), OTA_OK);
}

static void fingerprint_of(const char *id, char out[static 64])
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_device_json(world->core, world->now, id);

	cr_assert_not_null(tree);
	(void)snprintf(out, 64, "%s", fw_text(tree, "fingerprint"));
}

static enum ota_code accept_as(const char *id, const char *fingerprint)
{
	char text[128];

	(void)snprintf(text, sizeof text, "{\"fingerprint\":\"%s\"}", fingerprint);
	OTA_AUTO(ota_json_fini) cJSON *body = parsed(text);
	return core_accept_device(world->core, world->now, "operator", id, body, NULL);
}

static void accept_it(const char *id)
{
	char fingerprint[64];

	fingerprint_of(id, fingerprint);
	cr_assert_eq(accept_as(id, fingerprint), OTA_OK);
}

static uint64_t status(const char *path)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = core_status_json(world->core, world->now);

	return fw_number(tree, path);
}

static void expect_actions(const char *text)
{
	cr_expect_not_null(strstr(world->actions, text), "%s", world->actions);
}

/* ---- tokens */

Test(claims, a_token_is_told_once_and_stored_as_a_hash)
{
	char token[TOKEN_CAP];

	make_token(HOUR_S, token);
	cr_assert_eq(strlen(token), sizeof "claim_" - 1 + 12 + 1 + 32, "%s", token);
	for (size_t i = 0; i < world->row_count; i++) {
		const struct ota_buf *row = &world->rows[i].value;

		cr_expect_null(memmem(row->at, row->len, token + 19, 32), "row %s",
			world->rows[i].key);
	}
	expect_actions("token.add");
}

Test(claims, a_token_has_one_use)
{
	char token[TOKEN_CAP];

	make_token(HOUR_S, token);
	cr_assert_eq(claim(token, "gw-a", 1), OTA_OK);
	cr_expect_eq(claim(token, "gw-b", 2), OTA_E_DENIED);
	cr_expect_eq(claim(token, "gw-a", 2), OTA_E_DENIED, "nor for another key");
	fw_restart(world);
	cr_expect_eq(claim(token, "gw-b", 2), OTA_E_DENIED);
	cr_expect_eq(status("devices.pending"), 1);
	cr_expect_eq(status("alarms.0.error"), 0);
	expect_actions("token.refuse");
}

Test(claims, the_same_claim_again_is_answered_again)
{
	char token[TOKEN_CAP];

	make_token(HOUR_S, token);
	cr_assert_eq(claim(token, "gw-a", 1), OTA_OK);
	cr_expect_eq(claim(token, "gw-a", 1), OTA_OK, "the answer was lost");
	cr_expect_eq(status("devices.pending"), 1);
	accept_it("gw-a");
	cr_expect_eq(claim(token, "gw-a", 1), OTA_OK);
}

Test(claims, an_expired_token_is_refused_and_later_forgotten)
{
	char token[TOKEN_CAP], next[TOKEN_CAP];

	make_token(HOUR_S, token);
	world->now.utc_s += HOUR_S;
	cr_expect_eq(claim(token, "gw-a", 1), OTA_E_EXPIRED);
	cr_expect_eq(status("devices.pending"), 0);
	world->now.utc_s += UINT64_C(8) * 86400;
	make_token(HOUR_S, next);
	cr_expect_eq(claim(token, "gw-a", 1), OTA_E_DENIED, "there is no such token");
	cr_expect_eq(claim(next, "gw-a", 1), OTA_OK);
}

Test(claims, what_is_malformed_leaves_the_token_alone)
{
	char token[TOKEN_CAP], key[HEX_CAP];

	make_token(HOUR_S, token);
	key_hex(1, key);
	cr_expect_eq(claim_as(token, "GW A", key, NULL), OTA_E_NAME);
	cr_expect_eq(claim_as(token, "gw-a", "00", NULL), OTA_E_FORMAT);
	cr_expect_eq(claim_as("claim_000000000000_0", "gw-a", key, NULL), OTA_E_DENIED);
	cr_expect_eq(claim_as("", "gw-a", key, NULL), OTA_E_DENIED);
	cr_expect_eq(claim_as(token, "gw-a", key, NULL), OTA_OK);
}

Test(claims, a_token_lives_a_second_to_ninety_days)
{
	OTA_AUTO(ota_json_fini) cJSON *none = parsed("{\"valid_s\":0}");
	OTA_AUTO(ota_json_fini) cJSON *long_one = parsed("{\"valid_s\":7776001}");
	OTA_AUTO(ota_json_fini) cJSON *bad = parsed("{\"valid_s\":1,\"labels\":[\"x\"]}");
	cJSON *out = NULL;

	cr_expect_eq(core_add_token(world->core, world->now, "bench", none, &out, NULL),
		OTA_E_LIMIT);
	cr_expect_eq(
		core_add_token(world->core, world->now, "bench", long_one, &out, NULL),
		OTA_E_LIMIT);
	cr_expect_eq(core_add_token(world->core, world->now, "bench", bad, &out, NULL),
		OTA_E_NAME);
	cr_expect_null(out);
}

/* ---- pending */

Test(claims, a_pending_device_is_in_no_cohort_and_explain_says_so)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_topic topic = { .kind = OTA_TOPIC_ASSIGN, .name = "gw-a" };

	claim_afresh("gw-a", 1);
	cr_expect_str_eq(fw_rule(world, "gw-a"), "PENDING");
	tree = core_device_json(world->core, world->now, "gw-a");
	cr_expect_str_eq(fw_text(tree, "labels.0"), "ring=lab");
	cr_expect_str_eq(fw_text(tree, "cohort"), "");
	cr_expect_eq(status("devices.total"), 0);
	cr_expect_eq(status("devices.pending"), 1);
	cr_expect_eq(fw_topic_payload(world, &topic).len, 0);
	fw_restart(world);
	cr_expect_str_eq(fw_rule(world, "gw-a"), "PENDING");
	expect_actions("device.claim");
}

Test(claims, an_accepted_device_is_in_the_cohort_of_its_token)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_topic topic = { .kind = OTA_TOPIC_ASSIGN, .name = "gw-a" };

	claim_afresh("gw-a", 1);
	accept_it("gw-a");
	cr_expect_str_eq(fw_rule(world, "gw-a"), "NOREPORT");
	tree = core_device_json(world->core, world->now, "gw-a");
	cr_expect_str_eq(fw_text(tree, "cohort"), "lab");
	cr_expect_gt(fw_topic_payload(world, &topic).len, 0);
	cr_expect_eq(status("devices.pending"), 0);
	expect_actions("device.accept device.add");
	fw_restart(world);
	cr_expect_eq(status("devices.total"), 1);
	cr_expect_eq(status("devices.pending"), 0);
}

Test(claims, another_fingerprint_is_refused_and_written_down)
{
	claim_afresh("gw-a", 1);
	cr_expect_eq(
		accept_as("gw-a", "00112233445566778899aabbccddeeff"), OTA_E_CONFLICT);
	cr_expect_eq(accept_as("gw-a", "0011"), OTA_E_FORMAT);
	cr_expect_eq(
		accept_as("gw-b", "00112233445566778899aabbccddeeff"), OTA_E_NOTFOUND);
	cr_expect_str_eq(fw_rule(world, "gw-a"), "PENDING");
	expect_actions("device.accept-refused");
}

Test(claims, a_rejected_device_is_gone_and_its_token_with_it)
{
	char token[TOKEN_CAP];

	make_token(HOUR_S, token);
	cr_assert_eq(claim(token, "gw-a", 1), OTA_OK);
	cr_assert_eq(
		core_reject_device(world->core, world->now, "operator", "gw-a", NULL),
		OTA_OK);
	cr_expect_eq(status("devices.pending"), 0);
	cr_expect_eq(claim(token, "gw-a", 1), OTA_E_DENIED);
	cr_expect_eq(
		core_reject_device(world->core, world->now, "operator", "gw-a", NULL),
		OTA_E_NOTFOUND);
	claim_afresh("gw-a", 2);
	accept_it("gw-a");
	cr_expect_eq(
		core_reject_device(world->core, world->now, "operator", "gw-a", NULL),
		OTA_E_STATE);
	expect_actions("device.reject");
}

/* ---- a second key */

Test(claims, a_second_key_for_a_device_is_an_alarm_and_changes_nothing)
{
	char before[64], after[64], token[TOKEN_CAP];

	claim_afresh("gw-a", 1);
	accept_it("gw-a");
	fingerprint_of("gw-a", before);
	make_token(HOUR_S, token);
	cr_expect_eq(claim(token, "gw-a", 2), OTA_E_CONFLICT);
	fingerprint_of("gw-a", after);
	cr_expect_str_eq(before, after);
	cr_expect_eq(status("alarms.0.error"), OTA_E_SECONDKEY);
	expect_actions("device.second-key");
	cr_expect_eq(claim(token, "gw-b", 3), OTA_E_DENIED, "the token is used up");
	fw_restart(world);
	cr_expect_eq(status("alarms.0.error"), OTA_E_SECONDKEY);
	accept_it("gw-a");
	cr_expect_eq(status("alarms.0.error"), 0, "an operator knows");
	fw_restart(world);
	cr_expect_eq(status("alarms.0.error"), 0);
}

Test(claims, a_second_key_for_a_pending_device_is_one_too)
{
	char token[TOKEN_CAP], before[64], after[64];

	claim_afresh("gw-a", 1);
	fingerprint_of("gw-a", before);
	make_token(HOUR_S, token);
	cr_expect_eq(claim(token, "gw-a", 2), OTA_E_CONFLICT);
	fw_restart(world);
	fingerprint_of("gw-a", after);
	cr_expect_str_eq(before, after);
	cr_expect_eq(status("alarms.0.error"), OTA_E_SECONDKEY);
	accept_it("gw-a");
	cr_expect_eq(status("alarms.0.error"), 0);
}

Test(claims, registering_directly_with_another_key_is_one_too)
{
	char first[HEX_CAP], second[HEX_CAP], text[256];

	claim_afresh("gw-a", 1);
	key_hex(1, first);
	key_hex(2, second);
	(void)snprintf(text, sizeof text, "{\"id\":\"gw-a\",\"key\":\"%s\"}", second);
	OTA_AUTO(ota_json_fini) cJSON *wrong = parsed(text);
	cr_expect_eq(core_add_device(world->core, world->now, "bench", wrong, NULL),
		OTA_E_CONFLICT);
	cr_expect_eq(status("alarms.0.error"), OTA_E_SECONDKEY);
	(void)snprintf(text, sizeof text, "{\"id\":\"gw-a\",\"key\":\"%s\"}", first);
	OTA_AUTO(ota_json_fini) cJSON *right = parsed(text);
	cr_expect_eq(
		core_add_device(world->core, world->now, "bench", right, NULL), OTA_OK);
	cr_expect_eq(status("devices.pending"), 0);
	cr_expect_eq(status("devices.total"), 1);
}

/* ---- and an update */

static const char one_stage[] =
	"{\"rollout\":\"r-1\",\"stages\":["
	"{\"name\":\"all\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":0}],"
	"\"gates\":{\"silence_s\":60},"
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}}";

/* A device of a fleet world that claims instead of being registered. */
static struct fw_device *join(void)
{
	struct fw_device *d = &world->devices[world->device_count++];
	struct ota_public_key key;
	char token[TOKEN_CAP], hex[HEX_CAP];

	fw_device_init(world, d, "lab", 99);
	key = ota_secret_key_public(&d->key);
	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, hex);
	make_token(HOUR_S, token);
	cr_assert_eq(claim_as(token, d->id, hex, NULL), OTA_OK);
	fw_connect(world, d);
	return d;
}

Test(claims, a_pending_device_gets_nothing_until_it_is_accepted)
{
	struct ota_digest release;
	struct fw_device *d;

	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	d = join();
	release = fw_release(world, "2.0", 2);
	fw_grant(world, &release, 1000, NULL);
	cr_assert_eq(fw_apply(world, one_stage, &release, NULL), OTA_OK);
	cr_assert(fw_until(world, "r-1", "completed", 200));
	cr_expect_eq(fw_count_running(world, "2.0"), 2);
	cr_expect_eq(d->installs, 0);
	cr_expect_str_eq(fw_rule(world, d->id), "PENDING");
	accept_it(d->id);
	cr_expect_str_eq(fw_rule(world, d->id), "LATE", "it had reported before");
	for (int i = 0; i < 30; i++)
		fw_step(world);
	cr_expect_eq(fw_count_running(world, "2.0"), 3);
	cr_expect_str_eq(fw_rule(world, d->id), "CURRENT");
}

Test(claims, a_report_by_another_key_than_the_claimed_one_is_refused)
{
	struct fw_device *d = join();
	const uint8_t seed[32] = { 0x66 };

	d->key = ota_secret_key_from_seed(seed);
	cr_expect_eq(fw_report(world, d), OTA_E_SIGNATURE);
}

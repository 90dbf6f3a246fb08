/* Enrolment and approval through the HTTP API of a real sluiced, over kill -9. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "tests/integration/server.h"
#include "tests/unit/postgres_kit.h"

enum { TOKEN_CAP = 128, BODY_CAP = 512, HEX_CAP = 2 * OTA_PK_LEN + 1, CLAIM_MAX = 4096 };

static struct server server;

static void start(void)
{
	server_init(&server);
}

static void stop(void)
{
	server_fini(&server);
}

TestSuite(enrol, .init = start, .fini = stop);

static long ask(const char *method, const char *path, const char *key, const char *body)
{
	struct call call = { method, path, key, ota_bytes_of(body), NULL };

	return server_call(&server, &call, NULL);
}

static void key_hex(uint8_t seed_byte, char out[static HEX_CAP])
{
	const struct ota_public_key key = sample_public(seed_byte);

	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, out);
}

static void make_token(char out[static TOKEN_CAP])
{
	OTA_AUTO(ota_buf_fini) struct ota_buf reply = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct call call = { "POST", "/tokens", "enrol",
		ota_bytes_of("{\"labels\":[\"ring=lab\"],\"valid_s\":3600}"), NULL };

	cr_assert_eq(server_call(&server, &call, &reply), 200);
	cr_assert_eq(ota_json_parse(ota_buf_bytes(&reply), false, &tree, NULL), OTA_OK);
	(void)snprintf(out, TOKEN_CAP, "%s", server_text(tree, "token"));
}

static long claim(const char *token, const char *id, uint8_t seed_byte)
{
	char body[BODY_CAP], key[HEX_CAP];

	key_hex(seed_byte, key);
	(void)snprintf(body, sizeof body,
		"{\"token\":\"%s\",\"id\":\"%s\",\"key\":\"%s\"}", token, id, key);
	return ask("POST", "/claims", NULL, body);
}

static double status_number(const char *path)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = server_get(&server, "/status");

	return server_number(tree, path);
}

static void fingerprint_of(const char *id, char out[static HEX_CAP])
{
	char path[64];

	(void)snprintf(path, sizeof path, "/devices/%s", id);
	OTA_AUTO(ota_json_fini) cJSON *tree = server_get(&server, path);
	cr_assert_not_null(tree);
	(void)snprintf(out, HEX_CAP, "%s", server_text(tree, "fingerprint"));
}

static long accept_as(const char *id, const char *key, const char *fingerprint)
{
	char path[64], body[BODY_CAP];

	(void)snprintf(path, sizeof path, "/devices/%s/accept", id);
	(void)snprintf(body, sizeof body, "{\"fingerprint\":\"%s\"}", fingerprint);
	return ask("POST", path, key, body);
}

Test(enrol, a_claim_needs_a_token_and_everything_else_a_key)
{
	char token[TOKEN_CAP];

	server_start(&server);
	make_token(token);
	cr_expect_eq(ask("POST", "/tokens", NULL, "{\"valid_s\":60}"), 401);
	cr_expect_eq(ask("POST", "/tokens", "read", "{\"valid_s\":60}"), 403);
	cr_expect_eq(ask("POST", "/tokens", "rollout", "{\"valid_s\":60}"), 403);
	cr_expect_eq(ask("GET", "/claims", NULL, ""), 401);
	cr_expect_eq(claim("", "gw-9", 9), 403);
	cr_expect_eq(claim(token, "gw-9", 9), 200);
	cr_expect_eq(ask("GET", "/claims", "read", ""), 200);
	cr_expect_eq(accept_as("gw-9", NULL, "00"), 401);
	cr_expect_eq(accept_as("gw-9", "read", "00"), 403);
	cr_expect_eq(ask("POST", "/devices/gw-9/reject", "rollout", "{}"), 403);
	cr_expect_eq(ask("POST", "/devices/gw-9/reject", "enrol", "{}"), 200);
	cr_expect_eq(ask("GET", "/devices/gw-9", "read", ""), 404);
}

static bool leads(void *ctx)
{
	(void)ctx;
	return ask("GET", "/status", "read", "") == 200;
}

/* In PostgreSQL the lease of the one that died has to end first. */
static void start_again(void)
{
	server_kill(&server);
	server_start(&server);
	cr_assert(server_wait(leads, NULL));
}

static void claim_and_kill(void)
{
	char token[TOKEN_CAP], other[TOKEN_CAP], fingerprint[HEX_CAP];

	server_start(&server);
	cr_assert(server_wait(leads, NULL));
	make_token(token);
	make_token(other);
	cr_assert_eq(claim(token, "gw-9", 9), 200);
	start_again();
	cr_expect_eq(status_number("devices.pending"), 1);
	cr_expect_eq(claim(token, "gw-8", 8), 403, "the token is used up");
	cr_expect_eq(claim(other, "gw-9", 8), 409, "another key");
	start_again();
	cr_expect_eq(claim(other, "gw-8", 8), 403, "that one, too");
	cr_expect_eq(status_number("alarms.0.error"), OTA_E_SECONDKEY);
	fingerprint_of("gw-9", fingerprint);
	cr_expect_eq(accept_as("gw-9", "enrol", "00112233445566778899aabbccddeeff"), 409);
	cr_expect_eq(accept_as("gw-9", "enrol", fingerprint), 200);
	start_again();
	cr_expect_eq(status_number("devices.pending"), 0);
	cr_expect_eq(status_number("devices.total"), 1);
	cr_expect_eq(status_number("alarms.0.error"), -1);
	OTA_AUTO(ota_json_fini) cJSON *chain = server_get(&server, "/audit/verify");
	cr_expect(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(chain, "ok")));
}

Test(enrol, what_was_claimed_and_refused_outlives_a_kill)
{
	claim_and_kill();
}

Test(enrol, so_it_does_in_postgresql)
{
	struct postgres database;

	if (!postgres_is_there())
		cr_skip_test("PostgreSQL's programs are not installed");
	postgres_start(&database);
	(void)setenv("DATABASE_URL", database.url, 1);
	claim_and_kill();
	(void)server_stop(&server);
	postgres_fini(&database);
}

Test(enrol, who_has_no_key_is_kept_short_and_slow)
{
	char large[CLAIM_MAX + 2];
	unsigned refused = 0;

	server_start(&server);
	memset(large, ' ', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	cr_expect_eq(ask("POST", "/claims", NULL, large), 413);
	for (int i = 0; i < 200 && refused == 0; i++)
		refused += claim("claim_0", "gw-9", 9) == 429;
	cr_expect_eq(refused, 1, "one of many is put off");
	cr_expect_eq(ask("GET", "/status", "read", ""), 200, "who has a key is not");
}

/* ---- approval */

static struct ota_release a_release(void)
{
	struct ota_release release = { .product = "gateway",
		.version = "2.0",
		.counter = 2,
		.hardware = { "gw-100" },
		.hardware_count = 1,
		.image_len = 1000 };

	release.image = sample_digest("image 2.0");
	return release;
}

/* The next root, whose wide grants need two of two operators. */
static void two_operators(void)
{
	struct ota_root root = server_root();
	struct ota_role_keys *operators = &root.roles[OTA_ROLE_OPERATOR];

	root.version = 2;
	operators->set.keys[1] = sample_public(SAMPLE_OPERATOR_KEY_2);
	operators->set.count = 2;
	operators->wide = 2;
	cr_assert_eq(server_post(&server, OTA_DOC_ROOT, &root, "\x01"), 200);
}

static double post_grant(const struct ota_grant *grant, const char *keys)
{
	OTA_AUTO(ota_buf_fini)
	struct ota_buf envelope = server_sign(OTA_DOC_GRANT, grant, keys);
	OTA_AUTO(ota_buf_fini) struct ota_buf reply = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct call call = { "POST", "/documents", "rollout", ota_buf_bytes(&envelope),
		NULL };

	cr_assert_eq(server_call(&server, &call, &reply), 200);
	cr_assert_eq(ota_json_parse(ota_buf_bytes(&reply), false, &tree, NULL), OTA_OK);
	return server_number(tree, "missing");
}

Test(enrol, a_grant_waits_for_its_second_operator_over_a_kill)
{
	const struct ota_release release = a_release();
	const uint64_t now_s = ota_clock_utc_s();
	struct ota_grant grant = { .seq = 1,
		.max_permille = 1000,
		.not_before_utc_s = now_s - 60,
		.issued_utc_s = now_s - 60,
		.expires_utc_s = now_s + 86400 };
	char hex[OTA_DIGEST_HEX_CAP], waits[128], granted[128];

	server_start(&server);
	two_operators();
	cr_assert_eq(server_post(&server, OTA_DOC_RELEASE, &release, "\x02"), 200);
	grant.release = sample_name(OTA_DOC_RELEASE, &release);
	ota_digest_hex(&grant.release, hex);
	(void)snprintf(waits, sizeof waits, "/approvals/%s", hex);
	(void)snprintf(granted, sizeof granted, "/documents/grant/%s", hex);
	cr_expect_eq(ask("GET", waits, "read", ""), 404);
	cr_expect_eq(post_grant(&grant, "\x03"), 1);
	start_again();
	cr_expect_eq(ask("GET", waits, "read", ""), 200);
	cr_expect_eq(ask("GET", granted, "read", ""), 404);
	cr_expect_eq(post_grant(&grant, "\x03"), 1, "one key twice");
	cr_expect_eq(post_grant(&grant, "\x13"), 0);
	start_again();
	cr_expect_eq(ask("GET", waits, "read", ""), 404);
	cr_expect_eq(ask("GET", granted, "read", ""), 200);
}

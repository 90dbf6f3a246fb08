#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/port/sessions.h"
#include "proto/base/own.h"

#define SECRET  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_AAAAA0"
#define KEY(id) "sluice_" id "_" SECRET

enum { NOW_MS = 5000 };

static char path[] = "/tmp/sessions.XXXXXX";
static struct api_keys *keys;
static struct sessions sessions;

static void write_key(const char *id, const char *scope)
{
	FILE *file = fopen(path, "we");
	char key[128], hex[OTA_DIGEST_HEX_CAP];
	struct ota_digest hash;

	(void)snprintf(key, sizeof key, "sluice_%s_%s", id, SECRET);
	hash = ota_digest_of(ota_bytes_of(key));
	ota_digest_hex(&hash, hex);
	cr_assert_not_null(file);
	cr_assert_gt(fprintf(file, "# keys\n%s %s %s\n", id, scope, hex), 0);
	cr_assert_eq(fclose(file), 0);
}

static void open_keys(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	(void)close(fd);
	write_key("ci", "rollout");
	cr_assert_eq(api_keys_open(path, &keys, NULL), OTA_OK);
}

static void close_keys(void)
{
	api_keys_free(keys);
	(void)unlink(path);
}

TestSuite(sessions, .init = open_keys, .fini = close_keys);

static bool finds(const char *token, uint64_t now_ms)
{
	enum api_scope scope;

	return sessions_find(&sessions, keys, token, now_ms, &scope) != NULL;
}

Test(sessions, a_session_stands_for_its_key)
{
	char token[SESSION_TOKEN_CAP];
	enum api_scope scope = N_API_SCOPES;
	struct session *found;

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, token);
	cr_assert_eq(strlen(token), SESSION_TOKEN_CAP - 1);
	found = sessions_find(&sessions, keys, token, NOW_MS, &scope);
	cr_assert_not_null(found);
	cr_expect_str_eq(found->key_id, "ci");
	cr_expect_eq(scope, API_ROLLOUT);
	token[0] = token[0] == 'A' ? 'B' : 'A';
	cr_expect_not(finds(token, NOW_MS));
	cr_expect_not(finds("", NOW_MS));
}

static bool has(const char *token, uint64_t now_ms)
{
	struct ota_digest digest = ota_digest_of(ota_bytes_of(token));

	return sessions_has(&sessions, keys, &digest, now_ms);
}

Test(sessions, one_is_had_as_long_as_it_would_be_found)
{
	const uint64_t end_ms = NOW_MS + UINT64_C(1000) * SESSION_S;
	const struct ota_digest none = { 0 };
	char token[SESSION_TOKEN_CAP], second[SESSION_TOKEN_CAP];
	enum api_scope scope;

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, token);
	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, second);
	cr_expect(has(token, NOW_MS));
	cr_expect(has(token, end_ms - 1));
	cr_expect_not(has(token, end_ms));
	cr_expect_not(has("", NOW_MS));
	cr_expect_not(sessions_has(&sessions, keys, &none, NOW_MS));
	session_end(sessions_find(&sessions, keys, token, NOW_MS, &scope));
	cr_expect_not(has(token, NOW_MS));
	cr_expect(has(second, NOW_MS));
	write_key("other", "admin");
	cr_assert_eq(api_keys_refresh(keys, NULL), OTA_OK);
	cr_expect_not(has(second, NOW_MS));
}

Test(sessions, a_session_lasts_twelve_hours_and_no_longer)
{
	char token[SESSION_TOKEN_CAP];
	const uint64_t end_ms = NOW_MS + UINT64_C(1000) * SESSION_S;

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, token);
	cr_expect(finds(token, end_ms - 1));
	cr_expect_not(finds(token, end_ms));
	cr_expect_not(finds(token, NOW_MS), "one that ended does not come back");
}

Test(sessions, a_key_that_is_taken_out_or_replaced_ends_its_sessions)
{
	char token[SESSION_TOKEN_CAP];

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, token);
	write_key("other", "rollout");
	cr_assert_eq(api_keys_refresh(keys, NULL), OTA_OK);
	cr_expect_not(finds(token, NOW_MS));
	(void)sessions_begin(&sessions, KEY("old"), "other", NOW_MS, token);
	cr_expect_not(finds(token, NOW_MS), "another key of the same id is no key");
}

Test(sessions, a_scope_that_changes_changes_at_once)
{
	char token[SESSION_TOKEN_CAP];
	enum api_scope scope = N_API_SCOPES;

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, token);
	write_key("ci", "read");
	cr_assert_eq(api_keys_refresh(keys, NULL), OTA_OK);
	cr_assert_not_null(sessions_find(&sessions, keys, token, NOW_MS, &scope));
	cr_expect_eq(scope, API_READ);
}

Test(sessions, the_csrf_token_is_another_and_has_to_be_whole)
{
	char token[SESSION_TOKEN_CAP], cut[SESSION_TOKEN_CAP];
	const struct session *s =
		sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, token);

	(void)snprintf(cut, sizeof cut, "%s", s->csrf);
	cr_expect(session_has_csrf(s, cut));
	cr_expect_not(session_has_csrf(s, token));
	cr_expect_not(session_has_csrf(s, NULL));
	cr_expect_not(session_has_csrf(s, ""));
	cut[SESSION_TOKEN_CAP - 2] = '\0';
	cr_expect_not(session_has_csrf(s, cut));
}

Test(sessions, signing_out_ends_one_session)
{
	char first[SESSION_TOKEN_CAP], second[SESSION_TOKEN_CAP];
	enum api_scope scope;

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, first);
	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS, second);
	session_end(sessions_find(&sessions, keys, first, NOW_MS, &scope));
	cr_expect_not(finds(first, NOW_MS));
	cr_expect(finds(second, NOW_MS));
}

Test(sessions, a_key_has_some_sessions_and_the_oldest_makes_room)
{
	char tokens[SESSIONS_PER_KEY + 1][SESSION_TOKEN_CAP];

	for (size_t i = 0; i <= SESSIONS_PER_KEY; i++)
		(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS + i, tokens[i]);
	cr_expect_not(finds(tokens[0], NOW_MS));
	for (size_t i = 1; i <= SESSIONS_PER_KEY; i++)
		cr_expect(finds(tokens[i], NOW_MS), "%zu", i);
}

Test(sessions, there_are_no_more_than_there_is_room_for)
{
	char mine[SESSION_TOKEN_CAP], token[SESSION_TOKEN_CAP], id[16];

	(void)sessions_begin(&sessions, KEY("ci"), "ci", NOW_MS + 1, mine);
	for (unsigned i = 0; i < SESSIONS_MAX - 1; i++) {
		(void)snprintf(id, sizeof id, "k%u", i);
		(void)sessions_begin(&sessions, KEY("x"), id, NOW_MS, token);
	}
	cr_expect(finds(mine, NOW_MS));
	(void)sessions_begin(&sessions, KEY("x"), "late", NOW_MS + 2, token);
	cr_expect(finds(mine, NOW_MS), "it is not the oldest");
}

/* Secrets, signatures and bodies of webhooks. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/port/webhook_body.h"
#include "orchestrator/port/webhook_secret.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

/* Secrets of 32 bytes: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" and 32 times 0x01. */
#define SECRET "whsec_TWZLUTlyOEdLWXFyVHdqVVBEOElMUFpJbzJMYUxhU3c="
#define OTHER  "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

static char path[] = "/tmp/webhook.XXXXXX";

static void make_file(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	(void)close(fd);
	cr_assert_geq(sodium_init(), 0);
}

static void remove_file(void)
{
	(void)unlink(path);
}

TestSuite(webhook_secret, .init = make_file, .fini = remove_file);

static enum ota_code read_text(
	const char *text, struct webhook_secret *out, struct ota_error *err)
{
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
	return webhook_secret_read(path, out, err);
}

static const struct webhook_message message = {
	.id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
	.at_utc_s = 1614265330,
	.body = { (const uint8_t *)"{\"test\": 2432232314}", 20 },
};

/* By Python: base64(hmac(secret, b'msg_....1614265330.{"test": 2432232314}', sha256)) */
#define FIRST  "v1,ELhqG0Ku1gwOc1f4jyKdp3SFGFLAOdJ9bvpWLciCakI="
#define SECOND "v1,d8asl+kiM8rGYv5f96CWaB7DltT12R+GlcKk/tAeKa8="

Test(webhook_secret, a_signature_is_that_of_the_known_vector)
{
	OTA_AUTO(webhook_secret_fini) struct webhook_secret secret = { 0 };
	char text[WEBHOOK_SIGNATURES_CAP];

	cr_assert_eq(read_text(SECRET "\n", &secret, NULL), OTA_OK);
	webhook_sign(&secret, &message, text);
	cr_expect_str_eq(text, FIRST);
}

/* One that is published for Standard Webhooks; its secret is too short for a file of
 * ours. */
Test(webhook_secret, a_signature_is_what_others_make_and_verify)
{
	struct webhook_secret secret = { .count = 1 };
	const char *body = "{\"event_type\":\"ping\",\"data\":{\"success\":true}}";
	const struct webhook_message ping = { .id = "msg_loFOjxBNrRLzqYUf",
		.at_utc_s = 1731705121,
		.body = ota_bytes_of(body) };
	const char *base64 = "plJ3nmyCDGBKInavdOK15jsl";
	char text[WEBHOOK_SIGNATURES_CAP];

	cr_assert_eq(sodium_base642bin(secret.keys[0].at, WEBHOOK_SECRET_LEN_MAX, base64,
			     strlen(base64), NULL, &secret.keys[0].len, NULL,
			     sodium_base64_VARIANT_ORIGINAL),
		0);
	webhook_sign(&secret, &ping, text);
	cr_expect_str_eq(text, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
}

Test(webhook_secret, two_secrets_sign_both)
{
	OTA_AUTO(webhook_secret_fini) struct webhook_secret secret = { 0 };
	char text[WEBHOOK_SIGNATURES_CAP];

	cr_assert_eq(read_text(SECRET "\r\n" OTHER "\n", &secret, NULL), OTA_OK);
	webhook_sign(&secret, &message, text);
	cr_expect_str_eq(text, FIRST " " SECOND);
}

Test(webhook_secret, a_file_that_is_not_good_is_refused)
{
	static const struct {
		const char *text, *told;
	} rows[] = {
		{ "", "is empty" },
		{ "\n\n", "is empty" },
		{ "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==", "31 bytes" },
		{ "whsec_", "0 bytes" },
		{ "whsec_AQE", "not whsec_BASE64" },
		{ "whsec_A*EBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "not whsec_" },
		{ "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "not whsec_BASE64" },
		{ SECRET " x\n", "not whsec_BASE64" },
		{ SECRET "\n" OTHER "\n" SECRET "\n", "more than 2 secrets" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct webhook_secret secret = { 0 };
		struct ota_error err = { 0 };

		cr_expect_eq(read_text(rows[i].text, &secret, &err), OTA_E_CONFIG, "%s",
			rows[i].text);
		cr_expect_not_null(strstr(err.text, rows[i].told), "%s", err.text);
		cr_expect_null(strstr(err.text, "AQEB"), "%s", err.text);
		cr_expect_eq(secret.count, 0);
	}
}

Test(webhook_secret, a_file_that_others_may_read_is_refused)
{
	struct webhook_secret secret = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(chmod(path, 0640), 0);
	cr_assert_eq(read_text(SECRET, &secret, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "chmod 600"), "%s", err.text);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(webhook_secret_read(path, &secret, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "No such file"), "%s", err.text);
}

/* ---- bodies */

static const char *body_of(struct ota_buf *out, const char *action, const char *detail)
{
	const struct audit_entry entry = { .seq = 42,
		.at_utc_s = 1769860800,
		.who = "device:gw-1",
		.action = action,
		.detail = detail };

	out->len = 0;
	cr_assert_eq(webhook_body(&entry, "demo", out, NULL), OTA_OK);
	return ota_buf_text(out);
}

Test(webhook_body, it_says_what_happened_in_words_and_in_full)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	cr_expect_str_eq(body_of(&out, "device.failed",
				 "{\"rollout\":\"r-1\",\"error_text\":\"no\"}"),
		"{\"type\":\"device.failed.v1\",\"timestamp\":\"2026-01-31T12:00:00Z\","
		"\"data\":{\"fleet\":\"demo\",\"seq\":42,\"who\":\"device:gw-1\","
		"\"text\":\"device gw-1, rollout r-1: failed to update: no\","
		"\"detail\":{\"rollout\":\"r-1\",\"error_text\":\"no\"}}}");
	cr_expect_not_null(strstr(
		body_of(&out, "rollout.halt", "{\"rollout\":\"r-1\",\"stage\":\"lab\"}"),
		"\"text\":\"device gw-1, rollout r-1, stage lab: has halted\""));
}

Test(webhook_body, what_devices_say_is_bounded)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	char detail[40000], text[3000];

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	memcpy(text + WEBHOOK_TEXT_CAP - 2, "\xc3\xa9", 2); /* the bound is within it */
	(void)snprintf(detail, sizeof detail, "{\"error_text\":\"%s\"}", text);
	(void)body_of(&out, "device.failed", detail);
	cr_expect_lt(out.len, 2 * WEBHOOK_TEXT_CAP + 300);
	cr_expect_eq(ota_json_scan(ota_buf_bytes(&out), true, NULL), OTA_OK);
	memset(detail, 0, sizeof detail);
	(void)snprintf(detail, sizeof detail, "{\"a\":[\"%.500s\"", text);
	for (int i = 0; i < 60; i++)
		(void)snprintf(detail + strlen(detail), 600, ",\"%.500s\"", text);
	(void)snprintf(detail + strlen(detail), 10, "]}");
	cr_expect_not_null(
		strstr(body_of(&out, "device.failed", detail), "\"detail\":{}}}"));
	cr_expect_leq(out.len, WEBHOOK_BODY_MAX);
}

Test(webhook_body, what_is_damaged_is_still_told)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };

	cr_expect_not_null(
		strstr(body_of(&out, "device.failed", "{\"a\":"), "\"detail\":{}"));
	cr_expect_not_null(
		strstr(body_of(&out, "device.failed", "{\"a\":-1.5}"), "\"detail\":{}"),
		"what strict JSON does not know");
}

Test(webhook_body, an_event_keeps_its_id_and_a_restored_one_has_another)
{
	struct audit_entry entry = { .seq = 42 };
	char id[WEBHOOK_ID_CAP];

	entry.hash.at[0] = 0xab;
	webhook_event_id(&entry, id);
	cr_expect_str_eq(id, "evt_42_ab00000000000000");
}

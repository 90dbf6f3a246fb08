#include "orchestrator/port/webhook_secret.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/port/secret_file.h"
#include "proto/base/own.h"

enum {
	FILE_LEN_MAX = 1024,
	SIGNATURE_CAP = 4 + sodium_base64_ENCODED_LEN(crypto_auth_hmacsha256_BYTES,
				    sodium_base64_VARIANT_ORIGINAL), /* "v1," as well */
};

_Static_assert(WEBHOOK_SECRETS_MAX *SIGNATURE_CAP <= WEBHOOK_SIGNATURES_CAP, "room");

static const char prefix[] = "whsec_";

static enum ota_code take_line(
	struct webhook_secret *out, const char *line, struct ota_error *err)
{
	const char *end = NULL;
	size_t len = 0;

	if (out->count == WEBHOOK_SECRETS_MAX)
		return ota_fail(err, OTA_E_CONFIG, "holds more than %d secrets",
			WEBHOOK_SECRETS_MAX);
	if (strncmp(line, prefix, sizeof(prefix) - 1) != 0 ||
		sodium_base642bin(out->keys[out->count].at, WEBHOOK_SECRET_LEN_MAX,
			line + sizeof(prefix) - 1, strlen(line) - sizeof(prefix) + 1,
			NULL, &len, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
		*end)
		return ota_fail(err, OTA_E_CONFIG,
			"holds a line that is not whsec_BASE64 of %d to %d random bytes",
			WEBHOOK_SECRET_LEN_MIN, WEBHOOK_SECRET_LEN_MAX);
	if (len < WEBHOOK_SECRET_LEN_MIN)
		return ota_fail(err, OTA_E_CONFIG,
			"holds a secret of %zu bytes; %d random bytes are the least", len,
			WEBHOOK_SECRET_LEN_MIN);
	out->keys[out->count++].len = len;
	return OTA_OK;
}

static enum ota_code take_lines(
	struct webhook_secret *out, char *text, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\r\n", &rest); line && rc == OTA_OK;
		line = strtok_r(NULL, "\r\n", &rest))
		rc = take_line(out, line, err);
	if (rc == OTA_OK && out->count == 0)
		return ota_fail(err, OTA_E_CONFIG, "is empty");
	return rc;
}

enum ota_code webhook_secret_read(
	const char *path, struct webhook_secret *out, struct ota_error *err)
{
	OTA_AUTO(secret_wipe) struct ota_buf text = { 0 };
	OTA_AUTO(webhook_secret_fini) struct webhook_secret secret = { 0 };
	enum ota_code rc = secret_file_read(path, FILE_LEN_MAX, &text, err);

	if (rc != OTA_OK)
		return rc;
	if (!ota_buf_text(&text))
		return ota_fail(err, OTA_E_NOMEM, "secret");
	rc = take_lines(&secret, (char *)text.at, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", path);
	*out = secret;
	return OTA_OK;
}

void webhook_secret_fini(struct webhook_secret *secret)
{
	sodium_memzero(secret, sizeof(*secret));
}

static void print_one(const struct webhook_secret *secret, size_t index,
	const struct webhook_message *message, char out[static SIGNATURE_CAP])
{
	crypto_auth_hmacsha256_state state;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	char head[WEBHOOK_ID_CAP + 32];
	int len = snprintf(head, sizeof(head), "%.*s.%" PRIu64 ".", WEBHOOK_ID_CAP - 1,
		message->id, message->at_utc_s);

	(void)crypto_auth_hmacsha256_init(
		&state, secret->keys[index].at, secret->keys[index].len);
	(void)crypto_auth_hmacsha256_update(
		&state, (const uint8_t *)head, (unsigned long long)len);
	(void)crypto_auth_hmacsha256_update(&state, message->body.at, message->body.len);
	(void)crypto_auth_hmacsha256_final(&state, mac);
	sodium_memzero(&state, sizeof(state));
	memcpy(out, "v1,", 3);
	(void)sodium_bin2base64(out + 3, SIGNATURE_CAP - 3, mac, sizeof(mac),
		sodium_base64_VARIANT_ORIGINAL);
}

void webhook_sign(const struct webhook_secret *secret,
	const struct webhook_message *message, char out[static WEBHOOK_SIGNATURES_CAP])
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < secret->count; i++) {
		if (i > 0)
			out[len++] = ' ';
		print_one(secret, i, message, out + len);
		len += strlen(out + len);
	}
}

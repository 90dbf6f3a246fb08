#include "orchestrator/port/api_once.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/fatal.h"
#include "orchestrator/port/now.h"
#include "proto/base/own.h"

enum { OK_FIRST = 200, OK_LAST = 299 };

static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			      "0123456789._~:+/=-";

/* ---- what is asked */

/* The key, with or without the quotes of a structured header (RFC 9651, 3.3.3). */
static bool read_key(const char *text, struct ota_bytes *out)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
	}
	if (len < API_ONCE_KEY_MIN || len > API_ONCE_KEY_MAX ||
		strspn(text, allowed) < len)
		return false;
	*out = (struct ota_bytes){ (const uint8_t *)text, len };
	return true;
}

static void add_text(struct ota_hasher *hasher, const char *text)
{
	ota_hasher_add(
		hasher, (struct ota_bytes){ (const uint8_t *)text, strlen(text) + 1 });
}

/* An image is named by its digest, which is in the path. */
static struct ota_digest digest_of_request(const struct api_request *request)
{
	struct ota_hasher hasher;

	ota_hasher_init(&hasher);
	add_text(&hasher, request->method);
	add_text(&hasher, request->path);
	for (size_t i = 0; i < request->param_count; i++) {
		add_text(&hasher, request->params[i].name);
		add_text(&hasher, request->params[i].value);
	}
	add_text(&hasher, "");
	ota_hasher_add(&hasher, request->body);
	return ota_hasher_result(&hasher);
}

static struct ota_digest derive(
	const char *purpose, const struct api_request *request, struct ota_bytes key)
{
	struct ota_hasher hasher;

	ota_hasher_init(&hasher);
	add_text(&hasher, purpose);
	add_text(&hasher, request->who);
	ota_hasher_add(&hasher, key);
	return ota_hasher_result(&hasher);
}

/* ---- answers, sealed: a nonce, then the box of ETag, newline, body */

static enum ota_code seal(const struct api_once *once, const struct api_reply *reply,
	struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf plain = { 0 };
	uint8_t nonce[crypto_secretbox_NONCEBYTES];
	ota_autofree uint8_t *box = NULL;
	size_t len;

	randombytes_buf(nonce, sizeof(nonce));
	if (ota_buf_printf(&plain, "%s\n", reply->etag) != OTA_OK ||
		ota_buf_add(&plain, ota_buf_bytes(&reply->body)) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	len = plain.len + crypto_secretbox_MACBYTES;
	box = malloc(len);
	if (!box ||
		crypto_secretbox_easy(box, plain.at, plain.len, nonce, once->seal) != 0 ||
		ota_buf_add(out, (struct ota_bytes){ nonce, sizeof(nonce) }) != OTA_OK ||
		ota_buf_add(out, (struct ota_bytes){ box, len }) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	return OTA_OK;
}

/* plain: len - MACBYTES bytes of what was sealed. */
static bool read_answer(struct ota_bytes plain, struct api_reply *reply)
{
	const uint8_t *end = memchr(plain.at, '\n', plain.len);
	size_t len = end ? (size_t)(end - plain.at) : sizeof(reply->etag);

	if (len >= sizeof(reply->etag))
		return false;
	memcpy(reply->etag, plain.at, len);
	reply->etag[len] = '\0';
	return ota_buf_add(&reply->body,
		       (struct ota_bytes){ end + 1, plain.len - len - 1 }) == OTA_OK;
}

static enum ota_code unseal(const struct api_once *once, struct ota_bytes sealed,
	struct api_reply *reply, struct ota_error *err)
{
	const size_t around = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
	ota_autofree uint8_t *plain = malloc(sealed.len + 1);

	if (!plain)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	if (sealed.len < around ||
		crypto_secretbox_open_easy(plain, sealed.at + crypto_secretbox_NONCEBYTES,
			sealed.len - crypto_secretbox_NONCEBYTES, sealed.at,
			once->seal) != 0 ||
		!read_answer((struct ota_bytes){ plain, sealed.len - around }, reply))
		return ota_fail(err, OTA_E_IO,
			"this was done, and the answer to it that was kept is damaged");
	return OTA_OK;
}

/* ---- begin, end */

static enum ota_code find(struct api *api, const struct api_request *request,
	const struct api_once *once, struct api_reply *reply, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
	struct ledger_answer kept = { .who = request->who, .key = once->key };
	bool found = false;
	enum ota_code rc = ledger_answer_find(
		api->ledger, port_now().utc_s, &kept, &sealed, &found, err);

	if (rc != OTA_OK || !found)
		return rc;
	if (!ota_digest_equal(&kept.request, &once->request))
		return ota_fail(err, OTA_E_REUSED,
			"another request came with this Idempotency-Key, and was "
			"answered; a new act takes a new key");
	rc = unseal(once, ota_buf_bytes(&sealed), reply, err);
	if (rc != OTA_OK)
		return rc;
	reply->status = kept.status;
	reply->replayed = true;
	return OTA_OK;
}

enum ota_code api_once_begin(struct api *api, const struct api_request *request,
	struct api_once *out, struct api_reply *reply, struct ota_error *err)
{
	struct api_once once = { .wanted = true };
	struct ota_digest secret;
	struct ota_bytes key;
	enum ota_code rc;

	if (!request->idempotency_key)
		return OTA_OK;
	if (!read_key(request->idempotency_key, &key))
		return ota_fail(err, OTA_E_FORMAT,
			"Idempotency-Key: %d to %d random characters, of A-Z a-z 0-9 . _ "
			"~ : + / = - (a UUID will do)",
			API_ONCE_KEY_MIN, API_ONCE_KEY_MAX);
	once.key = derive("sluice: where an answer is kept", request, key);
	once.request = digest_of_request(request);
	secret = derive("sluice: how an answer is sealed", request, key);
	memcpy(once.seal, secret.at, sizeof(once.seal));
	sodium_memzero(&secret, sizeof(secret));
	rc = find(api, request, &once, reply, err);
	if (rc != OTA_OK || reply->replayed)
		return rc;
	core_ports_hold(api->ports);
	*out = once;
	return OTA_OK;
}

void api_once_end(struct api *api, const struct api_request *request,
	struct api_once *once, const struct api_reply *reply)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf sealed = { 0 };
	struct ledger_answer answer = { .who = request->who,
		.key = once->key,
		.request = once->request,
		.at_utc_s = port_now().utc_s,
		.status = reply->status };
	bool done = reply->status >= OK_FIRST && reply->status <= OK_LAST;
	struct ota_error err = { 0 };

	if (!once->wanted)
		return;
	if (done || core_ports_has_changed(api->ports)) {
		if (seal(once, reply, &sealed, &err) != OTA_OK)
			fatal_ledger(&err);
		answer.sealed = ota_buf_bytes(&sealed);
		core_ports_keep(api->ports, &answer);
	}
	core_ports_release(api->ports);
	sodium_memzero(once, sizeof(*once));
}

#include "orchestrator/port/webhook_post.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/names.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum { POLL_MS = 1000, HEADERS_MAX = 64 << 10, LINE_CAP = 256 };

struct webhook_poster {
	struct webhook_address address;
	struct ota_worker *worker; /* owned */
	CURLM *multi;              /* owned; the thread's, but for waking it */
	atomic_bool ending;
	webhook_answered_call *answered;
	void *ctx; /* borrowed, as those below */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* An answer coming in. */
struct reply {
	char begin[WEBHOOK_REPLY_CAP / 4]; /* escaped it takes four times as much */
	size_t len, headers;               /* bytes so far */
};

static void free_list(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static void free_easy(CURL **easy)
{
	curl_easy_cleanup(*easy);
}

void webhook_letter_free(struct webhook_letter *letter)
{
	if (!letter)
		return;
	ota_buf_fini(&letter->body);
	free(letter);
}

/* ---- one request, on the thread */

/* What is behind the bound ends the transfer: the status is known by then. */
static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct reply *reply = ctx;
	size_t len = size * count, room = sizeof(reply->begin) - 1;

	if (reply->len < room)
		memcpy(reply->begin + reply->len, data,
			len < room - reply->len ? len : room - reply->len);
	reply->len += len;
	return reply->len <= WEBHOOK_REPLY_MAX ? len : 0;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
	struct reply *reply = ctx;

	(void)data;
	reply->headers += size * count;
	return reply->headers <= HEADERS_MAX ? size * count : 0;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
	char line[LINE_CAP];
	struct curl_slist *grown;

	(void)snprintf(line, sizeof(line), "%s:%s%s", name, value[0] ? " " : "", value);
	grown = curl_slist_append(*list, line);
	if (grown)
		*list = grown;
	return grown != NULL;
}

static bool add_headers(struct curl_slist **list, const struct webhook_letter *letter)
{
	char at[24];

	(void)snprintf(at, sizeof(at), "%" PRIu64, letter->at_utc_s);
	return add_header(list, "Content-Type", "application/json") &&
	       add_header(list, "webhook-id", letter->id) &&
	       add_header(list, "webhook-timestamp", at) &&
	       add_header(list, "webhook-signature", letter->signatures) &&
	       add_header(list, "Expect", ""); /* none: it would wait for a 100 */
}

static void set_up_limits(CURL *easy, const struct webhook_address *address)
{
	long timeout_ms = 1000 * (long)address->timeout_s;

	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	/* A resolver that does not answer is left behind, not waited for. */
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

static void set_up(CURL *easy, const struct webhook_address *address,
	const struct webhook_letter *letter, struct reply *reply)
{
	set_up_limits(easy, address);
	(void)curl_easy_setopt(easy, CURLOPT_URL, address->url);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, letter->body.at);
	(void)curl_easy_setopt(
		easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)letter->body.len);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, reply);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (address->ca_file[0])
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, address->ca_file);
}

static CURLcode result_of(CURLM *multi)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left)))
		if (message->msg == CURLMSG_DONE)
			return message->data.result;
	return CURLE_ABORTED_BY_CALLBACK;
}

static CURLcode perform(struct webhook_poster *poster, CURL *easy)
{
	CURLcode result;
	int running = 1;

	if (curl_multi_add_handle(poster->multi, easy) != CURLM_OK)
		return CURLE_FAILED_INIT;
	while (!atomic_load(&poster->ending) &&
		curl_multi_perform(poster->multi, &running) == CURLM_OK && running > 0)
		(void)curl_multi_poll(poster->multi, NULL, 0, POLL_MS, NULL);
	result = result_of(poster->multi);
	(void)curl_multi_remove_handle(poster->multi, easy);
	return result;
}

/* result: CURLE_WRITE_ERROR is ours, for an answer that is longer than we want it. */
static void take_answer(struct webhook_letter *letter, CURL *easy, CURLcode result,
	const struct reply *reply)
{
	curl_off_t asked_s = 0;
	long status = 0;

	if (result != CURLE_OK && result != CURLE_WRITE_ERROR)
		return;
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &asked_s);
	letter->answer.status = status > 0 ? (unsigned)status : 0;
	letter->answer.asked_s = asked_s > 0 ? (uint64_t)asked_s : 0;
	ota_escape(reply->begin, letter->text, sizeof(letter->text));
}

static void send_letter(struct ota_work *item)
{
	struct webhook_letter *letter = (struct webhook_letter *)item;
	OTA_AUTO(free_list) struct curl_slist *headers = NULL;
	OTA_AUTO(free_easy) CURL *easy = curl_easy_init();
	char why[CURL_ERROR_SIZE] = "";
	uint64_t began_ms = ota_clock_mono_ms();
	struct reply reply = { 0 };
	CURLcode result;

	if (!easy || !add_headers(&headers, letter)) {
		(void)snprintf(letter->text, sizeof(letter->text), "out of memory");
		return;
	}
	set_up(easy, &letter->poster->address, letter, &reply);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
	result = perform(letter->poster, easy);
	take_answer(letter, easy, result, &reply);
	if (letter->answer.status == 0)
		ota_escape(why[0] ? why : curl_easy_strerror(result), letter->text,
			sizeof(letter->text));
	letter->took_ms = ota_clock_mono_ms() - began_ms;
}

/* ---- on the loop thread */

static void done(void *ctx, struct ota_work *item)
{
	struct webhook_poster *poster = ctx;

	poster->answered(poster->ctx, (struct webhook_letter *)item);
}

static void release(void *ctx, struct ota_work *item)
{
	(void)ctx;
	webhook_letter_free((struct webhook_letter *)item);
}

enum ota_code webhook_poster_new(uv_loop_t *loop, const struct webhook_address *address,
	webhook_answered_call *answered, void *ctx, struct webhook_poster **out,
	struct ota_error *err)
{
	static const struct ota_worker_calls calls = { send_letter, done, release };
	ota_autofree struct webhook_poster *poster = calloc(1, sizeof(*poster));
	enum ota_code rc;

	if (!poster)
		return ota_fail(err, OTA_E_NOMEM, "webhook");
	poster->address = *address;
	poster->answered = answered;
	poster->ctx = ctx;
	poster->multi = curl_multi_init();
	if (!poster->multi)
		return ota_fail(err, OTA_E_NOMEM, "webhook");
	rc = ota_worker_new(loop, &calls, poster, WEBHOOK_POSTS_MAX, &poster->worker);
	if (rc != OTA_OK) {
		(void)curl_multi_cleanup(poster->multi);
		return ota_fail(err, rc, "webhook");
	}
	*out = ota_take(&poster);
	return OTA_OK;
}

enum ota_code webhook_post(struct webhook_poster *poster, struct webhook_letter *letter)
{
	letter->poster = poster;
	return ota_worker_give(poster->worker, &letter->work);
}

static void gone(void *ctx)
{
	struct webhook_poster *poster = ctx;

	(void)curl_multi_cleanup(poster->multi);
	poster->closed(poster->closed_ctx);
	free(poster);
}

void webhook_poster_close(
	struct webhook_poster *poster, void (*closed)(void *ctx), void *ctx)
{
	poster->closed = closed;
	poster->closed_ctx = ctx;
	atomic_store(&poster->ending, true);
	(void)curl_multi_wakeup(poster->multi);
	ota_worker_close(poster->worker, gone, poster);
}

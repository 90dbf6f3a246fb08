#include "orchestrator/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "orchestrator/cli/output.h"
#include "orchestrator/cli/patience.h"
#include "orchestrator/cli/tree.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum {
	URL_CAP = CONTEXT_URL_CAP + 512,
	ANSWER_LEN_MAX = 16 << 20, /* bytes */
	CONNECT_TIMEOUT_S = 10,
	HTTP_OK_FIRST = 200,
	HTTP_OK_LAST = 299,
	HTTP_NOT_FOUND = 404,
	HTTP_TOO_MANY = 429,
	ONCE_LEN = 16,         /* random bytes of an Idempotency-Key */
	ETAG_CAP = 68,         /* bytes with the NUL, without quotes */
	REVISION_LEN_MAX = 64, /* hex digits */
};

#define API "/api/v1"

/* One exchange with libcurl; everything it allocates is released together. */
struct exchange {
	CURL *curl;
	struct curl_slist *headers;
	struct ota_buf *answer; /* borrowed */
	char *etag;             /* borrowed; ETAG_CAP bytes; NULL: not wanted */
	FILE *file;             /* borrowed; what is sent instead of a body, or NULL */
	struct patience patience;
	char url[URL_CAP];
	char why[CURL_ERROR_SIZE];
};

static void exchange_fini(struct exchange *x)
{
	curl_slist_free_all(x->headers);
	if (x->curl != NULL)
		curl_easy_cleanup(x->curl);
}

static size_t take_answer(char *at, size_t size, size_t count, void *ctx)
{
	struct ota_buf *answer = ctx;
	size_t len = size * count;

	if (len > ANSWER_LEN_MAX - answer->len ||
		ota_buf_add(answer, (struct ota_bytes){ (const uint8_t *)at, len }) !=
			OTA_OK)
		return 0;
	return len;
}

static OTA_CHECKED enum ota_code add_header(
	struct exchange *x, const char *name, const char *value)
{
	char line[CONTEXT_API_KEY_CAP + 64];
	struct curl_slist *longer;

	(void)snprintf(line, sizeof line, "%s: %s", name, value);
	longer = curl_slist_append(x->headers, line);
	if (longer == NULL)
		return OTA_E_NOMEM;
	x->headers = longer;
	return OTA_OK;
}

/* A change is done once, however often it has to be asked for: each has a key of its own,
 * and all tries have the same. */
static OTA_CHECKED enum ota_code add_once(struct exchange *x, const char *method)
{
	uint8_t bytes[ONCE_LEN];
	char key[2 * ONCE_LEN + 1];

	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		return OTA_OK;
	ota_random(bytes, sizeof bytes);
	ota_hex_encode((struct ota_bytes){ bytes, sizeof bytes }, key);
	return add_header(x, "Idempotency-Key", key);
}

static OTA_CHECKED enum ota_code exchange_init(struct exchange *x,
	const struct context *context, const struct client_request *request,
	struct ota_buf *answer, struct ota_error *err)
{
	char bearer[CONTEXT_API_KEY_CAP + 16], match[REVISION_LEN_MAX + 3];
	const char *type = request->content_type;

	x->curl = curl_easy_init();
	if (x->curl == NULL)
		return ota_fail(err, OTA_E_NOMEM, "libcurl");
	x->answer = answer;
	x->patience.until_ms = ota_clock_mono_ms() + UINT64_C(1000) * context->retry_s;
	(void)snprintf(
		x->url, sizeof x->url, "%s" API "%s", context->server, request->path);
	(void)snprintf(bearer, sizeof bearer, "Bearer %s", context->api_key);
	if (add_header(x, "Authorization", bearer) != OTA_OK ||
		add_header(x, "Content-Type", type != NULL ? type : "application/json") !=
			OTA_OK ||
		add_header(x, "Expect", "") != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "request headers");
	if (add_once(x, request->method) != OTA_OK)
		return ota_fail(err, OTA_E_NOMEM, "request headers");
	if (request->if_match != NULL) {
		(void)snprintf(match, sizeof match, "\"%s\"", request->if_match);
		if (add_header(x, "If-Match", match) != OTA_OK)
			return ota_fail(err, OTA_E_NOMEM, "request headers");
	}
	curl_easy_setopt(x->curl, CURLOPT_URL, x->url);
	curl_easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->why);
	curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(x->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, answer);
	if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(x->curl, CURLOPT_NOBODY, 1L);
	return OTA_OK;
}

/* {"error":{"name","number","text"}} as an error of our own. */
static enum ota_code server_error(
	const struct exchange *x, long status, struct ota_error *err)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	const cJSON *error, *number, *text;
	enum ota_code code;

	if (ota_json_parse(ota_buf_bytes(x->answer), false, &tree, NULL) != OTA_OK)
		return ota_fail(err,
			status == HTTP_NOT_FOUND ? OTA_E_NOTFOUND : OTA_E_LINK,
			"%s answered HTTP %ld", x->url, status);
	error = cJSON_GetObjectItemCaseSensitive(tree, "error");
	number = cJSON_GetObjectItemCaseSensitive(error, "number");
	text = cJSON_GetObjectItemCaseSensitive(error, "text");
	if (!cJSON_IsNumber(number) || !cJSON_IsString(text))
		return ota_fail(err, OTA_E_LINK, "%s answered HTTP %ld", x->url, status);
	code = ota_code_of_number((uint64_t)number->valuedouble);
	return ota_fail(err, code, "%s", text->valuestring);
}

/* The strong ETag of an answer, without its quotes; "" if there is none. */
static void read_etag(const struct exchange *x)
{
	struct curl_header *header;
	const char *value;

	x->etag[0] = '\0';
	if (curl_easy_header(x->curl, "ETag", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return;
	value = header->value;
	if (value[0] == '"' && strlen(value) < ETAG_CAP)
		(void)snprintf(x->etag, ETAG_CAP, "%.*s", (int)strcspn(value + 1, "\""),
			value + 1);
}

/* ---- asking again */

/* A line that breaks says nothing of whether the request was done. */
static bool is_broken(CURLcode rc)
{
	return rc == CURLE_COULDNT_CONNECT || rc == CURLE_SEND_ERROR ||
	       rc == CURLE_RECV_ERROR || rc == CURLE_GOT_NOTHING ||
	       rc == CURLE_PARTIAL_FILE || rc == CURLE_OPERATION_TIMEDOUT;
}

/* What a server, or a proxy before it, says of this moment and not of the request. */
static bool is_for_now(long status)
{
	return status == HTTP_TOO_MANY || (status >= 502 && status <= 504);
}

static OTA_CHECKED enum ota_code look_at_answer(struct exchange *x, struct ota_error *err)
{
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < HTTP_OK_FIRST || status > HTTP_OK_LAST)
		return server_error(x, status, err);
	if (x->etag != NULL)
		read_etag(x);
	return OTA_OK;
}

/* One try. *again if another one may fare better, after *asked_ms at the least. */
static OTA_CHECKED enum ota_code try_once(
	struct exchange *x, bool *again, uint64_t *asked_ms, struct ota_error *err)
{
	curl_off_t asked_s = 0;
	long status = 0;
	CURLcode rc;

	x->answer->len = 0;
	if (x->file != NULL)
		rewind(x->file);
	rc = curl_easy_perform(x->curl);
	*again = is_broken(rc);
	*asked_ms = 0;
	if (rc != CURLE_OK)
		return ota_fail(err, OTA_E_LINK, "%s: %s (is sluiced running there?)",
			x->url, x->why[0] != '\0' ? x->why : curl_easy_strerror(rc));
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	*again = is_for_now(status);
	if (*again &&
		curl_easy_getinfo(x->curl, CURLINFO_RETRY_AFTER, &asked_s) == CURLE_OK)
		*asked_ms = (uint64_t)asked_s * 1000;
	return look_at_answer(x, err);
}

static void wait_for(uint64_t wait_ms)
{
	struct timespec left = { .tv_sec = (time_t)(wait_ms / 1000),
		.tv_nsec = (long)(wait_ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* Until there is an answer, or no time for another try. */
static OTA_CHECKED enum ota_code perform(struct exchange *x, struct ota_error *err)
{
	uint64_t asked_ms = 0, wait_ms = 0;
	bool again = false;

	for (;;) {
		struct ota_error why = { 0 };
		enum ota_code rc = try_once(x, &again, &asked_ms, &why);

		if (rc == OTA_OK)
			return rc;
		if (!again ||
			!patience_goes_on(&x->patience, ota_clock_mono_ms(), asked_ms,
				ota_random_below(PATIENCE_CHANCE), &wait_ms)) {
			if (err != NULL)
				*err = why;
			return again && x->patience.tries > 1
				       ? ota_wrap(err, rc, "gave up after %u tries",
						 x->patience.tries)
				       : rc;
		}
		(void)fprintf(stderr, "sluice: %s; trying again in %.1f s\n", why.text,
			(double)wait_ms / 1000);
		wait_for(wait_ms);
	}
}

/* etag: ETAG_CAP bytes, or NULL. */
static OTA_CHECKED enum ota_code send_request(const struct context *context,
	const struct client_request *request, struct ota_buf *answer, char *etag,
	struct ota_error *err)
{
	OTA_AUTO(exchange_fini) struct exchange x = { 0 };
	enum ota_code rc = exchange_init(&x, context, request, answer, err);

	if (rc != OTA_OK)
		return rc;
	x.etag = etag;
	if (request->body.len > 0) {
		curl_easy_setopt(x.curl, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)request->body.len);
		curl_easy_setopt(
			x.curl, CURLOPT_POSTFIELDS, (const char *)request->body.at);
	}
	return perform(&x, err);
}

enum ota_code client_send(const struct context *context,
	const struct client_request *request, struct ota_buf *answer,
	struct ota_error *err)
{
	return send_request(context, request, answer, NULL, err);
}

/* As client_send(), for an answer in JSON. */
static OTA_CHECKED enum ota_code send_for_tree(const struct context *context,
	const struct client_request *request, cJSON **out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf answer = { 0 };
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	char etag[ETAG_CAP] = "";
	enum ota_code rc = send_request(context, request, &answer, etag, err);

	if (rc != OTA_OK || out == NULL)
		return rc;
	rc = ota_json_parse(ota_buf_bytes(&answer), false, &tree, err);
	if (rc != OTA_OK)
		return rc;
	if (etag[0] != '\0' && cJSON_AddStringToObject(tree, "revision", etag) == NULL)
		return ota_fail(err, OTA_E_NOMEM, "answer");
	*out = ota_take(&tree);
	return OTA_OK;
}

enum ota_code client_if(
	const struct cli_call *call, const char **out, struct ota_error *err)
{
	const char *given = cli_value(call, "if", NULL);
	size_t digits = given != NULL ? strspn(given, "0123456789abcdef") : 0;

	if (given != NULL &&
		(digits == 0 || digits > REVISION_LEN_MAX || given[digits] != '\0'))
		return ota_fail(err, OTA_E_USAGE,
			"--if takes a revision, as plan, status and device show print "
			"it");
	*out = given;
	return OTA_OK;
}

enum ota_code client_get(const struct context *context, const char *path, cJSON **out,
	struct ota_error *err)
{
	struct client_request request = { .method = "GET", .path = path };

	return send_for_tree(context, &request, out, err);
}

enum ota_code client_put_json(const struct context *context,
	const struct client_request *request, const cJSON *body, cJSON **out,
	struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	struct client_request full = *request;
	enum ota_code rc;

	rc = body != NULL ? ota_json_print(body, &text, err)
			  : ota_buf_add(&text, ota_bytes_of("{}"));
	if (rc != OTA_OK)
		return rc;
	full.body = ota_buf_bytes(&text);
	return send_for_tree(context, &full, out, err);
}

enum ota_code client_device(const struct cli_call *call, const char *method,
	const char *below, const cJSON *body, cJSON **out, struct ota_error *err)
{
	char id[OTA_NAME_CAP], path[OTA_NAME_CAP + 32];
	struct client_request request = { .method = method, .path = path };
	struct context context;
	enum ota_code rc = context_load(call, &context, err);

	if (rc == OTA_OK)
		rc = ota_name_copy(call->operands[0], "device", id, err);
	if (rc == OTA_OK)
		rc = client_if(call, &request.if_match, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(path, sizeof path, "/devices/%s%s", id, below);
	if (strcmp(method, "GET") == 0)
		return client_get(&context, path, out, err);
	return client_put_json(&context, &request, body, out, err);
}

enum ota_code client_post_document(const struct context *context,
	struct ota_bytes envelope, cJSON **out, struct ota_error *err)
{
	struct client_request request = {
		.method = "POST",
		.path = "/documents",
		.body = envelope,
		.content_type = "application/octet-stream",
	};

	return send_for_tree(context, &request, out, err);
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

static int show_upload(void *ctx, curl_off_t dltotal, curl_off_t dlnow,
	curl_off_t ultotal, curl_off_t ulnow)
{
	(void)dltotal;
	(void)dlnow;
	if (ultotal > 0)
		(void)progress_tick(ctx, (uint64_t)ulnow, (uint64_t)ultotal);
	return 0;
}

static OTA_CHECKED enum ota_code upload(const struct context *context, const char *path,
	const char *url_path, struct ota_error *err)
{
	OTA_AUTO(exchange_fini) struct exchange x = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf answer = { 0 };
	OTA_AUTO(close_file) FILE *file = fopen(path, "rbe");
	struct client_request request = { .method = "PUT",
		.path = url_path,
		.content_type = "application/octet-stream" };
	struct progress_bar bar;
	struct stat st;
	enum ota_code rc;

	if (file == NULL || fstat(fileno(file), &st) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	rc = exchange_init(&x, context, &request, &answer, err);
	if (rc != OTA_OK)
		return rc;
	x.file = file;
	progress_begin(&bar, "upload");
	curl_easy_setopt(x.curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(x.curl, CURLOPT_READDATA, file);
	curl_easy_setopt(x.curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
	curl_easy_setopt(x.curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(x.curl, CURLOPT_XFERINFOFUNCTION, show_upload);
	curl_easy_setopt(x.curl, CURLOPT_XFERINFODATA, &bar);
	rc = perform(&x, err);
	progress_end(&bar);
	return rc;
}

enum ota_code client_put_image(const struct context *context, const char *path,
	const struct ota_digest *digest, bool *sent, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf answer = { 0 };
	char hex[OTA_DIGEST_HEX_CAP], url_path[OTA_DIGEST_HEX_CAP + 16];
	struct client_request head = { .method = "HEAD", .path = url_path };
	enum ota_code rc;

	ota_digest_hex(digest, hex);
	(void)snprintf(url_path, sizeof url_path, "/images/%s", hex);
	rc = client_send(context, &head, &answer, err);
	*sent = rc == OTA_E_NOTFOUND;
	if (rc == OTA_E_NOTFOUND)
		rc = upload(context, path, url_path, err);
	return rc;
}

enum ota_code client_devices(const struct context *context, const char *cohort,
	cJSON *all, struct ota_error *err)
{
	char after[OTA_NAME_CAP] = "", path[3 * OTA_NAME_CAP];

	do {
		OTA_AUTO(ota_json_fini) cJSON *page = NULL;
		cJSON *devices;
		enum ota_code rc;

		(void)snprintf(path, sizeof path, "/devices?limit=%d&after=%s%s%s",
			DEVICES_PAGE, after, cohort[0] != '\0' ? "&cohort=" : "", cohort);
		rc = client_get(context, path, &page, err);
		if (rc != OTA_OK)
			return rc;
		devices = cJSON_GetObjectItemCaseSensitive(page, "devices");
		while (cJSON_GetArraySize(devices) > 0)
			cJSON_AddItemToArray(all, cJSON_DetachItemFromArray(devices, 0));
		(void)snprintf(after, sizeof after, "%.64s", tree_text(page, "next"));
	} while (after[0] != '\0');
	return OTA_OK;
}

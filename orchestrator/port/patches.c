#include "orchestrator/port/patches.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "orchestrator/port/cache_dir.h"
#include "orchestrator/port/patch_encode.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"
#include "proto/wire/json.h"

enum { LOG_EVERY_MS = 10000 };

enum encode_state { ENCODE_QUEUED, ENCODE_RUNNING, ENCODE_DONE, ENCODE_FAILED };

/* One patch to be made. The worker thread writes made, err and the atomics; the loop
 * thread reads made and err once the worker has let go. */
struct encode {
	struct encode *next; /* owned */
	struct patches *owner;
	uv_work_t work;
	struct patch_recipe recipe;
	enum encode_state state;
	atomic_uint_least64_t done, total; /* bytes of the new image */
	uint64_t logged_ms;                /* worker's own */
	struct patch_made made;
	struct ota_error err;
};

/* An open question of the core. */
struct request {
	struct request *next; /* owned */
	struct ota_digest from, to;
};

struct patches {
	uv_timer_t settle; /* runs once the caller of patches_make() has returned */
	char *dir;         /* owned */
	struct patches_config config;
	struct patches_events events;
	struct encode *encodes;
	struct request *requests;
	uint32_t running;
	atomic_bool cancelled;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* ---- on a worker thread */

static bool note_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct encode *encode = ctx;
	uint64_t now_ms = ota_clock_mono_ms();
	char to[OTA_DIGEST_HEX_CAP];

	atomic_store(&encode->done, done);
	atomic_store(&encode->total, total);
	if (now_ms - encode->logged_ms >= LOG_EVERY_MS) {
		encode->logged_ms = now_ms;
		ota_digest_hex(&encode->recipe.to, to);
		ota_log(OTA_LOG_INFO, "patch.progress",
			"codec=%s to=%.12s done=%" PRIu64 " total=%" PRIu64,
			ota_codec_text(encode->recipe.codec), to, done, total);
	}
	return !atomic_load(&encode->owner->cancelled);
}

static void work(uv_work_t *handle)
{
	struct encode *encode = handle->data;
	struct patches *patches = encode->owner;
	struct patch_encode job = {
		.dir = patches->dir,
		.images = patches->config.images,
		.recipe = encode->recipe,
		.level = patches->config.level,
		.images_max = patches->config.images_max,
		.progress = { encode, note_progress },
	};
	enum ota_code rc;

	encode->logged_ms = ota_clock_mono_ms();
	rc = patch_encode_run(&job, &encode->made, &encode->err);
	encode->err.code = rc;
}

/* ---- encodes */

static bool is_same(const struct patch_recipe *a, const struct patch_recipe *b)
{
	return a->codec == b->codec && ota_digest_equal(&a->from, &b->from) &&
	       ota_digest_equal(&a->to, &b->to);
}

/* The encode of a recipe, new if there is none; NULL when memory is short. */
static struct encode *encode_of(
	struct patches *patches, const struct patch_recipe *recipe)
{
	struct encode **at = &patches->encodes;
	struct encode *fresh;

	for (; *at; at = &(*at)->next)
		if (is_same(&(*at)->recipe, recipe))
			return *at;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	fresh->owner = patches;
	fresh->recipe = *recipe;
	fresh->work.data = fresh;
	if (patch_encode_cached(patches->dir, recipe, &fresh->made, NULL) == OTA_OK)
		fresh->state = ENCODE_DONE;
	*at = fresh;
	return fresh;
}

static bool is_settled(const struct encode *encode)
{
	return encode->state == ENCODE_DONE || encode->state == ENCODE_FAILED;
}

/* Whether an open question needs this encode. */
static bool is_wanted(const struct patches *patches, const struct patch_recipe *recipe)
{
	for (const struct request *r = patches->requests; r; r = r->next)
		if (ota_digest_equal(&r->to, &recipe->to) &&
			(recipe->codec == OTA_CODEC_FULL ||
				ota_digest_equal(&r->from, &recipe->from)))
			return true;
	return false;
}

static void forget_unwanted(struct patches *patches)
{
	struct encode **at = &patches->encodes;

	while (*at) {
		struct encode *encode = *at;

		if (encode->state == ENCODE_RUNNING ||
			is_wanted(patches, &encode->recipe)) {
			at = &encode->next;
			continue;
		}
		*at = encode->next;
		free(encode);
	}
}

static void log_made(const struct encode *encode)
{
	char hex[OTA_DIGEST_HEX_CAP], to[OTA_DIGEST_HEX_CAP], why[256];

	ota_digest_hex(&encode->recipe.to, to);
	ota_digest_hex(&encode->made.patch, hex);
	if (encode->state == ENCODE_DONE)
		ota_log(OTA_LOG_INFO, "patch.made",
			"codec=%s to=%.12s patch=%.12s bytes=%" PRIu64
			" decoder_ram=%" PRIu64 " took_ms=%" PRIu64,
			ota_codec_text(encode->recipe.codec), to, hex,
			encode->made.patch_len, encode->made.decoder_ram,
			encode->made.took_ms);
	else
		ota_log(OTA_LOG_ERR, "patch.failed", "codec=%s to=%.12s error=%s why=%s",
			ota_codec_text(encode->recipe.codec), to,
			ota_code_name(encode->err.code),
			ota_log_quote(encode->err.text, why));
}

static void after_work(uv_work_t *handle, int status);

static void start_queued(struct patches *patches)
{
	for (struct encode *e = patches->encodes; e; e = e->next) {
		if (e->state != ENCODE_QUEUED ||
			patches->running == patches->config.workers)
			continue;
		if (uv_queue_work(patches->settle.loop, &e->work, work, after_work) != 0)
			return;
		e->state = ENCODE_RUNNING;
		patches->running++;
	}
}

/* ---- requests */

static void answer(struct patches *patches, const struct request *r,
	const struct encode *full, const struct encode *delta)
{
	const struct encode *best = full;
	struct core_patch patch = { .from = r->from, .to = r->to };

	if (delta && delta->state == ENCODE_DONE &&
		(full->state != ENCODE_DONE ||
			delta->made.patch_len < full->made.patch_len))
		best = delta;
	if (best->state != ENCODE_DONE) {
		patches->events.failed(patches->events.ctx, &r->from, &r->to, &best->err);
		return;
	}
	patch.patch = best->made.patch;
	patch.codec = best->recipe.codec;
	patch.patch_len = best->made.patch_len;
	patch.full_len = full->made.patch_len;
	patch.decoder_ram = best->made.decoder_ram;
	patch.took_ms = best->made.took_ms;
	if (full->state != ENCODE_DONE)
		(void)images_has(patches->config.images, &r->to, &patch.full_len);
	patches->events.made(patches->events.ctx, &patch);
}

/* The delta of a question: vcdiff, which needs little memory, once predict has failed.
 * NULL when memory is short. */
static const struct encode *delta_of(struct patches *patches, const struct request *r)
{
	struct patch_recipe recipe = { (uint8_t)patches->config.codec, r->from, r->to };
	const struct encode *delta = encode_of(patches, &recipe);

	if (!delta || delta->state != ENCODE_FAILED || recipe.codec == OTA_CODEC_VCDIFF)
		return delta;
	recipe.codec = OTA_CODEC_VCDIFF;
	return encode_of(patches, &recipe);
}

/* True if the question at *at was answered and is gone. The core may ask the next one
 * from within the answer. */
static bool settle_one(struct patches *patches, struct request **at)
{
	struct request *r = *at;
	struct patch_recipe full_recipe = { .codec = OTA_CODEC_FULL, .to = r->to };
	const struct encode *full = encode_of(patches, &full_recipe);
	const struct encode *delta = NULL;

	if (!ota_digest_is_zero(&r->from))
		delta = delta_of(patches, r);
	if (!full || (!ota_digest_is_zero(&r->from) && !delta))
		return false;
	if (!is_settled(full) || (delta && !is_settled(delta)))
		return false;
	*at = r->next;
	answer(patches, r, full, delta);
	free(r);
	return true;
}

static void settle(uv_timer_t *timer)
{
	struct patches *patches = timer->data;
	struct request **at = &patches->requests;

	while (*at)
		at = settle_one(patches, at) ? &patches->requests : &(*at)->next;
	forget_unwanted(patches);
	start_queued(patches);
}

static void settle_soon(struct patches *patches)
{
	(void)uv_timer_start(&patches->settle, settle, 0, 0);
}

/* ---- closing */

static void release(uv_handle_t *handle)
{
	struct patches *patches = handle->data;

	if (patches->closed)
		patches->closed(patches->closed_ctx);
	free(patches->dir);
	free(patches);
}

static void close_if_idle(struct patches *patches)
{
	if (patches->running > 0)
		return;
	while (patches->requests) {
		struct request *r = patches->requests;

		patches->requests = r->next;
		free(r);
	}
	forget_unwanted(patches);
	uv_close((uv_handle_t *)&patches->settle, release);
}

static void after_work(uv_work_t *handle, int status)
{
	struct encode *encode = handle->data;
	struct patches *patches = encode->owner;

	(void)status; /* never cancelled through libuv */
	encode->state = encode->err.code == OTA_OK ? ENCODE_DONE : ENCODE_FAILED;
	patches->running--;
	if (atomic_load(&patches->cancelled)) {
		close_if_idle(patches);
		return;
	}
	log_made(encode);
	settle_soon(patches);
}

void patches_close(struct patches *patches, void (*closed)(void *ctx), void *ctx)
{
	if (!patches) {
		closed(ctx);
		return;
	}
	patches->closed = closed;
	patches->closed_ctx = ctx;
	atomic_store(&patches->cancelled, true);
	(void)uv_timer_stop(&patches->settle);
	close_if_idle(patches);
}

/* ---- what others call */

enum ota_code patches_new(uv_loop_t *loop, const struct patches_config *config,
	const struct patches_events *events, struct patches **out, struct ota_error *err)
{
	ota_autofree struct patches *patches = NULL;
	enum ota_code rc = cache_dir_open(config->dir, err);

	if (rc != OTA_OK)
		return rc;
	patches = calloc(1, sizeof(*patches));
	if (patches)
		patches->dir = strdup(config->dir);
	if (!patches || !patches->dir)
		return ota_fail(err, OTA_E_NOMEM, "patches");
	patches->config = *config;
	patches->events = *events;
	(void)uv_timer_init(loop, &patches->settle);
	patches->settle.data = patches;
	*out = ota_take(&patches);
	return OTA_OK;
}

void patches_make(struct patches *patches, const struct ota_digest *from,
	const struct ota_digest *to)
{
	struct request **at = &patches->requests;

	for (; *at; at = &(*at)->next)
		if (ota_digest_equal(&(*at)->from, from) &&
			ota_digest_equal(&(*at)->to, to))
			return;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		return; /* the core asks again after a restart */
	(*at)->from = *from;
	(*at)->to = *to;
	settle_soon(patches);
}

cJSON *patches_json(const struct patches *patches)
{
	OTA_AUTO(ota_json_fini) cJSON *list = cJSON_CreateArray();

	for (struct encode *e = patches->encodes; list && e; e = e->next) {
		cJSON *item;

		if (is_settled(e))
			continue;
		item = cJSON_CreateObject();
		if (!item || !cJSON_AddItemToArray(list, item))
			return NULL;
		if (!ota_json_add_digest(item, "from", &e->recipe.from) ||
			!ota_json_add_digest(item, "to", &e->recipe.to) ||
			!cJSON_AddStringToObject(
				item, "codec", ota_codec_text(e->recipe.codec)) ||
			!ota_json_add_u64(item, "done", atomic_load(&e->done)) ||
			!ota_json_add_u64(item, "total", atomic_load(&e->total)))
			return NULL;
	}
	return ota_take(&list);
}

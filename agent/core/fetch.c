#include "agent/core/fetch.h"

#include <stdlib.h>

#include "proto/wire/topics.h"

static const uint64_t NEVER = UINT64_MAX;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* xorshift64*: jitter only, nothing depends on it being hard to guess. */
static uint64_t random_below(struct fetch *f, uint64_t below)
{
	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return (f->random * UINT64_C(2685821657736338717) >> 11) % below;
}

static bool has_fence(const struct fetch *f)
{
	return f->config.chunk_count > 0;
}

/* --- what the link carries -----------------------------------------------------------
 */

static uint64_t tokens_cap(const struct fetch *f)
{
	return most(f->config.rate, f->config.chunk_len) * 1000;
}

/* Tokens are bytes * 1000, so that slow rates and short waits lose nothing. */
static void tokens_grow(struct fetch *f, uint64_t now_ms)
{
	uint64_t cap = tokens_cap(f), passed_ms = now_ms - f->tokens_ms;

	if (f->config.rate == 0)
		return;
	if (passed_ms > cap / f->config.rate)
		f->tokens = cap;
	else
		f->tokens = least(cap, f->tokens + passed_ms * f->config.rate);
	f->tokens_ms = now_ms;
}

static uint64_t tokens_price(const struct fetch *f)
{
	return f->config.rate == 0 ? 0 : (uint64_t)f->config.chunk_len * 1000;
}

static void sample_start(struct fetch *f, uint64_t now_ms)
{
	f->sample_ms = now_ms;
	f->sample_bytes = 0;
}

static void sample_add(struct fetch *f, uint64_t now_ms)
{
	uint64_t passed_ms = now_ms - f->sample_ms, seen;

	f->sample_bytes += f->config.chunk_len;
	if (passed_ms < 1000)
		return;
	seen = most(1, f->sample_bytes * 1000 / passed_ms);
	f->rate = f->rate == 0 ? seen : (3 * f->rate + seen) / 4;
	sample_start(f, now_ms);
}

/* How long nothing may move before what is outstanding counts as lost. */
static uint64_t patience_ms(const struct fetch *f)
{
	uint64_t rate = f->rate != 0 ? f->rate : FETCH_RATE_UNKNOWN;
	uint64_t bytes = (uint64_t)f->asked * f->config.chunk_len;
	uint64_t wait_ms = most(FETCH_PATIENCE_MS, 2 * bytes * 1000 / rate);
	uint64_t doublings = f->stalls < FETCH_TRIES ? 0 : f->stalls - FETCH_TRIES + 1;

	return least(FETCH_PATIENCE_MAX_MS, wait_ms << least(doublings, 4));
}

/* --- chunks that did not come ----------------------------------------------------------
 */

static void need_schedule(struct fetch *f, uint64_t now_ms)
{
	uint64_t span_ms = least(
		FETCH_NEED_MAX_MS, (uint64_t)FETCH_NEED_JITTER_MS << least(f->needs, 16));
	uint64_t least_ms = f->needs == 0 ? 0 : span_ms / 2;

	if (f->need_at_ms == 0)
		f->need_at_ms =
			now_ms + 1 + least_ms + random_below(f, span_ms - least_ms);
}

static void postpone(
	struct fetch *f, struct fetch_chunk *chunk, uint64_t due_ms, uint64_t now_ms)
{
	chunk->state = FETCH_LATER;
	chunk->due_ms = due_ms;
	f->asked--;
	f->later++;
	if (chunk->absences < UINT8_MAX)
		chunk->absences++;
	if (chunk->absences < (f->config.is_on_demand ? 1 : FETCH_TRIES))
		return;
	chunk->due_ms = NEVER; /* until the need has been published */
	need_schedule(f, now_ms);
}

/* Postpone what was asked for in SUBSCRIBEs up to and with `batch`. */
static void postpone_asked(
	struct fetch *f, uint32_t batch, uint64_t due_ms, uint64_t now_ms)
{
	for (uint32_t i = 0; i < f->count && f->asked > 0; i++)
		if (f->chunks[i].state == FETCH_ASKED && f->chunks[i].batch <= batch)
			postpone(f, &f->chunks[i], due_ms, now_ms);
}

static void need_publish(struct fetch *f, uint64_t now_ms, struct fetch_plan *out)
{
	if (!f->up || f->need_at_ms == 0 || now_ms < f->need_at_ms)
		return;
	out->need = true;
	f->need_at_ms = 0;
	f->needs++;
	for (uint32_t i = 0; i < f->count; i++)
		if (f->chunks[i].state == FETCH_LATER && f->chunks[i].due_ms == NEVER)
			f->chunks[i].due_ms = now_ms + FETCH_GRACE_MS;
}

static void stall_check(struct fetch *f, uint64_t now_ms)
{
	if (f->asked == 0 || now_ms < f->progress_ms + patience_ms(f))
		return;
	postpone_asked(f, f->batches, now_ms, now_ms);
	f->window = (uint32_t)most(1, f->window / 2);
	f->stalls++;
	f->progress_ms = now_ms;
}

/* --- events ----------------------------------------------------------------------------
 */

/* The link came or went: nothing is subscribed, nothing is on its way. */
static void forget_link(struct fetch *f, bool up)
{
	for (uint32_t i = 0; i < f->count; i++) {
		struct fetch_chunk *chunk = &f->chunks[i];

		chunk->subscribed = false;
		if (chunk->state != FETCH_HELD)
			*chunk = (struct fetch_chunk){ .state = FETCH_IDLE };
	}
	f->asked = f->later = f->batches = f->fenced = f->stalls = 0;
	f->need_at_ms = 0;
	f->up = up;
}

static void take_right(struct fetch *f, uint64_t now_ms, uint32_t index)
{
	struct fetch_chunk *chunk = &f->chunks[index];

	if (chunk->state == FETCH_ASKED)
		f->asked--;
	if (chunk->state == FETCH_LATER)
		f->later--;
	if (chunk->absences > 0)
		f->needs = 0;
	chunk->state = FETCH_HELD;
	f->held++;
	f->stalls = 0;
	f->progress_ms = now_ms;
	f->window = (uint32_t)least(f->window + 1, f->config.chunks_max);
	sample_add(f, now_ms);
}

static void take_wrong(
	struct fetch *f, uint64_t now_ms, uint32_t index, struct fetch_plan *out)
{
	f->wrong++;
	if (f->wrong >= FETCH_WRONG_MAX) {
		f->failed = true;
		(void)ota_fail(&out->err, OTA_E_POISON,
			"%u wrong chunks, the last as chunk %u; %u of %u are held",
			f->wrong, index, f->held, f->count);
	} else if (f->chunks[index].state == FETCH_ASKED) {
		postpone(f, &f->chunks[index], now_ms + FETCH_GRACE_MS, now_ms);
	}
}

static void take_fence(struct fetch *f, uint64_t now_ms)
{
	if (f->fenced == f->batches)
		return;
	f->fenced++;
	f->progress_ms = now_ms;
	postpone_asked(f, f->fenced, now_ms + FETCH_GRACE_MS, now_ms);
}

static void take_event(struct fetch *f, uint64_t now_ms, const struct fetch_event *event,
	struct fetch_plan *out)
{
	switch (event->kind) {
	case FETCH_EV_UP:
		forget_link(f, true);
		break;
	case FETCH_EV_DOWN:
		forget_link(f, false);
		break;
	case FETCH_EV_RIGHT:
		if (fetch_is_missing(f, event->index))
			take_right(f, now_ms, event->index);
		break;
	case FETCH_EV_WRONG:
		if (fetch_is_missing(f, event->index))
			take_wrong(f, now_ms, event->index, out);
		break;
	case FETCH_EV_FENCE:
		take_fence(f, now_ms);
		break;
	case FETCH_EV_TICK:
		break;
	}
}

/* --- asking ----------------------------------------------------------------------------
 */

static struct fetch_chunk *next_due(struct fetch *f, uint64_t now_ms)
{
	if (f->later == 0)
		return NULL;
	for (uint32_t i = 0; i < f->count; i++)
		if (f->chunks[i].state == FETCH_LATER && f->chunks[i].due_ms <= now_ms)
			return &f->chunks[i];
	return NULL;
}

static struct fetch_chunk *next_idle(struct fetch *f)
{
	if (f->held + f->asked + f->later == f->count)
		return NULL;
	while (f->chunks[f->cursor].state != FETCH_IDLE)
		f->cursor = (f->cursor + 1) % f->count;
	return &f->chunks[f->cursor];
}

static bool ask_one(struct fetch *f, uint64_t now_ms, struct fetch_batch *batch)
{
	struct fetch_chunk *chunk = NULL;

	if (f->tokens >= tokens_price(f))
		chunk = next_due(f, now_ms);
	if (chunk == NULL && f->tokens >= tokens_price(f))
		chunk = next_idle(f);
	if (chunk == NULL)
		return false;
	if (chunk->state == FETCH_LATER)
		f->later--;
	if (f->asked == 0) {
		f->progress_ms = now_ms;
		sample_start(f, now_ms);
	}
	f->asked++;
	f->tokens -= tokens_price(f);
	chunk->state = FETCH_ASKED;
	chunk->batch = f->batches;
	chunk->subscribed = true;
	batch->chunks[batch->count++] = (uint32_t)(chunk - f->chunks);
	return true;
}

static bool ask_batch(struct fetch *f, uint64_t now_ms, struct fetch_plan *out)
{
	struct fetch_batch *batch = &out->ask[out->ask_count];
	uint64_t room = least(FETCH_ASK_MAX, f->window - f->asked);

	f->batches++;
	while (batch->count < room)
		if (!ask_one(f, now_ms, batch))
			break;
	if (batch->count == 0) {
		f->batches--;
		return false;
	}
	out->ask_count++;
	return true;
}

/* Leave what is subscribed and no longer asked for. At most a window is ever subscribed:
 * each request leaves exactly what is outstanding. */
static void drop_stale(struct fetch *f, bool all, struct fetch_plan *out)
{
	for (uint32_t i = 0; i < f->count && out->drop.count < FETCH_WINDOW_MAX; i++) {
		struct fetch_chunk *chunk = &f->chunks[i];

		if (!chunk->subscribed || (chunk->state == FETCH_ASKED && !all))
			continue;
		chunk->subscribed = false;
		out->drop.chunks[out->drop.count++] = i;
	}
}

static bool may_ask(const struct fetch *f, uint64_t now_ms)
{
	return f->up && now_ms >= f->config.start_at_ms && f->asked <= f->window / 2;
}

static void refill(struct fetch *f, uint64_t now_ms, struct fetch_plan *out)
{
	tokens_grow(f, now_ms);
	if (!may_ask(f, now_ms))
		return;
	while (ask_batch(f, now_ms, out))
		if (out->ask_count == FETCH_BATCHES_MAX ||
			f->asked + FETCH_ASK_MAX > f->window)
			break;
	if (out->ask_count > 0)
		drop_stale(f, false, out);
}

/* --- when to look again ----------------------------------------------------------------
 */

static uint64_t tokens_wake_ms(const struct fetch *f, uint64_t now_ms)
{
	uint64_t lack = tokens_price(f) - least(tokens_price(f), f->tokens);

	return lack == 0 ? now_ms : now_ms + lack / f->config.rate + 1;
}

/* When something could be asked for again, were there room. */
static uint64_t due_wake_ms(const struct fetch *f, uint64_t now_ms)
{
	uint64_t due_ms = NEVER;

	if (f->held + f->asked + f->later < f->count)
		due_ms = now_ms;
	for (uint32_t i = 0; i < f->count && f->later > 0; i++)
		if (f->chunks[i].state == FETCH_LATER)
			due_ms = least(due_ms, f->chunks[i].due_ms);
	return due_ms == NEVER ? NEVER : most(due_ms, tokens_wake_ms(f, now_ms));
}

static uint64_t wake_ms(const struct fetch *f, uint64_t now_ms)
{
	uint64_t wake = NEVER;

	if (!f->up)
		return 0;
	if (now_ms < f->config.start_at_ms)
		return f->config.start_at_ms;
	if (f->need_at_ms != 0)
		wake = f->need_at_ms;
	if (f->asked > 0)
		wake = least(wake, f->progress_ms + patience_ms(f));
	if (may_ask(f, now_ms))
		wake = least(wake, due_wake_ms(f, now_ms));
	return wake == NEVER ? 0 : most(wake, now_ms + 1);
}

/* --- exported --------------------------------------------------------------------------
 */

static enum ota_code config_check(
	const struct fetch_config *config, struct ota_error *err)
{
	if (config->chunk_count > OTA_CHUNKS_MAX)
		return ota_fail(err, OTA_E_LIMIT, "%u chunks", config->chunk_count);
	if (config->chunk_count > 0 && (config->chunk_len < OTA_CHUNK_LEN_MIN ||
					       config->chunk_len > OTA_CHUNK_LEN))
		return ota_fail(
			err, OTA_E_LIMIT, "chunks of %u bytes", config->chunk_len);
	if (config->chunks_max < 1 || config->chunks_max > FETCH_WINDOW_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "%u chunks outstanding", config->chunks_max);
	return OTA_OK;
}

static void mark_held(struct fetch *f, struct ota_bytes held)
{
	for (uint32_t i = 0; i < f->count && i / 8 < held.len; i++) {
		if ((held.at[i / 8] >> i % 8 & 1) == 0)
			continue;
		f->chunks[i].state = FETCH_HELD;
		f->held++;
	}
}

enum ota_code fetch_init(
	struct fetch *fetch, const struct fetch_config *config, struct ota_error *err)
{
	struct fetch f = { .config = *config };
	enum ota_code rc = config_check(config, err);

	if (rc != OTA_OK)
		return rc;
	f.count = has_fence(&f) ? config->chunk_count : 1;
	f.config.chunk_len = has_fence(&f) ? config->chunk_len : 0;
	f.chunks = calloc(f.count, sizeof *f.chunks);
	if (f.chunks == NULL)
		return ota_fail(err, OTA_E_NOMEM, "state of %u chunks", f.count);
	mark_held(&f, config->held);
	f.config.held = (struct ota_bytes){ 0 };
	f.window = (uint32_t)least(FETCH_WINDOW_START, config->chunks_max);
	f.cursor = config->start_hash %
		   ((f.count + OTA_GROUP_CHUNKS - 1) / OTA_GROUP_CHUNKS) *
		   OTA_GROUP_CHUNKS;
	f.tokens = tokens_cap(&f);
	f.random = config->seed | 1;
	*fetch = f;
	return OTA_OK;
}

void fetch_fini(struct fetch *fetch)
{
	free(fetch->chunks);
	*fetch = (struct fetch){ 0 };
}

void fetch_step(struct fetch *fetch, uint64_t now_ms, const struct fetch_event *event,
	struct fetch_plan *out)
{
	*out = (struct fetch_plan){ 0 };
	if (fetch->failed || fetch->finished)
		return;
	take_event(fetch, now_ms, event, out);
	fetch->finished = fetch->held == fetch->count;
	if (fetch->failed || fetch->finished) {
		struct ota_error err = out->err;

		fetch_stop(fetch, out);
		out->err = err;
		out->outcome = fetch->failed ? FETCH_FAILED : FETCH_DONE;
		return;
	}
	stall_check(fetch, now_ms);
	need_publish(fetch, now_ms, out);
	refill(fetch, now_ms, out);
	out->wake_ms = wake_ms(fetch, now_ms);
}

bool fetch_is_missing(const struct fetch *fetch, uint32_t index)
{
	return index < fetch->count && fetch->chunks[index].state != FETCH_HELD;
}

enum ota_code fetch_need(const struct fetch *fetch, struct ota_buf *out)
{
	for (uint32_t i = 0; i < fetch->config.chunk_count; i += 8) {
		uint8_t byte = 0;

		for (uint32_t k = 0; k < 8 && i + k < fetch->count; k++)
			if (fetch_is_missing(fetch, i + k) &&
				fetch->chunks[i + k].absences > 0)
				byte |= (uint8_t)(1u << k);
		if (ota_buf_add_u8(out, byte) != OTA_OK)
			return OTA_E_NOMEM;
	}
	return OTA_OK;
}

void fetch_stop(struct fetch *fetch, struct fetch_plan *out)
{
	*out = (struct fetch_plan){ 0 };
	drop_stale(fetch, true, out);
	out->drop_fence = has_fence(fetch) && fetch->batches > 0;
}

#include "agent/port/net_pull.h"

#include <stdlib.h>

#include "agent/port/net_ask.h"
#include "proto/base/own.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum { TELL_MS = 250 }; /* between two CHUNKS */

/* Work of a thread of libuv's pool: to open a spool, or to sync one. It shares nothing;
 * its answer is dropped if the request it belongs to is gone. */
struct job {
	uv_work_t work;
	struct net_pull *pull; /* borrowed; loop thread only */
	uint32_t generation;
	const char *root; /* borrowed from the configuration */
	struct ota_digest patch;
	uint64_t max_bytes;
	struct spool spool;     /* owned */
	struct spool_sync sync; /* owned */
	enum ota_code rc;
	struct ota_error err;
};

static void step(struct net_pull *pull, enum fetch_event_kind kind, uint32_t index);

/* --- telling install -------------------------------------------------------------------
 */

static void tell(struct net_pull *pull, enum ipc_type type)
{
	struct ipc_message message = { .type = type,
		.digest = pull->patch,
		.a = pull->spool.held,
		.b = pull->spool.manifest.chunk_count,
		.c = pull->spool.bytes,
		.d = pull->spool.refetched };

	net_peer_send(pull->peer, &message);
	pull->told_ms = ota_clock_mono_ms();
}

static void log_patch(enum ota_log_level level, const char *event,
	const struct net_pull *pull, const char *detail)
{
	char hex[OTA_DIGEST_HEX_CAP], quoted[256];

	ota_digest_hex(&pull->patch, hex);
	ota_log(level, event, "patch=%.16s held=%u chunks=%u detail=%s", hex,
		pull->spool.held, pull->spool.manifest.chunk_count,
		ota_log_quote(detail, quoted));
}

/* --- ending ----------------------------------------------------------------------------
 */

static struct net_subject subject_of(const struct net_pull *pull)
{
	return (struct net_subject){ .fleet = pull->config->fleet,
		.patch = &pull->patch,
		.is_manifest = pull->stage == PULL_MANIFEST };
}

static void stop(struct net_pull *pull)
{
	struct net_subject subject = subject_of(pull);
	struct fetch_plan plan = { 0 };

	if (pull->stage == PULL_MANIFEST || pull->stage == PULL_CHUNKS) {
		fetch_stop(&pull->fetch, &plan);
		net_ask_plan(pull->link, &subject, &plan);
	}
	(void)uv_timer_stop(&pull->timer);
	fetch_fini(&pull->fetch);
	spool_fini(&pull->spool);
	pull->stage = PULL_NONE;
	pull->syncing = false;
	pull->generation++;
}

static void fail(struct net_pull *pull, enum ota_code rc, const struct ota_error *err)
{
	struct ipc_message message = { .type = IPC_FAILED,
		.code = (uint32_t)rc,
		.digest = pull->patch,
		.payload = ota_bytes_of(err->text) };

	log_patch(OTA_LOG_WARNING, "net.fetch-failed", pull, err->text);
	net_peer_send(pull->peer, &message);
	stop(pull);
}

/* --- jobs ------------------------------------------------------------------------------
 */

static struct job *job_new(struct net_pull *pull)
{
	struct job *job = calloc(1, sizeof *job);
	struct ota_error err = { 0 };

	if (job == NULL) {
		fail(pull, ota_fail(&err, OTA_E_NOMEM, "no memory for a job"), &err);
		return NULL;
	}
	job->work.data = job;
	job->pull = pull;
	job->generation = pull->generation;
	job->root = pull->config->spool_dir;
	job->patch = pull->patch;
	job->max_bytes = pull->config->spool_max_bytes;
	return job;
}

static void job_free(struct job *job)
{
	spool_fini(&job->spool);
	free(job);
}

static void run_sync(uv_work_t *work)
{
	struct job *job = work->data;

	job->rc = spool_sync_run(&job->sync, &job->err);
}

static void sync_or_finish(struct net_pull *pull);

/* After a failed sync nobody knows which pages are on the disk: all of it goes. */
static void give_up_spool(struct net_pull *pull, const struct job *job)
{
	struct ota_error err = { 0 };

	if (spool_remove(job->root, &job->patch, &err) != OTA_OK)
		log_patch(OTA_LOG_ERR, "net.spool-stuck", pull, err.text);
	fail(pull, job->rc, &job->err);
}

static void on_synced(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct net_pull *pull = job->pull;

	(void)status;
	if (job->generation == pull->generation) {
		pull->syncing = false;
		if (job->rc != OTA_OK)
			give_up_spool(pull, job);
		else if (pull->stage == PULL_SYNCING)
			sync_or_finish(pull);
	}
	job_free(job);
}

static void sync_start(struct net_pull *pull)
{
	struct ota_error err = { 0 };
	struct job *job = job_new(pull);
	enum ota_code rc;

	if (job == NULL)
		return;
	rc = spool_sync_start(&pull->spool, &job->sync, &err);
	if (rc != OTA_OK) {
		job_free(job);
		fail(pull, rc, &err);
		return;
	}
	pull->syncing = true;
	(void)uv_queue_work(pull->loop, &job->work, run_sync, on_synced);
}

/* All chunks are there: say so once they are durable. */
static void sync_or_finish(struct net_pull *pull)
{
	if (pull->syncing)
		return;
	if (pull->spool.unsynced > 0) {
		sync_start(pull);
		return;
	}
	log_patch(OTA_LOG_INFO, "net.fetched", pull, "");
	tell(pull, IPC_FETCHED);
	stop(pull);
}

/* --- doing what the plan says ----------------------------------------------------------
 */

static void publish_need(struct net_pull *pull)
{
	struct net_subject subject = subject_of(pull);

	net_ask_need(pull->link, &subject, pull->config->device, &pull->fetch);
	log_patch(OTA_LOG_NOTICE, "net.need", pull, "chunks are not on the broker");
}

static void on_timer(uv_timer_t *timer)
{
	step(timer->data, FETCH_EV_TICK, 0);
}

static void finish_fetch(struct net_pull *pull, const struct fetch_plan *plan)
{
	if (plan->outcome == FETCH_FAILED) {
		fail(pull, plan->err.code, &plan->err);
	} else if (pull->stage == PULL_MANIFEST) {
		tell(pull, IPC_SPOOLED);
		stop(pull);
	} else {
		pull->stage = PULL_SYNCING;
		sync_or_finish(pull);
	}
}

static void step(struct net_pull *pull, enum fetch_event_kind kind, uint32_t index)
{
	struct fetch_event event = { kind, index };
	struct net_subject subject = subject_of(pull);
	struct fetch_plan plan;
	uint64_t now_ms = ota_clock_mono_ms();

	fetch_step(&pull->fetch, now_ms, &event, &plan);
	net_ask_plan(pull->link, &subject, &plan);
	if (plan.need)
		publish_need(pull);
	(void)uv_timer_stop(&pull->timer);
	if (plan.wake_ms != 0)
		(void)uv_timer_start(&pull->timer, on_timer, plan.wake_ms - now_ms, 0);
	if (plan.outcome != FETCH_WORKING)
		finish_fetch(pull, &plan);
}

/* --- requests --------------------------------------------------------------------------
 */

static struct fetch_config plan_config(const struct net_pull *pull)
{
	struct ota_digest hash = ota_digest_of(ota_bytes_of(pull->config->device));
	struct ota_reader r =
		ota_reader_of((struct ota_bytes){ hash.at, OTA_DIGEST_LEN });
	struct fetch_config config = { .chunks_max = pull->config->chunks_outstanding,
		.rate = pull->config->rate_bytes_per_s };

	config.start_hash = ota_read_le32(&r);
	ota_random((uint8_t *)&config.seed, sizeof config.seed);
	return config;
}

static void begin_fetch(struct net_pull *pull, enum net_pull_stage stage,
	const struct fetch_config *config)
{
	struct ota_error err = { 0 };
	enum ota_code rc = fetch_init(&pull->fetch, config, &err);

	if (rc != OTA_OK) {
		fail(pull, rc, &err);
		return;
	}
	pull->stage = stage;
	step(pull, ota_mqtt_is_up(pull->link) ? FETCH_EV_UP : FETCH_EV_DOWN, 0);
}

/* OTA_OK if the manifest is in the spool and can be used. A damaged one is not there. */
static enum ota_code manifest_in_spool(const struct net_pull *pull, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	enum ota_code rc =
		spool_manifest_read(pull->config->spool_dir, &pull->patch, &bytes, err);

	if (rc == OTA_E_DIGEST || rc == OTA_E_LIMIT)
		return ota_fail(err, OTA_E_NOTFOUND, "damaged manifest");
	if (rc == OTA_OK)
		rc = ota_manifest_parse(ota_buf_bytes(&bytes), &manifest, err);
	return rc;
}

static void want_manifest(struct net_pull *pull, const struct ota_digest *patch)
{
	struct fetch_config config = plan_config(pull);
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (pull->stage == PULL_MANIFEST && ota_digest_equal(&pull->patch, patch))
		return;
	stop(pull);
	pull->patch = *patch;
	rc = manifest_in_spool(pull, &err);
	if (rc == OTA_OK)
		tell(pull, IPC_SPOOLED);
	else if (rc == OTA_E_NOTFOUND)
		begin_fetch(pull, PULL_MANIFEST, &config);
	else
		fail(pull, rc, &err);
}

static void run_open(uv_work_t *work)
{
	struct job *job = work->data;

	job->rc = spool_open(
		job->root, &job->patch, job->max_bytes, &job->spool, &job->err);
}

static void begin_chunks(struct net_pull *pull)
{
	struct fetch_config config = plan_config(pull);

	config.chunk_count = pull->spool.manifest.chunk_count;
	config.chunk_len = pull->spool.manifest.chunk_len;
	config.start_at_ms = pull->start_at_ms;
	if (pull->chunks_max != 0 && pull->chunks_max < config.chunks_max)
		config.chunks_max = pull->chunks_max;
	config.held =
		(struct ota_bytes){ pull->spool.bits, (config.chunk_count + 7) / 8 };
	log_patch(OTA_LOG_INFO, "net.fetching", pull, "");
	begin_fetch(pull, PULL_CHUNKS, &config);
}

static void on_opened(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct net_pull *pull = job->pull;

	(void)status;
	if (job->generation == pull->generation && job->rc != OTA_OK) {
		fail(pull, job->rc, &job->err);
	} else if (job->generation == pull->generation) {
		pull->spool = job->spool;
		job->spool = (struct spool){ 0 };
		begin_chunks(pull);
	}
	job_free(job);
}

static void want_chunks(struct net_pull *pull, const struct ipc_message *request)
{
	struct job *job;

	if (pull->stage > PULL_MANIFEST &&
		ota_digest_equal(&pull->patch, &request->digest))
		return;
	stop(pull);
	pull->patch = request->digest;
	pull->start_at_ms = ota_clock_mono_ms() + request->a;
	pull->chunks_max = request->b > FETCH_WINDOW_MAX ? 0 : (uint32_t)request->b;
	pull->stage = PULL_OPENING;
	job = job_new(pull);
	if (job != NULL)
		(void)uv_queue_work(pull->loop, &job->work, run_open, on_opened);
}

static void purge(struct net_pull *pull, const struct ota_digest *keep)
{
	struct ota_error err = { 0 };
	bool none = ota_digest_is_zero(keep);

	if (pull->stage != PULL_NONE && (none || !ota_digest_equal(&pull->patch, keep)))
		stop(pull);
	if (spool_purge(pull->config->spool_dir, none ? NULL : keep, &err) != OTA_OK)
		log_patch(OTA_LOG_WARNING, "net.purge-failed", pull, err.text);
}

void net_pull_request(struct net_pull *pull, const struct ipc_message *request)
{
	bool is_ours = request->code == IPC_PATCH;

	if (request->type == IPC_MANIFEST && is_ours)
		want_manifest(pull, &request->digest);
	if (request->type == IPC_FETCH && is_ours)
		want_chunks(pull, request);
	if (request->type == IPC_STOP)
		stop(pull);
	if (request->type == IPC_PURGE)
		purge(pull, &request->digest);
}

/* --- what arrives ----------------------------------------------------------------------
 */

static void take_manifest(struct net_pull *pull, struct ota_bytes payload)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct ota_digest found = ota_digest_of(payload);
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (!ota_digest_equal(&found, &pull->patch)) {
		log_patch(OTA_LOG_WARNING, "net.wrong-manifest", pull, "wrong digest");
		step(pull, FETCH_EV_WRONG, 0);
		return;
	}
	rc = ota_manifest_parse(payload, &manifest, &err);
	if (rc == OTA_OK)
		rc = spool_manifest_write(
			pull->config->spool_dir, &pull->patch, payload, &err);
	if (rc != OTA_OK)
		fail(pull, rc, &err);
	else
		step(pull, FETCH_EV_RIGHT, 0);
}

static void count_waste(
	struct net_pull *pull, struct ota_bytes payload, uint32_t refetched)
{
	size_t head = OTA_CHUNK_HEAD_LEN;
	struct ota_error err = { 0 };
	enum ota_code rc = spool_count(&pull->spool,
		payload.len > head ? payload.len - head : 0, refetched, &err);

	if (rc != OTA_OK)
		fail(pull, rc, &err);
}

static void keep_chunk(struct net_pull *pull, uint32_t index, struct ota_bytes data)
{
	struct ota_error err = { 0 };
	enum ota_code rc = spool_put(&pull->spool, index, data, &err);

	if (rc != OTA_OK) {
		fail(pull, rc, &err);
		return;
	}
	if (pull->spool.unsynced >= SPOOL_SYNC_CHUNKS && !pull->syncing)
		sync_start(pull);
	if (pull->stage != PULL_CHUNKS)
		return;
	if (ota_clock_mono_ms() - pull->told_ms >= TELL_MS)
		tell(pull, IPC_CHUNKS);
	step(pull, FETCH_EV_RIGHT, index);
}

static void take_chunk(
	struct net_pull *pull, uint32_t index, const struct net_message *message)
{
	struct ota_bytes data = { 0 };
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (!fetch_is_missing(&pull->fetch, index)) {
		/* A live one is the broker's news for others; a retained one was asked
		 * for. */
		if (message->retained && index < pull->fetch.count)
			count_waste(pull, message->payload, 1);
		return;
	}
	rc = net_chunk_check(&pull->spool.manifest, index, message->payload, &data, &err);
	if (rc == OTA_OK) {
		keep_chunk(pull, index, data);
		return;
	}
	(void)ota_wrap(&err, rc, "chunk %u", index);
	log_patch(OTA_LOG_WARNING, "net.wrong-chunk", pull, err.text);
	count_waste(pull, message->payload, 0);
	if (pull->stage == PULL_CHUNKS)
		step(pull, FETCH_EV_WRONG, index);
}

void net_pull_take(struct net_pull *pull, const struct ota_topic *topic,
	const struct net_message *message)
{
	bool is_manifest = topic->kind == OTA_TOPIC_MANIFEST;

	if (pull->stage == PULL_NONE || !ota_digest_equal(&topic->digest, &pull->patch))
		return;
	if (pull->stage == PULL_MANIFEST && is_manifest)
		take_manifest(pull, message->payload);
	else if (pull->stage == PULL_CHUNKS && is_manifest && message->retained)
		step(pull, FETCH_EV_FENCE, 0);
	else if (pull->stage == PULL_CHUNKS && !is_manifest)
		take_chunk(pull, topic->index, message);
}

/* --- life ------------------------------------------------------------------------------
 */

enum ota_code net_pull_init(struct net_pull *pull, uv_loop_t *loop, struct net_peer *peer,
	const struct agent_config *config)
{
	*pull = (struct net_pull){ .loop = loop, .peer = peer, .config = config };
	if (uv_timer_init(loop, &pull->timer) != 0)
		return OTA_E_IO;
	pull->timer.data = pull;
	return OTA_OK;
}

void net_pull_link(struct net_pull *pull, bool up)
{
	if (pull->stage == PULL_MANIFEST || pull->stage == PULL_CHUNKS)
		step(pull, up ? FETCH_EV_UP : FETCH_EV_DOWN, 0);
}

void net_pull_close(struct net_pull *pull)
{
	stop(pull);
	uv_close((uv_handle_t *)&pull->timer, NULL);
}

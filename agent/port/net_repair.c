#include "agent/port/net_repair.h"

#include <stdlib.h>
#include <string.h>

#include "agent/port/net_ask.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/log.h"
#include "proto/io/loop.h"

enum { TELL_MS = 250 }; /* between two CHUNKS */

/* Work of a thread of libuv's pool: to open a spool, or to sync one. It shares nothing;
 * its answer is dropped if the request it belongs to is gone. */
struct job {
	uv_work_t work;
	struct net_repair *repair; /* borrowed; loop thread only */
	uint32_t generation;
	const char *root; /* borrowed from the configuration */
	struct block_want want;
	struct ota_buf wanted;    /* owned; bitmap */
	struct block_spool spool; /* owned; what was opened */
	int fd;                   /* owned; what is to be synced, 0: none */
	enum ota_code rc;
	struct ota_error err;
};

static void step(struct net_repair *repair, enum fetch_event_kind kind, uint32_t index);

/* --- telling install -------------------------------------------------------------------
 */

static void tell(struct net_repair *repair, enum ipc_type type)
{
	struct ipc_message message = { .type = type,
		.code = IPC_BLOCKS,
		.digest = repair->patch,
		.a = repair->spool.held,
		.b = repair->spool.wanted,
		.c = repair->spool.bytes,
		.d = repair->spool.refetched };

	net_peer_send(repair->peer, &message);
	repair->told_ms = ota_clock_mono_ms();
}

static void log_repair(enum ota_log_level level, const char *event,
	const struct net_repair *repair, const char *detail)
{
	char hex[OTA_DIGEST_HEX_CAP], quoted[256];

	ota_digest_hex(&repair->table, hex);
	ota_log(level, event, "table=%.16s held=%u blocks=%u detail=%s", hex,
		repair->spool.held, repair->spool.wanted, ota_log_quote(detail, quoted));
}

/* --- ending ----------------------------------------------------------------------------
 */

static struct net_subject subject_of(const struct net_repair *repair)
{
	return (struct net_subject){ .fleet = repair->config->fleet,
		.patch = &repair->table,
		.is_manifest = repair->stage == REPAIR_TABLE,
		.is_blocks = true };
}

static void stop(struct net_repair *repair)
{
	struct net_subject subject = subject_of(repair);
	struct fetch_plan plan = { 0 };

	if (repair->stage == REPAIR_TABLE || repair->stage == REPAIR_BLOCKS) {
		fetch_stop(&repair->fetch, &plan);
		net_ask_plan(repair->link, &subject, &plan);
	}
	(void)uv_timer_stop(&repair->timer);
	fetch_fini(&repair->fetch);
	block_spool_fini(&repair->spool);
	repair->stage = REPAIR_NONE;
	repair->generation++;
}

static void fail(struct net_repair *repair, enum ota_code rc, const struct ota_error *err)
{
	struct ipc_message message = { .type = IPC_FAILED,
		.code = (uint32_t)rc,
		.digest = repair->patch,
		.payload = ota_bytes_of(err->text) };

	log_repair(OTA_LOG_WARNING, "net.repair-failed", repair, err->text);
	net_peer_send(repair->peer, &message);
	stop(repair);
}

/* --- jobs ------------------------------------------------------------------------------
 */

static void job_free(struct job *job)
{
	block_spool_fini(&job->spool);
	ota_buf_fini(&job->wanted);
	if (job->fd > 0)
		(void)close(job->fd);
	free(job);
}

static struct job *job_new(struct net_repair *repair)
{
	struct job *job = calloc(1, sizeof *job);
	struct ota_error err = { 0 };

	if (job == NULL) {
		fail(repair, ota_fail(&err, OTA_E_NOMEM, "no memory for a job"), &err);
		return NULL;
	}
	job->work.data = job;
	job->repair = repair;
	job->generation = repair->generation;
	job->root = repair->config->spool_dir;
	job->want.patch = repair->patch;
	job->want.table = repair->table;
	job->want.max_bytes = repair->config->spool_max_bytes;
	return job;
}

static void run_sync(uv_work_t *work)
{
	struct job *job = work->data;

	job->rc = ota_fd_sync(job->fd, &job->err);
}

/* After a failed sync nobody knows which pages are on the disk: all of it goes. */
static void on_synced(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct net_repair *repair = job->repair;
	struct ota_error err = { 0 };

	(void)status;
	if (job->generation == repair->generation && job->rc != OTA_OK) {
		if (spool_remove(job->root, &job->want.patch, &err) != OTA_OK)
			log_repair(OTA_LOG_ERR, "net.spool-stuck", repair, err.text);
		fail(repair, job->rc, &job->err);
	} else if (job->generation == repair->generation) {
		log_repair(OTA_LOG_INFO, "net.repair-fetched", repair, "");
		tell(repair, IPC_FETCHED);
		stop(repair);
	}
	job_free(job);
}

/* All blocks are there: say so once they are durable. */
static void finish(struct net_repair *repair)
{
	struct job *job = job_new(repair);

	if (job == NULL)
		return;
	repair->stage = REPAIR_SYNCING;
	job->fd = repair->spool.fd;
	repair->spool.fd = 0;
	(void)uv_queue_work(repair->loop, &job->work, run_sync, on_synced);
}

/* --- doing what the plan says ----------------------------------------------------------
 */

static void on_timer(uv_timer_t *timer)
{
	step(timer->data, FETCH_EV_TICK, 0);
}

static void finish_fetch(struct net_repair *repair, const struct fetch_plan *plan)
{
	if (plan->outcome == FETCH_FAILED) {
		fail(repair, plan->err.code, &plan->err);
	} else if (repair->stage == REPAIR_TABLE) {
		tell(repair, IPC_SPOOLED);
		stop(repair);
	} else {
		finish(repair);
	}
}

static void step(struct net_repair *repair, enum fetch_event_kind kind, uint32_t index)
{
	struct fetch_event event = { kind, index };
	struct net_subject subject = subject_of(repair);
	struct fetch_plan plan;
	uint64_t now_ms = ota_clock_mono_ms();

	fetch_step(&repair->fetch, now_ms, &event, &plan);
	net_ask_plan(repair->link, &subject, &plan);
	if (plan.need) {
		net_ask_need(
			repair->link, &subject, repair->config->device, &repair->fetch);
		log_repair(OTA_LOG_NOTICE, "net.need", repair,
			"blocks are not on the broker");
	}
	(void)uv_timer_stop(&repair->timer);
	if (plan.wake_ms != 0)
		(void)uv_timer_start(&repair->timer, on_timer, plan.wake_ms - now_ms, 0);
	if (plan.outcome != FETCH_WORKING)
		finish_fetch(repair, &plan);
}

/* --- requests --------------------------------------------------------------------------
 */

static void begin_fetch(struct net_repair *repair, enum net_repair_stage stage,
	struct fetch_config *config)
{
	struct ota_error err = { 0 };
	enum ota_code rc;

	config->is_on_demand = true;
	config->rate = repair->config->rate_bytes_per_s;
	ota_random((uint8_t *)&config->seed, sizeof config->seed);
	rc = fetch_init(&repair->fetch, config, &err);
	if (rc != OTA_OK) {
		fail(repair, rc, &err);
		return;
	}
	repair->stage = stage;
	step(repair, ota_mqtt_is_up(repair->link) ? FETCH_EV_UP : FETCH_EV_DOWN, 0);
}

/* Begin anew for that patch, whose manifest is in the spool. False: that was said. */
static bool take_up(struct net_repair *repair, const struct ota_digest *patch)
{
	struct ota_error err = { 0 };
	enum ota_code rc;

	stop(repair);
	repair->patch = *patch;
	repair->table = (struct ota_digest){ 0 };
	rc = block_table_name(repair->config->spool_dir, patch, &repair->table, &err);
	if (rc == OTA_OK && ota_digest_is_zero(&repair->table))
		rc = ota_fail(&err, OTA_E_PRECURSOR, "the manifest names no block table");
	if (rc != OTA_OK)
		fail(repair, rc, &err);
	return rc == OTA_OK;
}

static void want_table(struct net_repair *repair, const struct ota_digest *patch)
{
	struct fetch_config config = { .chunks_max = 1 };
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (repair->stage == REPAIR_TABLE && ota_digest_equal(&repair->patch, patch))
		return;
	if (!take_up(repair, patch))
		return;
	rc = block_table_read(
		repair->config->spool_dir, patch, &repair->table, &table, &err);
	if (rc == OTA_OK)
		tell(repair, IPC_SPOOLED);
	else if (rc == OTA_E_NOTFOUND || rc == OTA_E_DIGEST || rc == OTA_E_LIMIT)
		begin_fetch(repair, REPAIR_TABLE, &config);
	else
		fail(repair, rc, &err);
}

static void run_open(uv_work_t *work)
{
	struct job *job = work->data;

	job->want.blocks = ota_buf_bytes(&job->wanted);
	job->rc = block_spool_open(job->root, &job->want, &job->spool, &job->err);
}

/* What is not wanted counts as held. Blocks are longer than chunks: so many fewer are
 * outstanding, and in the measure of the link each counts as a whole chunk. */
static void begin_blocks(struct net_repair *repair)
{
	const struct block_spool *spool = &repair->spool;
	uint32_t count = spool->table.count;
	uint32_t most = FETCH_WINDOW_BYTES / spool->table.block_len;
	ota_autofree uint8_t *held = calloc((count + 7) / 8, 1);
	struct fetch_config config = { .chunk_count = count,
		.chunk_len = OTA_CHUNK_LEN,
		.chunks_max = repair->config->chunks_outstanding,
		.start_at_ms = repair->start_at_ms };
	struct ota_error err = { 0 };

	if (held == NULL) {
		fail(repair, ota_fail(&err, OTA_E_NOMEM, "bitmap of blocks"), &err);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!spool->lacking[i])
			held[i / 8] |= (uint8_t)(1u << i % 8);
	config.held = (struct ota_bytes){ held, (count + 7) / 8 };
	if (repair->chunks_max != 0 && repair->chunks_max < config.chunks_max)
		config.chunks_max = repair->chunks_max;
	if (most < config.chunks_max)
		config.chunks_max = most;
	log_repair(OTA_LOG_INFO, "net.repair-fetching", repair, "");
	begin_fetch(repair, REPAIR_BLOCKS, &config);
}

static void on_opened(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct net_repair *repair = job->repair;

	(void)status;
	if (job->generation == repair->generation && job->rc != OTA_OK) {
		fail(repair, job->rc, &job->err);
	} else if (job->generation == repair->generation) {
		repair->spool = job->spool;
		job->spool = (struct block_spool){ 0 };
		begin_blocks(repair);
	}
	job_free(job);
}

static void want_blocks(struct net_repair *repair, const struct ipc_message *request)
{
	struct ota_error err = { 0 };
	struct job *job;

	if (repair->stage > REPAIR_TABLE &&
		ota_digest_equal(&repair->patch, &request->digest))
		return;
	if (!take_up(repair, &request->digest))
		return;
	repair->start_at_ms = ota_clock_mono_ms() + request->a;
	repair->chunks_max = request->b > FETCH_WINDOW_MAX ? 0 : (uint32_t)request->b;
	repair->stage = REPAIR_OPENING;
	job = job_new(repair);
	if (job == NULL)
		return;
	if (ota_buf_add(&job->wanted, request->payload) != OTA_OK) {
		fail(repair, ota_fail(&err, OTA_E_NOMEM, "bitmap of blocks"), &err);
		job_free(job);
		return;
	}
	(void)uv_queue_work(repair->loop, &job->work, run_open, on_opened);
}

void net_repair_request(struct net_repair *repair, const struct ipc_message *request)
{
	bool is_ours = request->code == IPC_BLOCKS;

	if (request->type == IPC_MANIFEST && is_ours)
		want_table(repair, &request->digest);
	if (request->type == IPC_FETCH && is_ours)
		want_blocks(repair, request);
	if (request->type == IPC_STOP)
		stop(repair);
	if (request->type == IPC_PURGE && repair->stage != REPAIR_NONE &&
		!ota_digest_equal(&repair->patch, &request->digest))
		stop(repair);
}

/* --- what arrives ----------------------------------------------------------------------
 */

static void take_table(struct net_repair *repair, struct ota_bytes payload)
{
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	struct ota_digest found = ota_digest_of(payload);
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (!ota_digest_equal(&found, &repair->table)) {
		log_repair(OTA_LOG_WARNING, "net.wrong-table", repair, "wrong digest");
		step(repair, FETCH_EV_WRONG, 0);
		return;
	}
	rc = ota_block_table_parse(payload, &table, &err);
	if (rc == OTA_OK)
		rc = block_table_write(
			repair->config->spool_dir, &repair->patch, payload, &err);
	if (rc != OTA_OK)
		fail(repair, rc, &err);
	else
		step(repair, FETCH_EV_RIGHT, 0);
}

/* Bytes that came for nothing. */
static void count_waste(struct net_repair *repair, struct ota_bytes payload)
{
	if (payload.len > OTA_CHUNK_HEAD_LEN)
		repair->spool.bytes += payload.len - OTA_CHUNK_HEAD_LEN;
}

static void keep_block(struct net_repair *repair, uint32_t index, struct ota_bytes data)
{
	struct ota_error err = { 0 };
	enum ota_code rc = block_spool_put(&repair->spool, index, data, &err);

	if (rc != OTA_OK) {
		fail(repair, rc, &err);
		return;
	}
	if (ota_clock_mono_ms() - repair->told_ms >= TELL_MS)
		tell(repair, IPC_CHUNKS);
	step(repair, FETCH_EV_RIGHT, index);
}

static OTA_CHECKED enum ota_code check_block(const struct net_repair *repair,
	uint32_t index, struct ota_bytes payload, struct ota_bytes *data,
	struct ota_error *err)
{
	uint32_t found = 0;
	enum ota_code rc =
		ota_block_check(&repair->spool.table, payload, &found, data, err);

	if (rc == OTA_OK && found != index)
		rc = ota_fail(
			err, OTA_E_FORMAT, "block %u on the topic of %u", found, index);
	return rc;
}

static void take_block(
	struct net_repair *repair, uint32_t index, const struct net_message *message)
{
	struct ota_bytes data = { 0 };
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (!fetch_is_missing(&repair->fetch, index)) {
		if (message->retained && index < repair->fetch.count) {
			count_waste(repair, message->payload);
			repair->spool.refetched++;
		}
		return;
	}
	rc = check_block(repair, index, message->payload, &data, &err);
	if (rc == OTA_OK) {
		keep_block(repair, index, data);
		return;
	}
	(void)ota_wrap(&err, rc, "block %u", index);
	log_repair(OTA_LOG_WARNING, "net.wrong-block", repair, err.text);
	count_waste(repair, message->payload);
	step(repair, FETCH_EV_WRONG, index);
}

void net_repair_take(struct net_repair *repair, const struct ota_topic *topic,
	const struct net_message *message)
{
	bool is_table = topic->kind == OTA_TOPIC_BLOCK_TABLE;

	if (repair->stage == REPAIR_NONE ||
		!ota_digest_equal(&topic->digest, &repair->table))
		return;
	if (repair->stage == REPAIR_TABLE && is_table)
		take_table(repair, message->payload);
	else if (repair->stage == REPAIR_BLOCKS && is_table && message->retained)
		step(repair, FETCH_EV_FENCE, 0);
	else if (repair->stage == REPAIR_BLOCKS && !is_table)
		take_block(repair, topic->index, message);
}

/* --- life ------------------------------------------------------------------------------
 */

enum ota_code net_repair_init(struct net_repair *repair, uv_loop_t *loop,
	struct net_peer *peer, const struct agent_config *config)
{
	*repair = (struct net_repair){ .loop = loop, .peer = peer, .config = config };
	if (uv_timer_init(loop, &repair->timer) != 0)
		return OTA_E_IO;
	repair->timer.data = repair;
	return OTA_OK;
}

void net_repair_link(struct net_repair *repair, bool up)
{
	if (repair->stage == REPAIR_TABLE || repair->stage == REPAIR_BLOCKS)
		step(repair, up ? FETCH_EV_UP : FETCH_EV_DOWN, 0);
}

void net_repair_close(struct net_repair *repair)
{
	stop(repair);
	uv_close((uv_handle_t *)&repair->timer, NULL);
}

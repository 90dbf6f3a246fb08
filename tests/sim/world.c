#include "tests/sim/world.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/world_people.h"

enum { STEPS_MAX = 2000, BOOT_S = 1 };

bool world_runs(const struct world *w, uint8_t n)
{
	struct ota_digest image = world_image(n);

	return w->wrong_boots == 0 && w->slots[w->current].whole &&
	       ota_digest_equal(&w->slots[w->current].content, &image) &&
	       ota_digest_equal(&w->report.running, &image);
}

void world_must(struct world *w, bool is, const char *what)
{
	if (is)
		return;
	cr_assert(w->collects, "%s", what);
	if (w->wrong == NULL)
		w->wrong = what;
}

/* ---- power ---- */

/* True if the power is gone before this call of the port. */
static bool is_dead(struct world *w)
{
	if (w->ops_left > 0)
		w->ops_left--;
	else if (w->ops_left == 0)
		w->cut = true;
	return w->cut;
}

static enum ota_code dead(struct ota_error *err)
{
	return ota_fail(err, OTA_E_IO, "power cut");
}

static void set_bytes(struct ota_buf *to, struct ota_bytes from)
{
	to->len = 0;
	cr_assert_eq(ota_buf_add(to, from), OTA_OK);
}

/* Durable first, then act. */
static void expect_journaled(struct world *w)
{
	world_must(w, w->journal.at[4] == (uint8_t)w->agent.journal.state,
		"what is acted on is in the journal");
}

/* ---- the port: disk ---- */

static enum ota_code journal_store(
	void *ctx, struct ota_bytes journal, struct ota_error *err)
{
	struct world *w = ctx;

	if (is_dead(w))
		return dead(err);
	set_bytes(&w->journal, journal);
	return OTA_OK;
}

static enum ota_code doc_load(
	void *ctx, enum ota_topic_kind kind, struct ota_buf *out, struct ota_error *err)
{
	struct world *w = ctx;

	if (w->kept[kind].len == 0)
		return ota_fail(err, OTA_E_NOTFOUND, "not kept");
	return ota_buf_add(out, ota_buf_bytes(&w->kept[kind]));
}

static enum ota_code doc_store(void *ctx, enum ota_topic_kind kind,
	struct ota_bytes envelope, struct ota_error *err)
{
	struct world *w = ctx;

	if (is_dead(w))
		return dead(err);
	set_bytes(&w->kept[kind], envelope);
	return OTA_OK;
}

static enum ota_code manifest(void *ctx, const struct ota_digest *patch,
	struct ota_buf *out, struct ota_error *err)
{
	struct world *w = ctx;

	(void)patch;
	(void)err;
	return ota_buf_add(out, ota_buf_bytes(&w->manifest_bytes));
}

static enum ota_code room(void *ctx, const struct ota_digest *patch,
	struct agent_room *out, struct ota_error *err)
{
	(void)patch;
	(void)err;
	*out = ((struct world *)ctx)->room;
	return OTA_OK;
}

/* ---- the port: slots ---- */

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = ((struct world *)ctx)->current;
	return OTA_OK;
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	(void)err;
	*slot = ((struct world *)ctx)->primary;
	return OTA_OK;
}

static enum ota_code set_primary(void *ctx, unsigned slot, struct ota_error *err)
{
	struct world *w = ctx;

	if (is_dead(w))
		return dead(err);
	expect_journaled(w);
	world_must(w, w->slots[slot].info.state != SLOT_BAD, "no bad slot is first");
	w->primary = slot;
	w->tries = SLOT_TRIES;
	return OTA_OK;
}

static enum ota_code get_state(
	void *ctx, unsigned slot, struct slot_info *out, struct ota_error *err)
{
	(void)err;
	*out = ((struct world *)ctx)->slots[slot].info;
	return OTA_OK;
}

static enum ota_code set_state(
	void *ctx, unsigned slot, const struct slot_info *info, struct ota_error *err)
{
	struct world *w = ctx;

	if (is_dead(w))
		return dead(err);
	expect_journaled(w);
	world_must(w,
		info->state != SLOT_BAD || w->slots[1 - slot].info.state != SLOT_BAD,
		"something is left to boot");
	w->slots[slot].info = *info;
	return OTA_OK;
}

/* ---- the port: workers ---- */

static enum ota_code job_start(
	void *ctx, const struct agent_job *job, struct ota_error *err)
{
	struct world *w = ctx;

	if (is_dead(w))
		return dead(err);
	expect_journaled(w);
	cr_assert(!w->has_job, "one job at a time");
	w->job = *job;
	w->has_job = true;
	if (job->kind != AGENT_JOB_INSTALL)
		return OTA_OK;
	world_must(w, job->slot != w->current, "never the running slot");
	world_must(w, w->slots[job->slot].info.state == SLOT_BAD, "bad while written");
	w->slots[job->slot].whole = false;
	w->slot_writes++;
	return OTA_OK;
}

/* Its answer may be on the way already. */
static void job_stop(void *ctx)
{
	struct world *w = ctx;

	w->has_stale |= w->has_job;
	w->stale_serial = w->job.serial;
	w->has_job = false;
}

static void reboot(void *ctx)
{
	struct world *w = ctx;

	if (is_dead(w))
		return;
	expect_journaled(w);
	w->rebooting = true;
}

static struct world_hook *hook_of(struct world *w, const char *name)
{
	for (size_t i = 0; i < WORLD_HOOKS; i++)
		if (strcmp(w->hooks[i].name, name) == 0)
			return &w->hooks[i];
	cr_assert_fail("no hook %s", name);
	return NULL;
}

/* A slot that is not the patch's source is repaired, and only then. */
static void expect_source(struct world *w)
{
	const struct ota_digest *from = &w->slots[w->current].content;
	bool differs = !ota_digest_is_zero(&w->manifest.from) &&
		       !ota_digest_equal(from, &w->manifest.from);

	world_must(w, w->job.repairs == differs, "what differs is repaired");
	world_must(w, !differs || w->block_fetches > 0 || w->scan.count == 0,
		"blocks are fetched before they are used");
}

static enum ota_code finish_job(struct world *w, struct agent_result *result)
{
	struct world_slot *slot = &w->slots[w->job.slot];

	if (w->medium != NULL && w->job.kind != AGENT_JOB_HOOK)
		return w->medium->job(w, result);
	switch (w->job.kind) {
	case AGENT_JOB_HASH:
		result->digest = slot->content;
		return OTA_OK;
	case AGENT_JOB_SCAN:
		w->scans++;
		result->scan = w->scan;
		return w->scan_answer;
	case AGENT_JOB_VERIFY:
		return w->verify_answer;
	case AGENT_JOB_INSTALL:
		expect_source(w);
		slot->whole = w->install_answer == OTA_OK;
		slot->content = w->manifest.to;
		return w->install_answer;
	case AGENT_JOB_HOOK:
		hook_of(w, w->job.hook)->runs++;
		return hook_of(w, w->job.hook)->answer;
	case AGENT_N_JOBS:
		break;
	}
	return OTA_OK;
}

/* ---- the port: net ---- */

static void from_net(struct world *w, struct ipc_message message)
{
	cr_assert_lt(w->queued, WORLD_QUEUE);
	w->queue[w->queued++] = message;
}

static void net_answers(struct world *w, const struct ipc_message *m)
{
	struct ipc_message answer = {
		.type = IPC_SPOOLED, .code = m->code, .digest = m->digest
	};

	w->table_asks += m->type == IPC_MANIFEST && m->code == IPC_BLOCKS;
	w->block_fetches += m->type == IPC_FETCH && m->code == IPC_BLOCKS;
	if (w->net_is_mute)
		return;
	if (m->type == IPC_FETCH && m->code == IPC_BLOCKS) {
		cr_assert_eq(m->payload.len, (w->scan.blocks + 7) / 8);
		cr_assert_arr_eq(m->payload.at, w->scan.bits, m->payload.len);
		answer.type = IPC_FETCHED;
		answer.a = answer.b = w->scan.count;
		answer.c = w->scan.packed_len;
		from_net(w, answer);
		return;
	}
	if (m->type == IPC_FETCH && w->medium != NULL)
		w->medium->fetch(w);
	if (m->type == IPC_FETCH) {
		answer.type = IPC_FETCHED;
		answer.a = answer.b = w->manifest.chunk_count;
		answer.c = w->manifest.patch_len;
	}
	from_net(w, answer);
}

static void take_report(struct world *w, struct ota_bytes envelope)
{
	struct ota_public_key key = ota_secret_key_public(&w->device_key);
	uint64_t counter = w->report.counter;
	struct ota_error err = { 0 };

	cr_assert_eq(ota_report_open(
			     envelope, w->root.fleet_id, &key, "gw-1", &w->report, &err),
		OTA_OK, "%s", err.text);
	world_must(w, w->report.counter > counter, "report counters only rise");
	w->reports++;
}

static void send_ipc(void *ctx, const struct ipc_message *m)
{
	struct world *w = ctx;

	if (is_dead(w))
		return;
	if (m->type == IPC_REPORT)
		take_report(w, m->payload);
	if (m->type == IPC_MANIFEST || m->type == IPC_FETCH)
		net_answers(w, m);
	w->fetches += m->type == IPC_FETCH;
	w->purges += m->type == IPC_PURGE;
	if (m->type == IPC_PURGE && w->medium != NULL && ota_digest_is_zero(&m->digest))
		w->medium->purge(w);
	w->stops += m->type == IPC_STOP;
	if (m->type == IPC_WANT)
		w->want = *m;
}

static enum ota_code sign(
	void *ctx, struct ota_bytes envelope, struct ota_buf *out, struct ota_error *err)
{
	return ota_envelope_sign(envelope, &((struct world *)ctx)->device_key, out, err);
}

static void random_bytes(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	memset(out, 7, len);
}

static struct agent_port port_of(struct world *w)
{
	struct agent_port port = {
		.ctx = w,
		.slots = { w, get_current, get_primary, set_primary, get_state,
			set_state },
		.journal_store = journal_store,
		.doc_load = doc_load,
		.doc_store = doc_store,
		.send = send_ipc,
		.sign = sign,
		.random = random_bytes,
		.manifest = manifest,
		.room = room,
		.job_start = job_start,
		.job_stop = job_stop,
		.reboot = reboot,
	};

	if (w->medium != NULL)
		w->medium->port(&port);
	return port;
}

/* ---- documents that arrive ---- */

void world_deliver(struct world *w, enum ota_topic_kind kind)
{
	from_net(w, (struct ipc_message){ .type = IPC_DOC,
			    .code = (uint32_t)kind,
			    .payload = ota_buf_bytes(&w->docs[kind]) });
}

void world_say(struct world *w, const struct ipc_message *message)
{
	from_net(w, *message);
}

/* In an order that is not the one of verification. */
static void deliver_all(struct world *w)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_ASSIGN, OTA_TOPIC_CATALOG,
		OTA_TOPIC_ORDER, OTA_TOPIC_GRANT, OTA_TOPIC_FRESH, OTA_TOPIC_RELEASE };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (w->docs[kinds[i]].len > 0)
			world_deliver(w, kinds[i]);
}

void world_publish(struct world *w)
{
	world_sign(w);
	deliver_all(w);
}

/* ---- life ---- */

/* The net process starts with every install process, and gets all that is retained. */
static void net_starts(struct world *w)
{
	w->queued = 0;
	from_net(w, (struct ipc_message){ .type = IPC_HELLO });
	if (w->net_is_down)
		return;
	from_net(w, (struct ipc_message){
			    .type = IPC_UP, .payload = { w->nonce, sizeof w->nonce } });
	deliver_all(w);
}

static void start(struct world *w)
{
	const struct agent_identity id = { .device = "gw-1",
		.product = "gateway",
		.hardware = "rev-b",
		.decoder_ram_max = 8 << 20,
		.chunks_outstanding = 16,
		.policy = &w->policy };
	OTA_AUTO(ota_buf_fini) struct ota_buf journal = { 0 };
	struct agent_port port = port_of(w);
	struct agent_origin origin = { .root = ota_buf_bytes(&w->root_bytes),
		.boot_id = { { (uint8_t)w->boots, 1 } } };
	struct ota_error err = { 0 };

	set_bytes(&journal, ota_buf_bytes(&w->journal));
	origin.journal = ota_buf_bytes(&journal);
	origin.journal_lost = w->journal_lost;
	w->has_job = w->has_stale = false;
	w->rebooting = false;
	net_starts(w);
	if (agent_start(&w->agent, &id, &port, &origin, &w->now, &err) != OTA_OK)
		world_must(w, w->cut, "the agent starts");
}

/* A slot on trial runs at most SLOT_TRIES times before the other one comes back. */
static void load_boot(struct world *w)
{
	struct slot_info *info = &w->slots[w->primary].info;

	if (w->loader_is_stuck)
		return;
	if (info->state == SLOT_TRIAL && w->tries == 0)
		info->state = SLOT_BAD;
	else if (info->state == SLOT_TRIAL)
		w->tries--;
	if (info->state == SLOT_BAD && w->slots[1 - w->primary].info.state == SLOT_GOOD)
		w->primary = 1 - w->primary;
	w->current = w->primary;
	w->wrong_boots += !w->slots[w->current].whole;
}

void world_boot_in_vain(struct world *w)
{
	if (w->cut) {
		w->cut = false;
		w->ops_left = -1;
		w->cuts++;
	}
	w->boots++;
	w->now.utc_s += BOOT_S;
	if (w->medium == NULL)
		load_boot(w);
	else
		w->medium->boot(w);
}

void world_boot(struct world *w)
{
	world_boot_in_vain(w);
	if (!w->cut)
		start(w);
}

void world_restart(struct world *w)
{
	start(w);
}

static void step(struct world *w, const struct agent_event *event)
{
	struct ota_error err = { 0 };

	w->now.mono_ms++;
	if (agent_step(&w->agent, &w->now, event, &err) != OTA_OK)
		world_must(w, w->cut, "the agent goes on");
}

static void answer_job(struct world *w)
{
	struct agent_event event = { .kind = AGENT_ON_RESULT };
	struct agent_result *result = &event.result;

	result->serial = w->job.serial;
	result->error.code = finish_job(w, result);
	if (w->cut)
		return; /* while it worked */
	if (result->error.code != OTA_OK)
		(void)snprintf(result->error.text, sizeof result->error.text, "%s",
			ota_code_text(result->error.code));
	w->has_job = false;
	step(w, &event);
}

static void answer_stale(struct world *w)
{
	struct agent_event event = { .kind = AGENT_ON_RESULT };

	event.result.serial = w->stale_serial;
	w->has_stale = false;
	step(w, &event);
}

static void take_message(struct world *w)
{
	struct agent_event event = { .kind = AGENT_ON_IPC, .ipc = w->queue[0] };

	memmove(w->queue, w->queue + 1, --w->queued * sizeof w->queue[0]);
	step(w, &event);
}

bool world_step(struct world *w)
{
	if (w->cut || w->rebooting)
		world_boot(w);
	else if (w->queued > 0)
		take_message(w);
	else if (w->has_stale)
		answer_stale(w);
	else if (w->has_job)
		answer_job(w);
	else
		return false;
	return true;
}

void world_run(struct world *w)
{
	unsigned steps = 0;

	while (world_step(w))
		cr_assert_lt(++steps, STEPS_MAX, "the agent comes to rest");
}

/* Both clocks go on; the local one in whole seconds. */
static void turn_clocks(struct world *w, uint64_t to_ms)
{
	if (to_ms <= w->now.mono_ms)
		return;
	w->utc_ms += to_ms - w->now.mono_ms;
	w->now.utc_s += w->utc_ms / 1000;
	w->utc_ms %= 1000;
	w->now.mono_ms = to_ms;
}

void world_pass(struct world *w, uint64_t ms)
{
	uint64_t until_ms = w->now.mono_ms + ms;
	struct agent_event timer = { .kind = AGENT_ON_TIMER };

	world_run(w);
	while (agent_wake_ms(&w->agent) <= until_ms) {
		turn_clocks(w, agent_wake_ms(&w->agent));
		step(w, &timer);
		world_run(w);
	}
	turn_clocks(w, until_ms);
}

/* ---- beginning and end ---- */

void world_init(struct world *w)
{
	*w = (struct world){ .ops_left = -1,
		.now = { .mono_ms = 1000, .utc_s = WORLD_UTC_S, .local_min = 600 },
		.room = { 1 << 30, 1 << 30 },
		.hooks = { { .name = "before-install" }, { .name = "before-reboot" },
			{ .name = "health" }, { .name = "rescue" }, { .name = "metered" },
			{ .name = "power" }, { .name = "lock" } } };
	people_init(w);
	w->slots[0] = (struct world_slot){ .info = { .state = SLOT_GOOD,
						   .image = world_image(1),
						   .image_len = 900000,
						   .counter = 1,
						   .version = "1.0" },
		.content = world_image(1),
		.whole = true };
}

void world_fini(struct world *w)
{
	for (size_t i = 0; i < OTA_N_TOPIC_KINDS; i++) {
		ota_buf_fini(&w->docs[i]);
		ota_buf_fini(&w->kept[i]);
	}
	ota_buf_fini(&w->journal);
	ota_buf_fini(&w->manifest_bytes);
	ota_buf_fini(&w->root_bytes);
}

#include "agent/port/install.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/port/boot.h"
#include "agent/port/install_files.h"
#include "agent/port/install_jobs.h"
#include "agent/port/install_link.h"
#include "agent/port/local_time.h"
#include "agent/port/spool.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"
#include "proto/io/notify.h"
#include "proto/io/sandbox.h"

enum { EXIT_TOLD = 0, EXIT_FAILED = 1, BOOT_ID_LEN_MAX = 64 };

/* The process. One loop thread owns all of it. */
struct install {
	const struct agent_config *config; /* borrowed */
	uv_loop_t loop;
	uv_signal_t term, interrupt;
	uv_timer_t timer;
	struct ota_notify notify;
	uv_process_t reboot;
	struct install_link link;
	struct install_files files;
	struct boot boot;
	struct slots slots;
	struct install_jobs jobs;
	struct agent agent;
	struct ota_digest boot_id;
	bool rebooting; /* nothing is said to the agent any more */
	int exit_code;
	/* what was last logged */
	enum ota_update_state state;
	enum ota_code refused;
};

static void end(struct install *in, int exit_code)
{
	in->exit_code = exit_code;
	uv_stop(&in->loop);
}

static void fail(struct install *in, const char *event, const struct ota_error *err)
{
	char quoted[256];

	ota_log(OTA_LOG_ERR, event, "code=%s error=%s", ota_code_name(err->code),
		ota_log_quote(err->text, quoted));
	end(in, EXIT_FAILED);
}

/* ---- the agent's port ---- */

/* One line for each state that was entered, once it is durable. */
static void log_state(struct install *in)
{
	const struct journal *j = &in->agent.journal;

	if (j->state == in->state)
		return;
	ota_log(OTA_LOG_NOTICE, "update.state",
		"state=%s from=%s rollout=%s chunks=%llu bytes=%llu",
		ota_update_state_text(j->state), ota_update_state_text(in->state),
		j->rollout[0] != '\0' ? j->rollout : "-", (unsigned long long)j->chunks,
		(unsigned long long)j->bytes);
	in->state = j->state;
}

static enum ota_code journal_store(
	void *ctx, struct ota_bytes journal, struct ota_error *err)
{
	struct install *in = ctx;
	enum ota_code rc = install_files_store(&in->files, journal, err);

	if (rc == OTA_OK)
		log_state(in);
	return rc;
}

static enum ota_code doc_load(
	void *ctx, enum ota_topic_kind kind, struct ota_buf *out, struct ota_error *err)
{
	return install_files_doc_load(&((struct install *)ctx)->files, kind, out, err);
}

static enum ota_code doc_store(void *ctx, enum ota_topic_kind kind,
	struct ota_bytes envelope, struct ota_error *err)
{
	return install_files_doc_store(
		&((struct install *)ctx)->files, kind, envelope, err);
}

static void send_message(void *ctx, const struct ipc_message *message)
{
	install_link_send(&((struct install *)ctx)->link, message);
}

static enum ota_code sign(
	void *ctx, struct ota_bytes envelope, struct ota_buf *out, struct ota_error *err)
{
	return ota_envelope_sign(envelope, &((struct install *)ctx)->files.key, out, err);
}

static void fill_random(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	ota_random(out, len);
}

static enum ota_code read_manifest(void *ctx, const struct ota_digest *patch,
	struct ota_buf *out, struct ota_error *err)
{
	return spool_manifest_read(
		((struct install *)ctx)->config->spool_dir, patch, out, err);
}

static enum ota_code tell_room(void *ctx, const struct ota_digest *patch,
	struct agent_room *out, struct ota_error *err)
{
	struct install *in = ctx;

	return install_files_room(
		&in->files, 1 - in->slots.table.current, patch, out, err);
}

static enum ota_code job_start(
	void *ctx, const struct agent_job *job, struct ota_error *err)
{
	return install_jobs_start(&((struct install *)ctx)->jobs, job, err);
}

static void job_stop(void *ctx)
{
	install_jobs_stop(&((struct install *)ctx)->jobs);
}

/* A reboot command that fails ends the process: the next one tries again. */
static void on_reboot_exit(uv_process_t *process, int64_t status, int signal_number)
{
	struct install *in = process->data;

	ota_log(status == 0 && signal_number == 0 ? OTA_LOG_NOTICE : OTA_LOG_ERR,
		"reboot.commanded", "status=%d signal=%d", (int)status, signal_number);
	if (status != 0 || signal_number != 0)
		end(in, EXIT_FAILED);
}

static void run_reboot_command(struct install *in)
{
	char *args[AGENT_REBOOT_ARGS_MAX + 1] = { 0 };
	char words[AGENT_REBOOT_ARGS_MAX][AGENT_PATH_CAP];
	uv_process_options_t options = { .exit_cb = on_reboot_exit, .args = args };
	int failed;

	memcpy(words, in->config->reboot, sizeof words);
	for (uint32_t i = 0; i < in->config->reboot_count; i++)
		args[i] = words[i];
	options.file = args[0];
	in->reboot.data = in;
	failed = uv_spawn(&in->loop, &in->reboot, &options);
	if (failed == 0)
		return;
	ota_log(OTA_LOG_ERR, "reboot.failed", "error=%s", uv_err_name(failed));
	end(in, EXIT_FAILED);
}

static void reboot(void *ctx)
{
	struct install *in = ctx;

	in->rebooting = true;
	ota_log(OTA_LOG_NOTICE, "device.reboots", "primary=%u", in->slots.table.primary);
	if (in->config->reboot_count == 0)
		end(in, INSTALL_EXIT_REBOOT);
	else
		run_reboot_command(in);
}

static struct agent_port port_of(struct install *in)
{
	return (struct agent_port){
		.ctx = in,
		.slots = slots_port(&in->slots),
		.journal_store = journal_store,
		.doc_load = doc_load,
		.doc_store = doc_store,
		.send = send_message,
		.sign = sign,
		.random = fill_random,
		.manifest = read_manifest,
		.room = tell_room,
		.job_start = job_start,
		.job_stop = job_stop,
		.reboot = reboot,
	};
}

/* ---- what happens ---- */

static struct agent_now now(void)
{
	return (struct agent_now){ .mono_ms = ota_clock_mono_ms(),
		.utc_s = ota_clock_utc_s(),
		.local_min = ota_clock_local_min(),
		.zone = local_time_zone(ota_clock_utc_s()) };
}

/* One line for each new reason to stand still. */
static void log_refusal(struct install *in)
{
	struct ota_error why = { 0 };
	char quoted[256];

	agent_trouble(&in->agent, &why);
	if (why.code != in->refused && why.code != OTA_OK)
		ota_log(OTA_LOG_NOTICE, "update.held", "code=%s why=%s",
			ota_code_name(why.code), ota_log_quote(why.text, quoted));
	in->refused = why.code;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct install *in)
{
	uint64_t wake_ms = agent_wake_ms(&in->agent), now_ms = ota_clock_mono_ms();

	if (wake_ms == UINT64_MAX) {
		(void)uv_timer_stop(&in->timer);
		return;
	}
	uv_update_time(&in->loop);
	/* What is due already waits for nothing. */
	(void)uv_timer_start(
		&in->timer, on_timer, (wake_ms - now_ms) * (wake_ms > now_ms), 0);
}

/* After the agent was told something. */
static void settle(struct install *in, enum ota_code rc, const struct ota_error *err)
{
	log_refusal(in);
	if (rc != OTA_OK) {
		in->rebooting = true;
		fail(in, "agent.failed", err);
	}
	if (!in->rebooting)
		set_timer(in);
}

static void tell(struct install *in, const struct agent_event *event)
{
	const struct agent_now at = now();
	struct ota_error err = { 0 };

	if (!in->rebooting)
		settle(in, agent_step(&in->agent, &at, event, &err), &err);
}

static void on_timer(uv_timer_t *timer)
{
	tell(timer->data, &(struct agent_event){ .kind = AGENT_ON_TIMER });
}

static void on_message(void *ctx, const struct ipc_message *message)
{
	tell(ctx, &(struct agent_event){ .kind = AGENT_ON_IPC, .ipc = *message });
}

static void on_gone(void *ctx, const char *why)
{
	struct install *in = ctx;
	char quoted[256];

	ota_log(OTA_LOG_WARNING, "net.gone", "why=%s", ota_log_quote(why, quoted));
	if (install_link_listens(&in->link))
		on_message(in, &(struct ipc_message){ .type = IPC_DOWN });
	else
		end(in, EXIT_FAILED);
}

static void on_result(void *ctx, const struct agent_result *result)
{
	tell(ctx, &(struct agent_event){ .kind = AGENT_ON_RESULT, .result = *result });
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	end(handle->data, EXIT_TOLD);
}

/* ---- beginning ---- */

/* With a command the machine boots, and the kernel knows when it did; without one, a
 * start that our supervisor calls a boot is one. */
static OTA_CHECKED enum ota_code read_boot_id(const struct agent_config *config,
	const char *boot, struct ota_digest *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	enum ota_code rc;

	if (config->reboot_count == 0) {
		*out = ota_digest_of(ota_bytes_of(boot));
		return OTA_OK;
	}
	rc = ota_file_read(
		"/proc/sys/kernel/random/boot_id", BOOT_ID_LEN_MAX, &text, err);
	if (rc == OTA_OK)
		*out = ota_digest_of(ota_buf_bytes(&text));
	return rc;
}

static OTA_CHECKED enum ota_code open_boot(struct install *in, struct ota_error *err)
{
	const char *mended = NULL;
	enum ota_code rc = boot_open(in->config, &in->boot, err);

	if (rc == OTA_OK)
		rc = boot_begin(&in->boot, &mended, err);
	if (mended != NULL)
		ota_log(OTA_LOG_WARNING, "boot.mended", "why=\"%s\"", mended);
	return rc;
}

static OTA_CHECKED enum ota_code open_slots(struct install *in, struct ota_error *err)
{
	const struct slots_origin origin = { .config = &in->config->slot,
		.state_dir = in->config->state_dir,
		.boot = in->boot.loader.get_current == NULL ? NULL : &in->boot.loader,
		.boot_id = in->boot_id };

	return slots_open(&origin, &in->slots, err);
}

static OTA_CHECKED enum ota_code open_all(
	struct install *in, const char *boot, struct ota_error *err)
{
	enum ota_code rc = ota_sandbox_harden(err);

	if (rc == OTA_OK)
		rc = ota_sandbox_no_network(err);
	if (rc == OTA_OK)
		rc = read_boot_id(in->config, boot, &in->boot_id, err);
	if (rc == OTA_OK)
		rc = install_files_open(in->config, &in->files, err);
	if (rc == OTA_OK)
		rc = open_boot(in, err);
	if (rc == OTA_OK)
		rc = open_slots(in, err);
	return rc;
}

static void start_handles(struct install *in)
{
	in->timer.data = in->term.data = in->interrupt.data = in;
	(void)uv_timer_init(&in->loop, &in->timer);
	(void)uv_signal_init(&in->loop, &in->term);
	(void)uv_signal_init(&in->loop, &in->interrupt);
	(void)uv_signal_start(&in->term, on_signal, SIGTERM);
	(void)uv_signal_start(&in->interrupt, on_signal, SIGINT);
	install_jobs_init(&in->jobs, &in->loop, in->config, &in->slots);
	install_jobs_answer_to(&in->jobs, on_result, in);
}

/* The state that the last process logged. */
static enum ota_update_state last_state(const struct install *in)
{
	struct journal journal = { 0 };

	if (journal_parse(ota_buf_bytes(&in->files.first), &journal, NULL) != OTA_OK)
		return OTA_UPDATE_IDLE;
	return journal.state;
}

static OTA_CHECKED enum ota_code start_agent(struct install *in, struct ota_error *err)
{
	const struct agent_config *c = in->config;
	const struct agent_identity id = { .device = c->device,
		.product = c->product,
		.hardware = c->hardware,
		.decoder_ram_max = c->decoder_ram_bytes,
		.chunks_outstanding = c->chunks_outstanding,
		.policy = &c->policy.rules };
	const struct agent_origin origin = { .journal = ota_buf_bytes(&in->files.first),
		.journal_lost = in->files.journal.lost,
		.root = ota_buf_bytes(&in->files.root),
		.boot_id = in->boot_id };
	const struct agent_port port = port_of(in);
	const struct agent_now at = now();

	in->state = last_state(in);
	return agent_start(&in->agent, &id, &port, &origin, &at, err);
}

/* Work under way is stopped and waited for; then nothing of libuv is left. */
static void close_handles(struct install *in)
{
	ota_notify_end(&in->notify);
	install_jobs_close(&in->jobs);
	uv_close((uv_handle_t *)&in->timer, NULL);
	uv_close((uv_handle_t *)&in->term, NULL);
	uv_close((uv_handle_t *)&in->interrupt, NULL);
	if (in->reboot.data != NULL)
		uv_close((uv_handle_t *)&in->reboot, NULL);
	while (uv_run(&in->loop, UV_RUN_DEFAULT) != 0)
		; /* until the last worker and the last hook have ended */
	(void)uv_loop_close(&in->loop);
}

static void run_loop(struct install *in, int fd)
{
	static const struct net_peer_events events = { on_message, on_gone };
	struct ota_error err = { 0 };
	enum ota_code rc;

	start_handles(in);
	if (install_link_init(&in->link, &in->loop, fd, in->config, &err) != OTA_OK) {
		fail(in, "agent.failed", &err);
		close_handles(in);
		return;
	}
	install_link_answer_to(&in->link, &events, in);
	rc = start_agent(in, &err);
	ota_log(OTA_LOG_INFO, "install.started", "slot=%u boot=%llu state=%s version=%s",
		in->agent.current, (unsigned long long)in->agent.journal.boot,
		ota_update_state_text(in->agent.journal.state), SLUICE_VERSION);
	settle(in, rc, &err);
	if (in->exit_code < 0) {
		ota_notify_begin(&in->notify, &in->loop);
		(void)uv_run(&in->loop, UV_RUN_DEFAULT);
	}
	install_link_close(&in->link);
	close_handles(in);
}

int install_run(const struct agent_config *config, int fd, const char *boot)
{
	ota_autofree struct install *in = calloc(1, sizeof *in);
	struct ota_error err = { 0 };

	ota_log_set_level(config->log_level);
	if (in == NULL || uv_loop_init(&in->loop) != 0) {
		ota_log(OTA_LOG_ERR, "install.failed",
			"code=NOMEM error=\"the loop could not be made\"");
		return EXIT_FAILED;
	}
	in->config = config;
	in->exit_code = -1;
	in->files.journal.fd = in->slots.record.fd = -1;
	if (open_all(in, boot, &err) == OTA_OK) {
		run_loop(in, fd);
	} else {
		fail(in, "install.failed", &err);
		(void)uv_loop_close(&in->loop);
	}
	install_files_fini(&in->files);
	slots_fini(&in->slots);
	return in->exit_code;
}

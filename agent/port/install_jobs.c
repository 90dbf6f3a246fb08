#include "agent/port/install_jobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/port/image_file.h"
#include "agent/port/install_policy.h"
#include "agent/port/install_source.h"
#include "agent/port/install_work.h"
#include "proto/base/own.h"

/* One job on a worker thread. */
struct install_task {
	uv_work_t request;
	struct install_jobs *jobs; /* borrowed; loop thread only */
	enum agent_job_kind kind;
	struct install_work work;
	struct install_known known; /* HASH: before, and then after */
	struct agent_result result;
};

static void begin(struct install_jobs *jobs);

/* What ran has ended: the next may begin, the loop thread hears of it. */
static void ended(struct install_jobs *jobs, const struct agent_result *result)
{
	bool stopped = jobs->stopped;

	jobs->stopped = false;
	if (!stopped)
		jobs->done(jobs->ctx, result);
	else if (jobs->has_next)
		begin(jobs);
}

static void on_soon(uv_timer_t *timer)
{
	struct install_jobs *jobs = timer->data;

	jobs->done(jobs->ctx, &jobs->answer);
}

/* ---- worker threads ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static OTA_CHECKED enum ota_code hash(struct install_task *task, struct ota_error *err)
{
	OTA_AUTO(image_file_fini) struct image_file image = { 0 };
	struct install_known *known = &task->known;
	const struct install_work *work = &task->work;
	struct stat st;
	enum ota_code rc = slot_image_open(&work->from, work->from_len, &image, err);

	if (rc != OTA_OK)
		return rc;
	if (fstat(image.fd, &st) != 0)
		return ota_fail(err, OTA_E_IO, "image: %s", strerror(errno));
	if (!known->valid || !is_same_file(&st, &known->st)) {
		known->valid = false;
		rc = image_file_digest(&image, &work->stop, &known->digest, err);
		if (rc != OTA_OK)
			return rc;
		known->st = st;
		known->valid = S_ISREG(st.st_mode) && work->from_len == 0;
	}
	task->result.digest = known->digest;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code scan(struct install_task *task, struct ota_error *err)
{
	return install_source_scan(&task->work, &task->result.scan, err);
}

static OTA_CHECKED enum ota_code verify(struct install_task *task, struct ota_error *err)
{
	return install_work_verify(&task->work, err);
}

static OTA_CHECKED enum ota_code apply(struct install_task *task, struct ota_error *err)
{
	return install_work_apply(&task->work, err);
}

/* A hook is no work of a thread. */
static enum ota_code (*const works[AGENT_N_JOBS])(
	struct install_task *, struct ota_error *) = {
	[AGENT_JOB_HASH] = hash,
	[AGENT_JOB_SCAN] = scan,
	[AGENT_JOB_VERIFY] = verify,
	[AGENT_JOB_INSTALL] = apply,
};

static void on_work(uv_work_t *request)
{
	struct install_task *task = request->data;
	struct ota_error *err = &task->result.error;

	err->code = works[task->kind](task, err);
}

static void log_install(const struct install_task *task)
{
	const struct install_count *count = &task->work.count;

	ota_log(OTA_LOG_INFO, "slot.written",
		"slot=%u code=%s kept=%llu skipped=%llu written=%llu", task->work.to.slot,
		ota_code_name(task->result.error.code), (unsigned long long)count->kept,
		(unsigned long long)count->skipped, (unsigned long long)count->written);
}

/* Nobody takes a request back from libuv, so status says nothing. */
static void on_worked(uv_work_t *request, int status)
{
	struct install_task *task = request->data;
	struct install_jobs *jobs = task->jobs;
	struct agent_result result = task->result;

	(void)status;
	if (task->kind == AGENT_JOB_HASH)
		jobs->known = task->known;
	if (task->kind == AGENT_JOB_INSTALL)
		log_install(task);
	jobs->task = NULL;
	free(task);
	ended(jobs, &result);
}

static OTA_CHECKED enum ota_code begin_task(
	struct install_jobs *jobs, struct ota_error *err)
{
	ota_autofree struct install_task *task = calloc(1, sizeof *task);
	const struct agent_job *job = &jobs->job;
	bool other = job->kind == AGENT_JOB_INSTALL || job->kind == AGENT_JOB_VERIFY;
	unsigned from = other ? 1 - job->slot : job->slot;

	if (task == NULL)
		return ota_fail(err, OTA_E_NOMEM, "job");
	task->jobs = jobs;
	task->kind = job->kind;
	task->known = jobs->known;
	task->result.serial = job->serial;
	task->work.spool_dir = jobs->config->spool_dir;
	task->work.state_dir = jobs->config->state_dir;
	task->work.patch = job->patch;
	task->work.repairs = job->repairs;
	task->work.ram_max = jobs->config->decoder_ram_bytes;
	task->work.from = slots_place(jobs->slots, from);
	task->work.from_len = slots_image_len(jobs->slots, from);
	task->work.to = slots_place(jobs->slots, job->slot);
	task->request.data = task;
	if (uv_queue_work(jobs->loop, &task->request, on_work, on_worked) != 0)
		return ota_fail(err, OTA_E_NOMEM, "worker");
	jobs->task = ota_take(&task);
	return OTA_OK;
}

/* ---- hooks ---- */

static void on_hook(void *ctx, const struct ota_error *error)
{
	struct install_jobs *jobs = ctx;
	const struct agent_result result = { .serial = jobs->job.serial,
		.error = *error };

	jobs->hooks = NULL;
	jobs->script = NULL;
	ended(jobs, &result);
}

/* A script that was asked for and is not there holds back, as one that says no. */
static OTA_CHECKED enum ota_code begin_script(
	struct install_jobs *jobs, struct install_hook_call *call, struct ota_error *err)
{
	enum ota_code rc =
		install_policy_call(&jobs->config->policy, jobs->job.hook, call, err);

	if (rc != OTA_OK)
		return rc;
	rc = install_hook_start(jobs->loop, call, on_hook, jobs, &jobs->script, err);
	return rc == OTA_E_NOTFOUND ? ota_wrap(err, OTA_E_HOOK, "%s", call->label) : rc;
}

static OTA_CHECKED enum ota_code begin_hook(
	struct install_jobs *jobs, struct ota_error *err)
{
	unsigned current = jobs->slots->table.current;
	bool reboots = strcmp(jobs->job.hook, "before-reboot") == 0;
	const struct slot_place place =
		slots_place(jobs->slots, reboots ? 1 - current : current);
	char image[AGENT_PATH_CAP];
	struct install_hook_call call = { .dir = jobs->config->hooks_dir,
		.name = jobs->job.hook,
		.device = jobs->config->device,
		.version = jobs->version,
		.image = image,
		.deadline_s = jobs->config->hook_deadline_s };
	enum ota_code rc = slot_medium_of(place.config)->use_path(&place, image, err);

	if (rc != OTA_OK)
		return rc;
	if (install_policy_is(jobs->job.hook))
		return begin_script(jobs, &call, err);
	return install_hooks_start(jobs->loop, &call, on_hook, jobs, &jobs->hooks, err);
}

static bool is_running(const struct install_jobs *jobs)
{
	return jobs->task != NULL || jobs->hooks != NULL || jobs->script != NULL;
}

/* ---- one at a time ---- */

/* A hook that is not there has nothing against it. */
static void begin(struct install_jobs *jobs)
{
	struct agent_result *answer = &jobs->answer;
	enum ota_code rc;

	jobs->job = jobs->next;
	jobs->has_next = false;
	*answer = (struct agent_result){ .serial = jobs->job.serial };
	if (jobs->job.kind == AGENT_JOB_HOOK)
		rc = begin_hook(jobs, &answer->error);
	else
		rc = begin_task(jobs, &answer->error);
	if (rc == OTA_OK)
		return;
	if (jobs->job.kind == AGENT_JOB_HOOK && rc == OTA_E_NOTFOUND)
		answer->error = (struct ota_error){ 0 };
	(void)uv_timer_start(&jobs->soon, on_soon, 0, 0);
}

enum ota_code install_jobs_start(
	struct install_jobs *jobs, const struct agent_job *job, struct ota_error *err)
{
	(void)err;
	jobs->next = *job;
	jobs->next.version = NULL;
	(void)snprintf(jobs->version, sizeof jobs->version, "%s", job->version);
	jobs->has_next = true;
	if (!is_running(jobs))
		begin(jobs);
	return OTA_OK;
}

void install_jobs_stop(struct install_jobs *jobs)
{
	jobs->has_next = false;
	(void)uv_timer_stop(&jobs->soon);
	if (jobs->task != NULL)
		atomic_store(&jobs->task->work.stop, true);
	if (jobs->hooks != NULL)
		install_hooks_kill(jobs->hooks);
	if (jobs->script != NULL)
		install_hook_kill(jobs->script);
	jobs->stopped = is_running(jobs);
}

void install_jobs_init(struct install_jobs *jobs, uv_loop_t *loop,
	const struct agent_config *config, struct slots *slots)
{
	*jobs = (struct install_jobs){ .loop = loop, .config = config, .slots = slots };
	(void)uv_timer_init(loop, &jobs->soon);
	jobs->soon.data = jobs;
}

void install_jobs_answer_to(struct install_jobs *jobs, install_jobs_done *done, void *ctx)
{
	jobs->done = done;
	jobs->ctx = ctx;
}

void install_jobs_close(struct install_jobs *jobs)
{
	install_jobs_stop(jobs);
	uv_close((uv_handle_t *)&jobs->soon, NULL);
}

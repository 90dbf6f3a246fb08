#ifndef AGENT_PORT_INSTALL_JOBS_H
#define AGENT_PORT_INSTALL_JOBS_H

/* The jobs of the core (agent/core/core.h), one at a time: hashing and decoding on a
 * worker thread, hooks as processes. A job that was stopped may take a moment to end; the
 * next one waits for it. */

#include <sys/stat.h>
#include <uv.h>

#include "agent/core/core.h"
#include "agent/port/config.h"
#include "agent/port/install_hooks.h"
#include "agent/port/slots.h"

/** A job ended by itself. */
typedef void install_jobs_done(void *ctx, const struct agent_result *result);

struct install_task;

/* The digest of an image, for as long as the file does not change. */
struct install_known {
	bool valid;
	struct stat st;
	struct ota_digest digest;
};

struct install_jobs {
	uv_loop_t *loop;                   /* borrowed */
	const struct agent_config *config; /* borrowed */
	struct slots *slots;               /* borrowed */
	install_jobs_done *done;
	void *ctx;                   /* borrowed */
	struct install_task *task;   /* on a worker thread; owned */
	struct install_hooks *hooks; /* running; releases itself */
	struct install_hook *script; /* of the policy; the same */
	bool stopped;                /* what runs is not to answer any more */
	uv_timer_t soon;             /* answers what needed no work */
	struct agent_job job;        /* under way */
	struct agent_job next;       /* waits, if has_next */
	bool has_next;
	char version[OTA_NAME_CAP]; /* that job.version points to */
	struct agent_result answer; /* of soon */
	struct install_known known;
};

/** Begin, with nothing to do. Everything is borrowed for the life of jobs. */
void install_jobs_init(struct install_jobs *jobs, uv_loop_t *loop,
	const struct agent_config *config, struct slots *slots);

/** Who takes the answers; to be set before the first job. */
void install_jobs_answer_to(
	struct install_jobs *jobs, install_jobs_done *done, void *ctx);

/** As agent_port.job_start. */
OTA_CHECKED enum ota_code install_jobs_start(
	struct install_jobs *jobs, const struct agent_job *job, struct ota_error *err);

/** As agent_port.job_stop. */
void install_jobs_stop(struct install_jobs *jobs);

/** Stop, and close the handles; the struct must live until the loop has ended. */
void install_jobs_close(struct install_jobs *jobs);

#endif

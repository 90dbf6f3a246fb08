#include "proto/io/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

uint32_t ota_crew_size(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count < OTA_CREW_MAX ? (uint32_t)count : OTA_CREW_MAX;
}

/* What the workers share. */
struct shift {
	void (*task)(void *arg, uint32_t worker, uint32_t i);
	void *arg;
	uint32_t count;
	atomic_uint next; /* the first task that nobody has begun */
};

struct worker {
	struct shift *shift;
	pthread_t thread;
	uint32_t number;
};

static void *work(void *ctx)
{
	const struct worker *worker = ctx;
	struct shift *shift = worker->shift;

	for (;;) {
		uint32_t i = atomic_fetch_add(&shift->next, 1);

		if (i >= shift->count)
			return NULL;
		shift->task(shift->arg, worker->number, i);
	}
}

void ota_crew_run(void *ctx, uint32_t count,
	void (*task)(void *arg, uint32_t worker, uint32_t i), void *arg)
{
	const uint32_t *size = ctx;
	struct shift shift = { .task = task, .arg = arg, .count = count };
	struct worker workers[OTA_CREW_MAX];
	uint32_t hired = 1;

	workers[0] = (struct worker){ .shift = &shift };
	while (hired < *size && hired < OTA_CREW_MAX && hired < count) {
		struct worker *worker = &workers[hired];

		*worker = (struct worker){ .shift = &shift, .number = hired };
		if (pthread_create(&worker->thread, NULL, work, worker) != 0)
			break;
		hired++;
	}
	(void)work(&workers[0]);
	for (uint32_t i = 1; i < hired; i++)
		(void)pthread_join(workers[i].thread, NULL);
}

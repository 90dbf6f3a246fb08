#include "proto/io/worker.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct queue {
	struct ota_work *first, **last; /* last: where the next one goes */
};

struct ota_worker {
	uv_async_t wake; /* something is done */
	struct ota_worker_calls calls;
	void *ctx; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t given;
	struct queue todo, done; /* owned items, under lock */
	bool ending;             /* under lock */
	struct queue back;       /* owned items; taken from done by the loop */
	size_t count, max;       /* items that are here; the loop's */
	void (*closed)(void *ctx);
	void *closed_ctx; /* borrowed */
};

static void clear(struct queue *queue)
{
	*queue = (struct queue){ .last = &queue->first };
}

static void add(struct queue *queue, struct ota_work *item)
{
	item->next = NULL;
	*queue->last = item;
	queue->last = &item->next;
}

static struct ota_work *take(struct queue *queue)
{
	struct ota_work *item = queue->first;

	if (item == NULL)
		return NULL;
	queue->first = item->next;
	if (queue->first == NULL)
		clear(queue);
	return item;
}

static void move(struct queue *from, struct queue *to)
{
	if (from->first == NULL)
		return;
	*to->last = from->first;
	to->last = from->last;
	clear(from);
}

/* ---- the thread */

/* The next item; NULL once the worker closes. */
static struct ota_work *wait_for_item(struct ota_worker *worker)
{
	struct ota_work *item;

	(void)pthread_mutex_lock(&worker->lock);
	while (worker->todo.first == NULL && !worker->ending)
		(void)pthread_cond_wait(&worker->given, &worker->lock);
	item = worker->ending ? NULL : take(&worker->todo);
	(void)pthread_mutex_unlock(&worker->lock);
	return item;
}

static void *run(void *arg)
{
	struct ota_worker *worker = arg;
	struct ota_work *item;

	(void)pthread_setname_np(pthread_self(), "worker");
	while ((item = wait_for_item(worker)) != NULL) {
		bool was_empty;

		worker->calls.work(item);
		(void)pthread_mutex_lock(&worker->lock);
		was_empty = worker->done.first == NULL;
		add(&worker->done, item);
		(void)pthread_mutex_unlock(&worker->lock);
		if (was_empty)
			(void)uv_async_send(&worker->wake);
	}
	return NULL;
}

/* ---- the loop */

/* A few at a time, so that the loop looks after its timers and sockets in between. */
static void on_wake(uv_async_t *wake)
{
	struct ota_worker *worker = wake->data;
	struct ota_work *item;

	(void)pthread_mutex_lock(&worker->lock);
	move(&worker->done, &worker->back);
	(void)pthread_mutex_unlock(&worker->lock);
	for (unsigned n = 0; n < OTA_WORKER_TURN; n++) {
		item = take(&worker->back);
		if (item == NULL)
			return; /* also if done() closed the worker */
		worker->count--;
		worker->calls.done(worker->ctx, item);
	}
	(void)uv_async_send(wake);
}

enum ota_code ota_worker_new(uv_loop_t *loop, const struct ota_worker_calls *calls,
	void *ctx, size_t max, struct ota_worker **out)
{
	struct ota_worker *worker = calloc(1, sizeof *worker);

	assert(max > 0);
	if (worker == NULL)
		return OTA_E_NOMEM;
	worker->calls = *calls;
	worker->ctx = ctx;
	worker->max = max;
	clear(&worker->todo);
	clear(&worker->done);
	clear(&worker->back);
	(void)pthread_mutex_init(&worker->lock, NULL);
	(void)pthread_cond_init(&worker->given, NULL);
	if (uv_async_init(loop, &worker->wake, on_wake) != 0) {
		free(worker);
		return OTA_E_NOMEM;
	}
	worker->wake.data = worker;
	if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
		uv_close((uv_handle_t *)&worker->wake, (uv_close_cb)free);
		return OTA_E_IO;
	}
	*out = worker;
	return OTA_OK;
}

enum ota_code ota_worker_give(struct ota_worker *worker, struct ota_work *item)
{
	bool was_empty;

	if (worker->count == worker->max)
		return OTA_E_BUSY;
	worker->count++;
	(void)pthread_mutex_lock(&worker->lock);
	was_empty = worker->todo.first == NULL;
	add(&worker->todo, item);
	if (was_empty)
		(void)pthread_cond_signal(&worker->given);
	(void)pthread_mutex_unlock(&worker->lock);
	return OTA_OK;
}

static void on_closed(uv_handle_t *handle)
{
	struct ota_worker *worker = handle->data;

	(void)pthread_cond_destroy(&worker->given);
	(void)pthread_mutex_destroy(&worker->lock);
	if (worker->closed != NULL)
		worker->closed(worker->closed_ctx);
	free(worker);
}

void ota_worker_close(
	struct ota_worker *worker, void (*closed)(void *ctx), void *closed_ctx)
{
	struct ota_work *item;

	worker->closed = closed;
	worker->closed_ctx = closed_ctx;
	(void)pthread_mutex_lock(&worker->lock);
	worker->ending = true;
	(void)pthread_cond_signal(&worker->given);
	(void)pthread_mutex_unlock(&worker->lock);
	(void)pthread_join(worker->thread, NULL);
	move(&worker->done, &worker->back);
	move(&worker->todo, &worker->back);
	while ((item = take(&worker->back)) != NULL)
		worker->calls.release(worker->ctx, item);
	uv_close((uv_handle_t *)&worker->wake, on_closed);
}

#include "proto/io/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

uint64_t ota_clock_mono_ms(void)
{
	struct timespec now;

	/* Time asleep counts too: deadlines are about the world, not about our CPU. */
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / (1000 * 1000);
}

uint64_t ota_clock_utc_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec;
}

uint32_t ota_clock_local_min(void)
{
	time_t now = time(NULL);
	struct tm local;

	tzset(); /* localtime_r() alone keeps the zone of the first call */
	(void)localtime_r(&now, &local);
	return (uint32_t)(local.tm_hour * 60 + local.tm_min);
}

void ota_random(uint8_t *out, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(out, len, 0);

		/* Without random bytes there is no honest way on; this cannot happen
		 * on a kernel that has the call. */
		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			out += n;
			len -= (size_t)n;
		}
	}
}

uint32_t ota_random_below(uint32_t below)
{
	uint32_t value, limit;

	assert(below > 0);
	/* The largest multiple of below; what lies above would favour small numbers. */
	limit = UINT32_MAX - UINT32_MAX % below;
	do {
		ota_random((uint8_t *)&value, sizeof value);
	} while (value >= limit);
	return value % below;
}

struct node {
	struct node *next; /* owned */
	void *item;        /* owned until taken */
};

struct ota_inbox {
	uv_async_t wake;
	ota_inbox_take *take;
	void *ctx; /* borrowed */
	pthread_mutex_t lock;
	struct node *first; /* owned, under lock */
	struct node **last; /* where the next one goes, under lock */
	size_t count;       /* under lock */
};

/* The oldest item, or NULL. Items are never NULL. */
static void *pop(struct ota_inbox *inbox)
{
	struct node *node;
	void *item = NULL;

	(void)pthread_mutex_lock(&inbox->lock);
	node = inbox->first;
	if (node != NULL) {
		inbox->first = node->next;
		inbox->count--;
		if (inbox->first == NULL)
			inbox->last = &inbox->first;
	}
	(void)pthread_mutex_unlock(&inbox->lock);
	if (node != NULL)
		item = node->item;
	free(node);
	return item;
}

static size_t count_of(struct ota_inbox *inbox)
{
	size_t count;

	(void)pthread_mutex_lock(&inbox->lock);
	count = inbox->count;
	(void)pthread_mutex_unlock(&inbox->lock);
	return count;
}

/* Takes a few of what was there on entry, so that busy senders cannot starve the loop. */
static void on_wake(uv_async_t *wake)
{
	struct ota_inbox *inbox = wake->data;
	size_t count = count_of(inbox);

	for (size_t n = count < OTA_INBOX_TURN ? count : OTA_INBOX_TURN; n > 0; n--) {
		void *item = pop(inbox);

		if (item == NULL)
			return; /* take() closed the inbox */
		inbox->take(inbox->ctx, item);
	}
	if (count_of(inbox) > 0)
		(void)uv_async_send(wake);
}

enum ota_code ota_inbox_new(
	uv_loop_t *loop, ota_inbox_take *take, void *ctx, struct ota_inbox **out)
{
	struct ota_inbox *inbox = calloc(1, sizeof *inbox);

	if (inbox == NULL)
		return OTA_E_NOMEM;
	if (uv_async_init(loop, &inbox->wake, on_wake) != 0) {
		free(inbox);
		return OTA_E_NOMEM;
	}
	(void)pthread_mutex_init(&inbox->lock, NULL);
	inbox->wake.data = inbox;
	inbox->take = take;
	inbox->ctx = ctx;
	inbox->last = &inbox->first;
	*out = inbox;
	return OTA_OK;
}

enum ota_code ota_inbox_put(struct ota_inbox *inbox, void *item)
{
	struct node *node = malloc(sizeof *node);

	assert(item != NULL);
	if (node == NULL)
		return OTA_E_NOMEM;
	*node = (struct node){ .item = item };
	/* The wake is sent under the lock: once the lock is free the inbox may be gone,
	 * if this was the last item its owner waited for. */
	(void)pthread_mutex_lock(&inbox->lock);
	*inbox->last = node;
	inbox->last = &node->next;
	inbox->count++;
	(void)uv_async_send(&inbox->wake);
	(void)pthread_mutex_unlock(&inbox->lock);
	return OTA_OK;
}

static void on_closed(uv_handle_t *handle)
{
	struct ota_inbox *inbox = handle->data;

	(void)pthread_mutex_destroy(&inbox->lock);
	free(inbox);
}

void ota_inbox_close(struct ota_inbox *inbox, void (*release)(void *item))
{
	void *item;

	while ((item = pop(inbox)) != NULL)
		release(item);
	uv_close((uv_handle_t *)&inbox->wake, on_closed);
}

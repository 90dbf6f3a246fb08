#include "proto/io/mqtt_hold.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { ROOM_LEN = OTA_HOLD_LEN_MAX / 4 * 3, MS_PER_S = 1000, NS_PER_MS = 1000 * 1000 };

static struct {
	atomic_size_t len; /* bytes that wait */
	pthread_mutex_t lock;
	pthread_cond_t room;
	bool full; /* under lock: the bound was reached, and nobody read on since */
} hold = { .lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER };

void ota_hold_add(size_t len)
{
	(void)atomic_fetch_add(&hold.len, len + OTA_HOLD_COST);
}

void ota_hold_release(size_t len)
{
	size_t before = atomic_fetch_sub(&hold.len, len + OTA_HOLD_COST);

	assert(before >= len + OTA_HOLD_COST);
	if (before <= ROOM_LEN || before - len - OTA_HOLD_COST > ROOM_LEN)
		return;
	(void)pthread_mutex_lock(&hold.lock);
	(void)pthread_cond_broadcast(&hold.room);
	(void)pthread_mutex_unlock(&hold.lock);
}

size_t ota_hold_len(void)
{
	return atomic_load(&hold.len);
}

static struct timespec deadline_in(int timeout_ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / MS_PER_S;
	at.tv_nsec += (long)(timeout_ms % MS_PER_S) * NS_PER_MS;
	if (at.tv_nsec >= MS_PER_S * NS_PER_MS) {
		at.tv_nsec -= MS_PER_S * NS_PER_MS;
		at.tv_sec++;
	}
	return at;
}

bool ota_hold_wait(int timeout_ms)
{
	struct timespec at = deadline_in(timeout_ms);
	int rc = 0;
	bool is_full;

	(void)pthread_mutex_lock(&hold.lock);
	hold.full |= atomic_load(&hold.len) > OTA_HOLD_LEN_MAX;
	while (hold.full && rc == 0) {
		hold.full = atomic_load(&hold.len) > ROOM_LEN;
		if (hold.full)
			rc = pthread_cond_clockwait(
				&hold.room, &hold.lock, CLOCK_MONOTONIC, &at);
	}
	is_full = hold.full;
	(void)pthread_mutex_unlock(&hold.lock);
	return !is_full;
}

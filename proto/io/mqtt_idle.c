#include "proto/io/mqtt_idle.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "proto/io/mqtt_hold.h"

enum {
	SETTLE_MS = 5000, /* Paho has gone round often enough to tidy up behind itself */
	SOCKETS_MAX = 8,  /* with more of them there is more than one session */
	MS_PER_S = 1000,
	NS_PER_MS = 1000 * 1000
};

/* Paho's, not in its headers. The lists it looks into are guarded by the lock that Paho
 * holds when it calls poll() with a timeout of 0. Not 0: nothing waits to be written. */
int Socket_noPendingWrites(int fd);

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_MQTTPacket_send_pingreq(void *net, const char *client_id);
int __wrap_MQTTPacket_send_pingreq(void *net, const char *client_id);
int __wrap_Thread_wait_cond(void *cond, int timeout_ms);
int __wrap_Thread_signal_cond(void *cond);

/* Of the process, as Paho's threads are. */
static struct {
	pthread_mutex_t lock;
	unsigned sessions;
	unsigned busy;           /* things under way */
	uint64_t quiet_since_ms; /* when busy came to 0 */
	uint64_t pinged_ms;      /* the only session's last ping; 0: unknown */
	uint32_t keepalive_ms;   /* the shortest that was asked for; 0: none */
	int wake_fd;             /* ends the receiver's long sleep; -1: not made yet */
	bool receiver_sleeps;    /* longer than Paho asked for */
	bool sender_called;
	pthread_cond_t sender;
} idle = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.sender = PTHREAD_COND_INITIALIZER,
	.wake_fd = -1 };

static _Thread_local bool is_receiver;
static _Thread_local bool has_unwritten; /* of the receiver */

/* The clock of poll(), and of Paho's keepalive. */
static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* The functions named _locked are called with the lock held. */

static void call_sender_locked(void)
{
	idle.sender_called = true;
	(void)pthread_cond_signal(&idle.sender);
}

static void begin_locked(void)
{
	const uint64_t one = 1;

	if (idle.busy++ > 0)
		return;
	call_sender_locked();
	/* Only a full counter could refuse it, and that is a wake as well. */
	if (idle.receiver_sleeps && write(idle.wake_fd, &one, sizeof one) < 0)
		assert(errno == EAGAIN);
}

static void end_locked(void)
{
	assert(idle.busy > 0);
	if (--idle.busy == 0)
		idle.quiet_since_ms = now_ms();
}

static bool is_calm_locked(uint64_t now)
{
	return idle.sessions == 1 && idle.busy == 0 && idle.wake_fd >= 0 &&
	       idle.pinged_ms > 0 && now - idle.quiet_since_ms >= SETTLE_MS;
}

void ota_idle_session_begin(uint32_t keepalive_s)
{
	uint32_t keepalive_ms = keepalive_s * MS_PER_S;

	(void)pthread_mutex_lock(&idle.lock);
	begin_locked();
	idle.sessions++;
	idle.pinged_ms = 0; /* whose it was, nobody knows any more */
	if (idle.keepalive_ms == 0 || keepalive_ms < idle.keepalive_ms)
		idle.keepalive_ms = keepalive_ms;
	if (idle.wake_fd < 0) /* kept to the end; without it nobody sleeps long */
		idle.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)pthread_mutex_unlock(&idle.lock);
}

void ota_idle_session_end(void)
{
	(void)pthread_mutex_lock(&idle.lock);
	end_locked();
	idle.sessions--;
	idle.pinged_ms = 0;
	(void)pthread_mutex_unlock(&idle.lock);
}

void ota_idle_connected(void)
{
	is_receiver = true;
	ota_idle_done();
}

void ota_idle_busy(void)
{
	(void)pthread_mutex_lock(&idle.lock);
	begin_locked();
	(void)pthread_mutex_unlock(&idle.lock);
}

void ota_idle_done(void)
{
	(void)pthread_mutex_lock(&idle.lock);
	end_locked();
	(void)pthread_mutex_unlock(&idle.lock);
}

/* A ping is sent when a keepalive has passed since the last packet either way. After one
 * that was answered that is a keepalive later at the earliest; one that was not answered
 * is given up after one and a half. */
int __wrap_MQTTPacket_send_pingreq(void *net, const char *client_id)
{
	int rc = __real_MQTTPacket_send_pingreq(net, client_id);

	(void)pthread_mutex_lock(&idle.lock);
	idle.pinged_ms = idle.sessions == 1 ? now_ms() : 0;
	(void)pthread_mutex_unlock(&idle.lock);
	return rc;
}

static struct timespec deadline_in(uint64_t wait_ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(wait_ms / MS_PER_S);
	at.tv_nsec += (long)(wait_ms % MS_PER_S) * NS_PER_MS;
	if (at.tv_nsec >= MS_PER_S * NS_PER_MS) {
		at.tv_nsec -= MS_PER_S * NS_PER_MS;
		at.tv_sec++;
	}
	return at;
}

/* Paho has one condition, that of its sending thread. Its own functions lose a signal
 * that comes before the wait, and wait on a clock that can be set; these do neither. */
int __wrap_Thread_wait_cond(void *cond, int timeout_ms)
{
	struct timespec at;
	int rc = 0;

	(void)cond;
	(void)pthread_mutex_lock(&idle.lock);
	at = deadline_in(
		is_calm_locked(now_ms()) ? idle.keepalive_ms : (uint64_t)timeout_ms);
	while (!idle.sender_called && rc == 0)
		rc = pthread_cond_clockwait(
			&idle.sender, &idle.lock, CLOCK_MONOTONIC, &at);
	idle.sender_called = false;
	(void)pthread_mutex_unlock(&idle.lock);
	return rc;
}

int __wrap_Thread_signal_cond(void *cond)
{
	(void)cond;
	(void)pthread_mutex_lock(&idle.lock);
	call_sender_locked();
	(void)pthread_mutex_unlock(&idle.lock);
	return 0;
}

/* How long the receiver may sleep instead of timeout_ms. If that is longer, it is held to
 * be asleep until get_up(). */
static int lie_down(int timeout_ms)
{
	uint64_t now = now_ms(), due_ms;
	int sleep_ms = timeout_ms;

	(void)pthread_mutex_lock(&idle.lock);
	due_ms = idle.pinged_ms + idle.keepalive_ms;
	if (is_calm_locked(now) && due_ms > now + (uint64_t)timeout_ms) {
		sleep_ms = (int)(due_ms - now);
		idle.receiver_sleeps = true;
	}
	(void)pthread_mutex_unlock(&idle.lock);
	return sleep_ms;
}

static void get_up(void)
{
	uint64_t count;

	(void)pthread_mutex_lock(&idle.lock);
	idle.receiver_sleeps = false;
	if (read(idle.wake_fd, &count, sizeof count) < 0)
		assert(errno == EAGAIN); /* something else woke it */
	(void)pthread_mutex_unlock(&idle.lock);
}

/* poll() with one more descriptor, which the caller does not see. */
static int sleep_long(struct pollfd *fds, nfds_t count, int sleep_ms)
{
	struct pollfd all[SOCKETS_MAX + 1];
	int rc;

	memcpy(all, fds, count * sizeof *fds);
	all[count] = (struct pollfd){ .fd = idle.wake_fd, .events = POLLIN };
	rc = __real_poll(all, count + 1, sleep_ms);
	memcpy(fds, all, count * sizeof *fds);
	return rc > 0 && all[count].revents != 0 ? rc - 1 : rc;
}

/* Every poll() of the program comes here. Paho's receiver asks twice a round, with its
 * lock and a timeout of 0 for writing, and without a lock and with a timeout for reading.
 */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	int sleep_ms, rc, error;

	if (!is_receiver || count > SOCKETS_MAX || timeout_ms < 0)
		return __real_poll(fds, count, timeout_ms);
	if (timeout_ms > 0 && !ota_hold_wait(timeout_ms))
		return 0; /* nothing to read, as far as Paho is told */
	if (timeout_ms == 0) {
		has_unwritten = false;
		for (nfds_t i = 0; i < count; i++)
			has_unwritten |= Socket_noPendingWrites(fds[i].fd) == 0;
	}
	sleep_ms = timeout_ms == 0 || has_unwritten ? timeout_ms : lie_down(timeout_ms);
	if (sleep_ms == timeout_ms)
		return __real_poll(fds, count, timeout_ms);
	rc = sleep_long(fds, count, sleep_ms);
	error = errno;
	get_up();
	errno = error;
	return rc;
}

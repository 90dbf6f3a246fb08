#include "proto/io/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/own.h"

enum { US_PER_MS = 1000, DECIMAL = 10 };

/* A path, or a name of the abstract kind behind '@'. */
static bool is_address(const char *text)
{
	struct sockaddr_un at;

	return text != NULL && (text[0] == '/' || text[0] == '@') && text[1] != '\0' &&
	       strlen(text) < sizeof at.sun_path;
}

static void say(const struct ota_notify *notify, const char *word)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(notify->address);
	ota_autoclose int fd = -1;

	if (len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(at.sun_path, notify->address, len);
	if (at.sun_path[0] == '@')
		at.sun_path[0] = '\0';
	if (fd >= 0)
		(void)sendto(fd, word, strlen(word), MSG_NOSIGNAL, (struct sockaddr *)&at,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void on_timer(uv_timer_t *timer)
{
	say(timer->data, "WATCHDOG=1");
}

/* The number in a variable; 0 if it is none. */
static unsigned long long number_in(const char *name)
{
	const char *text = getenv(name);
	char *end = NULL;
	unsigned long long value;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	value = strtoull(text, &end, DECIMAL);
	return errno == 0 && *end == '\0' ? value : 0;
}

/* Between two signs of life, in ms; 0: none are asked of this process. */
static uint64_t watchdog_ms(void)
{
	unsigned long long usec = number_in("WATCHDOG_USEC");
	bool is_ours = getenv("WATCHDOG_PID") == NULL ||
		       number_in("WATCHDOG_PID") == (unsigned long long)getpid();
	uint64_t half_ms = usec / US_PER_MS / 2;

	if (usec == 0 || !is_ours)
		return 0;
	return half_ms == 0 ? 1 : half_ms;
}

void ota_notify_begin(struct ota_notify *notify, uv_loop_t *loop)
{
	const char *address = getenv("NOTIFY_SOCKET");
	uint64_t every_ms = watchdog_ms();

	if (is_address(address)) {
		(void)snprintf(notify->address, sizeof notify->address, "%s", address);
		notify->has_timer =
			every_ms > 0 && uv_timer_init(loop, &notify->timer) == 0;
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	say(notify, "READY=1");
	if (!notify->has_timer)
		return;
	notify->timer.data = notify;
	(void)uv_timer_start(&notify->timer, on_timer, every_ms, every_ms);
	uv_unref((uv_handle_t *)&notify->timer);
}

void ota_notify_end(struct ota_notify *notify)
{
	say(notify, "STOPPING=1");
	notify->address[0] = '\0';
	if (notify->has_timer)
		uv_close((uv_handle_t *)&notify->timer, NULL);
	notify->has_timer = false;
}

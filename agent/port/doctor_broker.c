#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "agent/port/doctor_checks.h"
#include "proto/base/own.h"
#include "proto/io/mqtt_tls.h"
#include "proto/io/sandbox.h"

enum { HOST_CAP = 256, PORT_CAP = 8, ANSWER_CAP = 160, CONNECT_S = 5 };

_Static_assert((int)HOST_CAP >= (int)AGENT_URL_CAP, "the host of any URL has room");

/* Host and port of "ssl://host:port"; an IPv6 address stands in brackets. */
static bool split_url(
	const char *url, char host[static HOST_CAP], char port[static PORT_CAP])
{
	const char *at = strstr(url, "://"), *colon;
	size_t len;

	if (at == NULL)
		return false;
	at += 3;
	colon = strrchr(at, ':');
	if (colon == NULL || colon == at || strlen(colon + 1) >= PORT_CAP)
		return false;
	len = (size_t)(colon - at);
	if (*at == '[' && len > 2 && at[len - 1] == ']') {
		at++;
		len -= 2;
	}
	(void)snprintf(host, HOST_CAP, "%.*s", (int)len, at);
	(void)snprintf(port, PORT_CAP, "%s", colon + 1);
	return true;
}

/* Connect to one address; 0 or errno. */
static int try_address(const struct addrinfo *address)
{
	const struct timeval limit = { .tv_sec = CONNECT_S };
	ota_autoclose int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	return connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
}

/* In a process of its own, as the user that net becomes. Says "" if it went well. */
static void try_broker(const char *user, const char *host, const char *port,
	char answer[static ANSWER_CAP])
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct ota_error err = { 0 };
	int failed;

	if (user[0] != '\0' && ota_sandbox_become(user, &err) != OTA_OK) {
		(void)snprintf(answer, ANSWER_CAP, "%.150s", err.text);
		return;
	}
	failed = getaddrinfo(host, port, &hints, &found);
	if (failed != 0) {
		(void)snprintf(answer, ANSWER_CAP, "the name cannot be resolved: %s",
			gai_strerror(failed));
		return;
	}
	failed = EADDRNOTAVAIL;
	for (struct addrinfo *at = found; at != NULL && failed != 0; at = at->ai_next)
		failed = try_address(at);
	freeaddrinfo(found);
	(void)snprintf(answer, ANSWER_CAP, "%s",
		failed == 0             ? ""
		: failed == EINPROGRESS ? "no answer"
					: strerror(failed));
}

/* What the other process says, whole; false if it says nothing in time. */
static bool hear(int fd, uint32_t wait_ms, char answer[static ANSWER_CAP])
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, (int)wait_ms) == 1 &&
	       read(fd, answer, ANSWER_CAP) == ANSWER_CAP;
}

static void reach(struct doctor *d, const char *host, const char *port)
{
	char answer[ANSWER_CAP] = "";
	bool heard;
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		return;
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		try_broker(d->config->user, host, port, answer);
		_exit(write(ends[1], answer, sizeof answer) == (ssize_t)sizeof answer
				? 0
				: 1);
	}
	(void)close(ends[1]);
	heard = child > 0 && hear(ends[0], d->world.broker_ms, answer);
	if (!heard)
		(void)snprintf(answer, sizeof answer, "no answer");
	(void)close(ends[0]);
	if (!heard && child > 0)
		(void)kill(child, SIGKILL);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (answer[0] == '\0')
		doctor_say(d, DOCTOR_OK, "", "%s port %s can be reached", host, port);
	else
		doctor_say(d, DOCTOR_WARNING,
			"see to name service, route and firewall; it is no error if the "
			"device is offline now",
			"%s port %s: %s", host, port, answer);
}

static const char *or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

void doctor_look_at_broker(struct doctor *d)
{
	const struct agent_broker_config *b = &d->config->broker;
	const struct ota_mqtt_config link = { .url = b->url,
		.client_id = d->config->device,
		.ca_file = or_null(b->ca_file),
		.cert_file = or_null(b->cert_file),
		.key_file = or_null(b->key_file) };
	char host[HOST_CAP], port[PORT_CAP];
	struct ota_error err = { 0 };

	if (strncmp(b->url, "ssl://", 6) == 0 && ota_tls_check(&link, &err) != OTA_OK)
		doctor_say(d, DOCTOR_ERROR, "correct `broker.ca`, `cert` and `key`", "%s",
			err.text);
	if (strncmp(b->url, "tcp://", 6) == 0)
		doctor_say(d, DOCTOR_WARNING, "use ssl:// outside of trials",
			"%s is not encrypted: who listens sees what this device runs",
			b->url);
	if (!split_url(b->url, host, port))
		doctor_say(d, DOCTOR_ERROR, "write ssl://HOST:PORT",
			"`broker.url`: %s has no host and port", b->url);
	else if (d->world.broker_ms > 0)
		reach(d, host, port);
}

#include "tests/integration/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum {
	ARGS_MAX = 32,
	START_TIMEOUT_MS = 10 * 1000,
	RETRY_MS = 10,
	LOG_LEN_MAX = 1 << 20
};

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "broker: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Run a command and wait for its success. */
static void run(const char *const *argv)
{
	char *copy[ARGS_MAX + 1] = { 0 };
	int status;
	pid_t pid;

	for (size_t i = 0; argv[i] != NULL && i < ARGS_MAX; i++)
		copy[i] = strdup(argv[i]);
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		(void)execvp(copy[0], copy);
		give_up(copy[0]);
	}
	for (size_t i = 0; copy[i] != NULL; i++)
		free(copy[i]);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up(argv[0]);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* A port nobody listens on now. */
static uint16_t free_port(void)
{
	ota_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = loopback(0);
	socklen_t len = sizeof at;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		give_up("find a free port");
	return ntohs(at.sin_port);
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_until_ready(const struct broker *broker)
{
	int64_t until_ms = now_ms() + START_TIMEOUT_MS;
	struct sockaddr_in at = loopback(broker->port);

	at.sin_addr.s_addr = inet_addr(broker->address);
	for (;;) {
		ota_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
			return;
		if (now_ms() > until_ms || waitpid(broker->pid, NULL, WNOHANG) != 0)
			give_up("mosquitto does not listen");
		(void)poll(NULL, 0, RETRY_MS);
	}
}

void broker_restart(struct broker *broker)
{
	char conf[BROKER_PATH_CAP + 16], log[BROKER_PATH_CAP + 16];

	(void)snprintf(conf, sizeof conf, "%s/mosquitto.conf", broker->dir);
	(void)snprintf(log, sizeof log, "%s/log", broker->dir);
	broker->pid = fork();
	if (broker->pid < 0)
		give_up("fork");
	if (broker->pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(fd, STDERR_FILENO);
		(void)execlp("mosquitto", "mosquitto", "-c", conf, (char *)NULL);
		(void)execl("/usr/sbin/mosquitto", "mosquitto", "-c", conf, (char *)NULL);
		give_up("mosquitto");
	}
	wait_until_ready(broker);
}

void broker_start(struct broker *broker, const char *address, const char *const *clients)
{
	char certs[BROKER_PATH_CAP + 16], port[8];
	const char *make_certs[ARGS_MAX + 1] = {
		SOURCE_ROOT "/deploy/mosquitto/make-certs", certs, "sluiced"
	};
	const char *const make_profile[] = { SOURCE_ROOT "/deploy/mosquitto/make-profile",
		broker->dir, "test", port, address, NULL };

	(void)snprintf(broker->address, sizeof broker->address, "%s", address);
	(void)snprintf(broker->dir, sizeof broker->dir, "/tmp/sluice-test-XXXXXX");
	if (mkdtemp(broker->dir) == NULL)
		give_up("mkdtemp");
	(void)snprintf(certs, sizeof certs, "%s/certs", broker->dir);
	for (size_t i = 0; clients[i] != NULL && i < ARGS_MAX - 3; i++)
		make_certs[3 + i] = clients[i];
	run(make_certs);
	broker->port = free_port();
	(void)snprintf(port, sizeof port, "%u", broker->port);
	run(make_profile);
	broker_restart(broker);
}

void broker_kill(struct broker *broker)
{
	if (broker->pid == 0)
		return;
	(void)kill(broker->pid, SIGKILL);
	(void)waitpid(broker->pid, NULL, 0);
	broker->pid = 0;
}

void broker_signal(const struct broker *broker, int signal_number)
{
	(void)kill(broker->pid, signal_number);
}

const char *broker_file(const struct broker *broker, const char *name, const char *suffix,
	char out[static BROKER_PATH_CAP])
{
	(void)snprintf(out, BROKER_PATH_CAP, "%.128s/certs/%.64s%.8s", broker->dir, name,
		suffix);
	return out;
}

bool broker_said(const struct broker *broker, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf log = { 0 };
	char path[BROKER_PATH_CAP + 16];

	(void)snprintf(path, sizeof path, "%s/log", broker->dir);
	return ota_file_read(path, LOG_LEN_MAX, &log, NULL) == OTA_OK &&
	       strstr(ota_buf_text(&log), text) != NULL;
}

void broker_fini(struct broker *broker)
{
	const char *const remove[] = { "rm", "-rf", broker->dir, NULL };

	broker_kill(broker);
	if (broker->dir[0] != '\0')
		run(remove);
	broker->dir[0] = '\0';
}

#include "tests/integration/agent_net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "tests/integration/peer.h"

const char *agent_program(void)
{
	return AGENT;
}

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "agent_net: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_yaml(
	struct agent_net *net, const struct broker *broker, const char *limits)
{
	char ca[BROKER_PATH_CAP], cert[BROKER_PATH_CAP], key[BROKER_PATH_CAP];
	FILE *yaml = fopen(net->yaml, "w");

	if (yaml == NULL)
		give_up(net->yaml);
	(void)fprintf(yaml,
		"device: gw-1\nfleet: test\nproduct: gateway\nhardware: rev-b\n"
		"root: root.1\ndevice_key: device.key\n"
		"broker:\n  url: ssl://localhost:%u\n  ca: %s\n  cert: %s\n  key: %s\n"
		"state_dir: state\nspool: {dir: spool, max: 64M}\n"
		"slot: {type: file, dir: slots}\nreboot: self\nlimits: %s\n",
		broker->port, broker_file(broker, "ca", ".pem", ca),
		broker_file(broker, "gw-1", ".pem", cert),
		broker_file(broker, "gw-1", ".key", key), limits);
	if (fclose(yaml) != 0)
		give_up(net->yaml);
}

void agent_net_init(
	struct agent_net *net, const struct broker *broker, const char *limits)
{
	*net = (struct agent_net){ .dir = "/tmp/sluice-net-XXXXXX" };
	if (mkdtemp(net->dir) == NULL)
		give_up(net->dir);
	(void)snprintf(net->yaml, sizeof net->yaml, "%s/agent.yaml", net->dir);
	(void)snprintf(net->spool, sizeof net->spool, "%s/spool", net->dir);
	(void)snprintf(net->log, sizeof net->log, "%s/log", net->dir);
	write_yaml(net, broker, limits);
}

static void hear(struct agent_net *net, struct ota_bytes packet)
{
	struct ipc_message message;
	struct agent_heard *heard;

	if (ipc_parse(packet, &message, NULL) != OTA_OK)
		give_up("a packet that is none");
	heard = &net->heard[message.type];
	heard->bytes.len = 0;
	if (ota_buf_add(&heard->bytes, message.payload) != OTA_OK)
		give_up("memory");
	heard->head = message;
	heard->head.payload = ota_buf_bytes(&heard->bytes);
	net->count[message.type]++;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct agent_net *net = poll->data;
	static uint8_t room[IPC_PACKET_LEN_MAX];
	ssize_t n = recv(net->fd, room, sizeof room, MSG_DONTWAIT);

	(void)status;
	(void)events;
	if (n > 0) {
		hear(net, (struct ota_bytes){ room, (size_t)n });
	} else if (n == 0 || errno != EAGAIN) {
		net->gone = true;
		(void)uv_poll_stop(poll);
	}
}

static _Noreturn void become_net(const struct agent_net *net, int fd)
{
	int log = open(net->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char fd_text[16];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(fd_text, sizeof fd_text, "%d", fd);
	(void)fcntl(fd, F_SETFD, 0);
	(void)dup2(log, STDERR_FILENO);
	(void)execl(AGENT, "sluice-agent", "net", "--fd", fd_text, "-c", net->yaml,
		(char *)NULL);
	give_up(AGENT);
}

bool agent_net_start(struct agent_net *net)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		give_up("socketpair");
	net->pid = fork();
	if (net->pid < 0)
		give_up("fork");
	if (net->pid == 0)
		become_net(net, fds[1]);
	(void)close(fds[1]);
	net->fd = fds[0];
	net->gone = false;
	if (uv_poll_init(peer_loop(), &net->poll, net->fd) != 0)
		give_up("poll");
	net->poll.data = net;
	net->open = true;
	(void)uv_poll_start(&net->poll, UV_READABLE, on_poll);
	return peer_wait(&net->count[IPC_HELLO], 1);
}

static void on_closed(uv_handle_t *handle)
{
	struct agent_net *net = handle->data;

	net->open = false;
}

int agent_net_end(struct agent_net *net, int signal_number)
{
	int status = 0;

	(void)kill(net->pid, signal_number);
	if (waitpid(net->pid, &status, 0) != net->pid)
		give_up("waitpid");
	net->pid = 0;
	uv_close((uv_handle_t *)&net->poll, on_closed);
	while (net->open)
		(void)uv_run(peer_loop(), UV_RUN_ONCE);
	(void)close(net->fd);
	memset(net->count, 0, sizeof net->count);
	return status;
}

void agent_net_send(struct agent_net *net, const struct ipc_message *message)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packet = { 0 };

	if (ipc_encode(message, &packet) != OTA_OK)
		give_up("encode");
	if (send(net->fd, packet.at, packet.len, MSG_NOSIGNAL) < 0)
		give_up("send");
}

void agent_net_ask(
	struct agent_net *net, enum ipc_type type, const struct ota_digest *patch)
{
	const struct ipc_message message = { .type = type, .digest = *patch };

	agent_net_send(net, &message);
}

static uint32_t count_bits(const struct agent_net *net, const struct ota_digest *patch)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };
	char path[256], hex[OTA_DIGEST_HEX_CAP];
	uint32_t count = 0;

	ota_digest_hex(patch, hex);
	(void)snprintf(path, sizeof path, "%s/%s/" SPOOL_BITMAP, net->spool, hex);
	if (ota_file_read(path, 65536, &file, NULL) != OTA_OK)
		return 0;
	for (size_t i = SPOOL_HEAD_LEN; i < file.len; i++)
		count += (uint32_t)__builtin_popcount(file.at[i]);
	return count;
}

bool agent_net_wait_held(
	struct agent_net *net, const struct ota_digest *patch, uint32_t want)
{
	uint64_t until_ms = ota_clock_mono_ms() + PEER_TIMEOUT_MS;

	while (ota_clock_mono_ms() < until_ms && net->count[IPC_FETCHED] == 0 &&
		net->count[IPC_FAILED] == 0) {
		if (count_bits(net, patch) >= want)
			return true;
		(void)peer_turn(1);
	}
	return false;
}

void agent_net_fini(struct agent_net *net)
{
	char path[256];

	if (net->pid != 0)
		(void)agent_net_end(net, SIGKILL);
	if (spool_purge(net->spool, NULL, NULL) != OTA_OK)
		give_up("purge the spool");
	(void)rmdir(net->spool);
	(void)unlink(net->yaml);
	(void)snprintf(path, sizeof path, "%s", net->log);
	(void)unlink(path);
	(void)rmdir(net->dir);
	for (size_t i = 0; i < N_IPC_TYPES; i++)
		ota_buf_fini(&net->heard[i].bytes);
}

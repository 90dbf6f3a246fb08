#include "agent/port/net_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEND_BUFFER_LEN = 1 << 18 }; /* bytes: a few of the largest packets */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct net_peer *peer)
{
	int events = UV_READABLE | (peer->count > 0 ? UV_WRITABLE : 0);

	if (!peer->gone)
		(void)uv_poll_start(&peer->poll, events, on_poll);
}

static void lose(struct net_peer *peer, const char *why)
{
	if (peer->gone)
		return;
	peer->gone = true;
	(void)uv_poll_stop(&peer->poll);
	peer->events->gone(peer->ctx, why);
}

static void drop_at(struct net_peer *peer, size_t i)
{
	ota_buf_fini(&peer->queue[i].bytes);
	peer->count--;
	memmove(&peer->queue[i], &peer->queue[i + 1],
		(peer->count - i) * sizeof peer->queue[0]);
}

/* Send from the head of the queue until the socket is full. */
static void flush(struct net_peer *peer)
{
	while (peer->count > 0) {
		const struct ota_buf *bytes = &peer->queue[0].bytes;
		ssize_t n = send(
			peer->fd, bytes->at, bytes->len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			return;
		if (n < 0) {
			lose(peer, strerror(errno));
			return;
		}
		drop_at(peer, 0);
	}
}

static void receive(struct net_peer *peer)
{
	struct iovec room = { peer->room, IPC_PACKET_LEN_MAX };
	struct msghdr packet = { .msg_iov = &room, .msg_iovlen = 1 };
	ssize_t n = recvmsg(peer->fd, &packet, MSG_DONTWAIT);
	struct ipc_message message;
	struct ota_error err = { 0 };

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		lose(peer, strerror(errno));
	else if (n == 0)
		lose(peer, "closed");
	else if ((packet.msg_flags & MSG_TRUNC) != 0)
		lose(peer, "packet is too long");
	else if (ipc_parse((struct ota_bytes){ peer->room, (size_t)n }, &message, &err) !=
		 OTA_OK)
		lose(peer, err.text);
	else
		peer->events->message(peer->ctx, &message);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct net_peer *peer = poll->data;

	/* libuv says EBADF for a socket whose other end is gone. */
	if (status < 0) {
		lose(peer, "closed");
		return;
	}
	if ((events & UV_WRITABLE) != 0) {
		flush(peer);
		watch(peer);
	}
	if ((events & UV_READABLE) != 0 && !peer->gone)
		receive(peer);
}

enum ota_code net_peer_init(struct net_peer *peer, uv_loop_t *loop, int fd,
	const struct net_peer_events *events, void *ctx)
{
	const int send_len = SEND_BUFFER_LEN;

	*peer = (struct net_peer){ .fd = fd, .events = events, .ctx = ctx };
	peer->room = malloc(IPC_PACKET_LEN_MAX);
	if (peer->room == NULL)
		return OTA_E_NOMEM;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_len, sizeof send_len);
	if (uv_poll_init(loop, &peer->poll, fd) != 0) {
		free(peer->room);
		return OTA_E_IO;
	}
	peer->poll.data = peer;
	watch(peer);
	return OTA_OK;
}

/* True if a newer b makes a worthless. */
static bool replaces(const struct ipc_message *b, const struct ipc_message *a)
{
	bool b_is_link = b->type == IPC_UP || b->type == IPC_DOWN;
	bool a_is_link = a->type == IPC_UP || a->type == IPC_DOWN;

	if (b_is_link || a_is_link)
		return b_is_link && a_is_link;
	if (a->type != b->type || !ota_digest_equal(&a->digest, &b->digest))
		return false;
	return b->type != IPC_DOC ||
	       (a->code == b->code && a->a == b->a && strcmp(a->name, b->name) == 0);
}

static void drop_replaced(struct net_peer *peer, const struct ipc_message *by)
{
	for (size_t i = peer->count; i-- > 0;)
		if (replaces(by, &peer->queue[i].head))
			drop_at(peer, i);
}

void net_peer_send(struct net_peer *peer, const struct ipc_message *message)
{
	struct net_packet packet = { .head = *message };

	if (peer->gone)
		return;
	packet.head.payload = (struct ota_bytes){ 0 };
	drop_replaced(peer, message);
	if (peer->count == NET_PEER_QUEUE_MAX) {
		lose(peer, "does not read");
		return;
	}
	if (ipc_encode(message, &packet.bytes) != OTA_OK) {
		lose(peer, "packet could not be made");
		return;
	}
	peer->queue[peer->count++] = packet;
	flush(peer);
	watch(peer);
}

void net_peer_close(struct net_peer *peer)
{
	peer->gone = true;
	uv_close((uv_handle_t *)&peer->poll, NULL);
}

void net_peer_fini(struct net_peer *peer)
{
	while (peer->count > 0)
		drop_at(peer, peer->count - 1);
	free(peer->room);
	if (peer->fd > 0)
		(void)close(peer->fd);
	*peer = (struct net_peer){ 0 };
}

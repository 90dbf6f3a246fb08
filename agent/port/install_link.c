#include "agent/port/install_link.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/io/log.h"

enum { PAUSE_MS = 1000 }; /* when nothing could be accepted */

static void on_listener(uv_poll_t *poll, int status, int events);

static void listen_again(struct install_link *link)
{
	if (link->listen_fd >= 0 && !link->ended)
		(void)uv_poll_start(&link->listener, UV_READABLE, on_listener);
}

static void on_pause(uv_timer_t *timer)
{
	listen_again(timer->data);
}

/* ---- a net that goes ---- */

static void on_peer_closed(uv_handle_t *handle)
{
	struct install_link *link = ((struct net_peer *)handle->data)->ctx;

	net_peer_fini(&link->peer);
	link->has_peer = false;
	if (link->ended)
		return;
	link->events->gone(link->ctx, link->why);
	listen_again(link);
}

/* It may be said in the middle of a step of the agent, which must not be told of it then.
 */
static void on_gone(void *ctx, const char *why)
{
	struct install_link *link = ctx;

	link->why = why;
	uv_close((uv_handle_t *)&link->peer.poll, on_peer_closed);
}

static void on_message(void *ctx, const struct ipc_message *message)
{
	struct install_link *link = ctx;

	link->events->message(link->ctx, message);
}

/* ---- a net that comes ---- */

static const struct net_peer_events peer_events = { on_message, on_gone };

static OTA_CHECKED enum ota_code take_peer(struct install_link *link, int fd)
{
	enum ota_code rc = net_peer_init(&link->peer, link->loop, fd, &peer_events, link);

	link->has_peer = rc == OTA_OK;
	return rc;
}

static bool may_be_net(const struct install_link *link, int fd)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
		(who.uid == geteuid() || who.uid == link->user))
		return true;
	ota_log(OTA_LOG_WARNING, "net.stranger", "uid=%u pid=%d", who.uid, (int)who.pid);
	return false;
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct install_link *link = poll->data;
	int fd = accept4(link->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)status;
	(void)events;
	if (fd >= 0 && may_be_net(link, fd) && take_peer(link, fd) == OTA_OK) {
		(void)uv_poll_stop(poll);
		return;
	}
	if (fd >= 0)
		(void)close(fd);
	(void)uv_poll_stop(poll);
	(void)uv_timer_start(&link->pause, on_pause, PAUSE_MS, 0);
}

static uid_t user_of(const char *name)
{
	const struct passwd *user =
		name[0] == '\0' || geteuid() != 0 ? NULL : getpwnam(name);

	return user == NULL ? geteuid() : user->pw_uid;
}

static OTA_CHECKED enum ota_code listen_for_nets(
	struct install_link *link, int fd, struct ota_error *err)
{
	if (uv_timer_init(link->loop, &link->pause) != 0 ||
		uv_poll_init(link->loop, &link->listener, fd) != 0)
		return ota_fail(err, OTA_E_IO, "socket to net");
	link->listener.data = link->pause.data = link;
	link->listen_fd = fd;
	listen_again(link);
	return OTA_OK;
}

enum ota_code install_link_init(struct install_link *link, uv_loop_t *loop, int fd,
	const struct agent_config *config, struct ota_error *err)
{
	int listens = 0;
	socklen_t len = sizeof listens;
	enum ota_code rc;

	*link = (struct install_link){ .loop = loop, .listen_fd = -1 };
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0)
		return ota_fail(err, OTA_E_IO, "socket to net: %s", strerror(errno));
	link->user = user_of(config->user);
	if (listens != 0)
		return listen_for_nets(link, fd, err);
	rc = take_peer(link, fd);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "socket to net");
}

void install_link_answer_to(
	struct install_link *link, const struct net_peer_events *events, void *ctx)
{
	link->events = events;
	link->ctx = ctx;
}

bool install_link_listens(const struct install_link *link)
{
	return link->listen_fd >= 0;
}

void install_link_send(struct install_link *link, const struct ipc_message *message)
{
	if (link->has_peer)
		net_peer_send(&link->peer, message);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct install_link *link = handle->data;

	(void)close(link->listen_fd);
	link->listen_fd = -1;
}

void install_link_close(struct install_link *link)
{
	link->ended = true;
	if (link->has_peer && !uv_is_closing((uv_handle_t *)&link->peer.poll)) {
		link->peer.gone = true;
		uv_close((uv_handle_t *)&link->peer.poll, on_peer_closed);
	}
	if (link->listen_fd < 0)
		return;
	uv_close((uv_handle_t *)&link->pause, NULL);
	uv_close((uv_handle_t *)&link->listener, on_listener_closed);
}

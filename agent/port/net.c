#include "agent/port/net.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/port/net_docs.h"
#include "agent/port/net_peer.h"
#include "agent/port/net_pull.h"
#include "agent/port/net_repair.h"
#include "agent/port/net_voice.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/notify.h"
#include "proto/io/sandbox.h"

enum {
	LEAVE_MS = 1000,     /* for the last words */
	PASSWORD_MAX = 1024, /* bytes */
	SPOOL_DIR_MODE = 0750,
};

struct net {
	const struct agent_config *config; /* borrowed */
	uv_loop_t loop;
	uv_signal_t term, interrupt;
	uv_timer_t end_timer;
	struct ota_notify notify;
	struct ota_mqtt *link; /* owned until closed */
	struct net_peer peer;
	struct net_docs docs;
	struct net_voice voice;
	struct net_pull pull;
	struct net_repair repair;
	bool was_down;      /* and said so */
	char down_why[256]; /* the last reason, as it was logged */
	bool ending;
	int exit_code;
};

/* --- ending ----------------------------------------------------------------------------
 */

static void on_end(uv_timer_t *timer)
{
	struct net *net = timer->data;
	struct ota_mqtt *link = net->link;

	net->link = NULL;
	ota_mqtt_close(link, NULL, NULL);
	ota_notify_end(&net->notify);
	uv_close((uv_handle_t *)&net->term, NULL);
	uv_close((uv_handle_t *)&net->interrupt, NULL);
	uv_close((uv_handle_t *)&net->end_timer, NULL);
	net_peer_close(&net->peer);
}

static void on_left(void *ctx, enum ota_code code)
{
	struct net *net = ctx;

	(void)code;
	if (net->link != NULL)
		(void)uv_timer_start(&net->end_timer, on_end, 0, 0);
}

/* Say that we go, then go; without a link, or without an answer, go all the same. */
static void on_begin_end(uv_timer_t *timer)
{
	struct net *net = timer->data;
	bool said;

	net_pull_close(&net->pull);
	net_repair_close(&net->repair);
	said = net_voice_leave(&net->voice, on_left, net) == OTA_OK;
	(void)uv_timer_start(timer, on_end, said ? LEAVE_MS : 0, 0);
}

static void end(struct net *net, int exit_code)
{
	if (net->ending)
		return;
	net->ending = true;
	net->exit_code = exit_code;
	(void)uv_timer_start(&net->end_timer, on_begin_end, 0, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
	ota_log(OTA_LOG_INFO, "net.told-to-end", "signal=%d", number);
	end(handle->data, 0);
}

/* --- install ---------------------------------------------------------------------------
 */

static void take_report(struct net *net, struct ota_bytes report)
{
	if (net_voice_report(&net->voice, report) != OTA_OK)
		ota_log(OTA_LOG_ERR, "net.report-lost", "bytes=%zu", report.len);
}

/* STOP and PURGE are for both. */
static void fetch(struct net *net, const struct ipc_message *message)
{
	net_repair_request(&net->repair, message);
	net_pull_request(&net->pull, message);
}

static void on_request(void *ctx, const struct ipc_message *message)
{
	struct net *net = ctx;

	if (net->ending)
		return;
	if (message->type == IPC_WANT)
		net_docs_want(&net->docs, message, net->link);
	else if (message->type == IPC_REPORT)
		take_report(net, message->payload);
	else if (message->type == IPC_PROGRESS)
		net_voice_progress(&net->voice, message->payload);
	else
		fetch(net, message);
}

static void on_install_gone(void *ctx, const char *why)
{
	ota_log(OTA_LOG_WARNING, "net.install-gone", "why=\"%s\"", why);
	end(ctx, 1);
}

static const struct net_peer_events peer_events = { on_request, on_install_gone };

/* --- the link --------------------------------------------------------------------------
 */

static void on_up(void *ctx)
{
	struct net *net = ctx;
	struct ipc_message message = { .type = IPC_UP };

	if (net->ending)
		return;
	net->was_down = false;
	ota_log(OTA_LOG_INFO, "net.up", "url=%s", net->config->broker.url);
	message.payload = (struct ota_bytes){ net->voice.nonce, OTA_NONCE_LEN };
	net_peer_send(&net->peer, &message);
	net_voice_up(&net->voice);
	net_docs_up(&net->docs, net->link);
	net_pull_link(&net->pull, true);
	net_repair_link(&net->repair, true);
}

static void on_down(void *ctx, const char *why)
{
	struct net *net = ctx;
	struct ipc_message message = { .type = IPC_DOWN };
	char quoted[sizeof net->down_why];
	bool is_news;

	if (net->ending)
		return;
	/* Each reason once in a row: a broker that is away for a day must not fill the
	 * log. */
	(void)ota_log_quote(why, quoted);
	is_news = !net->was_down || strcmp(quoted, net->down_why) != 0;
	ota_log(is_news ? OTA_LOG_WARNING : OTA_LOG_DEBUG, "net.down", "why=%s", quoted);
	(void)snprintf(net->down_why, sizeof net->down_why, "%s", quoted);
	if (net->was_down)
		return;
	net->was_down = true;
	net_peer_send(&net->peer, &message);
	net_pull_link(&net->pull, false);
	net_repair_link(&net->repair, false);
}

static void forward(
	struct net *net, const struct ota_topic *topic, const struct net_message *message)
{
	struct ipc_message packet = { .type = IPC_DOC,
		.code = (uint32_t)topic->kind,
		.a = topic->root,
		.digest = topic->digest,
		.payload = message->payload };

	(void)snprintf(packet.name, sizeof packet.name, "%s", topic->name);
	if (net_docs_has(&net->docs, message->topic))
		net_peer_send(&net->peer, &packet);
}

static void on_message(
	void *ctx, const char *topic, struct ota_bytes payload, bool retained)
{
	struct net *net = ctx;
	struct net_message message = { topic, payload, retained };
	struct ota_topic parsed = { 0 };
	enum net_route_kind kind = NET_NOTHING;
	struct ota_error err = { 0 };
	char quoted[256], why[256];

	if (net->ending)
		return;
	if (net_route(net->config->fleet, net->config->device, &message, &parsed, &kind,
		    &err) != OTA_OK)
		ota_log(OTA_LOG_WARNING, "net.refused", "topic=%s why=%s",
			ota_log_quote(topic, quoted), ota_log_quote(err.text, why));
	else if (kind == NET_DOCUMENT)
		forward(net, &parsed, &message);
	else if (kind == NET_REPAIR)
		net_repair_take(&net->repair, &parsed, &message);
	else if (kind != NET_NOTHING)
		net_pull_take(&net->pull, &parsed, &message);
}

static const struct ota_mqtt_events link_events = { on_up, on_down, on_message };

static const char *or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

static enum ota_code read_password(
	const struct agent_config *config, struct ota_buf *out, struct ota_error *err)
{
	enum ota_code rc;

	if (config->broker.password_file[0] == '\0')
		return OTA_OK;
	rc = ota_file_read(config->broker.password_file, PASSWORD_MAX, out, err);
	while (rc == OTA_OK && out->len > 0 && out->at[out->len - 1] == '\n')
		out->len--;
	if (rc == OTA_OK && ota_buf_text(out) == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no memory for the password");
	return rc;
}

static enum ota_code open_link(
	struct net *net, const char *password, struct ota_error *err)
{
	const struct agent_broker_config *broker = &net->config->broker;
	struct ota_mqtt_config config = { .url = broker->url,
		.client_id = net->config->device,
		.user = or_null(broker->user),
		.password = password,
		.ca_file = or_null(broker->ca_file),
		.cert_file = or_null(broker->cert_file),
		.key_file = or_null(broker->key_file),
		.will_topic = net->voice.online_topic,
		.will_payload = net->voice.offline,
		.keepalive_s = broker->keepalive_s };

	return ota_mqtt_new(&net->loop, &config, &link_events, net, &net->link, err);
}

/* --- life ------------------------------------------------------------------------------
 */

/* Root makes the spool directory for the user that net becomes. */
static enum ota_code make_spool_dir(
	const struct agent_config *config, struct ota_error *err)
{
	enum ota_code rc = ota_dir_make(config->spool_dir, SPOOL_DIR_MODE, err);
	const struct passwd *user;

	if (rc != OTA_OK || geteuid() != 0 || config->user[0] == '\0')
		return rc;
	user = getpwnam(config->user);
	if (user == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "no user '%s'", config->user);
	if (chown(config->spool_dir, user->pw_uid, user->pw_gid) != 0)
		return ota_fail(err, OTA_E_IO, "%s: chown: %s", config->spool_dir,
			strerror(errno));
	return OTA_OK;
}

static enum ota_code become_small(
	const struct agent_config *config, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	if (config->user[0] != '\0')
		rc = ota_sandbox_become(config->user, err);
	if (rc == OTA_OK)
		rc = ota_sandbox_harden(err);
	/* Changing user cleared it: net does not outlive its supervisor. */
	if (rc == OTA_OK && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		rc = ota_fail(err, OTA_E_IO, "prctl: %s", strerror(errno));
	return rc;
}

static enum ota_code watch_signals(struct net *net)
{
	if (uv_signal_init(&net->loop, &net->term) != 0 ||
		uv_signal_init(&net->loop, &net->interrupt) != 0 ||
		uv_signal_start(&net->term, on_signal, SIGTERM) != 0 ||
		uv_signal_start(&net->interrupt, on_signal, SIGINT) != 0)
		return OTA_E_IO;
	net->term.data = net->interrupt.data = net;
	return OTA_OK;
}

/* A failure here ends the process, so nothing is taken down again. */
static enum ota_code build(struct net *net, int fd, struct ota_error *err)
{
	const struct agent_config *config = net->config;
	OTA_AUTO(ota_buf_fini) struct ota_buf password = { 0 };
	enum ota_code rc = make_spool_dir(config, err);

	if (rc == OTA_OK)
		rc = read_password(config, &password, err);
	if (rc == OTA_OK)
		rc = become_small(config, err);
	if (rc != OTA_OK)
		return rc;
	net_docs_init(&net->docs, config->fleet, config->device);
	net_voice_init(&net->voice, config->fleet, config->device);
	if (uv_loop_init(&net->loop) != 0 ||
		uv_timer_init(&net->loop, &net->end_timer) != 0 ||
		watch_signals(net) != OTA_OK ||
		net_peer_init(&net->peer, &net->loop, fd, &peer_events, net) != OTA_OK ||
		net_pull_init(&net->pull, &net->loop, &net->peer, config) != OTA_OK ||
		net_repair_init(&net->repair, &net->loop, &net->peer, config) != OTA_OK)
		return ota_fail(err, OTA_E_IO, "the loop could not be made");
	net->end_timer.data = net;
	rc = open_link(net, (const char *)password.at, err);
	net->voice.link = net->pull.link = net->repair.link = net->link;
	return rc;
}

int net_run(const struct agent_config *config, int fd)
{
	struct net net = { .config = config };
	struct ipc_message hello = { .type = IPC_HELLO };
	struct ota_error err = { 0 };
	char quoted[256];

	ota_log_set_level(config->log_level);
	if (build(&net, fd, &err) != OTA_OK) {
		ota_log(OTA_LOG_ERR, "net.failed", "why=%s",
			ota_log_quote(err.text, quoted));
		return 1;
	}
	net_peer_send(&net.peer, &hello);
	ota_notify_begin(&net.notify, &net.loop);
	(void)uv_run(&net.loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&net.loop);
	net_peer_fini(&net.peer);
	net_voice_fini(&net.voice);
	return net.exit_code;
}

#include "orchestrator/port/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/port/core_ports.h"
#include "orchestrator/port/fatal.h"
#include "orchestrator/port/home_assistant.h"
#include "orchestrator/port/http.h"
#include "orchestrator/port/mqtt_in.h"
#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/log.h"

enum {
	ANCHOR_LEN_MAX = OTA_ENVELOPE_LEN_MAX,
	PASSWORD_LEN_MAX = 1024,
	TICK_MS = 1000,
	ASK_MS = 1000,
	SEND_BUFFER_LEN = 4 << 20, /* bytes; Paho stalls for a second when it is full */
	/* s: one client needs no spreading out, and a fleet waits for it. The broker may
	 * have lost all it held, and devices that prove themselves are on a deadline. */
	RECONNECT_MAX_S = 5,
};

struct daemon {
	const struct sluiced_config *config; /* borrowed */
	uv_loop_t loop;
	uv_signal_t on_term, on_int;
	uv_timer_t tick;
	uv_timer_t ask; /* for the lead, while another has it */
	struct ledger_leader self;
	struct ledger_leader other; /* while it leads */
	struct ota_error failure;   /* why it stops by itself */
	int lock;                   /* owned; -1: none */
	struct ota_buf anchor;
	struct signer signer;
	struct ledger *ledger; /* owned, as all below */
	struct images *images;
	struct patches *patches;
	struct publisher *publisher;
	struct mqtt_in *in;
	struct ota_mqtt *link;
	struct api_keys *keys;
	struct http *http;
	struct core *core;
	struct core_ports ports;
	struct status_batch *batch;
	struct webhooks *webhooks;
	struct home_assistant *home;
	struct api api;
	bool told;   /* that it stands by, and for whom */
	bool linked; /* a session with the broker stands */
	bool stopping;
};

/* ---- reading what stands in files */

static enum ota_code take_lock(struct daemon *d, struct ota_error *err)
{
	char path[CONFIG_PATH_CAP + 16];
	enum ota_code rc = ota_dir_make(d->config->state_dir, 0700, err);

	if (rc != OTA_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "%s/sluiced.lock", d->config->state_dir);
	d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock < 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (flock(d->lock, LOCK_EX | LOCK_NB) != 0)
		return ota_fail(err, OTA_E_BUSY, "another sluiced runs on %s",
			d->config->state_dir);
	return OTA_OK;
}

static enum ota_code read_secrets(struct daemon *d, struct ota_error *err)
{
	enum ota_code rc =
		ota_file_read(d->config->root, ANCHOR_LEN_MAX, &d->anchor, err);

	if (rc == OTA_OK)
		rc = signer_open(d->config->online_key, ota_buf_bytes(&d->anchor),
			&d->signer, err);
	if (rc == OTA_OK)
		rc = api_keys_open(d->config->api_keys, &d->keys, err);
	return rc;
}

static enum ota_code load_row(void *ctx, enum core_table table, const char *key,
	struct ota_bytes value, struct ota_error *err)
{
	return core_load(ctx, table, key, value, err);
}

/* ---- events */

/* Whatever woke us up: if another leads since, what is in memory is not true any more. */
static void must_lead(struct daemon *d)
{
	struct ota_error err = { 0 };

	if (ledger_hold(d->ledger, &err) != OTA_OK)
		fatal_ledger(&err);
}

static void patch_made(void *ctx, const struct core_patch *patch)
{
	struct daemon *d = ctx;

	core_patch_made(d->core, port_now(), patch);
}

static void patch_failed(void *ctx, const struct ota_digest *from,
	const struct ota_digest *to, const struct ota_error *why)
{
	struct daemon *d = ctx;

	core_patch_failed(d->core, port_now(), from, to, why);
}

static void link_up(void *ctx)
{
	struct daemon *d = ctx;

	must_lead(d);
	d->linked = true;
	ota_log(OTA_LOG_INFO, "broker.connected", "url=%s", d->config->broker.url);
	if (d->in)
		mqtt_in_up(d->in, d->link);
	publisher_up(d->publisher, d->link);
	home_assistant_up(d->home, d->link);
}

static void link_down(void *ctx, const char *why)
{
	struct daemon *d = ctx;
	char quoted[256];

	must_lead(d); /* another's connection under our name ends ours */
	ota_log(OTA_LOG_WARNING, "broker.lost", "url=%s why=%s", d->config->broker.url,
		ota_log_quote(why, quoted));
	if (d->in)
		mqtt_in_down(d->in);
	publisher_down(d->publisher);
	home_assistant_down(d->home);
	if (d->linked)
		core_session_lost(d->core, port_now());
	d->linked = false;
}

static void link_message(
	void *ctx, const char *topic, struct ota_bytes payload, bool retained)
{
	struct daemon *d = ctx;

	if (!home_assistant_message(d->home, topic, payload, retained) &&
		!publisher_message(d->publisher, topic, payload, retained) && d->in)
		mqtt_in_message(d->in, topic, payload);
}

static void tick(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	uint64_t slowest_ms = d->ports.slowest_ms;

	must_lead(d);
	d->ports.slowest_ms = 0;
	if (slowest_ms > 0)
		core_stored(d->core, port_now(), slowest_ms);
	(void)core_tick(d->core, port_now());
}

/* ---- starting */

/* Of the memory there is, half is for what a codec has beside both images. */
static uint64_t images_max(uint32_t workers)
{
	uint64_t memory = uv_get_total_memory(), limit = uv_get_constrained_memory();

	if (limit > 0 && limit < memory)
		memory = limit;
	return memory / 2 / workers;
}

static enum ota_code open_parts(struct daemon *d, struct ota_error *err)
{
	const struct sluiced_config *c = d->config;
	const struct patches_events events = { d, patch_made, patch_failed };
	struct publisher_config publisher = { c->fleet, c->patches.dir, NULL };
	struct patches_config patches = { .dir = c->patches.dir,
		.workers = c->patches.workers,
		.codec = c->patches.codec,
		.level = c->patches.level,
		.images_max = images_max(c->patches.workers) };
	enum ota_code rc = images_open(c->images, &d->images, err);

	patches.images = d->images;
	if (rc == OTA_OK)
		rc = patches_new(&d->loop, &patches, &events, &d->patches, err);
	publisher.ledger = d->ledger;
	if (rc == OTA_OK)
		rc = publisher_new(&d->loop, &publisher, &d->publisher, err);
	return rc;
}

static enum ota_code start_core(struct daemon *d, struct ota_error *err)
{
	struct mqtt_in_config in = { .fleet = d->config->fleet,
		.publisher = d->publisher };
	struct core_port port;
	enum ota_code rc;

	rc = status_batch_new(&d->loop, d->ledger, &d->ports.slowest_ms, &d->batch, err);
	if (rc != OTA_OK)
		return rc;
	d->ports = (struct core_ports){ .ledger = d->ledger,
		.patches = d->patches,
		.publisher = d->publisher,
		.signer = &d->signer,
		.fleet = d->config->fleet,
		.batch = d->batch };
	port = core_ports_of(&d->ports);
	d->core = core_new(&port, d->config->fleet);
	if (!d->core)
		return ota_fail(err, OTA_E_NOMEM, "core");
	in.core = d->core;
	rc = mqtt_in_new(&d->loop, &in, &d->in, err);
	if (rc == OTA_OK)
		rc = ledger_each_row(d->ledger, load_row, d->core, err);
	if (rc == OTA_OK)
		rc = core_start(d->core, port_now(), ota_buf_bytes(&d->anchor), err);
	(void)malloc_trim(0); /* all rows were trees, several times as large */
	return rc;
}

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static enum ota_code start_link(struct daemon *d, struct ota_error *err)
{
	static const struct ota_mqtt_events events = { link_up, link_down, link_message };
	OTA_AUTO(ota_buf_fini) struct ota_buf password = { 0 };
	const struct sluiced_config *c = d->config;
	struct ota_mqtt_config config = {
		.url = c->broker.url,
		.client_id = c->broker.client_id,
		.user = text_or_null(c->broker.user),
		.ca_file = text_or_null(c->broker.ca),
		.cert_file = text_or_null(c->broker.cert),
		.key_file = text_or_null(c->broker.key),
		.send_buffer_len = SEND_BUFFER_LEN,
		.reconnect_max_s = RECONNECT_MAX_S,
	};
	enum ota_code rc = OTA_OK;

	config.will_topic = home_assistant_will(d->home, &config.will_payload);
	if (c->broker.password_file[0]) {
		rc = ota_file_read(
			c->broker.password_file, PASSWORD_LEN_MAX, &password, err);
		while (password.len > 0 && password.at[password.len - 1] == '\n')
			password.len--;
		config.password = ota_buf_text(&password);
	}
	if (rc == OTA_OK)
		rc = ota_mqtt_new(&d->loop, &config, &events, d, &d->link, err);
	return rc;
}

static enum ota_code start_http(struct daemon *d, struct ota_error *err)
{
	struct http_config config = { d->config->http.host, d->config->http.port, &d->api,
		d->keys };
	char address[HTTP_ADDRESS_CAP], path[CONFIG_PATH_CAP + 16];
	char line[HTTP_ADDRESS_CAP + 1];
	enum ota_code rc;

	d->api.standby = &d->other;
	rc = http_new(&d->loop, &config, &d->http, address, err);
	if (rc != OTA_OK)
		return rc;
	(void)snprintf(d->self.address, sizeof(d->self.address), "%s", address);
	(void)snprintf(path, sizeof(path), "%s/http.addr", d->config->state_dir);
	(void)snprintf(line, sizeof(line), "%s\n", address);
	rc = ota_file_replace(path, ota_bytes_of(line), 0644, err);
	if (rc == OTA_OK)
		ota_log(OTA_LOG_NOTICE, "api.listening", "address=%s", address);
	return rc;
}

static enum ota_code start_leading(struct daemon *d, struct ota_error *err)
{
	const struct webhooks_config webhooks = { d->ledger, d->config };
	enum ota_code rc = open_parts(d, err);

	if (rc == OTA_OK) /* before anything happens that one may want to hear */
		rc = webhooks_new(&d->loop, &webhooks, &d->webhooks, err);
	if (rc == OTA_OK)
		rc = start_core(d, err);
	if (rc == OTA_OK)
		rc = home_assistant_new(
			&d->loop, d->config, d->core, d->ledger, &d->home, err);
	if (rc == OTA_OK)
		rc = start_link(d, err);
	if (rc != OTA_OK)
		return rc;
	d->api.core = d->core;
	d->api.ports = &d->ports;
	d->api.ledger = d->ledger;
	d->api.images = d->images;
	d->api.patches = d->patches;
	d->api.publisher = d->publisher;
	d->api.link = d->link;
	d->api.broker_url = d->config->broker.url;
	d->api.in = d->in;
	d->api.webhooks = d->webhooks;
	d->api.standby = NULL;
	(void)uv_timer_start(&d->tick, tick, TICK_MS, TICK_MS);
	ota_log(OTA_LOG_NOTICE, "sluiced.leading", "fleet=%s self=%s", d->config->fleet,
		d->self.owner);
	return OTA_OK;
}

/* Tell people who ask here where to ask instead. */
static void stand_by(struct daemon *d, const struct ledger_leader *leader)
{
	char quoted[256];

	if (d->told && strcmp(leader->owner, d->other.owner) == 0 &&
		strcmp(leader->address, d->other.address) == 0)
		return;
	d->told = true;
	d->other = *leader;
	ota_log(OTA_LOG_NOTICE, "sluiced.standby", "leader=%s address=%s",
		ota_log_quote(leader->owner, quoted), leader->address);
}

static enum ota_code ask_to_lead(struct daemon *d, struct ota_error *err)
{
	struct ledger_leader leader = { 0 };
	bool leads = false;
	enum ota_code rc = ledger_lead(d->ledger, &d->self, &leads, &leader, err);

	if (rc != OTA_OK)
		return rc;
	if (!leads) {
		stand_by(d, &leader);
		return OTA_OK;
	}
	(void)uv_timer_stop(&d->ask);
	return start_leading(d, err);
}

/* ---- stopping: each step begins when the one before holds nothing any more; read from
 * the last to the first */

static void batch_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->batch = d->ports.batch = NULL;
	uv_close((uv_handle_t *)&d->on_term, NULL);
	uv_close((uv_handle_t *)&d->on_int, NULL);
	uv_close((uv_handle_t *)&d->tick, NULL);
	uv_close((uv_handle_t *)&d->ask, NULL);
}

static void patches_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->patches = NULL;
	status_batch_close(d->batch, batch_gone, d);
}

static void publisher_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->publisher = NULL;
	patches_close(d->patches, patches_gone, d);
}

static void home_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->home = NULL;
	publisher_close(d->publisher, publisher_gone, d);
}

static void link_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->link = NULL;
	home_assistant_close(d->home, home_gone, d);
}

static void in_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->in = NULL;
	/* first, so that what the link gives up on is not taken for a failure */
	if (d->publisher)
		publisher_down(d->publisher);
	if (d->link)
		ota_mqtt_close(d->link, link_gone, d);
	else
		link_gone(d);
}

static void webhooks_gone(void *ctx)
{
	struct daemon *d = ctx;

	d->webhooks = NULL;
	mqtt_in_close(d->in, in_gone, d);
}

static void http_gone(void *ctx)
{
	struct daemon *d = ctx;

	webhooks_close(d->webhooks, webhooks_gone, d);
}

static void stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	(void)uv_timer_stop(&d->tick);
	(void)uv_timer_stop(&d->ask);
	home_assistant_leave(d->home);
	http_close(d->http, http_gone, d);
}

static void signalled(uv_signal_t *handle, int number)
{
	ota_log(OTA_LOG_NOTICE, "sluiced.stopping", "signal=%d", number);
	stop(handle->data);
}

/* ---- life */

static void init(struct daemon *d, const struct sluiced_config *config)
{
	d->config = config;
	d->lock = -1;
	(void)uv_loop_init(&d->loop);
	(void)uv_signal_init(&d->loop, &d->on_term);
	(void)uv_signal_init(&d->loop, &d->on_int);
	(void)uv_timer_init(&d->loop, &d->tick);
	(void)uv_timer_init(&d->loop, &d->ask);
	d->on_term.data = d->on_int.data = d->tick.data = d->ask.data = d;
	(void)uv_signal_start(&d->on_term, signalled, SIGTERM);
	(void)uv_signal_start(&d->on_int, signalled, SIGINT);
}

static void ask(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	d->failure.code = ask_to_lead(d, &d->failure);
	if (d->failure.code != OTA_OK)
		stop(d);
}

static void name_self(struct daemon *d)
{
	char host[64] = "";

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(
		d->self.owner, sizeof(d->self.owner), "%s:%d", host, (int)getpid());
}

static enum ota_code start(struct daemon *d, struct ota_error *err)
{
	enum ota_code rc = take_lock(d, err);

	name_self(d);
	if (rc == OTA_OK)
		rc = read_secrets(d, err);
	if (rc == OTA_OK)
		rc = ledger_open(d->config->database, &d->ledger, err);
	if (rc == OTA_OK)
		rc = start_http(d, err);
	if (rc == OTA_OK) {
		(void)uv_timer_start(&d->ask, ask, ASK_MS, ASK_MS);
		rc = ask_to_lead(d, err);
	}
	return rc;
}

static void fini(struct daemon *d)
{
	(void)uv_loop_close(&d->loop);
	core_free(d->core);
	ledger_close(d->ledger);
	images_free(d->images);
	api_keys_free(d->keys);
	signer_fini(&d->signer);
	ota_buf_fini(&d->anchor);
	if (d->lock >= 0)
		(void)close(d->lock);
}

enum ota_code daemon_run(const struct sluiced_config *config, struct ota_error *err)
{
	OTA_AUTO(fini) struct daemon d = { 0 };
	enum ota_code rc;

	(void)signal(SIGPIPE, SIG_IGN);
	init(&d, config);
	rc = start(&d, err);
	if (rc == OTA_OK)
		ota_log(OTA_LOG_NOTICE, "sluiced.started",
			"version=" SLUICE_VERSION " fleet=%s unclean=%d", config->fleet,
			ledger_was_unclean(d.ledger));
	else
		stop(&d);
	(void)uv_run(&d.loop, UV_RUN_DEFAULT);
	if (rc != OTA_OK || d.failure.code == OTA_OK)
		return rc;
	return ota_fail(err, d.failure.code, "%s", d.failure.text);
}

/* ---- checking */

/* A file that is not there yet will be made by the first start. */
static enum ota_code check_ledger(const char *database, struct ota_error *err)
{
	struct stat st;
	bool is_file = !strstr(database, "://");

	return is_file && stat(database, &st) != 0 ? OTA_OK : ledger_check(database, err);
}

enum ota_code daemon_check(const struct sluiced_config *config, struct ota_error *err)
{
	struct daemon d = { .config = config, .lock = -1 };
	enum ota_code rc = read_secrets(&d, err);

	if (rc == OTA_OK)
		rc = check_ledger(config->database, err);
	api_keys_free(d.keys);
	signer_fini(&d.signer);
	ota_buf_fini(&d.anchor);
	return rc;
}

#include "orchestrator/port/opener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/now.h"
#include "proto/base/own.h"
#include "proto/io/worker.h"
#include "proto/wire/trust.h"

enum { WAITING_MAX = 8192 }; /* messages; their link takes no more before */

/* What a device said. */
struct said {
	struct ota_work work;       /* first */
	struct ota_mqtt_kept *kept; /* owned; topic and envelope are in it */
	const char *topic;
	char device[OTA_NAME_CAP];
	bool is_report;           /* it is presence, or: */
	struct ota_online online; /* of presence */
	struct core_seal seal;
	struct ota_bytes envelope;
	struct ota_digest digest; /* of its payload */
	enum ota_code code;       /* what opening gave: the error, or the report */
	struct ota_error err;
	struct ota_report report;
};

struct opener {
	struct opener_config config;
	struct ota_worker *worker; /* owned */
	void (*closed)(void *ctx);
	void *closed_ctx; /* borrowed */
};

static void release(void *ctx, struct ota_work *work)
{
	struct said *said = (struct said *)work;

	(void)ctx;
	ota_mqtt_let_go(said->kept);
	free(said);
}

/* On the thread: nothing is touched that is not in the item. */
static void open_report(struct ota_work *work)
{
	struct said *said = (struct said *)work;

	if (!said->is_report)
		return;
	said->code = ota_report_open(said->envelope, said->seal.fleet_id, &said->seal.key,
		said->device, &said->report, &said->err);
	if (said->code != OTA_OK)
		(void)ota_wrap(&said->err, said->code, "report of %s", said->device);
}

static void tell_core(void *ctx, struct ota_work *work)
{
	struct opener *opener = ctx;
	struct said *said = (struct said *)work;
	const struct core_verified verified = { &said->seal, said->envelope,
		&said->report, &said->digest };

	if (!said->is_report)
		said->code = core_presence(opener->config.core, port_now(), said->device,
			&said->online, &said->err);
	else if (said->code == OTA_OK)
		said->code = core_verified_report(
			opener->config.core, port_now(), &verified, &said->err);
	if (said->code != OTA_OK)
		opener->config.refused(opener->config.ctx, said->topic, &said->err);
	release(NULL, work);
}

/* Hand over a message with what is known of it in `like`; it is kept on success only. */
static OTA_CHECKED enum ota_code give(struct opener *opener,
	const struct opener_message *message, const struct said *like,
	struct ota_error *err)
{
	ota_autofree struct said *said = malloc(sizeof(*said));
	enum ota_code rc;

	if (!said)
		return ota_fail(err, OTA_E_NOMEM, "message");
	*said = *like;
	said->topic = message->topic;
	(void)snprintf(said->device, sizeof(said->device), "%s", message->device);
	rc = ota_worker_give(opener->worker, &said->work);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "too many messages wait");
	said->kept = ota_mqtt_keep(message->link); /* nothing that the thread looks at */
	(void)ota_take(&said);
	return OTA_OK;
}

enum ota_code opener_report(struct opener *opener, const struct opener_message *message,
	struct ota_error *err)
{
	struct said said = { .is_report = true, .envelope = message->payload };
	struct ota_envelope envelope;
	enum ota_code rc =
		core_seal_of(opener->config.core, message->device, &said.seal, err);

	if (rc == OTA_OK)
		rc = ota_envelope_parse(message->payload, &envelope, err);
	if (rc != OTA_OK)
		return rc;
	said.digest = ota_digest_of(envelope.payload);
	if (core_has_report(opener->config.core, message->device, &said.digest))
		return OTA_OK;
	return give(opener, message, &said, err);
}

enum ota_code opener_presence(struct opener *opener, const struct opener_message *message,
	const struct ota_online *online, struct ota_error *err)
{
	return give(opener, message, &(struct said){ .online = *online }, err);
}

/* ---- life */

enum ota_code opener_new(uv_loop_t *loop, const struct opener_config *config,
	struct opener **out, struct ota_error *err)
{
	static const struct ota_worker_calls calls = { open_report, tell_core, release };
	ota_autofree struct opener *opener = calloc(1, sizeof(*opener));
	enum ota_code rc = OTA_E_NOMEM;

	if (opener)
		rc = ota_worker_new(loop, &calls, opener, WAITING_MAX, &opener->worker);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "thread for reports");
	opener->config = *config;
	*out = ota_take(&opener);
	return OTA_OK;
}

static void worker_gone(void *ctx)
{
	struct opener *opener = ctx;

	opener->closed(opener->closed_ctx);
	free(opener);
}

void opener_close(struct opener *opener, void (*closed)(void *ctx), void *ctx)
{
	opener->closed = closed;
	opener->closed_ctx = ctx;
	ota_worker_close(opener->worker, worker_gone, opener);
}

#include "orchestrator/port/core_ports.h"

#include "orchestrator/port/fatal.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

/* What the core asks for happens, or this process ends and starts from what is stored. */
static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc != OTA_OK)
		fatal_ledger(err);
}

/* The ledger's transaction begins with the first thing that is more than what a device
 * said. */
static void open_transaction(struct core_ports *ports)
{
	struct ota_error err = { 0 };

	if (!ports->open)
		must(ledger_begin(ports->ledger, &err), &err);
	ports->open = true;
}

static void begin(void *ctx)
{
	struct core_ports *ports = ctx;

	if (!ports->batch)
		open_transaction(ports);
}

static void commit(void *ctx)
{
	struct core_ports *ports = ctx;
	struct ota_error err = { 0 };
	uint64_t began_ms, took_ms;

	if (ports->held)
		return;
	if (!ports->open) {
		status_batch_settle(ports->batch);
		return;
	}
	if (ports->batch)
		status_batch_join(ports->batch);
	began_ms = ota_clock_mono_ms();
	must(ledger_commit(ports->ledger, &err), &err);
	took_ms = ota_clock_mono_ms() - began_ms;
	if (took_ms > ports->slowest_ms)
		ports->slowest_ms = took_ms;
	ports->open = false;
	publisher_kick(ports->publisher);
}

/* More than a batch takes belongs to one call: its transaction has room. */
static void put_status(struct core_ports *ports, const char *key, struct ota_bytes value)
{
	if (status_batch_put(ports->batch, key, value))
		return;
	open_transaction(ports);
	status_batch_join(ports->batch);
	(void)status_batch_put(ports->batch, key, value);
}

static void put(void *ctx, enum core_table table, const char *key, struct ota_bytes value)
{
	struct core_ports *ports = ctx;
	struct ota_error err = { 0 };

	if (table == CORE_STATUS && ports->batch) {
		put_status(ports, key, value);
		return;
	}
	open_transaction(ports);
	must(ledger_put(ports->ledger, table, key, value, &err), &err);
}

static void drop(void *ctx, enum core_table table, const char *key)
{
	struct core_ports *ports = ctx;
	struct ota_error err = { 0 };

	open_transaction(ports);
	must(ledger_drop(ports->ledger, table, key, &err), &err);
}

static void audit(void *ctx, const char *who, const char *action, struct ota_bytes detail)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	struct core_ports *ports = ctx;
	struct audit_entry entry = {
		.at_utc_s = ota_clock_utc_s(), .who = who, .action = action
	};
	struct ota_error err = { .code = OTA_E_NOMEM };

	open_transaction(ports);
	must(ota_buf_add(&text, detail), &err);
	entry.detail = ota_buf_text(&text);
	must(entry.detail ? OTA_OK : OTA_E_NOMEM, &err);
	must(ledger_audit(ports->ledger, &entry, &err), &err);
}

static void retain(void *ctx, const char *topic, struct ota_bytes payload)
{
	struct core_ports *ports = ctx;
	struct ota_error err = { 0 };
	enum ledger_kind kind = payload.len ? LEDGER_MESSAGE : LEDGER_CLEAR;

	open_transaction(ports);
	must(ledger_retain(ports->ledger, topic, kind, payload, &err), &err);
}

static void set_patch(
	struct core_ports *ports, const struct ota_digest *patch, enum ledger_kind kind)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_MANIFEST, .digest = *patch };
	struct ota_bytes name = { patch->at, OTA_DIGEST_LEN };
	struct ota_error err = { 0 };
	char text[OTA_TOPIC_CAP];

	ota_topic_print(ports->fleet, &topic, text);
	open_transaction(ports);
	must(ledger_retain(ports->ledger, text, kind, name, &err), &err);
}

static void retain_patch(void *ctx, const struct ota_digest *patch)
{
	set_patch(ctx, patch, LEDGER_PATCH);
}

static void release_patch(void *ctx, const struct ota_digest *patch)
{
	set_patch(ctx, patch, LEDGER_RELEASE);
}

static void make_patch(
	void *ctx, const struct ota_digest *from, const struct ota_digest *to)
{
	struct core_ports *ports = ctx;

	patches_make(ports->patches, from, to);
}

static void sign(
	void *ctx, enum ota_doc_type type, struct ota_bytes payload, struct ota_buf *out)
{
	struct core_ports *ports = ctx;
	struct ota_error err = { 0 };
	enum ota_code rc = signer_sign(ports->signer, type, payload, out, &err);

	if (rc != OTA_OK)
		fatal_exit("sign.failed", &err);
}

static void fill_random(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	ota_random(out, len);
}

void core_ports_hold(struct core_ports *ports)
{
	ports->held = true;
}

bool core_ports_has_changed(const struct core_ports *ports)
{
	return ports->open;
}

void core_ports_keep(struct core_ports *ports, const struct ledger_answer *answer)
{
	struct ota_error err = { 0 };

	open_transaction(ports);
	must(ledger_answer_keep(ports->ledger, answer, &err), &err);
}

void core_ports_release(struct core_ports *ports)
{
	ports->held = false;
	commit(ports);
}

struct core_port core_ports_of(struct core_ports *ports)
{
	return (struct core_port){
		.ctx = ports,
		.begin = begin,
		.commit = commit,
		.put = put,
		.drop = drop,
		.audit = audit,
		.retain = retain,
		.retain_patch = retain_patch,
		.release_patch = release_patch,
		.make_patch = make_patch,
		.sign = sign,
		.random = fill_random,
	};
}

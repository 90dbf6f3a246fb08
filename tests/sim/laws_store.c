/* The port of the core in a hostile world: a store whose transactions may be lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/topics.h"
#include "tests/sim/laws_world.h"

/* ---- the store: transactions that may be lost as a whole */

static char *copied(struct ota_bytes text)
{
	char *copy = malloc(text.len + 1);

	lw_must(copy != NULL, "memory");
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	return copy;
}

static struct lw_row *row_of(struct laws_world *w, enum core_table table, const char *key)
{
	for (uint32_t i = 0; i < w->row_count; i++)
		if (w->rows[i].table == table && strcmp(w->rows[i].key, key) == 0)
			return &w->rows[i];
	return NULL;
}

static void row_set(struct laws_world *w, const struct lw_op *op)
{
	struct lw_row *row = row_of(w, op->table, op->key);

	if (row == NULL) {
		lw_must(w->row_count < LW_ROWS_MAX, "rows");
		row = &w->rows[w->row_count++];
		*row = (struct lw_row){ .table = op->table, .key = strdup(op->key) };
	}
	free(row->text);
	row->text = strdup(op->text);
	lw_must(row->key != NULL && row->text != NULL, "memory");
}

static void row_drop(struct laws_world *w, const struct lw_op *op)
{
	struct lw_row *row = row_of(w, op->table, op->key);

	if (row == NULL)
		return;
	free(row->key);
	free(row->text);
	*row = w->rows[--w->row_count];
}

static void forget_ops(struct laws_world *w)
{
	for (uint32_t i = 0; i < w->op_count; i++) {
		free(w->ops[i].key);
		free(w->ops[i].text);
	}
	w->op_count = 0;
}

static void keep_ops(struct laws_world *w)
{
	for (uint32_t i = 0; i < w->op_count; i++) {
		const struct lw_op *op = &w->ops[i];

		if (op->kind == LW_PUT)
			row_set(w, op);
		else if (op->kind == LW_DROP)
			row_drop(w, op);
	}
	laws_commit(w);
	forget_ops(w);
}

static void begin(void *ctx)
{
	struct laws_world *w = ctx;

	if (w->dead)
		return;
	lw_must(!w->in_transaction, "a transaction in a transaction");
	w->in_transaction = true;
	w->draft = w->ledger;
}

static void lose(struct laws_world *w)
{
	forget_ops(w);
	w->seen.lost++;
	w->dead = true;
	if (w->handing >= 0)
		w->devices[w->handing].heard = w->before;
}

static void commit(void *ctx)
{
	struct laws_world *w = ctx;

	if (w->dead)
		return;
	lw_must(w->in_transaction, "a commit without a transaction");
	w->in_transaction = false;
	if (lw_happens(w, 5)) {
		lose(w);
		return;
	}
	keep_ops(w);
	w->dead = lw_happens(w, 5);
	w->seen.killed += w->dead;
}

static void add_op(struct laws_world *w, const struct lw_op *op)
{
	if (!w->dead)
		lw_must(w->in_transaction, "a write without a transaction");
	if (w->dead || w->op_count == LW_OPS_MAX) {
		free(op->key);
		free(op->text);
		lw_must(w->dead, "operations");
		return;
	}
	w->ops[w->op_count++] = *op;
	laws_look(w, op);
}

static void put(void *ctx, enum core_table table, const char *key, struct ota_bytes value)
{
	const struct lw_op op = { .kind = LW_PUT,
		.table = table,
		.key = copied(ota_bytes_of(key)),
		.text = copied(value) };

	add_op(ctx, &op);
}

static void drop(void *ctx, enum core_table table, const char *key)
{
	const struct lw_op op = {
		.kind = LW_DROP, .table = table, .key = copied(ota_bytes_of(key))
	};

	add_op(ctx, &op);
}

static void audit(void *ctx, const char *who, const char *action, struct ota_bytes detail)
{
	const struct lw_op op = { .kind = LW_AUDIT,
		.key = copied(ota_bytes_of(action)),
		.text = copied(detail) };

	(void)who;
	add_op(ctx, &op);
}

static void retain(void *ctx, const char *topic, struct ota_bytes payload)
{
	ota_autofree struct ota_order *order = NULL;
	struct lw_op op = { .kind = LW_RETAIN };
	struct ota_topic at;
	struct ota_envelope e;

	if (strstr(topic, "/cohort/") == NULL || payload.len == 0)
		return;
	order = calloc(1, sizeof *order);
	lw_must(order != NULL && ota_topic_parse(LW_FLEET, topic, &at, NULL) == OTA_OK &&
			ota_envelope_parse(payload, &e, NULL) == OTA_OK &&
			ota_order_parse(e.payload, order, NULL) == OTA_OK,
		"an order that nobody can read");
	op.key = copied(ota_bytes_of(at.name));
	op.order.seq = order->seq;
	op.order.permille = order->permille;
	op.order.canary_count = order->canary_count;
	op.order.state = order->state;
	add_op(ctx, &op);
}

static void on_broker(void *ctx, const struct ota_digest *patch)
{
	(void)ctx;
	(void)patch;
}

static void make_patch(
	void *ctx, const struct ota_digest *from, const struct ota_digest *to)
{
	struct laws_world *w = ctx;

	if (w->asked_count < sizeof w->asked / sizeof w->asked[0])
		w->asked[w->asked_count++] =
			(struct core_patch){ .from = *from, .to = *to };
}

void lw_seal(enum ota_doc_type type, struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bare = { 0 };
	const uint8_t *id = (const uint8_t *)LW_FLEET_ID;

	lw_must(ota_envelope_seal(type, id, payload, &bare, NULL) == OTA_OK &&
			ota_envelope_sign(ota_buf_bytes(&bare), key, out, NULL) == OTA_OK,
		"seal");
}

static void sign(
	void *ctx, enum ota_doc_type type, struct ota_bytes payload, struct ota_buf *out)
{
	struct laws_world *w = ctx;

	lw_seal(type, payload, &w->keys[OTA_ROLE_ONLINE], out);
}

static void fill_random(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	memset(out, 7, len);
}

struct core_port lw_port(struct laws_world *w)
{
	return (struct core_port){ w, begin, commit, put, drop, audit, retain, on_broker,
		on_broker, make_patch, sign, fill_random };
}

void lw_store_fini(struct laws_world *w)
{
	forget_ops(w);
	for (uint32_t i = 0; i < w->row_count; i++) {
		free(w->rows[i].key);
		free(w->rows[i].text);
	}
}

/* The documents that machines sign: fresh, order, assign, report. */

#include "proto/wire/doc_table.h"

#include <string.h>

#define NUMBER_MAX OTA_JSON_NUMBER_MAX

enum {
	JITTER_MAX_S = 604800,   /* a week */
	DEADLINE_MAX_S = 604800, /* a week */
	MINUTE_MAX = 1439,
	CODE_MAX = 65535,
};

#define TEXT(name, text) text,
static const char *const order_states[] = { OTA_ORDER_STATES(TEXT) };
static const char *const update_states[] = { OTA_UPDATE_STATES(TEXT) };
#undef TEXT

/* clang-format off */
static const struct ota_doc_member fresh_order_rows[] = {
	OTA_ROW_NAME(ota_fresh_order, cohort, "cohort"),
	OTA_ROW_NUMBER(ota_fresh_order, seq, "seq", 1, NUMBER_MAX),
	OTA_ROW_HEX(ota_fresh_order, order, "order"),
};
static const struct ota_doc_table fresh_order_table = OTA_TABLE_OF(fresh_order_rows);

static const struct ota_doc_member fresh_rows[] = {
	OTA_ROW_NUMBER(ota_fresh, seq, "seq", 1, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_fresh, root, "root", 1, NUMBER_MAX),
	OTA_ROW_HEX(ota_fresh, catalog, "catalog"),
	OTA_ROW_NUMBER(ota_fresh, issued_utc_s, "issued", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_fresh, expires_utc_s, "expires", 0, NUMBER_MAX),
	OTA_ROW_OBJECTS(ota_fresh, orders, order_count, "orders", &fresh_order_table),
};

static const struct ota_doc_member patch_rows[] = {
	OTA_ROW_HEX(ota_patch_ref, from, "from"),
	OTA_ROW_HEX(ota_patch_ref, patch, "patch"),
};
static const struct ota_doc_table patch_table = OTA_TABLE_OF(patch_rows);

static const struct ota_doc_member window_rows[] = {
	OTA_ROW_NUMBER(ota_window, from_min, "from_min", 0, MINUTE_MAX),
	OTA_ROW_NUMBER(ota_window, to_min, "to_min", 0, MINUTE_MAX),
};
static const struct ota_doc_table window_table = OTA_TABLE_OF(window_rows);

static const struct ota_doc_member order_rows[] = {
	OTA_ROW_NAME(ota_order, cohort, "cohort"),
	OTA_ROW_NUMBER(ota_order, seq, "seq", 1, NUMBER_MAX),
	OTA_ROW_NAME(ota_order, rollout, "rollout"),
	OTA_ROW_CHOICE(ota_order, state, "state", order_states, OTA_N_ORDER_STATES),
	OTA_ROW_HEX(ota_order, release, "release"),
	OTA_ROW_HEX(ota_order, image, "image"),
	OTA_ROW_NUMBER(ota_order, image_len, "image_len", 1, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_order, counter, "counter", 1, NUMBER_MAX),
	OTA_ROW_NAMES(ota_order, hardware, hardware_count, "hardware", 1),
	OTA_ROW_NUMBER(ota_order, permille, "permille", 0, OTA_PERMILLE_ALL),
	OTA_ROW_NAMES(ota_order, canaries, canary_count, "canaries", 0),
	OTA_ROW_OBJECTS(ota_order, patches, patch_count, "patches", &patch_table),
	OTA_ROW_OBJECT(ota_order, window, "window", &window_table),
	OTA_ROW_NUMBER(ota_order, jitter_s, "jitter_s", 0, JITTER_MAX_S),
	OTA_ROW_NUMBER(ota_order, install_s, "install_s", 1, DEADLINE_MAX_S),
	OTA_ROW_NUMBER(ota_order, prove_s, "prove_s", 1, DEADLINE_MAX_S),
};

static const struct ota_doc_member assign_rows[] = {
	OTA_ROW_NAME(ota_assign, device, "device"),
	OTA_ROW_NUMBER(ota_assign, seq, "seq", 1, NUMBER_MAX),
	OTA_ROW_NAME(ota_assign, cohort, "cohort"),
	OTA_ROW_LABELS(ota_assign, labels, label_count, "labels"),
};

static const struct ota_doc_member report_rows[] = {
	OTA_ROW_NAME(ota_report, device, "device"),
	OTA_ROW_NUMBER(ota_report, boot, "boot", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, counter, "counter", 0, NUMBER_MAX),
	OTA_ROW_HEX(ota_report, nonce, "nonce"),
	OTA_ROW_NAME(ota_report, agent, "agent"),
	OTA_ROW_NAME(ota_report, product, "product"),
	OTA_ROW_NAME(ota_report, hardware, "hardware"),
	OTA_ROW_NAME_OR_NONE(ota_report, version, "version"),
	OTA_ROW_HEX(ota_report, running, "running"),
	OTA_ROW_HEX(ota_report, other, "other"),
	OTA_ROW_NUMBER(ota_report, running_counter, "running_counter", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, other_counter, "other_counter", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, floor, "floor", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, root, "root", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, fresh_seq, "fresh_seq", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, order_seq, "order_seq", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, assign_seq, "assign_seq", 0, NUMBER_MAX),
	OTA_ROW_NAME_OR_NONE(ota_report, cohort, "cohort"),
	OTA_ROW_CHOICE(ota_report, state, "state", update_states, OTA_N_UPDATE_STATES),
	OTA_ROW_NAME_OR_NONE(ota_report, rollout, "rollout"),
	OTA_ROW_HEX(ota_report, release, "release"),
	OTA_ROW_BOOL(ota_report, confirmed, "confirmed"),
	OTA_ROW_NUMBER(ota_report, error, "error", 0, CODE_MAX),
	OTA_ROW_TEXT(ota_report, error_text, "error_text"),
	OTA_ROW_NUMBER(ota_report, wait, "wait", 0, CODE_MAX),
	OTA_ROW_NUMBER(ota_report, chunks, "chunks", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, chunks_total, "chunks_total", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, bytes, "bytes", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_report, refetched, "refetched", 0, NUMBER_MAX),
	OTA_ROW_HEX_IF_ANY(ota_report, claims, "claims"),
};
/* clang-format on */

const char *ota_update_state_text(enum ota_update_state state)
{
	return state < OTA_N_UPDATE_STATES ? update_states[state] : "unknown";
}

const char *ota_order_state_text(enum ota_order_state state)
{
	return state < OTA_N_ORDER_STATES ? order_states[state] : "unknown";
}

static enum ota_code fresh_check(const void *doc, struct ota_error *err)
{
	const struct ota_fresh *fresh = doc;

	for (uint32_t i = 0; i < fresh->order_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(fresh->orders[i].cohort, fresh->orders[j].cohort) == 0)
				return ota_fail(err, OTA_E_FORMAT,
					"orders: cohort '%s' twice",
					fresh->orders[i].cohort);
	return ota_doc_check_times(fresh->issued_utc_s, fresh->expires_utc_s, err);
}

static enum ota_code order_check(const void *doc, struct ota_error *err)
{
	const struct ota_order *order = doc;

	for (uint32_t i = 0; i < order->patch_count; i++) {
		if (ota_digest_is_zero(&order->patches[i].patch))
			return ota_fail(
				err, OTA_E_FORMAT, "patches: entry %u: patch is zero", i);
		for (uint32_t j = 0; j < i; j++)
			if (ota_digest_equal(
				    &order->patches[i].from, &order->patches[j].from))
				return ota_fail(err, OTA_E_FORMAT,
					"patches: entries %u and %u are from one image",
					j, i);
	}
	return OTA_OK;
}

static enum ota_code no_check(const void *doc, struct ota_error *err)
{
	(void)doc;
	(void)err;
	return OTA_OK;
}

const struct ota_doc_spec ota_doc_fresh = { OTA_DOC_FRESH, sizeof(struct ota_fresh),
	OTA_TABLE_OF(fresh_rows), fresh_check };
const struct ota_doc_spec ota_doc_order = { OTA_DOC_ORDER, sizeof(struct ota_order),
	OTA_TABLE_OF(order_rows), order_check };
const struct ota_doc_spec ota_doc_assign = { OTA_DOC_ASSIGN, sizeof(struct ota_assign),
	OTA_TABLE_OF(assign_rows), no_check };
const struct ota_doc_spec ota_doc_report = { OTA_DOC_REPORT, sizeof(struct ota_report),
	OTA_TABLE_OF(report_rows), no_check };

enum ota_code ota_fresh_parse(
	struct ota_bytes payload, struct ota_fresh *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_fresh, payload, out, err);
}

enum ota_code ota_fresh_encode(
	const struct ota_fresh *fresh, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_fresh, fresh, out, err);
}

enum ota_code ota_order_parse(
	struct ota_bytes payload, struct ota_order *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_order, payload, out, err);
}

enum ota_code ota_order_encode(
	const struct ota_order *order, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_order, order, out, err);
}

enum ota_code ota_assign_parse(
	struct ota_bytes payload, struct ota_assign *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_assign, payload, out, err);
}

enum ota_code ota_assign_encode(
	const struct ota_assign *assign, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_assign, assign, out, err);
}

enum ota_code ota_report_parse(
	struct ota_bytes payload, struct ota_report *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_report, payload, out, err);
}

enum ota_code ota_report_encode(
	const struct ota_report *report, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_report, report, out, err);
}

#ifndef ORCHESTRATOR_PORT_WEBHOOK_BODY_H
#define ORCHESTRATOR_PORT_WEBHOOK_BODY_H

/* What a webhook is told, as JSON: an entry of the audit log, in words and in full.
 *
 *   {"type":"rollout.halt.v1","timestamp":"2026-01-31T12:00:00Z","data":{
 *    "fleet":"demo","seq":42,"who":"core","text":"rollout r-1, stage lab: has halted:
 * ...", "detail":{...}}} */

#include "orchestrator/port/audit_chain.h"
#include "orchestrator/port/webhook_secret.h"

enum {
	WEBHOOK_TEXT_CAP = 512, /* bytes of any text in it, with the NUL */
	WEBHOOK_BODY_MAX = 16 * 1024,
};

/** The body for an entry whose action is one of webhook_kinds.h. "detail" is left empty
 *  where all would be longer than WEBHOOK_BODY_MAX; longer texts are cut. OTA_OK or
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code webhook_body(const struct audit_entry *entry, const char *fleet,
	struct ota_buf *out, struct ota_error *err);

/** The body of a test. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code webhook_test_body(const char *fleet, uint64_t now_utc_s,
	struct ota_buf *out, struct ota_error *err);

/** The id of the event that an entry is: its seq and the begin of its hash, so that one
 *  of a restored backup is another. */
void webhook_event_id(const struct audit_entry *entry, char out[static WEBHOOK_ID_CAP]);

#endif

#ifndef AGENT_CORE_PAPERS_H
#define AGENT_CORE_PAPERS_H

/* The documents a device holds: each taken in only after it was verified in the order of
 * DESIGN 4, replaced only by a newer one, and dropped with what it belonged to. */

#include "proto/wire/admit.h"
#include "proto/wire/topics.h"
#include "proto/wire/trust.h"

/** `= { 0 }` holds nothing. */
struct papers {
	struct ota_trust trust;
	bool has[OTA_N_TOPIC_KINDS]; /* FRESH, CATALOG, ASSIGN, ORDER, RELEASE, GRANT */
	struct ota_fresh fresh;
	struct ota_catalog catalog;
	struct ota_assign assign;
	struct ota_order order;
	struct ota_release release;
	struct ota_grant grant;
	struct ota_digest grant_digest;
};

/**
 * Take a document in.
 *
 * device   the device's own name
 * kind     of the topic it came from; ROOT .. ASSIGN, others are OTA_E_DOCTYPE
 * changed  set to true if the device now believes something it did not before; false if
 *          it held that document already
 *
 * Returns OTA_OK; a code of the ota_trust_*() function of its kind, then nothing has
 * changed; OTA_E_STATE (no fault of the document) for a release or grant that no order
 * asks for, or an order before any assign.
 */
OTA_CHECKED enum ota_code papers_take(struct papers *papers, const char *device,
	enum ota_topic_kind kind, struct ota_bytes envelope, bool *changed,
	struct ota_error *err);

/** The cohort the device is in, or "". */
const char *papers_cohort(const struct papers *papers);

/** The order in force, or NULL. */
const struct ota_order *papers_order(const struct papers *papers);

/** True if the fresh document held lists exactly the order held. */
bool papers_order_is_listed(const struct papers *papers);

/** The case for ota_admit(), borrowed from papers. */
struct ota_case papers_case(const struct papers *papers);

#endif

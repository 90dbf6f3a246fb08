#ifndef PROTO_BASE_FSM_H
#define PROTO_BASE_FSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/error.h"

/** One permitted move. The table is the whole behaviour: what has no row is refused. */
struct ota_fsm_row {
	uint8_t from, event, to;
};

struct ota_fsm_spec {
	const char *name;
	const char *const *states; /* n_states names */
	const char *const *events; /* n_events names */
	const struct ota_fsm_row *rows;
	size_t n_states, n_events, n_rows;
};

/**
 * Look up where an event leads.
 *
 * Returns OTA_OK and sets *to, or OTA_E_STATE with "<name>: <event> in <state>".
 * Pure: the caller stores the new state, then acts on it.
 */
OTA_CHECKED enum ota_code ota_fsm_next(const struct ota_fsm_spec *spec, unsigned from,
	unsigned event, unsigned *to, struct ota_error *err);

/** The state of that name, as it is stored and shown. False if there is none: *out keeps
 *  what it was. */
OTA_CHECKED bool ota_fsm_state_of(
	const struct ota_fsm_spec *spec, const char *text, unsigned *out);

/**
 * Draw the table as a Mermaid state diagram, from the first state on: one line for all
 * events that lead from one state to another. Events that lead nowhere else are left out.
 *
 * out     appended to
 *
 * Returns OTA_OK, OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_fsm_draw(
	const struct ota_fsm_spec *spec, struct ota_buf *out);

#endif

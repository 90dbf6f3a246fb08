#include "proto/base/fsm.h"

#include <assert.h>

enum ota_code ota_fsm_next(const struct ota_fsm_spec *spec, unsigned from, unsigned event,
	unsigned *to, struct ota_error *err)
{
	assert(from < spec->n_states);

	for (size_t i = 0; i < spec->n_rows; i++) {
		const struct ota_fsm_row *row = &spec->rows[i];

		if (row->from == from && row->event == event) {
			*to = row->to;
			return OTA_OK;
		}
	}
	return ota_fail(err, OTA_E_STATE, "%s: %s in %s", spec->name,
		event < spec->n_events ? spec->events[event] : "?", spec->states[from]);
}

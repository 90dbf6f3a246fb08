#include "proto/base/fsm.h"

#include <assert.h>
#include <string.h>

enum { STATE_ID_CAP = 40 };

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

bool ota_fsm_state_of(const struct ota_fsm_spec *spec, const char *text, unsigned *out)
{
	for (unsigned i = 0; i < spec->n_states; i++)
		if (strcmp(spec->states[i], text) == 0) {
			*out = i;
			return true;
		}
	return false;
}

/* ---- drawing */

/* Mermaid takes a hyphen for an operator. */
static const char *id_of(const char *state, char out[static STATE_ID_CAP])
{
	size_t len = strnlen(state, STATE_ID_CAP - 1);

	for (size_t i = 0; i < len; i++)
		out[i] = '_';
	for (size_t i = 0; i < len; i++)
		if (state[i] != '-')
			out[i] = state[i];
	out[len] = '\0';
	return out;
}

static bool is_drawn(const struct ota_fsm_spec *spec, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (spec->rows[i].from == spec->rows[row].from &&
			spec->rows[i].to == spec->rows[row].to)
			return true;
	return spec->rows[row].from == spec->rows[row].to;
}

static enum ota_code draw_events(
	const struct ota_fsm_spec *spec, size_t first, struct ota_buf *out)
{
	const char *before = " : ";
	enum ota_code rc = OTA_OK;

	for (size_t i = first; rc == OTA_OK && i < spec->n_rows; i++) {
		if (spec->rows[i].from != spec->rows[first].from ||
			spec->rows[i].to != spec->rows[first].to)
			continue;
		rc = ota_buf_printf(
			out, "%s%s", before, spec->events[spec->rows[i].event]);
		before = ", ";
	}
	return rc == OTA_OK ? ota_buf_printf(out, "\n") : rc;
}

static enum ota_code draw_names(const struct ota_fsm_spec *spec, struct ota_buf *out)
{
	char id[STATE_ID_CAP];
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; rc == OTA_OK && i < spec->n_states; i++)
		if (strchr(spec->states[i], '-') != NULL)
			rc = ota_buf_printf(out, "    state \"%s\" as %s\n",
				spec->states[i], id_of(spec->states[i], id));
	return rc;
}

enum ota_code ota_fsm_draw(const struct ota_fsm_spec *spec, struct ota_buf *out)
{
	char from[STATE_ID_CAP], to[STATE_ID_CAP];
	enum ota_code rc = ota_buf_printf(out, "stateDiagram-v2\n");

	if (rc == OTA_OK)
		rc = draw_names(spec, out);
	if (rc == OTA_OK)
		rc = ota_buf_printf(
			out, "    [*] --> %s\n", id_of(spec->states[0], from));
	for (size_t i = 0; rc == OTA_OK && i < spec->n_rows; i++) {
		const struct ota_fsm_row *row = &spec->rows[i];

		if (is_drawn(spec, i))
			continue;
		rc = ota_buf_printf(out, "    %s --> %s",
			id_of(spec->states[row->from], from),
			id_of(spec->states[row->to], to));
		if (rc == OTA_OK)
			rc = draw_events(spec, i, out);
	}
	return rc;
}

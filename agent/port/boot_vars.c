#include "agent/port/boot_vars.h"

#include <stdio.h>
#include <string.h>

#define BOOT_VAR_TEXT(name, text) text,
static const char *const names[] = { BOOT_VARS(BOOT_VAR_TEXT) };
#undef BOOT_VAR_TEXT

static const char *const orders[SLOT_COUNT] = { "A B", "B A" };
static const enum boot_var left_vars[SLOT_COUNT] = { BOOT_VAR_A_LEFT, BOOT_VAR_B_LEFT };
static const enum boot_var state_vars[SLOT_COUNT] = { BOOT_VAR_A_STATE,
	BOOT_VAR_B_STATE };

const char *boot_var_name(enum boot_var var)
{
	return names[var];
}

/* ---- text ---- */

static bool read_digit(const char *text, unsigned *out)
{
	if (text[0] < '0' || text[0] > '9' || text[1] != '\0')
		return false;
	*out = (unsigned)(text[0] - '0');
	return true;
}

static bool read_word(
	const char *text, const char *(*word)(unsigned), unsigned count, unsigned *out)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(text, word(i)) == 0) {
			*out = i;
			return true;
		}
	return false;
}

static const char *order_word(unsigned i)
{
	return orders[i];
}

static const char *state_word(unsigned i)
{
	return slot_state_text((enum slot_state)i);
}

static bool read_value(enum boot_var var, const char *text, struct boot_vars *out)
{
	unsigned slot = var == BOOT_VAR_B_LEFT || var == BOOT_VAR_B_STATE ? 1 : 0;
	unsigned state = 0;

	switch (var) {
	case BOOT_VAR_ORDER:
		return read_word(text, order_word, SLOT_COUNT, &out->first);
	case BOOT_VAR_A_LEFT:
	case BOOT_VAR_B_LEFT:
		return read_digit(text, &out->slots[slot].left);
	case BOOT_VAR_A_STATE:
	case BOOT_VAR_B_STATE:
		if (!read_word(text, state_word, N_SLOT_STATES, &state))
			return false;
		out->slots[slot].state = (enum slot_state)state;
		return true;
	case BOOT_VAR_SCRIPT:
		out->script = 0;
		return text[0] == '\0' || read_digit(text, &out->script);
	case BOOT_N_VARS:
		break;
	}
	return false;
}

enum ota_code boot_vars_parse(const struct boot_text *text, const char *prefix,
	struct boot_vars *out, struct ota_error *err)
{
	struct boot_vars vars = { 0 };
	char escaped[4 * BOOT_VALUE_CAP];

	for (enum boot_var i = 0; i < BOOT_N_VARS; i++) {
		if (text->value[i][0] == '\0' && i != BOOT_VAR_SCRIPT)
			return ota_fail(
				err, OTA_E_NOTFOUND, "%s%s is not set", prefix, names[i]);
		if (read_value(i, text->value[i], &vars))
			continue;
		ota_escape(text->value[i], escaped, sizeof escaped);
		return ota_fail(
			err, OTA_E_FORMAT, "%s%s is '%s'", prefix, names[i], escaped);
	}
	*out = vars;
	return OTA_OK;
}

void boot_vars_format(const struct boot_vars *vars, struct boot_text *out)
{
	struct boot_text text = { 0 };

	memcpy(text.value[BOOT_VAR_ORDER], orders[vars->first],
		strlen(orders[vars->first]) + 1);
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		(void)snprintf(text.value[left_vars[i]], BOOT_VALUE_CAP, "%u",
			vars->slots[i].left % (BOOT_LEFT_MAX + 1));
		(void)snprintf(text.value[state_vars[i]], BOOT_VALUE_CAP, "%s",
			slot_state_text(vars->slots[i].state));
	}
	if (vars->script != 0)
		(void)snprintf(text.value[BOOT_VAR_SCRIPT], BOOT_VALUE_CAP, "%u",
			vars->script % (BOOT_LEFT_MAX + 1));
	*out = text;
}

/* ---- meaning ---- */

static bool has_boots(const struct boot_vars *vars, unsigned slot)
{
	return vars->slots[slot].state != SLOT_BAD && vars->slots[slot].left > 0;
}

/* The slot the script takes. */
static unsigned next_boot(const struct boot_vars *vars)
{
	unsigned other = 1 - vars->first;

	if (has_boots(vars, vars->first))
		return vars->first;
	if (has_boots(vars, other))
		return other;
	/* Nothing is left: the good ones get their boots again, else those on trial. */
	if (vars->slots[vars->first].state == SLOT_GOOD)
		return vars->first;
	if (vars->slots[other].state == SLOT_GOOD)
		return other;
	return vars->slots[vars->first].state == SLOT_TRIAL ? vars->first : other;
}

/* What stands in the variables, unless the boots are used up. */
static enum slot_state state_of(
	const struct boot_vars *vars, unsigned slot, bool is_running)
{
	enum slot_state state = vars->slots[slot].state;

	if (vars->slots[slot].left > 0 || is_running)
		return state;
	if (state == SLOT_GOOD || vars->first == slot)
		return SLOT_BAD;
	return state;
}

/* ---- the verbs ---- */

enum ota_code boot_counter_load(
	const struct boot_counter *counter, struct boot_vars *out, struct ota_error *err)
{
	struct boot_text text;
	enum ota_code rc = counter->store.load(counter->store.ctx, &text, err);

	return rc == OTA_OK ? boot_vars_parse(&text, counter->store.prefix, out, err)
			    : rc;
}

/* Nothing is written that is there already; what was written is read again. */
static OTA_CHECKED enum ota_code put(const struct boot_counter *counter,
	const struct boot_vars *vars, struct ota_error *err)
{
	struct boot_text text, now;
	enum ota_code rc = counter->store.load(counter->store.ctx, &now, err);

	boot_vars_format(vars, &text);
	if (rc != OTA_OK || memcmp(&now, &text, sizeof text) == 0)
		return rc;
	rc = counter->store.store(counter->store.ctx, &text, err);
	if (rc == OTA_OK)
		rc = counter->store.load(counter->store.ctx, &now, err);
	for (enum boot_var i = 0; rc == OTA_OK && i < BOOT_N_VARS; i++)
		if (strcmp(now.value[i], text.value[i]) != 0)
			rc = ota_fail(err, OTA_E_MEDIA,
				"%s%s reads '%s' after '%s' was written",
				counter->store.prefix, names[i], now.value[i],
				text.value[i]);
	return rc;
}

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	return boot_running_find(&((struct boot_counter *)ctx)->running, slot, err);
}

static bool is_running(const struct boot_counter *counter, unsigned slot)
{
	unsigned current;

	return boot_running_find(&counter->running, &current, NULL) == OTA_OK &&
	       current == slot;
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	struct boot_vars vars;
	enum ota_code rc = boot_counter_load(ctx, &vars, err);

	if (rc == OTA_OK)
		*slot = next_boot(&vars);
	return rc;
}

static enum ota_code set_primary(
	void *ctx, unsigned slot, unsigned tries, struct ota_error *err)
{
	struct boot_vars vars;
	enum ota_code rc = boot_counter_load(ctx, &vars, err);

	if (rc != OTA_OK)
		return rc;
	if (vars.slots[slot].state == SLOT_BAD)
		return ota_fail(err, OTA_E_CONFLICT, "slot %c is bad: not to be booted",
			"ab"[slot]);
	if (vars.slots[slot].state == SLOT_GOOD)
		tries = BOOT_GOOD_LEFT;
	if (tries < 1 || tries > BOOT_LEFT_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "%u tries, not 1 to %d", tries, BOOT_LEFT_MAX);
	vars.first = slot;
	vars.slots[slot].left = tries;
	return put(ctx, &vars, err);
}

static enum ota_code get_state(
	void *ctx, unsigned slot, enum slot_state *out, struct ota_error *err)
{
	struct boot_vars vars;
	enum ota_code rc = boot_counter_load(ctx, &vars, err);

	if (rc == OTA_OK)
		*out = state_of(&vars, slot, is_running(ctx, slot));
	return rc;
}

/* A slot that is no longer booted gives way in the order too. */
static void lower(struct boot_vars *vars, unsigned slot)
{
	vars->slots[slot].left = 0;
	vars->first = 1 - slot;
}

static enum ota_code set_state(
	void *ctx, unsigned slot, enum slot_state state, struct ota_error *err)
{
	struct boot_vars vars;
	enum ota_code rc = boot_counter_load(ctx, &vars, err);
	bool same;

	if (rc != OTA_OK)
		return rc;
	same = state_of(&vars, slot, is_running(ctx, slot)) == state &&
	       vars.slots[slot].state == state;
	if (state == SLOT_BAD && vars.slots[slot].state != SLOT_BAD &&
		vars.slots[1 - slot].state == SLOT_BAD)
		return ota_fail(err, OTA_E_CONFLICT,
			"slot %c stays: slot %c is bad, and one must boot", "ab"[slot],
			"ab"[1 - slot]);
	if (state == SLOT_GOOD)
		vars.slots[slot].left = BOOT_GOOD_LEFT;
	else if (!same)
		lower(&vars, slot);
	vars.slots[slot].state = state;
	return put(ctx, &vars, err);
}

struct boot_loader boot_counter_loader(struct boot_counter *counter)
{
	return (struct boot_loader){ .ctx = counter,
		.get_current = get_current,
		.get_primary = get_primary,
		.set_primary = set_primary,
		.get_state = get_state,
		.set_state = set_state };
}

#include "agent/port/boot_custom.h"

#include <stdio.h>
#include <string.h>

#include "agent/port/command.h"
#include "proto/base/names.h"
#include "proto/base/own.h"

enum { WORDS_MAX = 4 }; /* behind the command */

static const char *const slot_words[] = { "a", "b" };

#define STATE_TEXT(name, text) text,
static const char *const state_words[] = { SLOT_STATES(STATE_TEXT) };
#undef STATE_TEXT

enum ota_code boot_custom_answer_parse(struct ota_bytes text, const char *const *words,
	unsigned count, unsigned *out, struct ota_error *err)
{
	char said[32], escaped[64], choices[64] = "";

	for (unsigned i = 0; i < count; i++) {
		size_t len = strlen(words[i]), at = strlen(choices);

		if ((text.len == len || (text.len == len + 1 && text.at[len] == '\n')) &&
			memcmp(text.at, words[i], len) == 0) {
			*out = i;
			return OTA_OK;
		}
		(void)snprintf(choices + at, sizeof choices - at, "%s%s",
			i == 0 ? "" : " or ", words[i]);
	}
	(void)snprintf(said, sizeof said, "%.*s", text.len < 20 ? (int)text.len : 20,
		text.len == 0 ? "" : (const char *)text.at);
	ota_escape(said, escaped, sizeof escaped);
	return ota_fail(err, OTA_E_FORMAT, "answered '%s', not %s", escaped, choices);
}

/* Call with up to three words, NULL behind the last. */
static OTA_CHECKED enum ota_code call(const struct boot_custom *custom,
	const char *const words[static WORDS_MAX], struct ota_buf *said,
	struct ota_error *err)
{
	const char *argv[1 + WORDS_MAX] = { custom->command };
	const struct command command = { .argv = argv,
		.deadline_ms = custom->deadline_ms };
	enum ota_code rc;

	memcpy(argv + 1, words, WORDS_MAX * sizeof argv[0]);
	rc = command_run(&command, said, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "%s", words[0]);
}

static OTA_CHECKED enum ota_code ask_slot(
	void *ctx, const char *verb, unsigned *slot, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	const char *const words[WORDS_MAX] = { verb };
	enum ota_code rc = call(ctx, words, &said, err);

	if (rc != OTA_OK)
		return rc;
	rc = boot_custom_answer_parse(
		ota_buf_bytes(&said), slot_words, SLOT_COUNT, slot, err);
	return rc == OTA_OK ? rc
			    : ota_wrap(err, rc, "%s %s",
				      ((struct boot_custom *)ctx)->command, verb);
}

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	return ask_slot(ctx, "get-current", slot, err);
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	return ask_slot(ctx, "get-primary", slot, err);
}

static enum ota_code get_state(
	void *ctx, unsigned slot, enum slot_state *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	const char *const words[WORDS_MAX] = { "get-state", slot_words[slot] };
	unsigned state = 0;
	enum ota_code rc = call(ctx, words, &said, err);

	if (rc != OTA_OK)
		return rc;
	rc = boot_custom_answer_parse(
		ota_buf_bytes(&said), state_words, N_SLOT_STATES, &state, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s get-state %s",
			((struct boot_custom *)ctx)->command, slot_words[slot]);
	*out = (enum slot_state)state;
	return OTA_OK;
}

static enum ota_code set_primary(
	void *ctx, unsigned slot, unsigned tries, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	char count[12];
	const char *const words[WORDS_MAX] = { "set-primary", slot_words[slot], count };
	unsigned now = SLOT_COUNT;
	enum ota_code rc;

	(void)snprintf(count, sizeof count, "%u", tries);
	rc = call(ctx, words, &said, err);
	if (rc == OTA_OK)
		rc = get_primary(ctx, &now, err);
	if (rc == OTA_OK && now != slot)
		rc = ota_fail(err, OTA_E_MEDIA,
			"%s: get-primary says %s after set-primary %s",
			((struct boot_custom *)ctx)->command, slot_words[now],
			slot_words[slot]);
	return rc;
}

static enum ota_code set_state(
	void *ctx, unsigned slot, enum slot_state state, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	const char *const words[WORDS_MAX] = { "set-state", slot_words[slot],
		slot_state_text(state) };
	enum slot_state now = SLOT_BAD;
	enum ota_code rc = call(ctx, words, &said, err);

	if (rc == OTA_OK)
		rc = get_state(ctx, slot, &now, err);
	if (rc == OTA_OK && now != state)
		rc = ota_fail(err, OTA_E_MEDIA,
			"%s: get-state %s says %s after set-state %s",
			((struct boot_custom *)ctx)->command, slot_words[slot],
			slot_state_text(now), slot_state_text(state));
	return rc;
}

struct boot_loader boot_custom_loader(struct boot_custom *custom)
{
	return (struct boot_loader){ .ctx = custom,
		.get_current = get_current,
		.get_primary = get_primary,
		.set_primary = set_primary,
		.get_state = get_state,
		.set_state = set_state };
}

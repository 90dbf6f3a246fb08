#include "orchestrator/cli/complete.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/names.h"

/* Where the words before the last one lead. */
struct look {
	const struct cli_command *commands;
	const struct cli_command *verb;  /* NULL: not all of it is there */
	const char *first;               /* word of a verb of two; NULL: none yet */
	const struct cli_option *awaits; /* whose value comes next; NULL: none's */
	size_t operands;
	bool lost; /* there is no such verb */
};

/* What a word in capitals stands for. */
static const struct {
	const char *name, *offer;
} kinds[] = {
	{ "FILE", COMPLETE_FILES },
	{ "IMAGE", COMPLETE_FILES },
	{ "RELEASE", COMPLETE_FILES },
	{ "OLD", COMPLETE_FILES },
	{ "NEW", COMPLETE_FILES },
	{ "PATCH", COMPLETE_FILES },
	{ "DIR", COMPLETE_DIRS },
	{ "DEVICE", COMPLETE_DEVICES },
	{ "ROLLOUT", COMPLETE_ROLLOUTS },
	{ "WEBHOOK", COMPLETE_WEBHOOKS },
};

/* ---- the words before */

static const struct cli_option *find_option(
	const struct cli_option *rows, const char *word, size_t len)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		bool is_long = strncmp(word, "--", 2) == 0 &&
			       strlen(rows->name) == len - 2 &&
			       strncmp(word + 2, rows->name, len - 2) == 0;

		if (is_long || (len == 2 && word[1] == rows->letter))
			return rows;
	}
	return NULL;
}

static const struct cli_option *option_of(
	const struct look *look, const char *word, size_t len)
{
	const struct cli_option *row = NULL;

	if (look->verb != NULL)
		row = find_option(look->verb->options, word, len);
	return row != NULL ? row : find_option(cli_common_options, word, len);
}

static bool begins_verb(const char *name, const char *word)
{
	size_t len = strlen(word);

	return strncmp(name, word, len) == 0 && name[len] == ' ';
}

static void take_verb(struct look *look, const char *word)
{
	char name[2 * OTA_NAME_CAP];

	(void)snprintf(name, sizeof name, "%s%s%s",
		look->first != NULL ? look->first : "", look->first != NULL ? " " : "",
		word);
	look->lost = true;
	for (const struct cli_command *c = look->commands; c->name != NULL; c++) {
		if (strcmp(c->name, name) == 0)
			look->verb = c;
		if (look->verb != NULL || begins_verb(c->name, name))
			look->lost = false;
		if (!look->lost)
			break;
	}
	look->first = word;
}

static void take_word(struct look *look, const char *word)
{
	const struct cli_option *row;

	if (look->awaits != NULL) {
		look->awaits = NULL;
	} else if (word[0] == '-' && word[1] != '\0') {
		row = option_of(look, word, strlen(word));
		if (row != NULL && row->metavar != NULL)
			look->awaits = row;
	} else if (look->verb == NULL) {
		take_verb(look, word);
	} else {
		look->operands++;
	}
}

/* ---- the last word */

/* Length 0 says that it ends with the text. */
struct offer {
	const char *before; /* stands in front of what is offered: "--out=" */
	size_t before_len;
	const char *text;
	size_t len;
	const char *what; /* NULL: nothing is said of it */
};

static OTA_CHECKED enum ota_code add(
	struct ota_buf *out, const char *word, const struct offer *offer)
{
	char line[256];
	size_t len = strlen(word);

	(void)snprintf(line, sizeof line, "%.*s%.*s", (int)offer->before_len,
		offer->before, (int)offer->len, offer->text);
	if (strncmp(line, word, len) != 0)
		return OTA_OK;
	if (offer->what == NULL)
		return ota_buf_printf(out, "%s\n", line);
	return ota_buf_printf(out, "%s\t%s\n", line, offer->what);
}

/* The first words of verbs, or the second ones after a first. One that several verbs
 * share comes once: they stand together in the table. */
static OTA_CHECKED enum ota_code add_verbs(
	const struct look *look, const char *word, struct ota_buf *out)
{
	size_t skip = look->first != NULL ? strlen(look->first) + 1 : 0, last_len = 0;
	const char *last = "";
	enum ota_code rc = OTA_OK;

	for (const struct cli_command *c = look->commands;
		c->name != NULL && rc == OTA_OK; c++) {
		const char *at = c->name + skip;
		size_t len;

		if (skip > 0 && !begins_verb(c->name, look->first))
			continue;
		len = strcspn(at, " ");
		if (len == last_len && strncmp(at, last, len) == 0)
			continue;
		rc = add(out, word,
			&(struct offer){ .before = "",
				.text = at,
				.len = len,
				.what = at[len] == '\0' ? c->summary : NULL });
		last = at;
		last_len = len;
	}
	return rc;
}

static OTA_CHECKED enum ota_code add_options(
	const struct cli_option *rows, const char *word, struct ota_buf *out)
{
	enum ota_code rc = OTA_OK;

	for (; rows != NULL && rows->name != NULL && rc == OTA_OK; rows++) {
		char text[64];

		(void)snprintf(text, sizeof text, "--%s%s", rows->name,
			rows->metavar != NULL ? "=" : "");
		rc = add(out, word,
			&(struct offer){ .before = "",
				.text = text,
				.len = strlen(text),
				.what = rows->help });
	}
	return rc;
}

/* What `name`, of len bytes, stands for: choices between bars, or one of our kinds. */
static OTA_CHECKED enum ota_code add_kind(const char *name, size_t len,
	const struct offer *before, const char *word, struct ota_buf *out)
{
	struct offer offer = *before;
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strlen(kinds[i].name) == len &&
			strncmp(kinds[i].name, name, len) == 0)
			return ota_buf_printf(out, "%s%.*s\n", kinds[i].offer,
				(int)before->before_len, before->before);
	if (memchr(name, '|', len) == NULL)
		return OTA_OK;
	for (const char *at = name; rc == OTA_OK && at < name + len;) {
		offer.text = at;
		offer.len = strcspn(at, "|");
		rc = add(out, word, &offer);
		at += offer.len + 1;
	}
	return rc;
}

/* "OLD PATCH", "[ROLLOUT]": the one that is next. */
static OTA_CHECKED enum ota_code add_operand(
	const struct look *look, const char *word, struct ota_buf *out)
{
	const char *at = look->verb->operands;

	for (size_t i = 0; i < look->operands && *at != '\0'; i++) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
	}
	at += strspn(at, "[");
	return add_kind(
		at, strcspn(at, " ]"), &(struct offer){ .before = "" }, word, out);
}

static OTA_CHECKED enum ota_code add_option_or_value(
	const struct look *look, const char *word, struct ota_buf *out)
{
	const char *value = strchr(word, '=');
	const struct cli_option *row;
	enum ota_code rc;

	if (value != NULL) {
		row = option_of(look, word, (size_t)(value - word));
		if (row == NULL || row->metavar == NULL)
			return OTA_OK;
		return add_kind(row->metavar, strlen(row->metavar),
			&(struct offer){ .before = word,
				.before_len = (size_t)(value + 1 - word) },
			word, out);
	}
	rc = add_options(look->verb != NULL ? look->verb->options : NULL, word, out);
	return rc == OTA_OK ? add_options(cli_common_options, word, out) : rc;
}

enum ota_code cli_complete(const struct cli_command *commands, const char *const *words,
	size_t count, struct ota_buf *out)
{
	struct look look = { .commands = commands };
	const char *word = count > 0 ? words[count - 1] : "";

	for (size_t i = 0; i + 1 < count; i++)
		take_word(&look, words[i]);
	if (look.lost)
		return OTA_OK;
	if (look.awaits != NULL)
		return add_kind(look.awaits->metavar, strlen(look.awaits->metavar),
			&(struct offer){ .before = "" }, word, out);
	if (word[0] == '-')
		return add_option_or_value(&look, word, out);
	if (look.verb == NULL)
		return add_verbs(&look, word, out);
	return add_operand(&look, word, out);
}

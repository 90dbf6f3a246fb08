#include "proto/base/names.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ESCAPED_CAP = 100 };

static bool is_first(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* NULL if text is a name, otherwise what is wrong with it. */
static const char *fault_of(const char *text)
{
	size_t len = strnlen(text, OTA_NAME_CAP);

	if (len == 0)
		return "is empty";
	if (len > OTA_NAME_LEN_MAX)
		return "is longer than 64 characters";
	if (!is_first(text[0]))
		return "must begin with a lower-case letter or a digit";
	for (size_t i = 1; i < len; i++)
		if (!is_first(text[i]) && strchr("._-", text[i]) == NULL)
			return "may hold only a-z, 0-9, '.', '_' and '-'";
	if (strstr(text, "..") != NULL)
		return "may not hold '..'";
	return NULL;
}

bool ota_name_is_valid(const char *text)
{
	return fault_of(text) == NULL;
}

enum ota_code ota_name_copy(const char *text, const char *what,
	char out[static OTA_NAME_CAP], struct ota_error *err)
{
	const char *fault = fault_of(text);
	char escaped[ESCAPED_CAP];

	if (fault != NULL) {
		ota_escape(text, escaped, sizeof escaped);
		return ota_fail(err, OTA_E_NAME, "%s name '%s' %s", what, escaped, fault);
	}
	memcpy(out, text, strlen(text) + 1);
	return OTA_OK;
}

enum ota_code ota_label_check(const char *text, struct ota_error *err)
{
	const char *equals = strchr(text, '=');
	char key[OTA_NAME_CAP], part[OTA_NAME_CAP], escaped[ESCAPED_CAP];
	enum ota_code rc;

	if (equals == NULL || equals - text > OTA_NAME_LEN_MAX) {
		ota_escape(text, escaped, sizeof escaped);
		return ota_fail(err, OTA_E_NAME, "label '%s' is not key=value", escaped);
	}
	memcpy(key, text, (size_t)(equals - text));
	key[equals - text] = '\0';
	rc = ota_name_copy(key, "label", part, err);
	if (rc != OTA_OK)
		return rc;
	return ota_name_copy(equals + 1, "label value", part, err);
}

void ota_escape(const char *text, char *out, size_t cap)
{
	size_t used = 0;

	for (; *text != '\0'; text++) {
		bool plain = *text >= 0x20 && *text < 0x7f && *text != '\\';
		size_t need = plain ? 1 : 4;

		if (used + need + 1 > cap)
			break;
		if (plain)
			out[used] = *text;
		else
			(void)snprintf(out + used, 5, "\\x%02x", (unsigned char)*text);
		used += need;
	}
	if (cap > 0)
		out[used] = '\0';
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein distance of two short words, one row at a time. */
static size_t distance(const char *a, const char *b)
{
	size_t row[OTA_NAME_CAP];
	size_t len_a = strnlen(a, OTA_NAME_LEN_MAX), len_b = strnlen(b, OTA_NAME_LEN_MAX);

	for (size_t j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			size_t swap = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = least(swap, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[len_b];
}

const char *ota_nearest(const char *text, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t limit = least(2, strnlen(text, OTA_NAME_LEN_MAX) / 3 + 1) + 1;

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(text, candidates[i]);

		if (d < limit) {
			limit = d;
			best = candidates[i];
		}
	}
	return best;
}

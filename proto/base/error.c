#include "proto/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
	enum ota_code code;
	enum ota_remedy remedy;
	const char *name, *text;
};

#define ROW(name, number, remedy, text) { OTA_E_##name, remedy, #name, text },
static const struct code_row codes[] = { { OTA_OK, OTA_NOTHING, "OK", "ok" },
	OTA_ERRORS(ROW) };
#undef ROW

static const struct code_row *row_of(uint64_t number)
{
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if ((uint64_t)codes[i].code == number)
			return &codes[i];
	return NULL;
}

enum ota_code ota_fail(struct ota_error *err, enum ota_code code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return code;

	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return code;
}

/* strlcat, which glibc 2.36 does not have. */
static void append(char *to, size_t cap, const char *from)
{
	size_t used = strlen(to);

	while (used + 1 < cap && *from != '\0')
		to[used++] = *from++;
	to[used] = '\0';
}

enum ota_code ota_wrap(struct ota_error *err, enum ota_code code, const char *fmt, ...)
{
	struct ota_error inner;
	va_list ap;

	if (err == NULL)
		return code;

	inner = *err;
	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	append(err->text, sizeof err->text, ": ");
	append(err->text, sizeof err->text, inner.text);
	return code;
}

const char *ota_code_text(enum ota_code code)
{
	const struct code_row *row = row_of((uint64_t)code);

	return row != NULL ? row->text : "unknown";
}

const char *ota_code_name(enum ota_code code)
{
	const struct code_row *row = row_of((uint64_t)code);

	return row != NULL ? row->name : "UNKNOWN";
}

enum ota_code ota_code_of_number(uint64_t number)
{
	const struct code_row *row = row_of(number);

	return row != NULL ? row->code : OTA_E_FORMAT;
}

enum ota_remedy ota_code_remedy(enum ota_code code)
{
	const struct code_row *row = row_of((uint64_t)code);

	return row != NULL ? row->remedy : OTA_REJECT;
}

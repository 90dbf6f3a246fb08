#include "orchestrator/core/spec_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_entry(const char *list)
{
	return strcmp(list, "stages") == 0 || strcmp(list, "cohorts") == 0;
}

/* "stages[1].permille", "gates.p0_ppm", "release" */
static void print_place(const struct spec_place *at, char *out, size_t cap)
{
	const char *dot = at->list[0] != '\0' && at->key[0] != '\0' ? "." : "";

	if (is_entry(at->list))
		(void)snprintf(out, cap, "%s[%u]%s%s", at->list, at->index, dot, at->key);
	else
		(void)snprintf(out, cap, "%s%s%s", at->list, dot, at->key);
}

enum ota_code spec_fail(
	struct spec_check *c, enum ota_code code, const char *key, const char *fmt, ...)
{
	char where[64], what[192];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);

	c->here.key = key;
	if (c->place != NULL)
		*c->place = c->here;
	print_place(&c->here, where, sizeof where);
	return ota_fail(c->err, code, "%s: %s", where, what);
}

enum ota_code spec_name(struct spec_check *c, const char *key, const char *name)
{
	struct ota_error why = { 0 };
	char checked[OTA_NAME_CAP];

	if (ota_name_copy(name, key, checked, &why) == OTA_OK)
		return OTA_OK;
	return spec_fail(c, OTA_E_NAME, key, "%s", why.text);
}

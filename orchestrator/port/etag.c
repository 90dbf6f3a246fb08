#include "orchestrator/port/etag.h"

#include <string.h>

static const char blanks[] = " \t";

static bool is_tag_byte(char c)
{
	unsigned char byte = (unsigned char)c;

	return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

/* One tag from *at on, which then stands behind it. False: there is none. */
static bool take_tag(const char **at, bool *weak, const char **tag, size_t *len)
{
	const char *p = *at;

	*weak = strncmp(p, "W/", 2) == 0;
	if (*weak)
		p += 2;
	if (*p++ != '"')
		return false;
	*tag = p;
	while (is_tag_byte(*p))
		p++;
	*len = (size_t)(p - *tag);
	if (*p != '"')
		return false;
	*at = p + 1;
	return true;
}

static enum ota_code no_list(struct ota_error *err)
{
	return ota_fail(err, OTA_E_FORMAT,
		"If-Match and If-None-Match take * or ETags in their quotes, with "
		"commas between them");
}

enum ota_code etag_list_has(const char *list, const char *current,
	enum etag_comparison comparison, bool *out, struct ota_error *err)
{
	const char *at = list + strspn(list, blanks), *tag;
	bool found = false, weak, any = false;
	size_t len;

	if (*at == '*') {
		at += 1 + strspn(at + 1, blanks);
		if (*at)
			return no_list(err);
		*out = current != NULL;
		return OTA_OK;
	}
	while (*at) {
		if (*at != ',') {
			if (!take_tag(&at, &weak, &tag, &len))
				return no_list(err);
			any = true;
			found = found || (current && strlen(current) == len &&
						 memcmp(tag, current, len) == 0 &&
						 !(weak && comparison == ETAG_STRONG));
			at += strspn(at, blanks);
		}
		if (*at && *at != ',')
			return no_list(err);
		at += *at == ',';
		at += strspn(at, blanks);
	}
	if (!any)
		return no_list(err);
	*out = found;
	return OTA_OK;
}

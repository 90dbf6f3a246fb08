#include "proto/delta/stage.h"

#include <string.h>

enum ota_code ota_prefix_check(struct ota_prefix *prefix, struct ota_bytes data)
{
	size_t left = prefix->want.len - prefix->seen;
	size_t len = data.len < left ? data.len : left;

	if (len > 0 && memcmp(prefix->want.at + prefix->seen, data.at, len) != 0)
		return OTA_E_FORMAT;
	prefix->seen += len;
	return OTA_OK;
}

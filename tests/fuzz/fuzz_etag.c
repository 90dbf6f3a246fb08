#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/etag.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is found by the strong comparison is found by the weak one; nothing is found where
 * there is nothing, and what is no list is none for either. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ota_autofree char *text = calloc(1, size + 1);
	bool strong = false, weak = false, none = false;
	enum ota_code rc;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	rc = etag_list_has(text, "a1", ETAG_STRONG, &strong, NULL);
	if (etag_list_has(text, "a1", ETAG_WEAK, &weak, NULL) != rc ||
		etag_list_has(text, NULL, ETAG_WEAK, &none, NULL) != rc)
		abort();
	if (none || (strong && !weak) || (rc != OTA_OK && weak))
		abort();
	if (weak && strchr(text, '*') == NULL && strstr(text, "\"a1\"") == NULL)
		abort();
	return 0;
}

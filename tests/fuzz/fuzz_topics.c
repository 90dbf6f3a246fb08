#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses prints as the same text and holds nothing that MQTT would expand. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ota_autofree char *text = calloc(1, size + 1);
	struct ota_topic topic;
	struct ota_error err;
	char again[OTA_TOPIC_CAP];

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	if (ota_topic_parse("example", text, &topic, &err) != OTA_OK)
		return 0;
	ota_topic_print("example", &topic, again);
	if (strcmp(text, again) != 0 || strpbrk(text, "+#") != NULL)
		abort();
	return 0;
}

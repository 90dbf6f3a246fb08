/* What a reader of GET /events sends as Last-Event-ID. The first eight bytes are the seq
 * of the newest entry. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/feed.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* It begins among the entries there are, not too far back; and what is told as an id is
 * understood when it comes back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ota_autofree char *text = NULL;
	uint64_t newest, known;
	char again[24];

	if (size < sizeof(newest))
		return 0;
	memcpy(&newest, data, sizeof(newest));
	newest %= UINT64_C(10000000000000000); /* api_read_u64() takes 16 digits */
	text = strndup((const char *)data + sizeof(newest), size - sizeof(newest));
	if (!text)
		abort();
	known = feed_known(text, newest);
	if (known > newest || newest - known > FEED_REPLAY_MAX)
		abort();
	if (known != newest && strspn(text, "0123456789") != strlen(text))
		abort();
	(void)snprintf(again, sizeof(again), "%" PRIu64, known);
	if (feed_known(again, newest) != known)
		abort();
	return 0;
}

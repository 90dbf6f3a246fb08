#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/port/install_mark.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DIGESTED_LEN = INSTALL_MARK_HEAD_LEN - OTA_DIGEST_LEN };

/* What is parsed is encoded to the same bytes again. The digest is made right, so that
 * more than that is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	uint8_t head[INSTALL_MARK_HEAD_LEN] = { 0 };
	const struct ota_bytes in = { head, sizeof head };
	struct install_mark_head parsed;
	struct ota_digest digest;

	if (install_mark_parse((struct ota_bytes){ data, size }, &parsed, NULL) ==
			OTA_OK &&
		parsed.slot > 1)
		abort();
	if (size < sizeof head)
		return 0;
	memcpy(head, data, sizeof head);
	digest = ota_digest_of((struct ota_bytes){ head, DIGESTED_LEN });
	memcpy(head + DIGESTED_LEN, digest.at, OTA_DIGEST_LEN);
	if (install_mark_parse(in, &parsed, NULL) != OTA_OK)
		return 0;
	if (install_mark_encode(&parsed, &again) != OTA_OK ||
		!ota_bytes_equal(ota_buf_bytes(&again), in))
		abort();
	return 0;
}

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/decode_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A head that is understood is written as the same bytes again. */
static void head(struct ota_bytes in)
{
	struct decode_head head;
	uint8_t again[DECODE_HEAD_LEN];

	if (decode_head_parse(in, &head, NULL) != OTA_OK)
		return;
	decode_head_encode(&head, again);
	if (in.len != sizeof again || memcmp(again, in.at, sizeof again) != 0)
		abort();
}

static void answer(struct ota_bytes in)
{
	struct decode_answer answer;
	uint8_t again[DECODE_ANSWER_LEN];

	if (decode_answer_parse(in, &answer, NULL) != OTA_OK)
		return;
	decode_answer_encode(&answer, again);
	if (in.len != sizeof again || memcmp(again, in.at, sizeof again) != 0 ||
		answer.len > DECODE_DATA_MAX)
		abort();
}

/* Whatever a decoder says of its failure is one, and is fit to be shown. */
static void failed(struct ota_bytes in)
{
	struct ota_error err = { 0 };

	if (decode_failed_parse(in, &err) == OTA_OK || err.code == OTA_OK)
		abort();
	for (const char *at = err.text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ota_bytes in = { data + 1, size - 1 };

	if (size == 0)
		return 0;
	if (data[0] % 3 == 0)
		head(in);
	else if (data[0] % 3 == 1)
		answer(in);
	else
		failed(in);
	return 0;
}

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/freeze.h"
#include "proto/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses is a time: it begins before it ends, and it is over at some moment that can
 * be told. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ota_autofree char *text = calloc(1, size + 1);
	ota_autofree struct rollout_spec *spec = calloc(1, sizeof *spec);
	struct rollout_freeze *freeze;
	char told[FREEZE_TIME_CAP];
	uint64_t until_s = 0;

	if (text == NULL || spec == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	freeze = &spec->freezes[0];
	if (freeze_parse(text, freeze, NULL) != OTA_OK)
		return 0;
	spec->freeze_count = 1;
	if (freeze->to_s == 0 ? freeze->week.len_min == 0 || freeze->week.days == 0
			      : freeze->from_s >= freeze->to_s)
		abort();
	if (freeze->to_s > 0 &&
		(freeze_now(spec, freeze->from_s, &until_s) != freeze ||
			until_s != freeze->to_s || freeze_now(spec, until_s, NULL)))
		abort();
	freeze_time_text(freeze->to_s, told);
	return 0;
}

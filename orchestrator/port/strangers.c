#include "orchestrator/port/strangers.h"

#include <stdio.h>
#include <string.h>

void strangers_note(struct strangers *strangers, const char *id)
{
	size_t at = strangers->count;

	for (size_t i = 0; i < strangers->count; i++)
		if (strcmp(strangers->ids[i], id) == 0)
			return;
	if (strangers->count < STRANGERS_MAX) {
		strangers->count++;
	} else {
		at = strangers->oldest;
		strangers->oldest = (at + 1) % STRANGERS_MAX;
	}
	(void)snprintf(strangers->ids[at], OTA_NAME_CAP, "%s", id);
}

uint64_t strangers_met(struct strangers *strangers, const struct core *core)
{
	uint64_t buckets = 0;
	size_t left = 0;

	for (size_t i = 0; i < strangers->count; i++) {
		struct core_seal seal;

		if (core_seal_of(core, strangers->ids[i], &seal, NULL) == OTA_OK)
			buckets |= UINT64_C(1) << ota_state_bucket(strangers->ids[i]);
		else if (left++ != i)
			memcpy(strangers->ids[left - 1], strangers->ids[i], OTA_NAME_CAP);
	}
	if (left < strangers->count)
		strangers->oldest = 0;
	strangers->count = left;
	return buckets;
}

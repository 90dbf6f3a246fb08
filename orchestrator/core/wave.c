#include "orchestrator/core/wave.h"

uint32_t wave_admitted(const struct wave_buckets *buckets, uint64_t permille)
{
	uint32_t sum = 0;

	for (uint32_t b = 0; b < OTA_PERMILLE_ALL && b < permille; b++)
		sum += buckets->count[b];
	return sum;
}

/* Buckets that may be added to a share without admitting a device beyond it. */
static uint32_t widened(const struct wave_buckets *buckets, uint32_t permille)
{
	while (permille < OTA_PERMILLE_ALL && buckets->count[permille] == 0)
		permille++;
	return permille;
}

struct wave_share wave_of_count(const struct wave_buckets *buckets, uint64_t count)
{
	struct wave_share share = { 0 };

	for (uint32_t b = 0; b < OTA_PERMILLE_ALL; b++) {
		uint32_t here = buckets->count[b];

		if (here == 0)
			continue;
		if (share.devices > 0 && share.devices + here > count)
			break;
		share.devices += here;
		share.least = b + 1;
		if (share.devices >= count)
			break;
	}
	if (share.devices > 0) /* nobody to count: newcomers would all get in */
		share.permille = widened(buckets, share.least);
	return share;
}

#ifndef ORCHESTRATOR_CORE_WAVE_H
#define ORCHESTRATOR_CORE_WAVE_H

/* From a number of devices to a share of the buckets. */

#include <stdint.h>

#include "proto/wire/documents.h"

/** How the devices of a cohort fall into the buckets of a salt. */
struct wave_buckets {
	uint32_t count[OTA_PERMILLE_ALL]; /* devices in each bucket */
};

struct wave_share {
	uint32_t permille; /* the largest with that many devices, at most 1000 */
	uint32_t least;    /* the smallest with the same devices */
	uint32_t devices;  /* admitted by either */
};

/** Devices that a permille admits. */
uint32_t wave_admitted(const struct wave_buckets *buckets, uint64_t permille);

/** The largest share that admits at most count devices; if that admits none although
 *  there are devices, the smallest that admits any. Nothing for a cohort without devices.
 */
struct wave_share wave_of_count(const struct wave_buckets *buckets, uint64_t count);

#endif

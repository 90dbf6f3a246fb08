#ifndef PROTO_DELTA_PREDICT_PARTITIONS_H
#define PROTO_DELTA_PREDICT_PARTITIONS_H

/* The partitions of a disk image: GPT (sectors of 512 or 4096 bytes), else MBR with
 * logical partitions. */

#include "proto/base/bytes.h"

enum { OTA_PARTITIONS_MAX = 128 };

struct ota_partition {
	uint64_t offset, len; /* bytes in the image */
	unsigned number;      /* as the kernel counts: 1.., logical ones of an MBR 5.. */
};

/** Find the partitions of an untrusted image, by offset. Those that share bytes with one
 *  before them are left out; one that goes beyond the image is cut. Returns how many;
 *  0 if the image is no disk. */
unsigned ota_partitions_find(
	struct ota_bytes image, struct ota_partition out[static OTA_PARTITIONS_MAX]);

#endif

#ifndef AGENT_PORT_MOUNTS_H
#define AGENT_PORT_MOUNTS_H

/* What the kernel says is mounted: lines of /proc/self/mountinfo (proc(5)), of which the
 * third field, MAJOR:MINOR of the device, is read. */

#include <sys/types.h>

#include "proto/base/bytes.h"

/** How a device is in use. */
enum mounts_use { MOUNTS_FREE, MOUNTS_ROOT, MOUNTS_MOUNTED };

/** Find a block device in the mounts.
 *
 *  device  its st_rdev
 *  table   "/proc/self/mountinfo", or a file like it
 *
 *  Returns OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code mounts_find(
	dev_t device, const char *table, enum mounts_use *out, struct ota_error *err);

extern const char MOUNTS_TABLE[]; /* of this process */

#endif

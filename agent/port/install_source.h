#ifndef AGENT_PORT_INSTALL_SOURCE_H
#define AGENT_PORT_INSTALL_SOURCE_H

/* The image that a patch is applied to: what the running slot holds, mended where it
 * differs from what it should hold by blocks in the spool. The slot is only read. */

#include "agent/core/core.h"
#include "agent/port/image_file.h"
#include "agent/port/install_work.h"

/** An image that can be read. Close with install_source_fini(). */
struct install_source {
	struct image_file image; /* owned; the slot */
	int overlay_fd;          /* owned; the blocks that stand for those of the slot
				    (agent/core/overlay.h); -1: none do */
};

/** Close. Accepts `{ .overlay_fd = -1 }`. */
void install_source_fini(struct install_source *source);

/**
 * Compare the slot work->from with the block table that the spooled manifest of
 * work->patch names.
 *
 * Returns OTA_OK, OTA_E_NOTFOUND or OTA_E_DIGEST (manifest or table are not in the spool,
 * or damaged), OTA_E_PRECURSOR (the table is of another image than the patch's source),
 * OTA_E_IO, OTA_E_NOMEM or OTA_E_CANCELLED.
 */
OTA_CHECKED enum ota_code install_source_scan(
	const struct install_work *work, struct agent_scan *out, struct ota_error *err);

/** See that every block that the slot lacks is in the spool. As install_source_scan(),
 *  OTA_E_DIGEST also for a block. */
OTA_CHECKED enum ota_code install_source_verify(
	const struct install_work *work, struct ota_error *err);

/**
 * Open the source of a patch. With work->repairs the slot is compared again, the blocks
 * that it lacks are unpacked from the spool into a file without a name in the spool's
 * directory, or in state_dir if that cannot be written, and the whole is digested:
 * OTA_E_PRECURSOR if it is not the image that the patch applies to. Else as
 * slot_image_open().
 */
OTA_CHECKED enum ota_code install_source_open(const struct install_work *work,
	const struct ota_manifest *manifest, struct install_source *out,
	struct ota_error *err);

#endif

#ifndef AGENT_PORT_INSTALL_READBACK_H
#define AGENT_PORT_INSTALL_READBACK_H

/* Reading back what was written, on a thread of its own that does nothing else: while the
 * next blocks of an image are written, those that were synced are read from the medium,
 * past the page cache, and digested. The end of the image is only read once all of it was
 * synced. Then the first bytes of every block are read once more, so that a medium that
 * puts later blocks over earlier ones, being smaller than it says, is found out. */

#include "agent/port/slot_medium.h"

/** A thread under way. Opaque. */
struct install_readback;

/**
 * Start; nothing is read yet.
 *
 * place  of the image, which was opened to be written; copied, its config is borrowed
 * len    bytes of the image
 * stop   ends it early with OTA_E_CANCELLED; borrowed until install_readback_free()
 * out    release with install_readback_free()
 *
 * Returns OTA_OK, OTA_E_NOMEM, or what slot_medium.image_path and image_file_open()
 * return.
 */
OTA_CHECKED enum ota_code install_readback_new(const struct slot_place *place,
	uint64_t len, const atomic_bool *stop, struct install_readback **out,
	struct ota_error *err);

/** So many bytes from the start of the image were synced, and stay as they are: they may
 *  be read. The whole image is for install_readback_finish() to allow, and passed over
 *  here. Never waits. */
void install_readback_reach(struct install_readback *readback, uint64_t synced);

/** Wait until all that may be read was read, or reading failed. */
void install_readback_wait(struct install_readback *readback);

/** All of the image was synced: read the rest, and wait for the digest of what the medium
 *  has. OTA_OK, OTA_E_IO, OTA_E_MEDIA if what was read back did not stay as it was, or
 *  OTA_E_CANCELLED. */
OTA_CHECKED enum ota_code install_readback_finish(
	struct install_readback *readback, struct ota_digest *out, struct ota_error *err);

/** Tell the thread to end, wait for that, and release. NULL is allowed. */
void install_readback_free(struct install_readback *readback);

#endif

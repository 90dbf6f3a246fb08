#ifndef AGENT_PORT_INSTALL_CHECK_H
#define AGENT_PORT_INSTALL_CHECK_H

/* Checkpoints of an install, on a thread of their own: while blocks of the image are
 * synced and then marked, the next one is written. What is marked may be read back. Where
 * syncing is slower than writing several are synced at once: at most four, and no more
 * than a sixteenth of the image, or one. That, and the block being written, is what a cut
 * costs at most. */

#include "agent/port/install_mark.h"
#include "agent/port/install_readback.h"

/** A thread under way. Opaque. */
struct install_check;

/**
 * Start.
 *
 * fd       of the slot; borrowed until install_check_free(), and used meanwhile
 * mark     borrowed, and used meanwhile
 * readback borrowed, and used meanwhile: told how far it may read
 *
 * Returns OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code install_check_new(int fd, struct install_mark *mark,
	struct install_readback *readback, struct install_check **out,
	struct ota_error *err);

/** A block was written, which has that digest: let it be made durable, and then marked.
 * Blocks come in order. Waits if too many wait. OTA_OK, or how an earlier one failed:
 * OTA_E_IO or OTA_E_NOSPACE. After a failure nothing is synced any more. */
OTA_CHECKED enum ota_code install_check_block(struct install_check *check, uint64_t block,
	const struct ota_digest *digest, struct ota_error *err);

/** Wait for the last one. As install_check_block(). */
OTA_CHECKED enum ota_code install_check_wait(
	struct install_check *check, struct ota_error *err);

/** Wait for the thread to end, and release. NULL is allowed. */
void install_check_free(struct install_check *check);

#endif

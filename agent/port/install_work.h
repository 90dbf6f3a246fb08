#ifndef AGENT_PORT_INSTALL_WORK_H
#define AGENT_PORT_INSTALL_WORK_H

/* The long work of the installer, made for worker threads: it shares nothing with the
 * loop but a flag that ends it early. */

#include <stdatomic.h>

#include "agent/port/install_target.h"
#include "proto/wire/digest.h"

/** What to work on. */
struct install_work {
	const char *spool_dir;   /* borrowed */
	const char *state_dir;   /* borrowed; holds the mark of the install */
	struct ota_digest patch; /* digest of the manifest */
	struct slot_place from;  /* image that runs */
	uint64_t from_len;       /* as of slots_image_len() */
	bool repairs;            /* ... and is mended by blocks in the spool */
	struct slot_place to;    /* slot to be written */
	uint64_t ram_max;        /* bytes, of the decoder */
	const char *decoder;     /* borrowed; program that decodes, NULL: this one */
	atomic_bool stop;
	struct install_count count; /* after install_work_apply() */
};

/** Hash every chunk in the spool. OTA_OK; OTA_E_DIGEST if one is not what the manifest
 *  says, or if the manifest is another; OTA_E_NOTFOUND, OTA_E_IO, OTA_E_CANCELLED. */
OTA_CHECKED enum ota_code install_work_verify(
	const struct install_work *work, struct ota_error *err);

/** Apply the patch: write work->to, make it durable, read it back and digest it. Goes on
 *  behind what an attempt that was cut left in place and can be proved. Each chunk is
 *  hashed again as it is read. Besides codes of decode_child_*(): OTA_E_MEDIA if the
 * spool or the slot does not hold what was written to it, OTA_E_NOSPACE, OTA_E_IO,
 *  OTA_E_CANCELLED, and what slot_medium.open_target and .settle return. */
OTA_CHECKED enum ota_code install_work_apply(
	struct install_work *work, struct ota_error *err);

#endif

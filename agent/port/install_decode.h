#ifndef AGENT_PORT_INSTALL_DECODE_H
#define AGENT_PORT_INSTALL_DECODE_H

/* How the installer runs a decoder, which is a process of its own: everything it asks of
 * one is behind this one call. */

#include <stdatomic.h>

#include "agent/port/image_file.h"

/** All of it borrowed for the call. */
struct install_decode {
	const struct ota_manifest *manifest;
	const struct image_file *from; /* the running image */
	const int *overlay_fd;         /* over it (decode_child.h); -1: nothing is */
	const struct ota_source *have; /* what is proved of the new one, from its start */
	const struct ota_sink *out;    /* gets what comes behind it */
	uint64_t ram_max;              /* bytes of heap */
	const char *program;           /* that decodes; NULL: this one */
	const atomic_bool *stop;       /* ends it early */

	void *ctx; /* of chunk */
	/** The next chunk of the patch, in order; valid until the next call. What it
	 *  returns ends the decoding. */
	enum ota_code (*chunk)(
		void *ctx, uint32_t i, struct ota_bytes *out, struct ota_error *err);
};

/** Apply the patch. OTA_OK when the decoder says that the image is whole and has its
 *  digest, which is for the caller to see for himself; what chunk, out or have returned;
 * or a code of decode_child_*(). */
OTA_CHECKED enum ota_code install_decode_run(
	const struct install_decode *decode, struct ota_error *err);

#endif

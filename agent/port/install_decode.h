#ifndef AGENT_PORT_INSTALL_DECODE_H
#define AGENT_PORT_INSTALL_DECODE_H

/* How the installer runs a decoder: everything it asks of one is behind this one call. */

#include "proto/delta/codec.h"

/** All of it borrowed for the call. */
struct install_decode {
	const struct ota_manifest *manifest;
	const struct ota_source *from; /* the running image */
	const struct ota_source *have; /* what is proved of the new one, from its start */
	const struct ota_sink *out;    /* gets what comes behind it */
	uint64_t ram_max;              /* bytes of heap */

	void *ctx; /* of chunk */
	/** The next chunk of the patch, in order; valid until the next call. What it
	 *  returns ends the decoding. */
	enum ota_code (*chunk)(
		void *ctx, uint32_t i, struct ota_bytes *out, struct ota_error *err);
};

/** Apply the patch. OTA_OK when the image is whole and has its digest; what chunk, out or
 *  have returned; or a code of ota_decoder_*(). */
OTA_CHECKED enum ota_code install_decode_run(
	const struct install_decode *decode, struct ota_error *err);

#endif

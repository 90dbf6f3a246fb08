#ifndef TESTS_UNIT_PATCH_KIT_H
#define TESTS_UNIT_PATCH_KIT_H

/* Patches in memory, for the tests of codecs. Nothing here asserts. */

#include "proto/delta/decode.h"
#include "proto/delta/encode.h"

/** A sink that keeps what it gets, and fails from byte fail_at on. */
struct kit_sink {
	struct ota_buf bytes;
	size_t fail_at; /* bytes; 0: never */
	enum ota_code fail_code;
};

/** The sink as a port. */
struct ota_sink kit_sink_port(struct kit_sink *sink);

/** A patch with all that is needed to make and apply it. */
struct kit_patch {
	struct ota_buf from, to, patch;
	struct ota_manifest manifest;
};

/** Release all. Accepts a zeroed struct. */
void kit_patch_fini(struct kit_patch *kit);

/** Append len bytes that no codec compresses, the same ones for the same seed. */
void kit_noise(struct ota_buf *out, size_t len, uint64_t seed);

/** Set from and to: to is as long as to_len says and made of pieces of from with edits,
 *  or of other noise. */
void kit_images(struct kit_patch *kit, size_t from_len, size_t to_len, bool related);

/** Encode kit->patch and kit->manifest, fast. */
enum ota_code kit_encode(struct kit_patch *kit, uint8_t codec, struct ota_error *err);

/** What one decoding did. */
struct kit_decoding {
	struct ota_buf image;
	uint64_t peak;    /* bytes of heap */
	uint64_t ram_max; /* bytes; 0: OTA_DECODER_RAM */
	size_t piece_len; /* bytes fed at once; 0: all */
};

/** Decode kit->patch into run->image. */
enum ota_code kit_decode(
	const struct kit_patch *kit, struct kit_decoding *run, struct ota_error *err);

/** Release the image. */
void kit_decoding_fini(struct kit_decoding *run);

/** True if both buffers hold the same bytes. */
bool kit_same(const struct ota_buf *a, const struct ota_buf *b);

#endif

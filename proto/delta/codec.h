#ifndef PROTO_DELTA_CODEC_H
#define PROTO_DELTA_CODEC_H

/* Patch codecs: one interface, each implementation streaming, bounded in memory,
 * cancellable, with progress. Encoders and decoders live in separate translation units
 * (and separate libraries): the agent links decoders only. A codec is one row of the
 * tables in encode.h and decode.h; a further one is a file and a row. */

#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/wire/manifest.h"

/** Heap of a decoder, in bytes, that every device is expected to have: what patches are
 *  made for unless told otherwise. */
enum { OTA_DECODER_RAM = 8 << 20 };

/** Random reads of an image. A port: files, memory, block devices stand behind it. */
struct ota_source {
	void *ctx;
	uint64_t len; /* bytes */
	/** Fill out with len bytes from offset; the range lies inside. OTA_OK or
	 * OTA_E_IO. */
	enum ota_code (*read)(void *ctx, uint64_t offset, uint8_t *out, size_t len);
};

/** Where a stream goes, in order. */
struct ota_sink {
	void *ctx;
	/** Take all of data or fail with OTA_E_IO, OTA_E_NOSPACE ... */
	enum ota_code (*write)(void *ctx, struct ota_bytes data);
};

/** Watches long work; called at least every 1 MiB of the new image, but codec predict
 *  passes over what is as it was at once. May be { 0 }. */
struct ota_progress {
	void *ctx;
	/** done and total in bytes. False cancels the work with OTA_E_CANCELLED. */
	bool (*tick)(void *ctx, uint64_t done, uint64_t total);
};

/** Lets independent tasks run side by side. A port; may be { 0 }: one after the other. */
struct ota_crew {
	void *ctx;
	/** Run task(arg, worker, i) once for each i < count, and return when all are
	 * done. Tasks are begun in order. Worker 0 is the calling thread. */
	void (*run)(void *ctx, uint32_t count,
		void (*task)(void *arg, uint32_t worker, uint32_t i), void *arg);
};

/** Text of a codec id ("full", "vcdiff"); "unknown" otherwise. */
const char *ota_codec_text(uint8_t codec);

/** The codec with that text. OTA_OK or OTA_E_NOTFOUND. */
OTA_CHECKED enum ota_code ota_codec_of(
	const char *text, uint8_t *out, struct ota_error *err);

/** A source over bytes in memory; data is borrowed for the life of the source. */
struct ota_source ota_source_of(struct ota_bytes *data);

/** The digest of a whole source, read in pieces. */
OTA_CHECKED enum ota_code ota_source_digest(const struct ota_source *source,
	const struct ota_progress *progress, struct ota_digest *out,
	struct ota_error *err);

#endif

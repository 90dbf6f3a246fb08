#ifndef PROTO_DELTA_PREDICT_BUILD_ID_H
#define PROTO_DELTA_PREDICT_BUILD_ID_H

/* Encoder only: the note by which linkers name a build, whatever its file is called. */

#include "proto/base/bytes.h"

enum { OTA_BUILD_ID_MAX = 32 }; /* bytes */

/** The build-id of an ELF file, from its segments or, in an object file, its sections.
 *  Returns its length in bytes; 0: there is none, or it makes no sense. */
size_t ota_build_id_of(struct ota_bytes file, uint8_t out[static OTA_BUILD_ID_MAX]);

#endif

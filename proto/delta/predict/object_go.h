#ifndef PROTO_DELTA_PREDICT_OBJECT_GO_H
#define PROTO_DELTA_PREDICT_OBJECT_GO_H

/* What Go's linker writes for its runtime, in an ELF file. */

#include "proto/delta/predict/elf.h"
#include "proto/delta/predict/object_build.h"

/** Add the tables of functions to an object whose spans are there. Nothing if it is no Go
 *  program, or one of a version or place in memory that is not known. OTA_OK or
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_object_go(
	const struct ota_elf *elf, struct ota_build *build);

#endif

#ifndef PROTO_DELTA_PREDICT_OBJECT_ELF_H
#define PROTO_DELTA_PREDICT_OBJECT_ELF_H

/* The parsers behind ota_object_parse(), by format. Each fills build, whose in is at
 * least OTA_OBJECT_LEN_MIN bytes long, or returns OTA_E_NOTFOUND or OTA_E_NOMEM. */

#include "proto/delta/predict/elf.h"
#include "proto/delta/predict/object_build.h"

/** Executables and shared libraries. */
OTA_CHECKED enum ota_code ota_object_elf(
	const struct ota_elf *elf, struct ota_build *build);

/** Relocatable objects of 64 bit. */
OTA_CHECKED enum ota_code ota_object_rel(
	const struct ota_elf *elf, struct ota_build *build);

/** Programs for EFI. */
OTA_CHECKED enum ota_code ota_object_pe(struct ota_build *build);

/** Linux for ARM, 32 or 64 bit, as the boot loader puts it into memory ("Image"). */
OTA_CHECKED enum ota_code ota_object_kernel(struct ota_build *build);

/** The kind of code a machine has; OTA_REGION_T32 for 32 bit ARM, to be cut. */
uint8_t ota_object_code(uint16_t machine);

#endif

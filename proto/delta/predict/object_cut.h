#ifndef PROTO_DELTA_PREDICT_OBJECT_CUT_H
#define PROTO_DELTA_PREDICT_OBJECT_CUT_H

/* Sections that are not one region: their bytes tell where to cut. */

#include "proto/delta/predict/object_build.h"

/** Regions of .eh_frame: whole records, a page of them at most. A record that is longer,
 *  and what follows one that makes no sense, is in none. */
OTA_CHECKED enum ota_code ota_cut_eh_frame(
	struct ota_build *build, const struct ota_region *whole);

/** Regions of 32 bit ARM code: pages of ARM instructions, pages of Thumb instructions. */
OTA_CHECKED enum ota_code ota_cut_arm(
	struct ota_build *build, const struct ota_region *whole);

/** Regions of a 64 bit ARM kernel: pages of code, pages of
 *  kernel data that count from whole->base. Widens the bounds of the code. */
OTA_CHECKED enum ota_code ota_cut_a64_kernel(
	struct ota_build *build, const struct ota_region *whole);

/** Regions of a 32 bit ARM kernel: pages of code, pages of pointers. Widens the bounds of
 *  the code. */
OTA_CHECKED enum ota_code ota_cut_arm_kernel(
	struct ota_build *build, const struct ota_region *whole);

/** Regions for the jump tables of x86-64: where code takes the address of something in a
 *  PLAIN region that reads like offsets from there into code. Give it when all code and
 *  all PLAIN regions are there, and the bounds. */
OTA_CHECKED enum ota_code ota_cut_jump_tables(struct ota_build *build);

#endif

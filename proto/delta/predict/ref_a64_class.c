#include "proto/delta/predict/ref_a64.h"

/* In the macros, top is bits 31 .. 21 of an instruction, and the first row that fits
 * tells. Masks say nothing of the bits below. */

#define IS(top, mask, value) (((top) << 21 & (mask)) == (value))

/* clang-format off */
#define KIND(top)                                                 \
	(IS(top, 0x7c000000, 0x14000000) ? OTA_A64_B :            \
	 IS(top, 0xff000000, 0x54000000) ? OTA_A64_COND :         \
	 IS(top, 0x7e000000, 0x34000000) ? OTA_A64_COMPARE :      \
	 IS(top, 0x7e000000, 0x36000000) ? OTA_A64_TEST :         \
	 IS(top, 0x3b000000, 0x18000000) ? OTA_A64_LITERAL :      \
	 IS(top, 0x9f000000, 0x10000000) ? OTA_A64_ADR :          \
	 IS(top, 0x9f000000, 0x90000000) ? OTA_A64_ADRP :         \
	 IS(top, 0xffc00000, 0x91000000) ? OTA_A64_OFFSET :       \
	 IS(top, 0x3b000000, 0x39000000) ? OTA_A64_OFFSET :       \
	 FRAME(top) != OTA_A64_NO_FRAME ? OTA_A64_FRAME : OTA_A64_OTHER)

/* ADD; vectors of 16 bytes; the others have it in bits 31, 30 */
#define SCALE(top)                                                \
	(!IS(top, 0x3b000000, 0x39000000) ? 0 :                   \
	 IS(top, 0xc4800000, 0x04800000) ? 4 : (top) >> 9)

#define FRAME(top)                                                \
	(IS(top, 0xffc00000, 0xd1000000) ? OTA_A64_PUSH :         \
	 IS(top, 0xffc00000, 0x91000000) ? OTA_A64_SIZE :         \
	 IS(top, 0xffe00000, 0xa9a00000) ? OTA_A64_PAIR_PUSH :    \
	 IS(top, 0xffc00000, 0xa8c00000) ? OTA_A64_PAIR_SIZE :    \
	 IS(top, 0xbf800000, 0x29000000) ? OTA_A64_PAIR_SP :      \
	 IS(top, 0xff800000, 0xa9000000) ? OTA_A64_PAIR_SP + 1 :  \
	 IS(top, 0xff800000, 0x2d000000) ? OTA_A64_PAIR_SP :      \
	 IS(top, 0xff800000, 0x6d000000) ? OTA_A64_PAIR_SP + 1 :  \
	 IS(top, 0xff800000, 0xad000000) ? OTA_A64_PAIR_SP + 2 :  \
	 IS(top, 0xff800000, 0x3d800000) ? OTA_A64_OFFSET_SP + 4 : \
	 IS(top, 0x3b000000, 0x39000000) ? OTA_A64_OFFSET_SP + ((top) >> 9) : \
	 IS(top, 0x3b200000, 0x38000000) ? OTA_A64_NEAR_SP : OTA_A64_NO_FRAME)

/* Branches and system; vectors; what is no load or store; those of vectors; pairs; literal;
 * the others, of which bits 23, 22 say which load. */
#define WRITES(top)                                                           \
	(IS(top, 0xfc000000, 0x94000000) ? OTA_A64_CALLS :                    \
	 IS(top, 0xffe00000, 0xd6200000) ? OTA_A64_CALLS :                    \
	 IS(top, 0x1c000000, 0x14000000) ? OTA_A64_WRITES_NONE :              \
	 IS(top, 0x0e000000, 0x0e000000) ? OTA_A64_WRITES_NONE :              \
	 !IS(top, 0x0a000000, 0x08000000) ? OTA_A64_WRITES_FIRST :            \
	 IS(top, 0x04000000, 0x04000000) ? OTA_A64_WRITES_NONE :              \
	 IS(top, 0x3a400000, 0x28400000) ? OTA_A64_WRITES_PAIR :              \
	 IS(top, 0x3a400000, 0x28000000) ? OTA_A64_WRITES_NONE :              \
	 IS(top, 0x3b000000, 0x18000000) ? OTA_A64_WRITES_FIRST :             \
	 IS(top, 0x00c00000, 0x00000000) ? OTA_A64_WRITES_NONE : OTA_A64_WRITES_FIRST)

#define ROW(top) { KIND(top), SCALE(top), WRITES(top), FRAME(top) },
#define ROWS_16(top)                                                               \
	ROW(top##0u) ROW(top##1u) ROW(top##2u) ROW(top##3u) ROW(top##4u) ROW(top##5u) \
	ROW(top##6u) ROW(top##7u) ROW(top##8u) ROW(top##9u) ROW(top##au) ROW(top##bu) \
	ROW(top##cu) ROW(top##du) ROW(top##eu) ROW(top##fu)
#define ROWS_256(top)                                                         \
	ROWS_16(top##0) ROWS_16(top##1) ROWS_16(top##2) ROWS_16(top##3)       \
	ROWS_16(top##4) ROWS_16(top##5) ROWS_16(top##6) ROWS_16(top##7)       \
	ROWS_16(top##8) ROWS_16(top##9) ROWS_16(top##a) ROWS_16(top##b)       \
	ROWS_16(top##c) ROWS_16(top##d) ROWS_16(top##e) ROWS_16(top##f)

const struct ota_a64_class ota_a64_classes[1 << 11] = {
#ifndef __cppcheck__ /* which takes minutes for it */
	ROWS_256(0x0) ROWS_256(0x1) ROWS_256(0x2) ROWS_256(0x3)
	ROWS_256(0x4) ROWS_256(0x5) ROWS_256(0x6) ROWS_256(0x7)
#else
	{ 0 },
#endif
};
/* clang-format on */

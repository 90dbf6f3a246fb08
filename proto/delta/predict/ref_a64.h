#ifndef PROTO_DELTA_PREDICT_REF_A64_H
#define PROTO_DELTA_PREDICT_REF_A64_H

/* What the upper 11 bits of an AArch64 instruction tell (Arm ARM, C4.1 "A64 instruction
 * set encoding"): a table, so that a scan has one look-up for each instruction. */

#include <stdint.h>

enum ota_a64_kind {
	OTA_A64_OTHER,   /* holds no address */
	OTA_A64_B,       /* B, BL */
	OTA_A64_COND,    /* B.cond, if bit 4 is 0 */
	OTA_A64_COMPARE, /* CBZ, CBNZ */
	OTA_A64_TEST,    /* TBZ, TBNZ */
	OTA_A64_LITERAL, /* LDR (literal) */
	OTA_A64_ADR,
	OTA_A64_ADRP,
	OTA_A64_OFFSET, /* ADD (immediate), LDR and STR (unsigned offset) */
	OTA_A64_FRAME,  /* maybe from the stack pointer, and nothing else */
};

/** The general registers that an instruction writes: near enough to tell when an ADRP is
 *  over. */
enum ota_a64_writes {
	OTA_A64_WRITES_NONE = 0,
	OTA_A64_WRITES_FIRST = 1,  /* bits 4 .. 0 */
	OTA_A64_WRITES_SECOND = 2, /* bits 14 .. 10 */
	OTA_A64_WRITES_PAIR = 3,   /* both */
	OTA_A64_CALLS = 4,         /* BL, and maybe BLR: none of x0 to x18 is left */
};

/** Forms of ref_a64_frame.c, by their place in the family. */
enum ota_a64_frame {
	OTA_A64_OFFSET_SP =
		0,           /* 12 bits unsigned; a form for each of the scales 0 .. 4 */
	OTA_A64_PAIR_SP = 5, /* 7 bits signed; scales 2 .. 4 */
	OTA_A64_NEAR_SP = 8, /* 9 bits signed, not scaled */
	OTA_A64_SIZE = 9,    /* 12 bits unsigned: taken from or given back to SP */
	OTA_A64_PUSH = 10,   /* the same, taken */
	OTA_A64_PAIR_SIZE = 11, /* 7 bits signed, scale 3, given back */
	OTA_A64_PAIR_PUSH = 12, /* the same, taken */
	OTA_A64_NO_FRAME = 15,
};

struct ota_a64_class {
	uint8_t kind;   /* enum ota_a64_kind */
	uint8_t scale;  /* of an OFFSET: it counts in units of 1 << scale bytes */
	uint8_t writes; /* enum ota_a64_writes */
	uint8_t frame;  /* enum ota_a64_frame: the form if bits 9 .. 5 are SP. SIZE and
			 * PUSH:  only if bits 4 .. 0 are SP too; NEAR_SP: if bits 11, 10
			 * are 0 */
};

/** By bits 31 .. 21 of an instruction. ref_a64_class.c */
extern const struct ota_a64_class ota_a64_classes[1 << 11];

#endif

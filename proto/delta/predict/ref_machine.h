#ifndef PROTO_DELTA_PREDICT_REF_MACHINE_H
#define PROTO_DELTA_PREDICT_REF_MACHINE_H

/* What the files ref_*.c share. A machine is a family of forms and some kinds; a form's
 * number is its family's plus its place in the family. */

#include "proto/base/le.h"
#include "proto/delta/predict/ref.h"

enum {
	/* Families. Numbers are not on the wire. */
	OTA_FORMS_WORD = 0 * OTA_FAMILY_FORMS,
	OTA_FORMS_A64 = 1 * OTA_FAMILY_FORMS,
	OTA_FORMS_X86 = 2 * OTA_FAMILY_FORMS,
	OTA_FORMS_T32 = 3 * OTA_FAMILY_FORMS,
	OTA_FORMS_A32 = 4 * OTA_FAMILY_FORMS,
	OTA_FORMS_A64_FRAME = 5 * OTA_FAMILY_FORMS,
	OTA_FORMS_REL = 6 * OTA_FAMILY_FORMS,
	OTA_FORMS_GO = 7 * OTA_FAMILY_FORMS,
};

/** Whole words that hold an address: forms that any machine may use. */
enum ota_word_form {
	OTA_WORD_ABS64 = OTA_FORMS_WORD,
	OTA_WORD_SIGNED32, /* absolute, sign extended */
	OTA_WORD_ABS32,    /* absolute */
	OTA_WORD_CODE32,   /* absolute, bit 0 (Thumb) is not of the address */
	OTA_WORD_SELF32,   /* counts from the field's own address */
	OTA_WORD_BACK32,   /* counts back from the field's own address */
	OTA_WORD_BASE32,   /* counts from base */
	OTA_WORD_SELF31,   /* counts from the field's own address, bit 31 is kept */
	OTA_WORD_KERNEL64, /* an address of 27 bits below a constant that is kept */
	OTA_WORD_INDEX32,  /* an index of entries of 24 bytes from base */
	OTA_WORD_INDEX24,  /* 3 bytes: an index of entries of 16 bytes from base */
	OTA_WORD_LEN32,    /* the length of what begins at base: names its last byte */
};

enum { OTA_KERNEL64_BITS = 27 };

extern const struct ota_ref_form ota_forms_word[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_a64[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_x86[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_t32[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_a32[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_a64_frame[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_rel[OTA_FAMILY_FORMS];
extern const struct ota_ref_form ota_forms_go[OTA_FAMILY_FORMS];

extern const struct ota_ref_kind ota_kind_a64;
extern const struct ota_ref_kind ota_kind_x64;
extern const struct ota_ref_kind ota_kind_x86;
extern const struct ota_ref_kind ota_kind_t32;
extern const struct ota_ref_kind ota_kind_a32;
extern const struct ota_ref_kind ota_kind_arm_plt;
extern const struct ota_ref_kind ota_kind_rela64;
extern const struct ota_ref_kind ota_kind_rela32;
extern const struct ota_ref_kind ota_kind_rel32;
extern const struct ota_ref_kind ota_kind_sym64;
extern const struct ota_ref_kind ota_kind_sym32;
extern const struct ota_ref_kind ota_kind_ptr64;
extern const struct ota_ref_kind ota_kind_ptr32;
extern const struct ota_ref_kind ota_kind_eh_frame;
extern const struct ota_ref_kind ota_kind_eh_hdr;
extern const struct ota_ref_kind ota_kind_jump32;
extern const struct ota_ref_kind ota_kind_kernel64;
extern const struct ota_ref_kind ota_kind_abs32;
extern const struct ota_ref_kind ota_kind_exidx;
extern const struct ota_ref_kind ota_kind_index64;
extern const struct ota_ref_kind ota_kind_rel_rela64;
extern const struct ota_ref_kind ota_kind_rel_sym64;
extern const struct ota_ref_kind ota_kind_go_records;
extern const struct ota_ref_kind ota_kind_go_table;
extern const struct ota_ref_kind ota_kind_go_links;

/** The number that the lowest bits (1 .. 63) hold in two's complement. */
static inline int64_t ota_signed(uint64_t value, unsigned bits)
{
	uint64_t sign = 1ull << (bits - 1);

	value &= 2 * sign - 1;
	return (int64_t)((value ^ sign) - sign);
}

/** True if ota_signed() of these bits (1 .. 63) gives value. */
static inline bool ota_fits(int64_t value, unsigned bits)
{
	return ota_signed((uint64_t)value, bits) == value;
}

/** a + b; addresses wrap. */
static inline int64_t ota_plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

/** a - b; addresses wrap. */
static inline int64_t ota_minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline bool ota_in_object(const struct ota_scan *scan, int64_t address)
{
	return address >= scan->bounds.low && address < scan->bounds.high;
}

static inline bool ota_in_text(const struct ota_scan *scan, int64_t address)
{
	return address >= scan->bounds.text_low && address < scan->bounds.text_high;
}

/** True if the object is linked where it runs, so that its code may hold absolute
 *  addresses. Objects that can be loaded anywhere lie from 0 on. */
static inline bool ota_is_fixed(const struct ota_scan *scan)
{
	return scan->bounds.low < 0 || scan->bounds.low >= 0x8000;
}

/** The first position of a scan, from `before` bytes before the page on, whose address is
 *  a multiple of align (a power of two). Positions count from the page's start. */
static inline int32_t ota_first_aligned(const struct ota_scan *scan, uint32_t align)
{
	int32_t at = -(int32_t)scan->before;

	return at + (int32_t)(-(uint64_t)ota_plus(scan->address, at) & (align - 1));
}

/** One behind the last byte that a scan can see. */
static inline int32_t ota_scan_end(const struct ota_scan *scan)
{
	return (int32_t)(scan->len + scan->after);
}

#endif

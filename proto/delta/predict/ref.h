#ifndef PROTO_DELTA_PREDICT_REF_H
#define PROTO_DELTA_PREDICT_REF_H

/* References: fields in code and data that hold an address. When code moves, they are
 * what changes. A region of an image has a kind, which knows how to find the references
 * in it; a reference has a form, which knows how its field is read and written.
 *
 * Encoder and decoder both scan, so a scan is a function of the bytes around one page and
 * of nothing else: no state runs from page to page, and nothing is trusted. A machine is
 * one file with a scan and its forms, and a row in the two tables of ref.c. */

#include "proto/base/bytes.h"

enum {
	OTA_REF_PAGE = 4096,   /* bytes of a region that are scanned at once */
	OTA_REF_MARGIN = 4096, /* the most bytes a scan may want before or after a page */
	OTA_REF_FIELD_MAX = 16,  /* bytes of the longest field */
	OTA_REF_PAGE_MAX = 2048, /* references that may start in one page */
	OTA_FAMILY_FORMS = 16,   /* forms of one family, at most */
};

/** Kinds of region. The number is on the wire: append only. */
#define OTA_REGION_KINDS(X)                                                          \
	X(PLAIN, 0, "plain")           /* no references                          */  \
	X(A64, 1, "aarch64 code")      /*                                        */  \
	X(X64, 2, "x86-64 code")       /*                                        */  \
	X(X86, 3, "x86 code")          /*                                        */  \
	X(T32, 4, "thumb code")        /*                                        */  \
	X(A32, 5, "arm code")          /*                                        */  \
	X(ARM_PLT, 6, "arm plt")       /*                                        */  \
	X(RELA64, 7, "rela64")         /* base: address of the symbol table      */  \
	X(RELA32, 8, "rela32")         /* base: the same                         */  \
	X(REL32, 9, "rel32")           /* base: the same                         */  \
	X(SYM64, 10, "symbols64")      /* base: address of the string table      */  \
	X(SYM32, 11, "symbols32")      /* base: the same                         */  \
	X(PTR64, 12, "pointers64")     /*                                        */  \
	X(PTR32, 13, "pointers32")     /*                                        */  \
	X(EH_FRAME, 14, "eh_frame")    /* one page at most, begins with a record */  \
	X(EH_HDR, 15, "eh_frame_hdr")  /* base: address of .eh_frame_hdr         */  \
	X(JUMP32, 16, "jump table")    /* base: what its entries count from      */  \
	X(KERNEL64, 17, "kernel data") /* base: what absolute pointers count from */ \
	X(ABS32, 18, "kernel relocs")  /* 32 bit words, sign extended            */  \
	X(EXIDX, 19, "arm unwind")     /* .ARM.exidx: begins with an entry       */  \
	X(REL_RELA64, 20, "rela64 to link")   /* base: bits, see enum ota_rel    */  \
	X(REL_SYM64, 21, "symbols64 to link") /* base: string table, as above    */  \
	X(GO_RECORDS, 22, "go functions")     /* base: see enum ota_go; one page */  \
	X(GO_TABLE, 23, "go function table")  /* base: address of the code       */  \
	X(GO_LINKS, 24, "go type links")      /* base: address of the types      */  \
	X(INDEX64, 25, "symbol indices")      /* base: address of the symbols    */

enum ota_region_kind {
#define OTA_REGION_KIND_(name, number, text) OTA_REGION_##name = number,
	OTA_REGION_KINDS(OTA_REGION_KIND_)
#undef OTA_REGION_KIND_
		OTA_REGION_KIND_COUNT,
};

/** Addresses of relocatable objects, which have none. Section i has a slot of its own and
 *  begins at i << OTA_REL_SLOT_BITS, the symbol table at 0; the relocations of a section
 *  are in the upper half of its slot. */
enum ota_rel {
	OTA_REL_SLOT_BITS = 24,
	/* Bit i of a base: section i has a symbol. Those come first in the table. */
	OTA_REL_SECTIONS_MAX = 62,
};

/** Tables of Go's runtime are seen at addresses of their own, so that an offset tells by
 *  itself what it names. The base of a region of its functions: the address of the code
 *  (32 bits), how far from it what functions' data count from (31), lined or not. */
#define OTA_GO_NAMES   ((int64_t)1 << 48)
#define OTA_GO_FILES   ((int64_t)2 << 48)
#define OTA_GO_TABLES  ((int64_t)3 << 48)
#define OTA_GO_RECORDS ((int64_t)4 << 48)
#define OTA_GO_LINED   INT64_MIN /* records say in which line a function begins */

/** What addresses of an object are plausible; both ranges half open. */
struct ota_bounds {
	int64_t low, high;           /* of the whole object */
	int64_t text_low, text_high; /* of its code: branches go nowhere else */
};

/** One reference of an old image. */
struct ota_ref {
	uint32_t at;    /* of the field's first byte, in bytes from the page's start */
	uint8_t form;   /* index for ota_ref_form() */
	int64_t target; /* the address it names */
	int64_t base;   /* the address that the field counts from, for forms that have
			 * one. It moves as any address of the object does. */
};

/** References that start in one page, by rising `at`, no two overlapping. A field may end
 *  behind the page, and then may overlap the first of the next page. */
struct ota_refs {
	uint32_t count;
	struct ota_ref at[OTA_REF_PAGE_MAX];
};

/** One page to scan. The bytes at[-before] to at[len + after - 1] are there; near the
 * ends of a region there are fewer than the kind wants. All multi-byte values in images
 * are little endian. */
struct ota_scan {
	const uint8_t *at;           /* borrowed: the page's first byte */
	uint32_t before, len, after; /* bytes */
	uint64_t offset;             /* of the page, in bytes from its region's start */
	int64_t address;             /* of the page's first byte */
	int64_t base;                /* the region's */
	struct ota_bounds bounds;    /* of the object */
};

/** How to find references in a region of this kind. */
struct ota_ref_kind {
	uint16_t before, after; /* bytes around a page that the scan would like to see */
	/** Find them. refs is empty on entry. NULL for OTA_REGION_PLAIN. */
	void (*scan)(const struct ota_scan *scan, struct ota_refs *refs);
};

/** Where a field stands, in the address space it is read or written for. */
struct ota_spot {
	int64_t address; /* of the field's first byte */
	int64_t base;    /* what it counts from, for forms that have one */
};

/** What the target of a form is. */
enum ota_ref_scope {
	OTA_SCOPE_OBJECT, /* an address of the object */
	OTA_SCOPE_LEN,    /* a length, which names the last byte of what begins at the
			   * base. It tells records apart, and is not masked. */
	OTA_SCOPE_FRAME,  /* an offset in a function's stack frame: where compilers lay
			   * frames out anew, all of a function's offsets move alike */
	OTA_SCOPE_PUSH,   /* the same, at the begin of a function */
	OTA_SCOPE_FIELD,  /* a member's offset in a structure: stays, until it was seen to
			   * change. It tells what code does, and is not masked. */
};

/** How an address is held by a field. */
struct ota_ref_form {
	const char *name; /* "a64 bl" */
	uint8_t len;      /* bytes, at most OTA_REF_FIELD_MAX */
	bool has_base;
	uint8_t mask[OTA_REF_FIELD_MAX]; /* the bits that hold the address are set */
	/** The address it names. `like` is an address that the missing bits are taken
	 *  from, where a field holds only some (an AArch64 ADRP: the page; its user: the
	 *  offset in the page). */
	int64_t (*read)(const uint8_t *field, const struct ota_spot *spot, int64_t like);
	/** Make it name target. False, and no change, if it cannot. */
	bool (*write)(uint8_t *field, const struct ota_spot *spot, int64_t target);
	enum ota_ref_scope scope;
};

/** The kind with that number, or NULL. */
const struct ota_ref_kind *ota_ref_kind(uint8_t number);

/** The name of a kind ("aarch64 code"); "unknown" otherwise. */
const char *ota_ref_kind_text(uint8_t number);

/** Tables of forms, OTA_FAMILY_FORMS each; NULL where there is none. */
extern const struct ota_ref_form
	*const ota_ref_families[(UINT8_MAX + 1) / OTA_FAMILY_FORMS];

/** The form of a reference that a scan found. NULL for a number that no form has. */
static inline const struct ota_ref_form *ota_ref_form(uint8_t number)
{
	const struct ota_ref_form *family = ota_ref_families[number / OTA_FAMILY_FORMS];
	const struct ota_ref_form *form;

	if (family == NULL)
		return NULL;
	form = &family[number % OTA_FAMILY_FORMS];
	return form->len != 0 ? form : NULL;
}

/** Append a reference, unless refs is full, it starts outside of the page or before the
 *  end of the one before, or its field goes beyond what the scan can see. True if it was
 *  appended. */
bool ota_refs_add(
	struct ota_refs *refs, const struct ota_scan *scan, const struct ota_ref *ref);

/** Zero the address bits of a page's references in out, a copy of the page followed by
 *  as many bytes as fields may reach. */
void ota_refs_mask(const struct ota_refs *refs, uint8_t *out);

#endif

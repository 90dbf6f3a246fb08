#include "proto/delta/predict/ref_machine.h"

/* Tables that a linker makes: relocations, symbols, pointers, unwind tables (System V
 * ABI; LSB core 10.6 for .eh_frame; EHABI 5 for .ARM.exidx), and the data of kernels. */

enum {
	TYPE_AARCH64_RELATIVE = 1027,
	TYPE_AARCH64_IRELATIVE = 1032,
	TYPE_X86_64_RELATIVE = 8,
	TYPE_X86_64_IRELATIVE = 37,
	SYMBOL_FUNC = 2,          /* STT_FUNC */
	SYMBOL_TLS = 6,           /* STT_TLS: its value is no address */
	SECTION_SPECIAL = 0xff00, /* SHN_LORESERVE: not in a section */
	POINTER_MIN = 0x400,      /* less is rather a number than a pointer */
	DISTANCE_MIN = 64,        /* bytes; less is rather a number than a distance */
	EH_HDR_TABLE = 12,        /* bytes before the table */
};

/* A length of records that is none: the 64-bit format. */
static const uint32_t length_special = 0xfffffff0;

struct sweep {
	const struct ota_scan *scan; /* borrowed */
	struct ota_refs *refs;       /* borrowed */
};

/* The address that a field names. */
static int64_t target_at(const struct sweep *sweep, int32_t at, unsigned form)
{
	struct ota_spot spot = { ota_plus(sweep->scan->address, at), sweep->scan->base };

	return ota_ref_form((uint8_t)form)->read(sweep->scan->at + at, &spot, 0);
}

static void add(struct sweep *sweep, int32_t at, unsigned form)
{
	struct ota_ref ref = { (uint32_t)at, (uint8_t)form, target_at(sweep, at, form),
		sweep->scan->base };

	(void)ota_refs_add(sweep->refs, sweep->scan, &ref);
}

/* Add a field if what it names lies in the object. */
static bool add_inside(struct sweep *sweep, int32_t at, unsigned form)
{
	if (!ota_in_object(sweep->scan, target_at(sweep, at, form)))
		return false;
	add(sweep, at, form);
	return true;
}

/* Add the length of what begins at an address. */
static void add_len(struct sweep *sweep, int32_t at, int64_t begin)
{
	uint32_t len = ota_le32(sweep->scan->at + at);
	struct ota_ref ref = { (uint32_t)at, OTA_WORD_LEN32,
		ota_plus(begin, (int64_t)len - 1), begin };

	if (len > 0 && ota_in_object(sweep->scan, begin) &&
		ota_in_object(sweep->scan, ref.target))
		(void)ota_refs_add(sweep->refs, sweep->scan, &ref);
}

/* Call step for each record of len bytes that reaches into the page, from the region's
 * first on. Records at the edges are seen by both pages; each keeps its fields. */
static void each_record(const struct ota_scan *scan, struct ota_refs *refs, int32_t len,
	void (*step)(struct sweep *sweep, int32_t at))
{
	struct sweep sweep = { scan, refs };
	int32_t at = -(int32_t)(scan->offset % (uint64_t)len);

	if (at < -(int32_t)scan->before)
		at += len;
	for (; at < (int32_t)scan->len && at + len <= ota_scan_end(scan); at += len)
		step(&sweep, at);
}

static bool is_relative(uint32_t type)
{
	return type == TYPE_AARCH64_RELATIVE || type == TYPE_AARCH64_IRELATIVE ||
	       type == TYPE_X86_64_RELATIVE || type == TYPE_X86_64_IRELATIVE;
}

/* Elf64_Rela: offset (8), type (4), symbol (4), addend (8). */
static void step_rela64(struct sweep *sweep, int32_t at)
{
	const uint8_t *record = sweep->scan->at + at;

	(void)add_inside(sweep, at, OTA_WORD_ABS64);
	if (ota_le32(record + 12) != 0 && sweep->scan->base != 0)
		add(sweep, at + 12, OTA_WORD_INDEX32);
	if (is_relative(ota_le32(record + 8)) && ota_le64(record + 16) != 0)
		(void)add_inside(sweep, at + 16, OTA_WORD_ABS64);
}

/* Elf32_Rel: offset (4), type (1), symbol (3); Elf32_Rela: the same and addend (4). */
static void step_rel32(struct sweep *sweep, int32_t at)
{
	(void)add_inside(sweep, at, OTA_WORD_ABS32);
	if (ota_le32(sweep->scan->at + at + 4) >> 8 != 0 && sweep->scan->base != 0)
		add(sweep, at + 5, OTA_WORD_INDEX24);
}

/* A symbol's name counts from the string table. */
static void add_name(struct sweep *sweep, int32_t at)
{
	if (ota_le32(sweep->scan->at + at) != 0 && sweep->scan->base != 0)
		add(sweep, at, OTA_WORD_BASE32);
}

/* True if the value of a symbol of this section and type is an address. */
static bool is_address(uint32_t section, unsigned type)
{
	return section != 0 && section < SECTION_SPECIAL && type != SYMBOL_TLS;
}

/* Elf64_Sym: name (4), info (1), other (1), section (2), value (8), size (8). */
static void step_sym64(struct sweep *sweep, int32_t at)
{
	const uint8_t *record = sweep->scan->at + at;
	bool is_size = ota_le32(record + 20) == 0;

	add_name(sweep, at);
	if (is_address(ota_le16(record + 6), record[4] & 15) &&
		add_inside(sweep, at + 8, OTA_WORD_ABS64) && is_size)
		add_len(sweep, at + 16, (int64_t)ota_le64(record + 8));
}

/* Elf32_Sym: name (4), value (4), size (4), info (1), other (1), section (2). */
static void step_sym32(struct sweep *sweep, int32_t at)
{
	const uint8_t *record = sweep->scan->at + at;
	unsigned type = record[12] & 15;
	unsigned form = type == SYMBOL_FUNC ? OTA_WORD_CODE32 : OTA_WORD_ABS32;

	add_name(sweep, at);
	if (is_address(ota_le16(record + 14), type) && add_inside(sweep, at + 4, form))
		add_len(sweep, at + 8, target_at(sweep, at + 4, form));
}

static void scan_rela64(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, 24, step_rela64);
}

static void scan_rela32(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, 12, step_rel32);
}

static void scan_rel32(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, 8, step_rel32);
}

static void scan_sym64(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, 24, step_sym64);
}

static void scan_sym32(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, 16, step_sym32);
}

static void scan_ptr64(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };

	for (int32_t at = ota_first_aligned(scan, 8); at + 8 <= ota_scan_end(scan);
		at += 8)
		if (ota_le64(scan->at + at) >= POINTER_MIN)
			(void)add_inside(&sweep, at, OTA_WORD_ABS64);
}

/* An odd pointer into code is one to a Thumb function. */
static void scan_ptr32(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };

	for (int32_t at = ota_first_aligned(scan, 4); at + 4 <= ota_scan_end(scan);
		at += 4) {
		uint32_t value = ota_le32(scan->at + at);
		bool thumb = (value & 1) != 0 && ota_in_text(scan, value);

		if (value >= POINTER_MIN)
			(void)add_inside(
				&sweep, at, thumb ? OTA_WORD_CODE32 : OTA_WORD_ABS32);
	}
}

/* An FDE: length (4), distance back to its CIE (4), where its code begins (4), how long
 * that is (4), and if 4 bytes of data follow, they are where its LSDA is. */
static void step_fde(struct sweep *sweep, int32_t at, uint32_t len)
{
	const uint8_t *record = sweep->scan->at + at;

	(void)add_inside(sweep, at + 4, OTA_WORD_BACK32);
	if (ota_le32(record + 8) != 0 && len >= 12 &&
		add_inside(sweep, at + 8, OTA_WORD_SELF32))
		add_len(sweep, at + 12, target_at(sweep, at + 8, OTA_WORD_SELF32));
	if (len >= 17 && record[16] == 4 && ota_le32(record + 17) != 0)
		(void)add_inside(sweep, at + 17, OTA_WORD_SELF32);
}

static void scan_eh_frame(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };
	uint32_t end = scan->len + scan->after, at = 0;

	while (scan->offset == 0 && at < scan->len && end - at >= 8) {
		uint32_t len = ota_le32(scan->at + at);

		if (len >= length_special || len > end - at - 4)
			return;
		if (len >= 8 && ota_le32(scan->at + at + 4) != 0)
			step_fde(&sweep, (int32_t)at, len);
		at += 4 + len;
	}
}

/* version and encodings (4), where .eh_frame is (4), count (4), then for each function
 * where it begins (4) and where its FDE is (4), both from the header's start. */
static void scan_eh_hdr(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };

	for (int32_t at = 0; at + 4 <= ota_scan_end(scan); at += 4) {
		uint64_t offset = scan->offset + (uint32_t)at;

		if (offset == 4)
			(void)add_inside(&sweep, at, OTA_WORD_SELF32);
		if (offset >= EH_HDR_TABLE)
			(void)add_inside(&sweep, at, OTA_WORD_BASE32);
	}
}

/* Buckets and chains of hash tables: words that are indices of symbols; 0 ends a chain.
 */
static void scan_index64(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };

	for (int32_t at = 0; at + 4 <= ota_scan_end(scan); at += 4)
		if (ota_le32(scan->at + at) != 0)
			(void)add_inside(&sweep, at, OTA_WORD_INDEX32);
}

static void scan_jump32(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };

	for (int32_t at = 0; at + 4 <= ota_scan_end(scan); at += 4)
		if (ota_in_text(scan, target_at(&sweep, at, OTA_WORD_BASE32)))
			add(&sweep, at, OTA_WORD_BASE32);
}

/* A kernel's pointers are absolute: its own addresses (base 0), or a constant above the
 * addresses of an image that is linked at 0. */
static bool add_kernel_pointer(struct sweep *sweep, int32_t at)
{
	uint64_t base = (uint64_t)sweep->scan->base;
	uint64_t value = ota_le64(sweep->scan->at + at);

	if (value == base)
		return false;
	if (base == 0)
		return add_inside(sweep, at, OTA_WORD_ABS64);
	return (base ^ value) >> OTA_KERNEL64_BITS == 0 &&
	       (base & ((1u << OTA_KERNEL64_BITS) - 1)) == 0 &&
	       add_inside(sweep, at, OTA_WORD_KERNEL64);
}

static void add_kernel_distance(struct sweep *sweep, int32_t at)
{
	int64_t distance = ota_signed(ota_le32(sweep->scan->at + at), 32);

	if (distance >= DISTANCE_MIN || distance <= -DISTANCE_MIN)
		(void)add_inside(sweep, at, OTA_WORD_SELF32);
}

static void scan_kernel64(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };
	int32_t end = ota_scan_end(scan);

	for (int32_t at = ota_first_aligned(scan, 4); at + 4 <= end; at += 4) {
		bool whole = (ota_plus(scan->address, at) & 7) == 0 && at + 8 <= end;

		if (whole && add_kernel_pointer(&sweep, at))
			at += 4;
		else
			add_kernel_distance(&sweep, at);
	}
}

static void scan_abs32(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs };

	for (int32_t at = 0; at + 4 <= ota_scan_end(scan); at += 4)
		(void)add_inside(&sweep, at, OTA_WORD_SIGNED32);
}

/* An entry: where a function is, then 1 (no unwinding), the unwinding itself (bit 31), or
 * where that is. */
static void step_exidx(struct sweep *sweep, int32_t at)
{
	uint32_t function = ota_le32(sweep->scan->at + at);
	uint32_t how = ota_le32(sweep->scan->at + at + 4);

	if (function >> 31 == 0)
		(void)add_inside(sweep, at, OTA_WORD_SELF31);
	if (how >> 31 == 0 && how != 1)
		(void)add_inside(sweep, at + 4, OTA_WORD_SELF31);
}

static void scan_exidx(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, 8, step_exidx);
}

/* Before and after a page: the rest of a record, or of a word. */
const struct ota_ref_kind ota_kind_rela64 = { 24, 24, scan_rela64 };
const struct ota_ref_kind ota_kind_rela32 = { 12, 12, scan_rela32 };
const struct ota_ref_kind ota_kind_rel32 = { 8, 8, scan_rel32 };
const struct ota_ref_kind ota_kind_sym64 = { 24, 24, scan_sym64 };
const struct ota_ref_kind ota_kind_sym32 = { 16, 16, scan_sym32 };
const struct ota_ref_kind ota_kind_ptr64 = { 0, 8, scan_ptr64 };
const struct ota_ref_kind ota_kind_ptr32 = { 0, 4, scan_ptr32 };
const struct ota_ref_kind ota_kind_eh_frame = { 0, 0, scan_eh_frame };
const struct ota_ref_kind ota_kind_eh_hdr = { 0, 4, scan_eh_hdr };
const struct ota_ref_kind ota_kind_jump32 = { 0, 4, scan_jump32 };
const struct ota_ref_kind ota_kind_kernel64 = { 8, 8, scan_kernel64 };
const struct ota_ref_kind ota_kind_abs32 = { 0, 4, scan_abs32 };
const struct ota_ref_kind ota_kind_exidx = { 8, 8, scan_exidx };
const struct ota_ref_kind ota_kind_index64 = { 0, 4, scan_index64 };

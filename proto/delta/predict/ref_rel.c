#include "proto/delta/predict/ref_machine.h"

/* Relocatable objects: kernel modules, modules of a boot loader. Their addresses are made
 * up, see enum ota_rel in ref.h, so that a record tells by itself what it names. */

enum {
	RELA_LEN = 24, /* Elf64_Rela: offset (8), type (4), symbol (4), addend (8) */
	SYMBOL_LEN =
		24,   /* Elf64_Sym: name (4), info, other, section (2), value (8), .. */
	X64_PC32 = 2, /* R_X86_64_PC32, _PLT32: from the end of the field, so that .. */
	X64_PLT32 = 4,
	X64_FIELD_LEN = 4, /* .. the addend is 4 less than what is named */
	SPECIAL = 0xff00,  /* SHN_LORESERVE: not in a section */
	SYMBOL_TLS = 6,    /* STT_TLS: its value is no place */
};

static const uint64_t slot_mask = (1u << OTA_REL_SLOT_BITS) - 1;

/* The form of this file with that place. */
enum {
	FORM_OFFSET = OTA_FORMS_REL, /* a place in the section that is relocated */
	FORM_SYMBOL,                 /* an index of entries of 24 bytes from 0 */
	FORM_ADDEND,                 /* a place in a section that something else tells */
	FORM_ADDEND_X64,             /* the same, of a relative field */
	FORM_PLACE,                  /* 2 bytes section, 3 bytes place in it */
};

/* A place in a section: the low bytes of a number, whose other bytes are 0. */
static int64_t place_at(const uint8_t *field)
{
	return (int64_t)(ota_le16(field) | (uint32_t)field[2] << 16);
}

static bool put_place(uint8_t *field, int64_t target)
{
	ota_le16_set(field, (uint32_t)((uint64_t)target & 0xffff));
	field[2] = (uint8_t)((uint64_t)target >> 16);
	return true;
}

/* The start of the slot that an address is in. */
static int64_t slot_of(int64_t address)
{
	return (int64_t)((uint64_t)address & ~slot_mask);
}

static int64_t read_offset(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(slot_of(spot->address), place_at(field));
}

static bool write_offset(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return slot_of(target) == slot_of(spot->address) && put_place(field, target);
}

static int64_t read_symbol(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return (int64_t)ota_le32(field) * SYMBOL_LEN;
}

static bool write_symbol(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	if (target < 0 || target % SYMBOL_LEN != 0 || target / SYMBOL_LEN > UINT32_MAX)
		return false;
	ota_le32_set(field, (uint32_t)(target / SYMBOL_LEN));
	return true;
}

static int64_t read_addend(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot;
	return ota_plus(slot_of(like), place_at(field));
}

static bool write_addend(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_place(field, target);
}

static int64_t read_addend_x64(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	return ota_plus(read_addend(field, spot, like), X64_FIELD_LEN);
}

static bool write_addend_x64(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	if (ota_minus(target, slot_of(target)) < X64_FIELD_LEN)
		return false;
	return put_place(field, ota_minus(target, X64_FIELD_LEN));
}

static int64_t read_place(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return ((int64_t)ota_le16(field) << OTA_REL_SLOT_BITS) + place_at(field + 2);
}

static bool write_place(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	int64_t section = target >> OTA_REL_SLOT_BITS;

	(void)spot;
	if (target < 0 || section > UINT16_MAX)
		return false;
	ota_le16_set(field, (uint32_t)section);
	return put_place(field + 2, target);
}

/* clang-format off */
const struct ota_ref_form ota_forms_rel[OTA_FAMILY_FORMS] = {
	[FORM_OFFSET - OTA_FORMS_REL] = { "rel offset", 3, false, { 0xff, 0xff, 0xff },
		read_offset, write_offset, OTA_SCOPE_OBJECT },
	[FORM_SYMBOL - OTA_FORMS_REL] = { "rel symbol", 4, false, { 0xff, 0xff, 0xff, 0xff },
		read_symbol, write_symbol, OTA_SCOPE_OBJECT },
	[FORM_ADDEND - OTA_FORMS_REL] = { "rel addend", 3, false, { 0xff, 0xff, 0xff },
		read_addend, write_addend, OTA_SCOPE_OBJECT },
	[FORM_ADDEND_X64 - OTA_FORMS_REL] = { "rel addend x64", 3, false, { 0xff, 0xff, 0xff },
		read_addend_x64, write_addend_x64, OTA_SCOPE_OBJECT },
	[FORM_PLACE - OTA_FORMS_REL] = { "rel place", 5, false, { 0xff, 0xff, 0xff, 0xff, 0xff },
		read_place, write_place, OTA_SCOPE_OBJECT },
};
/* clang-format on */

static void add(const struct ota_scan *scan, struct ota_refs *refs, int32_t at,
	struct ota_ref ref)
{
	ref.at = (uint32_t)at;
	if (at >= 0)
		(void)ota_refs_add(refs, scan, &ref);
}

/* The section whose symbol has that index: the sections that have one are bits of a mask.
 * 0 if it is not the symbol of a section. */
static int64_t section_of(uint64_t sections, uint32_t symbol)
{
	for (int64_t i = 1; symbol > 0 && i < OTA_REL_SECTIONS_MAX; i++)
		if ((sections >> i & 1) != 0 && --symbol == 0)
			return i;
	return 0;
}

static void step_rela(const struct ota_scan *scan, struct ota_refs *refs, int32_t at)
{
	const uint8_t *record = scan->at + at;
	struct ota_spot spot = { ota_plus(scan->address, at), 0 };
	uint32_t type = ota_le32(record + 8), symbol = ota_le32(record + 12);
	uint64_t addend = ota_le64(record + 16);
	int64_t section = section_of((uint64_t)scan->base, symbol);
	bool is_relative = type == X64_PC32 || type == X64_PLT32;

	if (ota_le64(record) <= slot_mask >> 1)
		add(scan, refs, at,
			(struct ota_ref){ .form = FORM_OFFSET,
				.target = read_offset(record, &spot, 0) });
	if (symbol != 0)
		add(scan, refs, at + 12,
			(struct ota_ref){ .form = FORM_SYMBOL,
				.target = (int64_t)symbol * SYMBOL_LEN });
	if (section == 0 || addend > slot_mask >> 1)
		return;
	addend += is_relative ? X64_FIELD_LEN : 0;
	add(scan, refs, at + 16,
		(struct ota_ref){ .form = is_relative ? FORM_ADDEND_X64 : FORM_ADDEND,
			.target = (section << OTA_REL_SLOT_BITS) + (int64_t)addend });
}

static void step_symbol(const struct ota_scan *scan, struct ota_refs *refs, int32_t at)
{
	const uint8_t *record = scan->at + at;
	uint32_t name = ota_le32(record), section = ota_le16(record + 6);

	if (name != 0 && name <= INT32_MAX)
		add(scan, refs, at,
			(struct ota_ref){ .form = OTA_WORD_BASE32,
				.target = ota_plus(scan->base, name),
				.base = scan->base });
	if (section != 0 && section < SPECIAL && (record[4] & 15) != SYMBOL_TLS &&
		ota_le64(record + 8) <= slot_mask)
		add(scan, refs, at + 6,
			(struct ota_ref){ .form = FORM_PLACE,
				.target = read_place(record + 6, NULL, 0) });
}

/* Call step for each record that reaches into the page. */
static void each_record(const struct ota_scan *scan, struct ota_refs *refs,
	void (*step)(const struct ota_scan *scan, struct ota_refs *refs, int32_t at))
{
	int32_t at = -(int32_t)(scan->offset % RELA_LEN);

	if (at < -(int32_t)scan->before)
		at += RELA_LEN;
	for (; at < (int32_t)scan->len && at + RELA_LEN <= ota_scan_end(scan);
		at += RELA_LEN)
		step(scan, refs, at);
}

static void scan_rela(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, step_rela);
}

static void scan_symbols(const struct ota_scan *scan, struct ota_refs *refs)
{
	each_record(scan, refs, step_symbol);
}

const struct ota_ref_kind ota_kind_rel_rela64 = { RELA_LEN, RELA_LEN, scan_rela };
const struct ota_ref_kind ota_kind_rel_sym64 = { SYMBOL_LEN, SYMBOL_LEN, scan_symbols };

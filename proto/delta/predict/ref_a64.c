#include "proto/delta/predict/ref_a64.h"
#include "proto/delta/predict/ref_machine.h"

/* AArch64 (Arm ARM, C4.1 "A64 instruction set encoding"). An address is formed in two
 * steps: ADRP puts its page into a register, users add the offset in the page. Each of
 * the two is a reference to the full address. */

enum {
	INSN_LEN = 4,    /* bytes */
	LIFE = 256,      /* instructions after which an ADRP is forgotten */
	LOOK_AHEAD = 24, /* instructions after an ADRP in which its user is sought */
	REGISTERS = 32,
	SP = 31,
	PAGE_LEN = 4096, /* what ADRP counts in */
};

enum {
	FORM_B = OTA_FORMS_A64,
	FORM_IMM19,
	FORM_TBZ,
	FORM_ADR,
	FORM_ADRP,
	FORM_LO12, /* and four more: a form for each scale */
	FORM_LO12_LAST = FORM_LO12 + 4,
	FORM_FIELD, /* the same */
	FORM_FIELD_LAST = FORM_FIELD + 4,
};

/* A branch with so many bits for a distance in instructions, from bit `shift` on. */
static int64_t read_distance(
	uint32_t insn, const struct ota_spot *spot, unsigned bits, unsigned shift)
{
	return ota_plus(spot->address, ota_signed(insn >> shift, bits) * INSN_LEN);
}

static bool write_distance(
	uint8_t *field, int64_t distance, unsigned bits, unsigned shift)
{
	uint32_t mask = ((1u << bits) - 1) << shift;
	uint32_t insn = ota_le32(field);

	if (distance % INSN_LEN != 0 || !ota_fits(distance / INSN_LEN, bits))
		return false;
	insn = (insn & ~mask) | ((uint32_t)(distance / INSN_LEN) << shift & mask);
	ota_le32_set(field, insn);
	return true;
}

static int64_t read_b(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return read_distance(ota_le32(field), spot, 26, 0);
}

static bool write_b(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return write_distance(field, ota_minus(target, spot->address), 26, 0);
}

static int64_t read_imm19(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return read_distance(ota_le32(field), spot, 19, 5);
}

static bool write_imm19(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return write_distance(field, ota_minus(target, spot->address), 19, 5);
}

static int64_t read_tbz(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return read_distance(ota_le32(field), spot, 14, 5);
}

static bool write_tbz(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return write_distance(field, ota_minus(target, spot->address), 14, 5);
}

/* The 21 bits of ADR and ADRP: the lowest two stand apart. */
static int64_t adr_get(uint32_t insn)
{
	return ota_signed((insn >> 3 & 0x1ffffc) | (insn >> 29 & 3), 21);
}

static bool adr_set(uint8_t *field, int64_t value)
{
	uint32_t bits = (uint32_t)value;

	if (!ota_fits(value, 21))
		return false;
	ota_le32_set(field, (ota_le32(field) & 0x9f00001f) | (bits & 3) << 29 |
				    (bits >> 2 & 0x7ffff) << 5);
	return true;
}

static int64_t read_adr(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(spot->address, adr_get(ota_le32(field)));
}

static bool write_adr(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return adr_set(field, ota_minus(target, spot->address));
}

/* The first address of an address's page. */
static int64_t page_of(int64_t address)
{
	return address & -(int64_t)PAGE_LEN;
}

static int64_t read_adrp(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	int64_t page =
		ota_plus(page_of(spot->address), adr_get(ota_le32(field)) * PAGE_LEN);

	return page | (like & (PAGE_LEN - 1));
}

static bool write_adrp(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return adr_set(
		field, ota_minus(page_of(target), page_of(spot->address)) / PAGE_LEN);
}

/* A user of an ADRP counts from the page in units of 1 << scale; what its 12 bits could
 * say beyond the page stays as it is. */
static int64_t read_lo12(const uint8_t *field, int64_t like, unsigned scale)
{
	uint32_t offset = ota_le32(field) >> 10 << scale & (PAGE_LEN - 1);

	return page_of(like) | offset;
}

static bool write_lo12(uint8_t *field, int64_t target, unsigned scale)
{
	uint32_t offset = (uint32_t)target & (PAGE_LEN - 1);
	uint32_t mask = (uint32_t)(PAGE_LEN - 1) >> scale << 10;

	if (offset % (1u << scale) != 0)
		return false;
	ota_le32_set(field, (ota_le32(field) & ~mask) | offset >> scale << 10);
	return true;
}

#define LO12(scale)                                                              \
	static int64_t read_lo12_##scale(                                        \
		const uint8_t *field, const struct ota_spot *spot, int64_t like) \
	{                                                                        \
		(void)spot;                                                      \
		return read_lo12(field, like, scale);                            \
	}                                                                        \
                                                                                 \
	static bool write_lo12_##scale(                                          \
		uint8_t *field, const struct ota_spot *spot, int64_t target)     \
	{                                                                        \
		(void)spot;                                                      \
		return write_lo12(field, target, scale);                         \
	}

LO12(0)
LO12(1)
LO12(2)
LO12(3)
LO12(4)

/* The offset of a structure's member from a register, which is of the name: offsets from
 * different registers have nothing to do with each other. */
static int64_t read_field(const uint8_t *field, unsigned scale)
{
	uint32_t insn = ota_le32(field);

	return (int64_t)(insn >> 5 & 31) << 32 | (int64_t)(insn >> 10 & 0xfff) << scale;
}

static bool write_field(uint8_t *field, int64_t target, unsigned scale)
{
	int64_t offset = ota_minus(target, read_field(field, scale) >> 32 << 32);

	if (offset < 0 || offset % (1 << scale) != 0 || offset >> scale > 0xfff)
		return false;
	ota_le32_set(field,
		(ota_le32(field) & ~(0xfffu << 10)) | (uint32_t)(offset >> scale) << 10);
	return true;
}

#define FIELD(scale)                                                             \
	static int64_t read_field_##scale(                                       \
		const uint8_t *field, const struct ota_spot *spot, int64_t like) \
	{                                                                        \
		(void)spot;                                                      \
		(void)like;                                                      \
		return read_field(field, scale);                                 \
	}                                                                        \
                                                                                 \
	static bool write_field_##scale(                                         \
		uint8_t *field, const struct ota_spot *spot, int64_t target)     \
	{                                                                        \
		(void)spot;                                                      \
		return write_field(field, target, scale);                        \
	}

FIELD(0)
FIELD(1)
FIELD(2)
FIELD(3)
FIELD(4)

#define A64(form) [(form)-OTA_FORMS_A64]

/* clang-format off */
const struct ota_ref_form ota_forms_a64[OTA_FAMILY_FORMS] = {
	A64(FORM_B) = { "a64 b", 4, false, { 0xff, 0xff, 0xff, 0x03 }, read_b, write_b, OTA_SCOPE_OBJECT },
	A64(FORM_IMM19) = { "a64 b.cond", 4, false, { 0xe0, 0xff, 0xff },
		read_imm19, write_imm19, OTA_SCOPE_OBJECT },
	A64(FORM_TBZ) = { "a64 tbz", 4, false, { 0xe0, 0xff, 0x07 }, read_tbz, write_tbz, OTA_SCOPE_OBJECT },
	A64(FORM_ADR) = { "a64 adr", 4, false, { 0xe0, 0xff, 0xff, 0x60 },
		read_adr, write_adr, OTA_SCOPE_OBJECT },
	A64(FORM_ADRP) = { "a64 adrp", 4, false, { 0xe0, 0xff, 0xff, 0x60 },
		read_adrp, write_adrp, OTA_SCOPE_OBJECT },
	A64(FORM_LO12 + 0) = { "a64 lo12", 4, false, { 0x00, 0xfc, 0x3f },
		read_lo12_0, write_lo12_0, OTA_SCOPE_OBJECT },
	A64(FORM_LO12 + 1) = { "a64 lo12 / 2", 4, false, { 0x00, 0xfc, 0x1f },
		read_lo12_1, write_lo12_1, OTA_SCOPE_OBJECT },
	A64(FORM_LO12 + 2) = { "a64 lo12 / 4", 4, false, { 0x00, 0xfc, 0x0f },
		read_lo12_2, write_lo12_2, OTA_SCOPE_OBJECT },
	A64(FORM_LO12 + 3) = { "a64 lo12 / 8", 4, false, { 0x00, 0xfc, 0x07 },
		read_lo12_3, write_lo12_3, OTA_SCOPE_OBJECT },
	A64(FORM_LO12_LAST) = { "a64 lo12 / 16", 4, false, { 0x00, 0xfc, 0x03 },
		read_lo12_4, write_lo12_4, OTA_SCOPE_OBJECT },
	A64(FORM_FIELD + 0) = { "a64 field / 1", 4, false, { 0x00, 0xfc, 0x3f },
		read_field_0, write_field_0, OTA_SCOPE_FIELD },
	A64(FORM_FIELD + 1) = { "a64 field / 2", 4, false, { 0x00, 0xfc, 0x3f },
		read_field_1, write_field_1, OTA_SCOPE_FIELD },
	A64(FORM_FIELD + 2) = { "a64 field / 4", 4, false, { 0x00, 0xfc, 0x3f },
		read_field_2, write_field_2, OTA_SCOPE_FIELD },
	A64(FORM_FIELD + 3) = { "a64 field / 8", 4, false, { 0x00, 0xfc, 0x3f },
		read_field_3, write_field_3, OTA_SCOPE_FIELD },
	A64(FORM_FIELD + 4) = { "a64 field / 16", 4, false, { 0x00, 0xfc, 0x3f },
		read_field_4, write_field_4, OTA_SCOPE_FIELD },
};
/* clang-format on */

static struct ota_a64_class class_of(uint32_t insn)
{
	return ota_a64_classes[insn >> 21];
}

/* The register that an instruction reads an address from. */
static unsigned base_register(uint32_t insn)
{
	return insn >> 5 & 31;
}

/* What an instruction of kind OFFSET adds to it, in bytes; -1 beyond a page. */
static int32_t offset_of(uint32_t insn, struct ota_a64_class class)
{
	int32_t offset = (int32_t)(insn >> 10 & 0xfff) << class.scale;

	return offset < PAGE_LEN ? offset : -1;
}

/* The general registers that an instruction writes, as bits. */
static uint32_t written_by(uint32_t insn, struct ota_a64_class class)
{
	uint32_t first = class.writes & OTA_A64_WRITES_FIRST;
	uint32_t second = (class.writes & OTA_A64_WRITES_SECOND) / OTA_A64_WRITES_SECOND;

	if (class.writes == OTA_A64_CALLS)
		return class.kind == OTA_A64_B || (insn & 0xfffffc1f) == 0xd63f0000
			       ? 0x4007ffff
			       : 0;
	return first << (insn & 31) | second << (insn >> 10 & 31);
}

/* The state of a sweep: which page each register holds, and up to where. */
struct sweep {
	const struct ota_scan *scan; /* borrowed */
	struct ota_refs *refs;       /* borrowed */
	uint32_t holding;            /* registers that hold a page, as bits */
	int64_t page[REGISTERS];
	int32_t until[REGISTERS]; /* positions */
};

/* Instructions do not overlap, and a page has room for as many as it can hold; a sweep
 * sees only whole ones. */
static void add(struct sweep *sweep, int32_t at, unsigned form, int64_t target)
{
	struct ota_refs *refs = sweep->refs;

	if (at >= 0)
		refs->at[refs->count++] =
			(struct ota_ref){ (uint32_t)at, (uint8_t)form, target, 0 };
}

/* Relocatable objects leave the distance to the linker, so a distance of 0 says nothing.
 */
static void add_branch(struct sweep *sweep, int32_t at, unsigned form, int64_t distance)
{
	int64_t address = ota_plus(sweep->scan->address, at);
	int64_t target = ota_plus(address, distance);

	if (distance != 0 && ota_in_text(sweep->scan, target))
		add(sweep, at, form, target);
}

static void add_data(struct sweep *sweep, int32_t at, unsigned form, int64_t distance)
{
	int64_t address = ota_plus(sweep->scan->address, at);
	int64_t target = ota_plus(address, distance);

	if (distance != 0 && ota_in_object(sweep->scan, target))
		add(sweep, at, form, target);
}

/* The offset that the first user of a register adds to the page an ADRP put there. */
static int32_t first_offset(const struct ota_scan *scan, int32_t at, unsigned reg)
{
	int32_t end = ota_scan_end(scan) - INSN_LEN, last = at + LOOK_AHEAD * INSN_LEN;

	for (at += INSN_LEN; at <= last && at <= end; at += INSN_LEN) {
		uint32_t insn = ota_le32(scan->at + at);
		struct ota_a64_class class = class_of(insn);
		bool is_user = class.kind == OTA_A64_OFFSET && base_register(insn) == reg;

		if (is_user && offset_of(insn, class) >= 0)
			return offset_of(insn, class);
		if ((written_by(insn, class) >> reg & 1) != 0)
			break;
	}
	return 0;
}

static void step_adrp(struct sweep *sweep, int32_t at, uint32_t insn)
{
	const struct ota_scan *scan = sweep->scan;
	unsigned reg = insn & 31;
	int32_t offset = first_offset(scan, at, reg);
	int64_t pages = adr_get(insn);
	int64_t page = ota_plus(page_of(ota_plus(scan->address, at)), pages * PAGE_LEN);
	int64_t target = page | offset;
	bool is_empty = pages == 0 && offset == 0;

	sweep->holding &= ~(1u << reg);
	if (is_empty || !ota_in_object(scan, target))
		return;
	add(sweep, at, FORM_ADRP, target);
	sweep->holding |= 1u << reg;
	sweep->page[reg] = page;
	sweep->until[reg] = at + LIFE * INSN_LEN;
}

/* The form of an instruction that counts from the stack pointer. */
static unsigned frame_of(uint32_t insn, struct ota_a64_class class)
{
	if (base_register(insn) != SP)
		return OTA_A64_NO_FRAME;
	if (class.frame == OTA_A64_NEAR_SP && (insn >> 10 & 3) != 0)
		return OTA_A64_NO_FRAME;
	if ((insn & 31) == SP)
		return class.frame;
	if (class.frame == OTA_A64_PUSH)
		return OTA_A64_NO_FRAME;
	return class.frame == OTA_A64_SIZE ? OTA_A64_OFFSET_SP : class.frame;
}

/* True if it is one. */
static bool step_frame(
	struct sweep *sweep, int32_t at, uint32_t insn, struct ota_a64_class class)
{
	const struct ota_spot nowhere = { 0 };
	unsigned frame = frame_of(insn, class);

	if (frame == OTA_A64_NO_FRAME)
		return false;
	add(sweep, at, OTA_FORMS_A64_FRAME + frame,
		ota_forms_a64_frame[frame].read(sweep->scan->at + at, &nowhere, 0));
	return true;
}

/* Maybe the user of an ADRP, maybe of a structure's member; the first member stays the
 * first. */
static void step_offset(
	struct sweep *sweep, int32_t at, uint32_t insn, struct ota_a64_class class)
{
	int32_t offset = offset_of(insn, class);
	unsigned reg = base_register(insn);

	if (offset < 0)
		return;
	if ((sweep->holding >> reg & 1) != 0 && at < sweep->until[reg]) {
		int64_t target = ota_plus(sweep->page[reg], offset);

		if (ota_in_object(sweep->scan, target))
			add(sweep, at, FORM_LO12 + (unsigned)class.scale, target);
	} else if (offset != 0) {
		add(sweep, at, FORM_FIELD + (unsigned)class.scale,
			read_field(sweep->scan->at + at, class.scale));
	}
}

/* All but an ADRP. */
static void step_other(
	struct sweep *sweep, int32_t at, uint32_t insn, struct ota_a64_class class)
{
	switch ((enum ota_a64_kind) class.kind) {
	case OTA_A64_OTHER:
	case OTA_A64_ADRP:
		break;
	case OTA_A64_B:
		add_branch(sweep, at, FORM_B, ota_signed(insn, 26) * INSN_LEN);
		break;
	case OTA_A64_COND:
		if ((insn & 0x10) != 0)
			break;
		add_branch(sweep, at, FORM_IMM19, ota_signed(insn >> 5, 19) * INSN_LEN);
		break;
	case OTA_A64_COMPARE:
		add_branch(sweep, at, FORM_IMM19, ota_signed(insn >> 5, 19) * INSN_LEN);
		break;
	case OTA_A64_TEST:
		add_branch(sweep, at, FORM_TBZ, ota_signed(insn >> 5, 14) * INSN_LEN);
		break;
	case OTA_A64_LITERAL:
		add_data(sweep, at, FORM_IMM19, ota_signed(insn >> 5, 19) * INSN_LEN);
		break;
	case OTA_A64_ADR:
		add_data(sweep, at, FORM_ADR, adr_get(insn));
		break;
	case OTA_A64_OFFSET:
		if (!step_frame(sweep, at, insn, class))
			step_offset(sweep, at, insn, class);
		break;
	case OTA_A64_FRAME:
		(void)step_frame(sweep, at, insn, class);
		break;
	}
}

static void step(struct sweep *sweep, int32_t at)
{
	uint32_t insn = ota_le32(sweep->scan->at + at);
	struct ota_a64_class class = class_of(insn);

	if (class.kind == OTA_A64_ADRP) {
		step_adrp(sweep, at, insn);
		return;
	}
	step_other(sweep, at, insn, class);
	sweep->holding &= ~written_by(insn, class);
}

/* Before the page, all that counts is what registers hold when it begins. */
static void warm_up(struct sweep *sweep, int32_t at)
{
	uint32_t insn = ota_le32(sweep->scan->at + at);
	struct ota_a64_class class = class_of(insn);

	if (class.kind == OTA_A64_ADRP)
		step_adrp(sweep, at, insn);
	else
		sweep->holding &= ~written_by(insn, class);
}

static void scan_a64(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { .scan = scan, .refs = refs };
	int32_t at = ota_first_aligned(scan, INSN_LEN);
	int32_t end = ota_scan_end(scan) - INSN_LEN; /* where the last whole one begins */

	end = end < (int32_t)scan->len ? end : (int32_t)scan->len - 1;
	for (; at < 0 && at <= end; at += INSN_LEN)
		warm_up(&sweep, at);
	for (; at <= end; at += INSN_LEN)
		step(&sweep, at);
}

const struct ota_ref_kind ota_kind_a64 = {
	.before = LIFE * INSN_LEN,
	.after = LOOK_AHEAD * INSN_LEN,
	.scan = scan_a64,
};

#include "proto/delta/predict/ref_machine.h"

/* AArch64 instructions that count from the stack pointer (Arm ARM, C4.1). A frame's size
 * is told apart from the offsets in it by a distance that no offset has. */

enum {
	SP = 31,
	FORM_OFFSET = 0,     /* 12 bits unsigned; a form for each of the scales 0 .. 4 */
	FORM_PAIR = 5,       /* 7 bits signed; scales 2 .. 4 */
	FORM_NEAR = 8,       /* 9 bits signed, not scaled */
	FORM_SIZE = 9,       /* 12 bits unsigned: taken from or given back to SP */
	FORM_PUSH = 10,      /* the same, taken */
	FORM_PAIR_SIZE = 11, /* 7 bits signed, scale 3, given back */
	FORM_PAIR_PUSH = 12, /* the same, taken */
	SIZES = 1 << 24,     /* added to a size */
};

static void set_bits(uint8_t *field, uint32_t mask, uint32_t bits)
{
	ota_le32_set(field, (ota_le32(field) & ~mask) | (bits & mask));
}

static int64_t read_offset(const uint8_t *field, unsigned scale)
{
	return (int64_t)(ota_le32(field) >> 10 & 0xfff) << scale;
}

static bool write_offset(uint8_t *field, int64_t target, unsigned scale)
{
	if (target < 0 || target >> scale > 0xfff || (target & ((1 << scale) - 1)) != 0)
		return false;
	set_bits(field, 0xfffu << 10, (uint32_t)(target >> scale) << 10);
	return true;
}

static int64_t read_pair(const uint8_t *field, unsigned scale)
{
	return ota_signed(ota_le32(field) >> 15, 7) * (1 << scale);
}

static bool write_pair(uint8_t *field, int64_t target, unsigned scale)
{
	int64_t steps = target / (1 << scale);

	if (target % (1 << scale) != 0 || !ota_fits(steps, 7))
		return false;
	set_bits(field, 0x7fu << 15, (uint32_t)steps << 15);
	return true;
}

#define SCALED(what, scale)                                                      \
	static int64_t read_##what##_##scale(                                    \
		const uint8_t *field, const struct ota_spot *spot, int64_t like) \
	{                                                                        \
		(void)spot;                                                      \
		(void)like;                                                      \
		return read_##what(field, scale);                                \
	}                                                                        \
                                                                                 \
	static bool write_##what##_##scale(                                      \
		uint8_t *field, const struct ota_spot *spot, int64_t target)     \
	{                                                                        \
		(void)spot;                                                      \
		return write_##what(field, target, scale);                       \
	}

SCALED(offset, 0)
SCALED(offset, 1)
SCALED(offset, 2)
SCALED(offset, 3)
SCALED(offset, 4)
SCALED(pair, 2)
SCALED(pair, 3)
SCALED(pair, 4)

static int64_t read_near(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot;
	(void)like;
	return ota_signed(ota_le32(field) >> 12, 9);
}

static bool write_near(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	if (!ota_fits(target, 9))
		return false;
	set_bits(field, 0x1ffu << 12, (uint32_t)target << 12);
	return true;
}

static int64_t read_size(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	return ota_plus(read_offset_0(field, spot, like), SIZES);
}

static bool write_size(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return write_offset_0(field, spot, ota_minus(target, SIZES));
}

static int64_t read_pair_size(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	return ota_plus(read_pair_3(field, spot, like), SIZES);
}

static bool write_pair_size(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return write_pair_3(field, spot, ota_minus(target, SIZES));
}

static int64_t read_pair_push(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	return ota_minus(SIZES, read_pair_3(field, spot, like));
}

static bool write_pair_push(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return write_pair_3(field, spot, ota_minus(SIZES, target));
}

#define OFFSET_MASK              \
	{                        \
		0x00, 0xfc, 0x3f \
	}
#define PAIR_MASK                \
	{                        \
		0x00, 0x80, 0x3f \
	}

/* clang-format off */
const struct ota_ref_form ota_forms_a64_frame[OTA_FAMILY_FORMS] = {
	[FORM_OFFSET + 0] = { "a64 [sp]", 4, false, OFFSET_MASK,
		read_offset_0, write_offset_0, OTA_SCOPE_FRAME },
	[FORM_OFFSET + 1] = { "a64 [sp] / 2", 4, false, OFFSET_MASK,
		read_offset_1, write_offset_1, OTA_SCOPE_FRAME },
	[FORM_OFFSET + 2] = { "a64 [sp] / 4", 4, false, OFFSET_MASK,
		read_offset_2, write_offset_2, OTA_SCOPE_FRAME },
	[FORM_OFFSET + 3] = { "a64 [sp] / 8", 4, false, OFFSET_MASK,
		read_offset_3, write_offset_3, OTA_SCOPE_FRAME },
	[FORM_OFFSET + 4] = { "a64 [sp] / 16", 4, false, OFFSET_MASK,
		read_offset_4, write_offset_4, OTA_SCOPE_FRAME },
	[FORM_PAIR + 0] = { "a64 pair [sp] / 4", 4, false, PAIR_MASK,
		read_pair_2, write_pair_2, OTA_SCOPE_FRAME },
	[FORM_PAIR + 1] = { "a64 pair [sp] / 8", 4, false, PAIR_MASK,
		read_pair_3, write_pair_3, OTA_SCOPE_FRAME },
	[FORM_PAIR + 2] = { "a64 pair [sp] / 16", 4, false, PAIR_MASK,
		read_pair_4, write_pair_4, OTA_SCOPE_FRAME },
	[FORM_NEAR] = { "a64 unscaled [sp]", 4, false, { 0x00, 0xf0, 0x1f },
		read_near, write_near, OTA_SCOPE_FRAME },
	[FORM_SIZE] = { "a64 sp +", 4, false, OFFSET_MASK,
		read_size, write_size, OTA_SCOPE_FRAME },
	[FORM_PUSH] = { "a64 sp -", 4, false, OFFSET_MASK,
		read_size, write_size, OTA_SCOPE_PUSH },
	[FORM_PAIR_SIZE] = { "a64 pair [sp] +", 4, false, PAIR_MASK,
		read_pair_size, write_pair_size, OTA_SCOPE_FRAME },
	[FORM_PAIR_PUSH] = { "a64 pair [sp] -", 4, false, PAIR_MASK,
		read_pair_push, write_pair_push, OTA_SCOPE_PUSH },
};

static const struct {
	uint32_t mask, value;
	uint8_t form;
} rows[] = {
	{ 0xffc003ff, 0xd10003ff, FORM_PUSH },      /* SUB SP, SP, #size */
	{ 0xffc003ff, 0x910003ff, FORM_SIZE },      /* ADD SP, SP, #size */
	{ 0xffc003e0, 0x910003e0, FORM_OFFSET },    /* ADD Xd, SP, #offset */
	{ 0xffe003e0, 0xa9a003e0, FORM_PAIR_PUSH }, /* the same, 64 bit */
	{ 0xffc003e0, 0xa8c003e0, FORM_PAIR_SIZE }, /* LDP .., [SP], #size */
	{ 0xff8003e0, 0x290003e0, FORM_PAIR + 0 },  /* STP, LDP: w */
	{ 0xff8003e0, 0x690003e0, FORM_PAIR + 0 },  /* LDPSW */
	{ 0xff8003e0, 0xa90003e0, FORM_PAIR + 1 },  /* x */
	{ 0xff8003e0, 0x2d0003e0, FORM_PAIR + 0 },  /* s */
	{ 0xff8003e0, 0x6d0003e0, FORM_PAIR + 1 },  /* d */
	{ 0xff8003e0, 0xad0003e0, FORM_PAIR + 2 },  /* q */
	{ 0xff8003e0, 0x3d8003e0, FORM_OFFSET + 4 }, /* STR, LDR: q */
	{ 0xfb0003e0, 0x390003e0, FORM_OFFSET + 0 }, /* b; the size is in bits 31, 30 */
	{ 0xfb0003e0, 0x790003e0, FORM_OFFSET + 1 },
	{ 0xfb0003e0, 0xb90003e0, FORM_OFFSET + 2 },
	{ 0xfb0003e0, 0xf90003e0, FORM_OFFSET + 3 },
	{ 0x3b200fe0, 0x380003e0, FORM_NEAR },      /* STUR, LDUR */
};
/* clang-format on */

const struct ota_ref_form *ota_a64_frame_form(uint32_t insn)
{
	if ((insn >> 5 & 31) != SP)
		return NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows)[0]; i++)
		if ((insn & rows[i].mask) == rows[i].value)
			return &ota_forms_a64_frame[rows[i].form];
	return NULL;
}

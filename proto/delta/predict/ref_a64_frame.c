#include "proto/delta/predict/ref_a64.h"
#include "proto/delta/predict/ref_machine.h"

/* AArch64 instructions that count from the stack pointer (Arm ARM, C4.1). A frame's size
 * is told apart from the offsets in it by a distance that no offset has. */

enum { SIZES = 1 << 24 /* added to a size */ };

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
	[OTA_A64_OFFSET_SP + 0] = { "a64 [sp]", 4, false, OFFSET_MASK,
		read_offset_0, write_offset_0, OTA_SCOPE_FRAME },
	[OTA_A64_OFFSET_SP + 1] = { "a64 [sp] / 2", 4, false, OFFSET_MASK,
		read_offset_1, write_offset_1, OTA_SCOPE_FRAME },
	[OTA_A64_OFFSET_SP + 2] = { "a64 [sp] / 4", 4, false, OFFSET_MASK,
		read_offset_2, write_offset_2, OTA_SCOPE_FRAME },
	[OTA_A64_OFFSET_SP + 3] = { "a64 [sp] / 8", 4, false, OFFSET_MASK,
		read_offset_3, write_offset_3, OTA_SCOPE_FRAME },
	[OTA_A64_OFFSET_SP + 4] = { "a64 [sp] / 16", 4, false, OFFSET_MASK,
		read_offset_4, write_offset_4, OTA_SCOPE_FRAME },
	[OTA_A64_PAIR_SP + 0] = { "a64 pair [sp] / 4", 4, false, PAIR_MASK,
		read_pair_2, write_pair_2, OTA_SCOPE_FRAME },
	[OTA_A64_PAIR_SP + 1] = { "a64 pair [sp] / 8", 4, false, PAIR_MASK,
		read_pair_3, write_pair_3, OTA_SCOPE_FRAME },
	[OTA_A64_PAIR_SP + 2] = { "a64 pair [sp] / 16", 4, false, PAIR_MASK,
		read_pair_4, write_pair_4, OTA_SCOPE_FRAME },
	[OTA_A64_NEAR_SP] = { "a64 unscaled [sp]", 4, false, { 0x00, 0xf0, 0x1f },
		read_near, write_near, OTA_SCOPE_FRAME },
	[OTA_A64_SIZE] = { "a64 sp +", 4, false, OFFSET_MASK,
		read_size, write_size, OTA_SCOPE_FRAME },
	[OTA_A64_PUSH] = { "a64 sp -", 4, false, OFFSET_MASK,
		read_size, write_size, OTA_SCOPE_PUSH },
	[OTA_A64_PAIR_SIZE] = { "a64 pair [sp] +", 4, false, PAIR_MASK,
		read_pair_size, write_pair_size, OTA_SCOPE_FRAME },
	[OTA_A64_PAIR_PUSH] = { "a64 pair [sp] -", 4, false, PAIR_MASK,
		read_pair_push, write_pair_push, OTA_SCOPE_PUSH },
};
/* clang-format on */

#include "proto/delta/predict/ref_machine.h"

/* Forms that are whole words, of data and of code. */

enum {
	ENTRY64_LEN = 24, /* bytes of an Elf64_Sym */
	ENTRY32_LEN = 16, /* bytes of an Elf32_Sym */
};

static const uint64_t kernel_bits = (1ull << OTA_KERNEL64_BITS) - 1;

static int64_t read_abs64(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return (int64_t)ota_le64(field);
}

static bool write_abs64(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	ota_le64_set(field, (uint64_t)target);
	return true;
}

/* Put a number into 4 bytes if it fits as a signed one. */
static bool put_signed32(uint8_t *field, int64_t value)
{
	if (!ota_fits(value, 32))
		return false;
	ota_le32_set(field, (uint32_t)value);
	return true;
}

/* Put a number into 4 bytes if it fits as an unsigned one. */
static bool put_unsigned32(uint8_t *field, int64_t value)
{
	if (value < 0 || value > UINT32_MAX)
		return false;
	ota_le32_set(field, (uint32_t)value);
	return true;
}

static int64_t read_signed32(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return ota_signed(ota_le32(field), 32);
}

static bool write_signed32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_signed32(field, target);
}

static int64_t read_abs32(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return ota_le32(field);
}

static bool write_abs32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_unsigned32(field, target);
}

static int64_t read_code32(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return ota_le32(field) & ~1u;
}

static bool write_code32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return (target & 1) == 0 && put_unsigned32(field, target | (field[0] & 1));
}

static int64_t read_self32(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(spot->address, ota_signed(ota_le32(field), 32));
}

static bool write_self32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return put_signed32(field, ota_minus(target, spot->address));
}

static int64_t read_back32(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_minus(spot->address, ota_le32(field));
}

static bool write_back32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return put_unsigned32(field, ota_minus(spot->address, target));
}

static int64_t read_base32(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(spot->base, ota_signed(ota_le32(field), 32));
}

static bool write_base32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return put_signed32(field, ota_minus(target, spot->base));
}

static int64_t read_self31(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(spot->address, ota_signed(ota_le32(field), 31));
}

static bool write_self31(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	int64_t value = ota_minus(target, spot->address);
	uint32_t kept = ota_le32(field) & 1u << 31;

	if (!ota_fits(value, 31))
		return false;
	ota_le32_set(field, ((uint32_t)value & ~(1u << 31)) | kept);
	return true;
}

static int64_t read_kernel64(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return (int64_t)(ota_le64(field) & kernel_bits);
}

static bool write_kernel64(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	if ((uint64_t)target > kernel_bits)
		return false;
	ota_le64_set(field, (ota_le64(field) & ~kernel_bits) | (uint64_t)target);
	return true;
}

/* The index that an entry has in a table of entries of len bytes; false if there is none
 * of so many bits. */
static bool index_of(int64_t from_base, unsigned len, unsigned bits, uint32_t *index)
{
	if (from_base < 0 || from_base % len != 0 || from_base / len >> bits != 0)
		return false;
	*index = (uint32_t)(from_base / len);
	return true;
}

static int64_t read_index32(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(spot->base, (int64_t)ota_le32(field) * ENTRY64_LEN);
}

static bool write_index32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	uint32_t index;

	if (!index_of(ota_minus(target, spot->base), ENTRY64_LEN, 32, &index))
		return false;
	ota_le32_set(field, index);
	return true;
}

static int64_t read_index24(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	int64_t index = ota_le16(field) | (uint32_t)field[2] << 16;

	(void)like;
	return ota_plus(spot->base, index * ENTRY32_LEN);
}

static bool write_index24(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	uint32_t index;

	if (!index_of(ota_minus(target, spot->base), ENTRY32_LEN, 24, &index))
		return false;
	ota_le16_set(field, index);
	field[2] = (uint8_t)(index >> 16);
	return true;
}

/* What follows a function moves on its own, its last byte moves with it. */
static int64_t read_len32(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(spot->base, (int64_t)ota_le32(field) - 1);
}

static bool write_len32(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return put_unsigned32(field, ota_plus(ota_minus(target, spot->base), 1));
}

#define WORD(form) [(form)-OTA_FORMS_WORD]
#define ALL4                           \
	{                              \
		0xff, 0xff, 0xff, 0xff \
	}
#define ALL8                                                   \
	{                                                      \
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff \
	}

/* clang-format off */
const struct ota_ref_form ota_forms_word[OTA_FAMILY_FORMS] = {
	WORD(OTA_WORD_ABS64) = { "abs64", 8, false, ALL8, read_abs64, write_abs64, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_SIGNED32) = { "signed32", 4, false, ALL4, read_signed32, write_signed32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_ABS32) = { "abs32", 4, false, ALL4, read_abs32, write_abs32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_CODE32) = { "code32", 4, false, { 0xfe, 0xff, 0xff, 0xff },
		read_code32, write_code32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_SELF32) = { "self32", 4, false, ALL4, read_self32, write_self32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_BACK32) = { "back32", 4, false, ALL4, read_back32, write_back32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_BASE32) = { "base32", 4, true, ALL4, read_base32, write_base32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_SELF31) = { "self31", 4, false, { 0xff, 0xff, 0xff, 0x7f },
		read_self31, write_self31, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_KERNEL64) = { "kernel64", 8, false, { 0xff, 0xff, 0xff, 0x07 },
		read_kernel64, write_kernel64, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_INDEX32) = { "index32", 4, true, ALL4, read_index32, write_index32, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_INDEX24) = { "index24", 3, true, { 0xff, 0xff, 0xff },
		read_index24, write_index24, OTA_SCOPE_OBJECT },
	WORD(OTA_WORD_LEN32) = { "len32", 4, true, ALL4, read_len32, write_len32, OTA_SCOPE_LEN },
};
/* clang-format on */

#include "proto/delta/predict/elf.h"

#include <string.h>

#include "proto/delta/predict/object_build.h"

enum {
	HEAD_LEN_32 = 52,
	HEAD_LEN_64 = 64,
	SEGMENT_LEN_32 = 32,
	SEGMENT_LEN_64 = 56,
	SECTION_LEN_32 = 40,
	SECTION_LEN_64 = 64,
	MEMORY_LEN_BITS = 48, /* of what one segment or section may span */
};

/* An address, an offset or a length: as wide as the class says. */
static uint64_t word_at(const struct ota_elf *elf, const uint8_t *at)
{
	return elf->is_64 ? ota_le64(at) : ota_le32(at);
}

static bool address_is_sane(int64_t address, uint64_t len)
{
	return address > -OTA_OBJECT_ADDRESS_MAX && address < OTA_OBJECT_ADDRESS_MAX &&
	       len >> MEMORY_LEN_BITS == 0;
}

bool ota_elf_segment(
	const struct ota_elf *elf, uint32_t index, struct ota_elf_segment *out)
{
	uint64_t len = elf->is_64 ? SEGMENT_LEN_64 : SEGMENT_LEN_32;
	const uint8_t *at;

	if (index >= elf->segment_count)
		return false;
	at = elf->in.at + elf->segments + index * len;
	*out = (struct ota_elf_segment){
		.type = ota_le32(at),
		.flags = ota_le32(at + (elf->is_64 ? 4 : 24)),
		.offset = word_at(elf, at + (elf->is_64 ? 8 : 4)),
		.address = (int64_t)word_at(elf, at + (elf->is_64 ? 16 : 8)),
		.len = word_at(elf, at + (elf->is_64 ? 32 : 16)),
		.memory_len = word_at(elf, at + (elf->is_64 ? 40 : 20)),
	};
	return ota_is_within(out->offset, out->len, elf->in.len) &&
	       out->len <= out->memory_len &&
	       address_is_sane(out->address, out->memory_len);
}

static bool read_section(
	const struct ota_elf *elf, uint32_t index, struct ota_elf_section *out)
{
	uint64_t len = elf->is_64 ? SECTION_LEN_64 : SECTION_LEN_32;
	const uint8_t *at = elf->in.at + elf->sections + index * len;
	uint32_t name = ota_le32(at);
	bool wide = elf->is_64;

	if (name >= elf->names.len)
		return false;
	*out = (struct ota_elf_section){
		.name = (const char *)elf->names.at + name,
		.type = ota_le32(at + 4),
		.flags = word_at(elf, at + 8),
		.address = (int64_t)word_at(elf, at + (wide ? 16 : 12)),
		.offset = word_at(elf, at + (wide ? 24 : 16)),
		.len = word_at(elf, at + (wide ? 32 : 20)),
		.link = ota_le32(at + (wide ? 40 : 24)),
		.info = ota_le32(at + (wide ? 44 : 28)),
	};
	if (out->type != OTA_SHT_NOBITS &&
		!ota_is_within(out->offset, out->len, elf->in.len))
		return false;
	return address_is_sane(out->address, out->len);
}

bool ota_elf_section(
	const struct ota_elf *elf, uint32_t index, struct ota_elf_section *out)
{
	return index < elf->section_count && read_section(elf, index, out);
}

/* Use the section table only if all of it makes sense. */
static void open_sections(struct ota_elf *elf, uint32_t count, uint32_t names)
{
	struct ota_elf_section section;
	uint64_t len = elf->is_64 ? SECTION_LEN_64 : SECTION_LEN_32;
	const uint8_t *at;
	uint64_t names_offset, names_len;

	if (count < 2 || count > OTA_SECTIONS_MAX || names >= count ||
		!ota_is_within(elf->sections, count * len, elf->in.len))
		return;
	at = elf->in.at + elf->sections + names * len;
	names_offset = word_at(elf, at + (elf->is_64 ? 24 : 16));
	names_len = word_at(elf, at + (elf->is_64 ? 32 : 20));
	if (!ota_is_within(names_offset, names_len, elf->in.len) || names_len == 0 ||
		elf->in.at[names_offset + names_len - 1] != 0)
		return;
	elf->names = (struct ota_bytes){ elf->in.at + names_offset, names_len };
	for (uint32_t i = 1; i < count; i++)
		if (!read_section(elf, i, &section))
			return;
	elf->section_count = count;
}

static bool machine_is_known(const struct ota_elf *elf)
{
	switch (elf->machine) {
	case OTA_MACHINE_A64:
	case OTA_MACHINE_X64:
		return elf->is_64;
	case OTA_MACHINE_ARM:
	case OTA_MACHINE_X86:
		return !elf->is_64;
	default:
		return false;
	}
}

bool ota_elf_open(struct ota_bytes in, struct ota_elf *elf)
{
	const uint8_t *tail;
	uint64_t len;

	*elf = (struct ota_elf){ .in = in };
	if (in.len < HEAD_LEN_64 || memcmp(in.at, "\177ELF", 4) != 0 ||
		(in.at[4] != 1 && in.at[4] != 2) || in.at[5] != 1 || in.at[6] != 1)
		return false;
	elf->is_64 = in.at[4] == 2;
	elf->type = (uint16_t)ota_le16(in.at + 16);
	elf->machine = (uint16_t)ota_le16(in.at + 18);
	if (!machine_is_known(elf) || elf->type < OTA_ET_REL || elf->type > OTA_ET_DYN)
		return false;

	elf->segments = word_at(elf, in.at + (elf->is_64 ? 32 : 28));
	elf->sections = word_at(elf, in.at + (elf->is_64 ? 40 : 32));
	tail = in.at + (elf->is_64 ? 48 : 36); /* e_flags and what follows */
	elf->flags = ota_le32(tail);
	elf->segment_count = ota_le16(tail + 8);
	len = elf->is_64 ? SEGMENT_LEN_64 : SEGMENT_LEN_32;
	if (elf->segment_count > 0 &&
		(ota_le16(tail + 6) != len ||
			!ota_is_within(elf->segments, elf->segment_count * len, in.len)))
		return false;
	if (ota_le16(tail + 10) == (elf->is_64 ? SECTION_LEN_64 : SECTION_LEN_32))
		open_sections(elf, ota_le16(tail + 12), ota_le16(tail + 14));
	return true;
}

uint64_t ota_elf_end(const struct ota_elf *elf)
{
	uint64_t end = elf->is_64 ? HEAD_LEN_64 : HEAD_LEN_32;
	struct ota_elf_segment segment;
	struct ota_elf_section section;

	for (uint32_t i = 0; i < elf->segment_count; i++)
		if (ota_elf_segment(elf, i, &segment) &&
			segment.offset + segment.len > end)
			end = segment.offset + segment.len;
	for (uint32_t i = 1; i < elf->section_count; i++)
		if (ota_elf_section(elf, i, &section) && section.type != OTA_SHT_NOBITS &&
			section.offset + section.len > end)
			end = section.offset + section.len;
	if (elf->section_count > 0) {
		uint64_t len = elf->is_64 ? SECTION_LEN_64 : SECTION_LEN_32;
		uint64_t table = elf->sections + elf->section_count * len;

		end = table > end ? table : end;
	}
	return end;
}

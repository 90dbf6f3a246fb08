/* EFI programs: PE32+ (Microsoft's PE format: COFF header, optional header, sections). */

#include <string.h>

#include "proto/delta/predict/object_cut.h"
#include "proto/delta/predict/object_elf.h"

enum {
	PE_HEAD_AT = 0x3c,     /* offset of the offset of the PE header */
	COFF_LEN = 24,         /* bytes with the magic before */
	OPTIONAL_LEN_MIN = 64, /* bytes of the optional header that are read */
	OPTIONAL_PE32_PLUS = 0x20b,
	SECTION_LEN = 40,
	SECTION_NAME_LEN = 8,
	SECTIONS_MAX = 96,
	MACHINE_A64 = 0xaa64,
	MACHINE_X64 = 0x8664,
};

static const uint32_t section_is_code = 0x20;
static const uint32_t section_is_executed = 0x20000000;

struct pe {
	const uint8_t *sections; /* borrowed: section_count headers */
	uint32_t section_count;
	int64_t image_base;
};

static bool open_pe(struct ota_build *build, struct pe *pe)
{
	struct ota_bytes in = build->in;
	uint64_t head = ota_le32(in.at + PE_HEAD_AT), sections;
	const uint8_t *at;

	if (in.at[0] != 'M' || in.at[1] != 'Z' ||
		!ota_is_within(head, COFF_LEN + OPTIONAL_LEN_MIN, in.len))
		return false;
	at = in.at + head;
	if (memcmp(at, "PE\0\0", 4) != 0 || ota_le16(at + COFF_LEN) != OPTIONAL_PE32_PLUS)
		return false;
	if (ota_le16(at + 4) == MACHINE_A64)
		build->object.machine = OTA_MACHINE_A64;
	else if (ota_le16(at + 4) == MACHINE_X64)
		build->object.machine = OTA_MACHINE_X64;
	else
		return false;
	pe->section_count = ota_le16(at + 6);
	pe->image_base = (int64_t)ota_le64(at + COFF_LEN + 24);
	sections = head + COFF_LEN + ota_le16(at + 20);
	if (pe->section_count == 0 || pe->section_count > SECTIONS_MAX ||
		!ota_is_within(sections, pe->section_count * SECTION_LEN, in.len))
		return false;
	pe->sections = in.at + sections;
	return pe->image_base > -OTA_OBJECT_ADDRESS_MAX &&
	       pe->image_base < OTA_OBJECT_ADDRESS_MAX;
}

/* Sections that hold other objects, which are looked for by themselves: modules of GRUB,
 * what a unified kernel image bundles; and what holds no addresses. */
static bool is_opaque(const char *name)
{
	static const char *const names[] = { "mods", ".linux", ".initrd", ".ucode",
		".dtb", ".dtbauto", ".hwids", ".splash", ".efifw", ".reloc", ".sbat" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static enum ota_code add_section(
	const struct pe *pe, const uint8_t *at, struct ota_build *build)
{
	uint32_t memory_len = ota_le32(at + 8), len = ota_le32(at + 16);
	uint32_t flags = ota_le32(at + 36);
	struct ota_section named = { .address = pe->image_base + ota_le32(at + 12),
		.offset = ota_le32(at + 20) };
	struct ota_region region = { named.offset, len, named.address, 0,
		OTA_REGION_PTR64 };
	enum ota_code rc;

	if (!ota_is_within(named.offset, len, build->in.len))
		return OTA_E_NOTFOUND;
	named.len = memory_len > len ? memory_len : len;
	memcpy(named.name, at, SECTION_NAME_LEN);
	if (len > 0 && named.offset + len > build->object.len)
		build->object.len = named.offset + len;
	if (len == 0)
		named.offset = UINT64_MAX;
	rc = ota_build_section(build, &named);
	ota_build_bounds(build, named.address, named.len);
	if (rc != OTA_OK || is_opaque(named.name) || len == 0)
		return rc;
	if ((flags & (section_is_code | section_is_executed)) != 0) {
		region.kind = ota_object_code(build->object.machine);
		ota_build_text(build, region.address, len);
	}
	rc = ota_build_span(
		build, &(struct ota_span){ region.offset, len, region.address });
	return rc != OTA_OK ? rc : ota_build_region(build, &region);
}

enum ota_code ota_object_pe(struct ota_build *build)
{
	struct pe pe;
	enum ota_code rc = OTA_OK;

	if (!open_pe(build, &pe))
		return OTA_E_NOTFOUND;
	build->object.format = "pe";
	build->object.is_64 = true;
	build->object.len =
		(uint64_t)(pe.sections - build->in.at) + pe.section_count * SECTION_LEN;
	for (uint32_t i = 0; rc == OTA_OK && i < pe.section_count; i++)
		rc = add_section(&pe, pe.sections + i * SECTION_LEN, build);
	if (rc == OTA_OK && build->object.span_count == 0)
		return OTA_E_NOTFOUND;
	return rc;
}

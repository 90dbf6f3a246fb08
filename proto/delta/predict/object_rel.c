/* Relocatable objects: kernel modules, modules of GRUB. Their sections have no addresses
 * yet and get those of enum ota_rel. */

#include <stdio.h>
#include <string.h>

#include "proto/delta/predict/object_elf.h"

enum {
	SYMBOL_LEN = 24,
	SYMBOL_OF_SECTION = 3, /* STT_SECTION */
};

static const uint64_t slot_half = 1u << (OTA_REL_SLOT_BITS - 1);

static int64_t slot_of(uint32_t section)
{
	return (int64_t)section << OTA_REL_SLOT_BITS;
}

/* The sections whose symbols come first in the table, as bits. */
static uint64_t sections_of(const struct ota_build *build, const struct ota_elf *elf)
{
	struct ota_elf_section table = { 0 };
	uint64_t bits = 0;

	for (uint32_t i = 1; i < elf->section_count; i++)
		if (ota_elf_section(elf, i, &table) && table.type == OTA_SHT_SYMTAB)
			break;
	if (table.type != OTA_SHT_SYMTAB)
		return 0;
	for (uint64_t at = SYMBOL_LEN; at + SYMBOL_LEN <= table.len; at += SYMBOL_LEN) {
		const uint8_t *symbol = build->in.at + table.offset + at;
		uint32_t section = ota_le16(symbol + 6);

		if ((symbol[4] & 15) != SYMBOL_OF_SECTION || section == 0 ||
			section >= OTA_REL_SECTIONS_MAX || bits >> section != 0)
			break;
		bits |= (uint64_t)1 << section;
	}
	return bits;
}

/* What a section is seen as; the kind is PLAIN if it has no references, and the length 0
 * if nothing needs its place. */
static struct ota_region region_of(const struct ota_elf *elf, uint32_t index,
	const struct ota_elf_section *section, uint64_t symbols)
{
	struct ota_region region = { section->offset, section->len, slot_of(index), 0,
		OTA_REGION_PLAIN };

	if (section->type == OTA_SHT_RELA && section->info < elf->section_count) {
		region.kind = OTA_REGION_REL_RELA64;
		region.address = slot_of(section->info) + (int64_t)slot_half;
		region.base = (int64_t)symbols;
	} else if (section->type == OTA_SHT_SYMTAB) {
		region.kind = OTA_REGION_REL_SYM64;
		region.address = 0;
		region.base = slot_of(section->link);
	} else if ((section->flags & OTA_SHF_EXECINSTR) != 0) {
		region.kind = ota_object_code(elf->machine);
	} else if ((section->flags & OTA_SHF_ALLOC) == 0 &&
		   (section->type != OTA_SHT_STRTAB ||
			   strcmp(section->name, ".strtab") != 0)) {
		region.len = 0;
	}
	return region;
}

static enum ota_code add_section(struct ota_build *build,
	const struct ota_elf_section *section, const struct ota_region *region)
{
	struct ota_section named = {
		.address = region->address, .len = section->len, .offset = section->offset
	};
	struct ota_span span = { region->offset, region->len, region->address };
	enum ota_code rc;

	if ((section->flags & OTA_SHF_ALLOC) != 0) {
		if (section->type == OTA_SHT_NOBITS)
			named.offset = UINT64_MAX;
		(void)snprintf(named.name, sizeof named.name, "%s", section->name);
		rc = ota_build_section(build, &named);
		if (rc != OTA_OK)
			return rc;
		ota_build_bounds(build, region->address, section->len);
		if ((section->flags & OTA_SHF_EXECINSTR) != 0)
			ota_build_text(build, region->address, section->len);
	}
	if (section->type == OTA_SHT_NOBITS)
		return OTA_OK;
	rc = ota_build_span(build, &span);
	return rc != OTA_OK ? rc : ota_build_region(build, region);
}

enum ota_code ota_object_rel(const struct ota_elf *elf, struct ota_build *build)
{
	uint64_t symbols = sections_of(build, elf);
	struct ota_elf_section section;
	enum ota_code rc = OTA_OK;

	if (!elf->is_64 || elf->section_count == 0)
		return OTA_E_NOTFOUND;
	build->object.format = "elf-rel";
	build->object.len = ota_elf_end(elf);
	for (uint32_t i = 1; rc == OTA_OK && i < elf->section_count; i++) {
		struct ota_region region;

		if (!ota_elf_section(elf, i, &section))
			continue;
		region = region_of(elf, i, &section, symbols);
		if (region.len > slot_half)
			return OTA_E_NOTFOUND;
		rc = add_section(build, &section, &region);
	}
	if (rc == OTA_OK && build->object.span_count == 0)
		return OTA_E_NOTFOUND;
	return rc;
}

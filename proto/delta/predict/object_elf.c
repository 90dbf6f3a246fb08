#include "proto/delta/predict/object_elf.h"

#include <stdio.h>
#include <string.h>

#include "proto/delta/predict/object_cut.h"
#include "proto/delta/predict/object_go.h"

enum {
	ASIDE_GAP = 1 << 20, /* bytes between what is loaded and what is not */
	RELOCS_MIN = 64,     /* words of a kernel's relocations, at least */
};

/* What an object's sections have in common. */
struct plan {
	const struct ota_elf *elf;
	bool is_kernel; /* Linux for x86-64: at the top of the address space */
	int64_t aside;  /* address of offset 0 in what is not loaded */
};

uint8_t ota_object_code(uint16_t machine)
{
	switch (machine) {
	case OTA_MACHINE_A64:
		return OTA_REGION_A64;
	case OTA_MACHINE_X64:
		return OTA_REGION_X64;
	case OTA_MACHINE_X86:
		return OTA_REGION_X86;
	default:
		return OTA_REGION_T32;
	}
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static uint8_t code_kind(const struct plan *plan, const char *name)
{
	if (plan->elf->machine == OTA_MACHINE_ARM && strcmp(name, ".plt") == 0)
		return OTA_REGION_ARM_PLT;
	return ota_object_code(plan->elf->machine);
}

static uint8_t kernel_kind(const struct ota_elf_section *section)
{
	if (starts_with(section->name, ".BTF") || section->type == OTA_SHT_NOTE)
		return OTA_REGION_PLAIN;
	return OTA_REGION_KERNEL64;
}

/* What a loaded section holds that is neither code nor a table of its own type. */
static uint8_t data_kind(const struct plan *plan, const struct ota_elf_section *section)
{
	bool is_64 = plan->elf->is_64;

	if (plan->is_kernel)
		return kernel_kind(section);
	if (strcmp(section->name, ".eh_frame_hdr") == 0)
		return OTA_REGION_EH_HDR;
	if (strcmp(section->name, ".eh_frame") == 0)
		return OTA_REGION_EH_FRAME;
	/* A program with fixed addresses keeps even its constant pointers there. */
	if ((section->flags & OTA_SHF_WRITE) != 0 || section->type == OTA_SHT_RELR ||
		(plan->elf->type == OTA_ET_EXEC && starts_with(section->name, ".rodata")))
		return is_64 ? OTA_REGION_PTR64 : OTA_REGION_PTR32;
	return OTA_REGION_PLAIN;
}

static uint8_t kind_of(const struct plan *plan, const struct ota_elf_section *section)
{
	bool is_64 = plan->elf->is_64;

	switch (section->type) {
	case OTA_SHT_RELA:
		return is_64 ? OTA_REGION_RELA64 : OTA_REGION_RELA32;
	case OTA_SHT_REL:
		return is_64 ? OTA_REGION_PLAIN : OTA_REGION_REL32;
	case OTA_SHT_DYNSYM:
	case OTA_SHT_SYMTAB:
		return is_64 ? OTA_REGION_SYM64 : OTA_REGION_SYM32;
	case OTA_SHT_HASH:
	case OTA_SHT_GNU_HASH:
		return is_64 ? OTA_REGION_INDEX64 : OTA_REGION_PLAIN;
	case OTA_SHT_ARM_EXIDX:
		if (plan->elf->machine == OTA_MACHINE_ARM)
			return OTA_REGION_EXIDX;
		break;
	default:
		break;
	}
	if ((section->flags & OTA_SHF_EXECINSTR) != 0)
		return code_kind(plan, section->name);
	return data_kind(plan, section);
}

/* Where a section is seen in memory, or where it would be if it were loaded. */
static int64_t address_of(const struct plan *plan, const struct ota_elf_section *section)
{
	if ((section->flags & OTA_SHF_ALLOC) != 0)
		return section->address;
	return plan->aside + (int64_t)section->offset;
}

/* What the fields of a section of this kind count from. */
static int64_t base_of(
	const struct plan *plan, const struct ota_elf_section *section, uint8_t kind)
{
	struct ota_elf_section linked;

	switch (kind) {
	case OTA_REGION_RELA64:
	case OTA_REGION_RELA32:
	case OTA_REGION_REL32:
	case OTA_REGION_SYM64:
	case OTA_REGION_SYM32:
	case OTA_REGION_INDEX64:
		if (section->link == 0 ||
			!ota_elf_section(plan->elf, section->link, &linked))
			return 0;
		return address_of(plan, &linked);
	case OTA_REGION_EH_HDR:
		return section->address;
	default:
		return 0;
	}
}

static enum ota_code add_region(struct ota_build *build, const struct ota_region *region)
{
	if (region->kind == OTA_REGION_EH_FRAME)
		return ota_cut_eh_frame(build, region);
	if (region->kind == OTA_REGION_T32)
		return ota_cut_arm(build, region);
	return ota_build_region(build, region);
}

/* Symbol tables and their names are worth a place though nothing loads them. */
static bool is_aside(const struct ota_elf_section *section)
{
	if ((section->flags & OTA_SHF_ALLOC) != 0)
		return false;
	return section->type == OTA_SHT_SYMTAB ||
	       (section->type == OTA_SHT_STRTAB && strcmp(section->name, ".strtab") == 0);
}

/* What of a hash table is indices: of the System V one (ABI 5.12) all but two counts; of
 * the GNU one (counts of buckets, first symbol, words of a filter, shift; filter;
 * buckets; hashes) the buckets. */
static void cut_hash(const struct plan *plan, const struct ota_elf_section *section,
	struct ota_region *region)
{
	const uint8_t *head = plan->elf->in.at + section->offset;
	uint64_t skipped = 8, len = section->len;

	if (section->len < 16) {
		region->kind = OTA_REGION_PLAIN;
		return;
	}
	if (section->type == OTA_SHT_GNU_HASH) {
		skipped = 16 + 8 * (uint64_t)ota_le32(head + 8);
		len = skipped + 4 * (uint64_t)ota_le32(head);
	}
	if (len > section->len || skipped >= len) {
		region->kind = OTA_REGION_PLAIN;
		return;
	}
	region->offset += skipped;
	region->address += (int64_t)skipped;
	region->len = len - skipped;
}

static enum ota_code add_contents(const struct plan *plan,
	const struct ota_elf_section *section, struct ota_build *build)
{
	struct ota_region region = {
		.offset = section->offset,
		.len = section->len,
		.address = address_of(plan, section),
		.kind = kind_of(plan, section),
	};
	struct ota_span span = { section->offset, section->len, region.address };
	enum ota_code rc = OTA_OK;

	region.base = base_of(plan, section, region.kind);
	if (region.kind == OTA_REGION_INDEX64)
		cut_hash(plan, section, &region);
	if (section->type == OTA_SHT_STRTAB)
		region.kind = OTA_REGION_PLAIN;
	if (is_aside(section))
		rc = ota_build_span(build, &span);
	else if ((section->flags & OTA_SHF_ALLOC) == 0)
		return OTA_OK;
	return rc != OTA_OK ? rc : add_region(build, &region);
}

static enum ota_code add_section(const struct plan *plan,
	const struct ota_elf_section *section, struct ota_build *build)
{
	struct ota_section named = { .address = section->address,
		.len = section->len,
		.offset = section->offset };
	enum ota_code rc = OTA_OK;

	if (section->type == OTA_SHT_NOBITS)
		named.offset = UINT64_MAX;
	if ((section->flags & OTA_SHF_ALLOC) != 0 &&
		!(section->type == OTA_SHT_NOBITS &&
			(section->flags & OTA_SHF_TLS) != 0)) {
		(void)snprintf(named.name, sizeof named.name, "%s", section->name);
		rc = ota_build_section(build, &named);
	}
	if (rc != OTA_OK || section->type == OTA_SHT_NOBITS)
		return rc;
	if ((section->flags & OTA_SHF_ALLOC) != 0 &&
		(section->flags & OTA_SHF_EXECINSTR) != 0)
		ota_build_text(build, section->address, section->len);
	return add_contents(plan, section, build);
}

/* A file without a usable section table: a segment is as good as its flags. */
static enum ota_code add_segment(const struct plan *plan, uint32_t index,
	const struct ota_elf_segment *segment, struct ota_build *build)
{
	bool is_64 = plan->elf->is_64;
	struct ota_region region = { segment->offset, segment->len, segment->address, 0,
		OTA_REGION_PLAIN };
	struct ota_section named = { .address = segment->address,
		.len = segment->memory_len,
		.offset = segment->offset };
	enum ota_code rc;

	(void)snprintf(named.name, sizeof named.name, "segment %u", (unsigned)index);
	rc = ota_build_section(build, &named);
	if (rc != OTA_OK)
		return rc;
	if ((segment->flags & OTA_PF_X) != 0) {
		region.kind = ota_object_code(plan->elf->machine);
		ota_build_text(build, segment->address, segment->memory_len);
	} else if ((segment->flags & OTA_PF_W) != 0) {
		region.kind = is_64 ? OTA_REGION_PTR64 : OTA_REGION_PTR32;
	}
	if (plan->is_kernel && region.kind != OTA_REGION_X64)
		region.kind = OTA_REGION_KERNEL64;
	return add_region(build, &region);
}

/* What is in memory: spans and bounds. Some segments of a kernel lie apart at low
 * addresses (its data for each processor); those are no bounds. */
static enum ota_code add_spans(struct plan *plan, struct ota_build *build)
{
	struct ota_elf_segment segment;
	enum ota_code rc = OTA_OK;

	for (uint32_t i = 0; i < plan->elf->segment_count; i++) {
		if (!ota_elf_segment(plan->elf, i, &segment))
			return OTA_E_NOTFOUND;
		if (segment.type == OTA_PT_LOAD && segment.address < 0)
			plan->is_kernel = plan->elf->machine == OTA_MACHINE_X64;
	}
	for (uint32_t i = 0; rc == OTA_OK && i < plan->elf->segment_count; i++) {
		struct ota_span span;

		(void)ota_elf_segment(plan->elf, i, &segment);
		span = (struct ota_span){ segment.offset, segment.len, segment.address };
		if (segment.type != OTA_PT_LOAD)
			continue;
		if (!plan->is_kernel || segment.address < 0)
			ota_build_bounds(build, segment.address, segment.memory_len);
		rc = ota_build_span(build, &span);
	}
	plan->aside = ((build->object.bounds.high + ASIDE_GAP) | (ASIDE_GAP - 1)) + 1;
	return rc;
}

/* The words behind a kernel that tell where it holds addresses: the ends of addresses,
 * and zeros between lists. */
static enum ota_code add_kernel_relocs(const struct plan *plan, struct ota_build *build)
{
	const struct ota_bounds *bounds = &build->object.bounds;
	uint64_t begin = (build->object.len + 3) & ~(uint64_t)3, at = begin;
	struct ota_region region = { begin, 0, 0, 0, OTA_REGION_ABS32 };
	struct ota_span span;
	enum ota_code rc;

	for (; at + 4 <= build->in.len; at += 4) {
		int32_t word = (int32_t)ota_le32(build->in.at + at);

		if (word != 0 && (word < bounds->low || word >= bounds->high))
			break;
	}
	if (at < begin + RELOCS_MIN * 4)
		return OTA_OK;
	region.len = at - begin;
	region.address = plan->aside + (int64_t)begin;
	span = (struct ota_span){ region.offset, region.len, region.address };
	build->object.len = at;
	rc = ota_build_span(build, &span);
	return rc != OTA_OK ? rc : ota_build_region(build, &region);
}

/* Sections if there are any, else segments. */
static enum ota_code add_parts(const struct plan *plan, struct ota_build *build)
{
	enum ota_code rc = OTA_OK;
	struct ota_elf_section section;
	struct ota_elf_segment segment;

	for (uint32_t i = 1; rc == OTA_OK && i < plan->elf->section_count; i++)
		if (ota_elf_section(plan->elf, i, &section))
			rc = add_section(plan, &section, build);
	if (plan->elf->section_count > 0)
		return rc;
	for (uint32_t i = 0; rc == OTA_OK && i < plan->elf->segment_count; i++)
		if (ota_elf_segment(plan->elf, i, &segment) &&
			segment.type == OTA_PT_LOAD)
			rc = add_segment(plan, i, &segment, build);
	return rc;
}

enum ota_code ota_object_elf(const struct ota_elf *elf, struct ota_build *build)
{
	struct plan plan = { .elf = elf };
	enum ota_code rc;

	build->object.format = "elf";
	build->object.len = ota_elf_end(elf);
	rc = add_spans(&plan, build);
	if (rc == OTA_OK && build->object.span_count == 0)
		return OTA_E_NOTFOUND;
	if (rc == OTA_OK)
		rc = add_parts(&plan, build);
	if (rc == OTA_OK && elf->machine == OTA_MACHINE_X64 && !plan.is_kernel)
		rc = ota_cut_jump_tables(build);
	if (rc == OTA_OK)
		rc = ota_object_go(elf, build);
	if (rc == OTA_OK && plan.is_kernel)
		rc = add_kernel_relocs(&plan, build);
	return rc;
}

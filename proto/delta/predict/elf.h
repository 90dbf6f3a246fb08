#ifndef PROTO_DELTA_PREDICT_ELF_H
#define PROTO_DELTA_PREDICT_ELF_H

/* The headers of an ELF file (System V ABI, chapter 4), little endian, 32 and 64 bit. */

#include "proto/base/bytes.h"

/** Numbers of the ABI that the parsers ask for. */
enum {
	OTA_ET_REL = 1,
	OTA_ET_EXEC = 2,
	OTA_ET_DYN = 3,
	OTA_PT_LOAD = 1,
	OTA_PT_NOTE = 4,
	OTA_PF_X = 1,
	OTA_PF_W = 2,
	OTA_SHT_SYMTAB = 2,
	OTA_SHT_STRTAB = 3,
	OTA_SHT_RELA = 4,
	OTA_SHT_HASH = 5,
	OTA_SHT_NOTE = 7,
	OTA_SHT_NOBITS = 8,
	OTA_SHT_REL = 9,
	OTA_SHT_DYNSYM = 11,
	OTA_SHT_RELR = 19,
	OTA_SHT_GNU_HASH = 0x6ffffff6,
	OTA_SHT_ARM_EXIDX = 0x70000001,
	OTA_SHF_WRITE = 1,
	OTA_SHF_ALLOC = 2,
	OTA_SHF_EXECINSTR = 4,
	OTA_SHF_TLS = 0x400,
};

struct ota_elf {
	struct ota_bytes
		in; /* borrowed: from the file's first byte, maybe beyond its last */
	bool is_64;
	uint16_t type, machine;
	uint32_t flags;
	uint64_t segments, sections; /* offsets of the two tables */
	uint32_t segment_count;      /* all within in */
	uint32_t section_count;      /* 0 unless each section makes sense */
	struct ota_bytes names;      /* borrowed: section names, NUL at the end */
};

struct ota_elf_segment {
	uint32_t type, flags;
	uint64_t offset, len; /* within in */
	int64_t address;
	uint64_t memory_len; /* bytes, at least len */
};

struct ota_elf_section {
	const char *name; /* borrowed from the file */
	uint32_t type, link, info;
	uint64_t flags;
	uint64_t offset, len; /* within in, unless the type is OTA_SHT_NOBITS */
	int64_t address;
};

/** Read the header at the start of in. False if it is not one of ours. */
bool ota_elf_open(struct ota_bytes in, struct ota_elf *elf);

/** The segment with that index, below segment_count. False if it makes no sense. */
bool ota_elf_segment(
	const struct ota_elf *elf, uint32_t index, struct ota_elf_segment *out);

/** The section with that index, below section_count. False for another index. */
bool ota_elf_section(
	const struct ota_elf *elf, uint32_t index, struct ota_elf_section *out);

/** Where the file ends, as far as its headers tell. */
uint64_t ota_elf_end(const struct ota_elf *elf);

#endif

#ifndef TESTS_UNIT_ELF_KIT_H
#define TESTS_UNIT_ELF_KIT_H

/* Small ELF files, put together in memory. */

#include "proto/base/bytes.h"

enum { ELF_KIT_A64 = 183, ELF_KIT_X64 = 62, ELF_KIT_ARM = 40, ELF_KIT_X86 = 3 };

struct elf_kit_section {
	const char *name;
	uint32_t type, flags;
	uint32_t
		address; /* the offset too, unless zero: then it follows the one before */
	uint32_t link, info;
	const void *bytes; /* borrowed; NULL: zeros */
	uint32_t len;
};

struct elf_kit_file {
	uint16_t type, machine; /* the class follows from the machine */
	int64_t base;           /* added to all addresses */
	const struct elf_kit_section *sections;
	unsigned count;   /* the section table has one before and one behind these */
	bool is_stripped; /* without a section table */
};

/** The file. What has an address lies in one segment. */
struct ota_buf elf_kit_make(const struct elf_kit_file *file);

#endif

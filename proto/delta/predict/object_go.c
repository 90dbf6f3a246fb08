#include "proto/delta/predict/object_go.h"

#include <string.h>

/* The table of functions (runtime/symtab.go) begins with a header: magic (4), 0 (2), the
 * least length of an instruction (1), bytes of a pointer (1), then words: counts of
 * functions and of files, where code begins, and offsets of five tables: names, files of
 * packages, file names, tables by pc, functions. The module (runtime.moduledata), which
 * is in the data, begins with where that is and where the names are. */

enum {
	HEADER_LEN = 72,
	POINTER_LEN = 8,
	ENTRY_LEN = 8,
	FUNCTIONS_MAX = 1 << 22,
	MODULE_LEN = 41 * 8, /* bytes of a module that are of interest */
	MODULE_TYPES = 37,   /* word of a module: where types begin; its last but .. */
	MODULE_DATA_OFF = 3, /* .. so many words on: what functions' data count from */
	OLD_LESS = 2,        /* words that a module has less before 1.20 */
};

static const uint32_t magic_old = 0xfffffff0; /* 1.18 */
static const uint32_t magic_new = 0xfffffff1; /* 1.20: records say a line */

/* Words of the header. */
enum { FUNCTIONS, FILES, CODE, NAMES, PACKAGES, FILE_NAMES, TABLES, TABLE, WORDS };

struct go {
	struct ota_bytes in;     /* borrowed: the object */
	struct ota_build *build; /* borrowed */
	uint64_t offset, len;    /* of the table of functions */
	int64_t address;         /* the same */
	uint64_t word[WORDS];    /* of the header */
	bool is_old;
	int64_t types, data; /* addresses */
};

/* Sections have names that end so; position independent programs begin them otherwise. */
static bool find_section(
	const struct ota_elf *elf, const char *name, struct ota_elf_section *out)
{
	for (uint32_t i = 1; i < elf->section_count; i++)
		if (ota_elf_section(elf, i, out) && out->type != OTA_SHT_NOBITS &&
			strcmp(out->name, name) == 0)
			return true;
	return false;
}

/* Read the header. False if it is none that is known. */
static bool read_header(struct go *go)
{
	const uint8_t *at = go->in.at + go->offset;
	uint32_t magic;

	if (go->len < HEADER_LEN)
		return false;
	magic = ota_le32(at);
	if ((magic != magic_old && magic != magic_new) || at[7] != POINTER_LEN)
		return false;
	go->is_old = magic == magic_old;
	for (unsigned i = 0; i < WORDS; i++)
		go->word[i] = ota_le64(at + 8 + 8 * i);
	for (unsigned i = NAMES + 1; i < WORDS; i++)
		if (go->word[i] < go->word[i - 1])
			return false;
	return go->word[FUNCTIONS] <= FUNCTIONS_MAX && go->word[CODE] <= UINT32_MAX &&
	       ota_is_within(
		       go->word[TABLE], go->word[FUNCTIONS] * ENTRY_LEN + 4, go->len);
}

/* Look for the module in some data. */
static bool find_module(struct go *go, const struct ota_elf_section *section)
{
	const uint8_t *in = go->in.at + section->offset;
	uint64_t table = (uint64_t)go->address, names = table + go->word[NAMES];

	for (uint64_t at = 0; at + MODULE_LEN <= section->len; at += POINTER_LEN) {
		const uint8_t *types = in + at + 8 * MODULE_TYPES;

		if (ota_le64(in + at) != table || ota_le64(in + at + 8) != names)
			continue;
		types -= go->is_old ? 8 * OLD_LESS : 0;
		go->types = (int64_t)ota_le64(types);
		go->data = (int64_t)ota_le64(types + 8 * MODULE_DATA_OFF);
		return true;
	}
	return false;
}

/* The kinds of region keep two addresses in one base. */
static bool read_module(struct go *go, const struct ota_elf *elf)
{
	struct ota_elf_section section;

	for (uint32_t i = 1; i < elf->section_count; i++)
		if (ota_elf_section(elf, i, &section) && section.type != OTA_SHT_NOBITS &&
			(section.flags & OTA_SHF_WRITE) != 0 && find_module(go, &section))
			return go->data >= (int64_t)go->word[CODE] &&
			       go->data - (int64_t)go->word[CODE] < INT32_MAX;
	return false;
}

/* See a part of the table at an address of its own: the span it is in ends before. */
static enum ota_code move_part(struct go *go, uint64_t begin, uint64_t end, int64_t to)
{
	struct ota_object *object = &go->build->object;
	uint64_t offset = go->offset + begin, len = end - begin;

	for (uint32_t i = 0; i < object->span_count; i++) {
		struct ota_span *span = &object->spans[i], rest = *span;
		uint64_t before = offset - span->offset;
		enum ota_code rc;

		if (offset < span->offset || !ota_is_within(before, len, span->len))
			continue;
		span->len = before;
		rest.offset += before + len;
		rest.address += (int64_t)(before + len);
		rest.len -= before + len;
		rc = ota_build_span(go->build, &rest);
		if (rc != OTA_OK)
			return rc;
		return ota_build_span(go->build, &(struct ota_span){ offset, len, to });
	}
	return OTA_OK;
}

/* Records in some bytes of the table of functions. */
static enum ota_code add_piece(struct go *go, uint64_t begin, uint64_t end)
{
	int64_t code = (int64_t)go->word[CODE];
	struct ota_region region = { .kind = OTA_REGION_GO_RECORDS,
		.offset = go->offset + go->word[TABLE] + begin,
		.len = end - begin,
		.address = OTA_GO_RECORDS + (int64_t)begin,
		.base = code | (go->data - code) << 32 };

	region.base |= go->is_old ? 0 : OTA_GO_LINED;
	return ota_build_region(go->build, &region);
}

/* Records, from the second on, in pieces that are scanned at once. */
static enum ota_code add_records(struct go *go)
{
	const uint8_t *table = go->in.at + go->offset + go->word[TABLE];
	uint64_t room = go->len - go->word[TABLE], begin = 0, end = 0;
	enum ota_code rc = OTA_OK;

	for (uint64_t i = 1; rc == OTA_OK && i <= go->word[FUNCTIONS]; i++) {
		uint64_t next = room;

		if (i < go->word[FUNCTIONS])
			next = ota_le32(table + ENTRY_LEN * i + 4);
		if (next < end || next > room)
			return OTA_OK;
		begin = i == 1 ? next : begin;
		if (next - begin > OTA_REF_PAGE && end > begin) {
			rc = add_piece(go, begin, end);
			begin = end;
		}
		end = next;
	}
	if (rc != OTA_OK || end <= begin || end - begin > OTA_REF_PAGE)
		return rc;
	return add_piece(go, begin, end);
}

static enum ota_code add_table(struct go *go)
{
	struct ota_region region = { .kind = OTA_REGION_GO_TABLE,
		.offset = go->offset + go->word[TABLE],
		.len = go->word[FUNCTIONS] * ENTRY_LEN,
		.address = OTA_GO_RECORDS,
		.base = (int64_t)go->word[CODE] };

	return ota_build_region(go->build, &region);
}

static enum ota_code add_links(struct go *go, const struct ota_elf *elf)
{
	struct ota_elf_section section;

	if (!find_section(elf, ".typelink", &section))
		return OTA_OK;
	return ota_build_region(
		go->build, &(struct ota_region){ section.offset, section.len,
				   section.address, go->types, OTA_REGION_GO_LINKS });
}

static enum ota_code add_parts(struct go *go, const struct ota_elf *elf)
{
	enum ota_code rc =
		move_part(go, go->word[NAMES], go->word[PACKAGES], OTA_GO_NAMES);

	if (rc == OTA_OK)
		rc = move_part(
			go, go->word[PACKAGES], go->word[FILE_NAMES], OTA_GO_FILES);
	if (rc == OTA_OK)
		rc = move_part(go, go->word[TABLES], go->word[TABLE], OTA_GO_TABLES);
	if (rc == OTA_OK)
		rc = move_part(go, go->word[TABLE], go->len, OTA_GO_RECORDS);
	if (rc == OTA_OK)
		rc = add_table(go);
	if (rc == OTA_OK)
		rc = add_records(go);
	return rc == OTA_OK ? add_links(go, elf) : rc;
}

enum ota_code ota_object_go(const struct ota_elf *elf, struct ota_build *build)
{
	struct ota_elf_section section;
	struct go go = { .in = build->in, .build = build };

	if (!elf->is_64 || !find_section(elf, ".gopclntab", &section))
		return OTA_OK;
	go.offset = section.offset;
	go.len = section.len;
	go.address = section.address;
	if (!read_header(&go) || !read_module(&go, elf))
		return OTA_OK;
	return add_parts(&go, elf);
}

#include "tests/unit/elf_kit.h"

#include <stdlib.h>
#include <string.h>

enum { NOBITS = 8, ALLOC = 2, NAMES_MAX = 1024, SECTIONS_MAX = 32 };

struct maker {
	const struct elf_kit_file *file;
	struct ota_buf out;
	bool is_64;
	char names[NAMES_MAX];
	uint32_t names_len;
	uint32_t offset[SECTIONS_MAX];
};

static void check(enum ota_code rc)
{
	if (rc != OTA_OK)
		abort();
}

static void put16(struct maker *m, uint16_t value)
{
	check(ota_buf_add_u8(&m->out, (uint8_t)value));
	check(ota_buf_add_u8(&m->out, (uint8_t)(value >> 8)));
}

static void put32(struct maker *m, uint32_t value)
{
	check(ota_buf_add_le32(&m->out, value));
}

/* A word of the file's class. */
static void put(struct maker *m, uint64_t value)
{
	check(m->is_64 ? ota_buf_add_le64(&m->out, value)
		       : ota_buf_add_le32(&m->out, (uint32_t)value));
}

static void pad(struct maker *m, size_t len)
{
	while (m->out.len < len)
		check(ota_buf_add_u8(&m->out, 0));
}

static void put_head(struct maker *m)
{
	unsigned count = m->file->is_stripped ? 0 : m->file->count + 2;

	check(ota_buf_add(&m->out, ota_bytes_of("\177ELF")));
	check(ota_buf_add_u8(&m->out, m->is_64 ? 2 : 1));
	check(ota_buf_add_u8(&m->out, 1));
	check(ota_buf_add_u8(&m->out, 1));
	pad(m, 16);
	put16(m, m->file->type);
	put16(m, m->file->machine);
	put32(m, 1);
	put(m, 0);
	put(m, m->is_64 ? 64 : 52);
	put(m, 0);
	put32(m, 0);
	put16(m, m->is_64 ? 64 : 52);
	put16(m, m->is_64 ? 56 : 32);
	put16(m, m->file->type == 1 ? 0 : 1);
	put16(m, m->is_64 ? 64 : 40);
	put16(m, (uint16_t)count);
	put16(m, (uint16_t)(count == 0 ? 0 : count - 1));
}

/* One segment for all: readable, writable, executable. */
static void put_segment(struct maker *m)
{
	uint64_t len = 0, memory_len = 0;

	for (unsigned i = 0; i < m->file->count; i++) {
		const struct elf_kit_section *s = &m->file->sections[i];

		if ((s->flags & ALLOC) == 0)
			continue;
		memory_len = s->address + s->len;
		if (s->type != NOBITS)
			len = memory_len;
	}
	put32(m, 1);
	if (m->is_64)
		put32(m, 7);
	put(m, 0);
	put(m, (uint64_t)m->file->base);
	put(m, (uint64_t)m->file->base);
	put(m, len);
	put(m, memory_len);
	if (!m->is_64)
		put32(m, 7);
	put(m, 4096);
}

static void put_section(
	struct maker *m, const struct elf_kit_section *s, uint32_t offset, uint32_t name)
{
	bool is_alloc = (s->flags & ALLOC) != 0 && m->file->type != 1;

	put32(m, name);
	put32(m, s->type);
	put(m, s->flags);
	put(m, is_alloc ? (uint64_t)(m->file->base + s->address) : 0);
	put(m, offset);
	put(m, s->len);
	put32(m, s->link);
	put32(m, s->info);
	put(m, 8);
	put(m, 0);
}

static void put_bytes(struct maker *m, const struct elf_kit_section *s)
{
	size_t end = m->out.len + s->len;

	if (s->bytes != NULL)
		check(ota_buf_add(&m->out, (struct ota_bytes){ s->bytes, s->len }));
	pad(m, end);
}

static uint32_t name_of(struct maker *m, const char *name)
{
	uint32_t at = m->names_len;
	size_t len = strlen(name) + 1;

	if (at + len > NAMES_MAX)
		abort();
	memcpy(m->names + at, name, len);
	m->names_len += (uint32_t)len;
	return at;
}

static void put_table(struct maker *m)
{
	struct elf_kit_section names = { .type = 3, .len = 0 };
	uint32_t at[SECTIONS_MAX], names_at, offset;

	(void)name_of(m, "");
	for (unsigned i = 0; i < m->file->count; i++)
		at[i] = name_of(m, m->file->sections[i].name);
	names_at = name_of(m, ".shstrtab");
	names.len = m->names_len;
	names.bytes = m->names;
	offset = (uint32_t)m->out.len;
	put_bytes(m, &names);
	pad(m, (m->out.len + 7) & ~(size_t)7);
	for (unsigned i = 0; i < 4; i++) /* e_shoff, which the head had no number for */
		m->out.at[(m->is_64 ? 40 : 32) + i] = (uint8_t)(m->out.len >> 8 * i);
	put_section(m, &(struct elf_kit_section){ .name = "" }, 0, 0);
	for (unsigned i = 0; i < m->file->count; i++)
		put_section(m, &m->file->sections[i], m->offset[i], at[i]);
	put_section(m, &names, offset, names_at);
}

struct ota_buf elf_kit_make(const struct elf_kit_file *file)
{
	struct maker m = { .file = file,
		.is_64 = file->machine == ELF_KIT_A64 || file->machine == ELF_KIT_X64 };

	if (file->count > SECTIONS_MAX)
		abort();
	put_head(&m);
	if (file->type != 1)
		put_segment(&m);
	for (unsigned i = 0; i < file->count; i++) {
		const struct elf_kit_section *s = &file->sections[i];

		if (s->address != 0 && s->type != NOBITS)
			pad(&m, s->address);
		pad(&m, (m.out.len + 7) & ~(size_t)7);
		m.offset[i] = (uint32_t)m.out.len;
		if (s->type != NOBITS)
			put_bytes(&m, s);
	}
	if (!file->is_stripped)
		put_table(&m);
	return m.out;
}

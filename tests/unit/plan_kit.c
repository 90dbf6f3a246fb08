#include "tests/unit/plan_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/elf_kit.h"

enum {
	FUNCTIONS = 200,
	MORE = 5,        /* functions of the new one */
	WHERE = 80,      /* they stand before this function */
	WORDS = 8,       /* of a function */
	TEXT = 0x400,    /* address */
	DATA = 0x2800,   /* address of the pointers */
	BSS = 0x3000,    /* address; the new one's lies further */
	BSS_LEN = 0x500, /* bytes */
	TAR_BLOCK = 512, /* bytes */
};

static void check(enum ota_code rc)
{
	if (rc != OTA_OK)
		abort();
}

static void put_word(uint8_t *at, uint32_t word)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(word >> 8 * i);
}

/* The place of an old function, in functions. */
static uint32_t place(uint32_t function, bool is_new)
{
	return function + (is_new && function >= WHERE ? MORE : 0);
}

/* A name, three calls, and what makes each function look different. */
static void put_function(uint8_t *at, uint32_t name, uint32_t here, bool is_new)
{
	put_word(at, 0xd2800000 | name << 5); /* movz x0, #name */
	for (uint32_t k = 1; k <= 3; k++) {
		uint32_t to = place((name * 7 + k * 31) % FUNCTIONS, is_new) * WORDS;

		put_word(at + 4 * k,
			0x94000000 | ((to - here * WORDS - k) & 0x3ffffff)); /* bl */
	}
	for (uint32_t k = 4; k < 7; k++)
		put_word(at + 4 * k, 0xd2800001 | ((name * 31 + k) & 0xffff) << 5);
	put_word(at + 28, 0xd65f03c0); /* ret */
}

static void put_text(uint8_t *text, bool is_new)
{
	for (uint32_t i = 0; i < FUNCTIONS; i++)
		put_function(
			text + 4 * WORDS * place(i, is_new), i, place(i, is_new), is_new);
	for (uint32_t i = 0; i < MORE && is_new; i++)
		put_function(text + 4 * WORDS * (WHERE + i), 1000 + i, WHERE + i, is_new);
}

void kit_library(struct ota_buf *out, bool is_new)
{
	static uint8_t text[(FUNCTIONS + MORE) * WORDS * 4], data[FUNCTIONS * 8];
	uint32_t count = FUNCTIONS + (is_new ? MORE : 0), bss = is_new ? 0x40 : 0;
	struct elf_kit_section sections[] = {
		{ .name = ".text",
			.type = 1,
			.flags = 6,
			.address = TEXT,
			.bytes = text },
		{ ".data.rel.ro", 1, 3, DATA, 0, 0, data, sizeof data },
		{ ".bss", 8, 3, BSS + bss, 0, 0, NULL, BSS_LEN - bss },
	};
	struct elf_kit_file file = { 3, ELF_KIT_A64, 0, sections, 3, false };
	OTA_AUTO(ota_buf_fini) struct ota_buf made = { 0 };

	sections[0].len = count * WORDS * 4;
	memset(text, 0, sizeof text);
	memset(data, 0, sizeof data);
	put_text(text, is_new);
	for (uint32_t i = 0; i < FUNCTIONS; i++)
		put_word(data + 8 * i, TEXT + 4 * WORDS * place(i, is_new));
	made = elf_kit_make(&file);
	check(ota_buf_add(out, ota_buf_bytes(&made)));
}

static void zeros(struct ota_buf *out, size_t len)
{
	while (len-- > 0)
		check(ota_buf_add_u8(out, 0));
}

void kit_tar_add(struct ota_buf *out, const char *path, const struct ota_buf *content)
{
	char head[TAR_BLOCK] = { 0 };
	unsigned sum = 0;

	(void)snprintf(head, 100, "%s", path);
	memcpy(head + 100, "0000644\0000000000\0000000000", 24);
	(void)snprintf(head + 124, 13, "%011o", (unsigned)content->len);
	(void)snprintf(head + 136, 13, "%011o", 1u);
	memset(head + 148, ' ', 8);
	head[156] = '0';
	memcpy(head + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof head; i++)
		sum += (uint8_t)head[i];
	(void)snprintf(head + 148, 8, "%06o", sum);
	check(ota_buf_add(out, (struct ota_bytes){ (uint8_t *)head, sizeof head }));
	check(ota_buf_add(out, ota_buf_bytes(content)));
	zeros(out, (TAR_BLOCK - content->len % TAR_BLOCK) % TAR_BLOCK);
}

void kit_tar_end(struct ota_buf *out)
{
	zeros(out, 2 * TAR_BLOCK);
}

void kit_archives(struct kit_patch *kit)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf old = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf new = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf notes = { 0 };

	kit_library(&old, false);
	kit_library(&new, true);
	kit_noise(&notes, 3000, 9);
	kit_tar_add(&kit->from, "usr/lib/libgate.so.1.2.3", &old);
	kit_tar_add(&kit->from, "usr/share/doc/notes", &notes);
	kit_tar_end(&kit->from);
	kit_tar_add(&kit->to, "usr/share/doc/moved", &notes);
	kit_tar_add(&kit->to, "usr/lib/libgate.so.1.3.0", &new);
	kit_tar_end(&kit->to);
}

/* Old bytes with edits of every sort: changed, put in, left out. */
static void edit(struct kit_patch *kit, uint64_t seed)
{
	kit_noise(&kit->from, 30000, seed);
	for (size_t at = 0; at < kit->from.len;) {
		size_t len = 100 + (size_t)(seed = seed * 6364136223846793005 + 1) % 5000;
		struct ota_bytes piece = { kit->from.at + at, len };

		if (len > kit->from.len - at)
			piece.len = kit->from.len - at;
		check(ota_buf_add(&kit->to, piece));
		kit->to.at[kit->to.len - 1] ^= 1;
		kit_noise(&kit->to, seed >> 60, seed);
		at += piece.len + (seed >> 56) % 16;
	}
}

static void libraries(struct kit_patch *kit)
{
	kit_library(&kit->from, false);
	kit_library(&kit->to, true);
}

const char *kit_pair_of(struct kit_patch *kit, unsigned index)
{
	static const struct {
		const char *name;
		uint32_t from_len, to_len;
		bool related;
	} plain[] = {
		{ "nothing to nothing", 0, 0, false },
		{ "nothing to something", 0, 9000, false },
		{ "something to nothing", 9000, 0, false },
		{ "to one byte", 9000, 1, false },
		{ "from one byte", 1, 9000, false },
		{ "unrelated", 9000, 9000, false },
		{ "moved blocks", 200000, 200000, true },
	};
	enum { PLAIN = sizeof plain / sizeof plain[0] };
	static const struct {
		const char *name;
		void (*fill)(struct kit_patch *kit);
	} made[] = { { "libraries", libraries }, { "archives", kit_archives } };

	if (index < PLAIN) {
		kit_images(kit, plain[index].from_len, plain[index].to_len,
			plain[index].related);
		return plain[index].name;
	}
	if (index - PLAIN < sizeof made / sizeof made[0]) {
		made[index - PLAIN].fill(kit);
		return made[index - PLAIN].name;
	}
	edit(kit, index);
	return "edits";
}

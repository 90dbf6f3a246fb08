/* Small images that the real tools made (tests/fuzz/members_seeds.sh), read back. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/members.h"
#include "proto/io/files.h"

enum { IMAGE_MAX = 1 << 20 };

static const char *const seeds[] = { "ext2", "ext4", "ext4-inline", "squashfs",
	"squashfs-gzip", "squashfs-zstd", "erofs", "erofs-chunks", "cpio", "tar-gnu",
	"tar-pax", "disk-gpt", "disk-dos" };

static void load(const char *seed, struct ota_buf *image)
{
	char path[512];

	(void)snprintf(
		path, sizeof path, SOURCE_ROOT "/tests/fuzz/corpus/members/%s", seed);
	cr_assert(ota_file_read(path, IMAGE_MAX, image, NULL) == OTA_OK, "%s", path);
}

/* The member whose path ends so; NULL if none does. */
static const struct ota_member *member(const struct ota_members *found, const char *tail)
{
	for (uint32_t i = 0; i < found->member_count; i++) {
		const struct ota_member *m = &found->members[i];
		size_t len = strlen(m->path), tail_len = strlen(tail);

		if (len >= tail_len && strcmp(m->path + len - tail_len, tail) == 0)
			return m;
	}
	return NULL;
}

static void expect_text(struct ota_bytes image, const struct ota_members *found,
	const char *tail, const char *text)
{
	const struct ota_member *m = member(found, tail);
	const struct ota_extent *e;

	cr_assert_not_null(m, "%s", tail);
	e = &found->extents[m->extent_first];
	cr_expect_eq(e->len, m->len);
	cr_expect(ota_bytes_equal(
		(struct ota_bytes){ image.at + e->offset, e->len }, ota_bytes_of(text)));
}

Test(members, the_files_of_each_kind_of_image_are_found)
{
	for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
		OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };

		load(seeds[i], &image);
		cr_assert(ota_members_find(ota_buf_bytes(&image), &found) == OTA_OK);
		cr_expect_eq(strncmp(found.container, seeds[i], 3), 0);
		cr_expect_eq(found.packing, OTA_PACKING_NONE);
		cr_expect_null(ota_members_advice(&found));
		cr_expect_eq(
			found.member_count, 3, "%s: %u", seeds[i], found.member_count);
		expect_text(ota_buf_bytes(&image), &found, "/hello", "hello, world\n");
		cr_assert_not_null(member(&found, "/deep/numbers"), "%s", seeds[i]);
		cr_expect_eq(member(&found, "/deep/numbers")->len, 2692);
	}
}

Test(members, what_is_found_in_a_piece_of_an_image_lies_in_it)
{
	for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };

		load(seeds[i], &image);
		for (size_t len = 0; len < image.len; len += 509) {
			OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
			struct ota_bytes piece = { image.at, len };

			cr_assert(ota_members_find(piece, &found) == OTA_OK);
			for (uint32_t k = 0; k < found.extent_count; k++)
				cr_expect_leq(
					found.extents[k].offset + found.extents[k].len,
					len);
		}
	}
}

/* ext2: the blocks of an inode stand at 40 in it. */
Test(members, bytes_that_two_files_claim_belong_to_the_first)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
	OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
	OTA_AUTO(ota_members_fini) struct ota_members again = { 0 };
	struct ota_extent hello, numbers;
	unsigned changed = 0;

	load("ext2", &image);
	cr_assert(ota_members_find(ota_buf_bytes(&image), &found) == OTA_OK);
	hello = found.extents[member(&found, "/hello")->extent_first];
	numbers = found.extents[member(&found, "/numbers")->extent_first];
	for (size_t at = 0; at + 4 <= numbers.offset; at += 4)
		if (image.at[at] == numbers.offset >> 10 &&
			image.at[at + 4] == image.at[at] + 1) {
			image.at[at] = (uint8_t)(hello.offset >> 10);
			changed++;
		}
	cr_assert_eq(changed, 1);
	cr_assert(ota_members_find(ota_buf_bytes(&image), &again) == OTA_OK);
	cr_expect_not_null(member(&again, "/hello"));
	cr_expect_null(member(&again, "/numbers"));
}

/* In a folder of ext2 the number of an inode stands before the length and name. */
Test(members, a_folder_that_is_in_itself_adds_nothing)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
	OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
	unsigned changed = 0;

	load("ext2", &image);
	for (size_t at = 8; at + 5 <= image.len; at++)
		if (memcmp(image.at + at, "hello", 5) == 0 && image.at[at - 2] == 5) {
			image.at[at - 8] = 2; /* the root */
			changed++;
		}
	cr_assert_eq(changed, 1);
	cr_assert(ota_members_find(ota_buf_bytes(&image), &found) == OTA_OK);
	cr_expect_null(member(&found, "/hello"));
	cr_expect_eq(found.member_count, 2, "%u", found.member_count);
}

Test(members, an_image_without_structure_is_raw)
{
	static const char *const images[] = { "", "x",
		("\x7f"
		 "ELF"),
		"0707", "EFI PART" };

	for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
		OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };

		cr_assert(ota_members_find(ota_bytes_of(images[i]), &found) == OTA_OK);
		cr_expect_str_eq(found.container, "raw");
		cr_expect_eq(found.member_count, 0);
		cr_expect_null(ota_members_advice(&found));
	}
}

struct magic {
	const char *bytes;
	size_t len;
	const char *name;
};

#define MAGIC(text, name)                   \
	{                                   \
		text, sizeof text - 1, name \
	}

/* clang-format off */
static const struct magic magics[] = {
	MAGIC("\x1f\x8b\x08\x00", "gzip"),
	MAGIC("\xfd" "7zXZ\0\0\x04", "xz"),
	MAGIC("\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0", "lzma"),
	MAGIC("\x89LZO\0\r\n\x1a\n", "lzo"),
	MAGIC("\x04\x22\x4d\x18", "lz4"),
	MAGIC("\x02\x21\x4c\x18", "lz4"),
	MAGIC("\x28\xb5\x2f\xfd", "zstd"),
	MAGIC("BZh91AY&SY", "bzip2"),
	MAGIC("BZh9", "none"),
	MAGIC("\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff", "none"),
	MAGIC("\x5d\0\0\x81\0\xff\xff\xff\xff\xff\xff\xff\xff\0", "none"),
	MAGIC("\x1f\x8b", "none"),
	MAGIC("", "none"),
};
/* clang-format on */

Test(members, a_packing_is_told_by_its_first_bytes)
{
	for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
		struct ota_bytes in = { (const uint8_t *)magics[i].bytes, magics[i].len };
		enum ota_packing packing = ota_packing_of(in);

		cr_expect_str_eq(ota_packing_text(packing), magics[i].name, "row %zu", i);
	}
}

Test(members, a_compressed_image_is_raw_with_advice)
{
	OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
	static const uint8_t image[100] = { 0x28, 0xb5, 0x2f, 0xfd };

	cr_assert(ota_members_find((struct ota_bytes){ image, sizeof image }, &found) ==
		  OTA_OK);
	cr_expect_str_eq(found.container, "raw");
	cr_expect_eq(found.packing, OTA_PACKING_ZSTD);
	cr_expect_eq(found.packed_len, sizeof image);
	cr_assert_not_null(ota_members_advice(&found));
}

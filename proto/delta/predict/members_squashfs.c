/* squashfs 4.0, by the kernel's Documentation/filesystems/squashfs.rst and
 * fs/squashfs/squashfs_fs.h. A block of a file that was not compressed is found wherever
 * it lies; of inodes and folders this build reads those that are stored plain or as zlib
 * or zstd made them. */

#include "proto/delta/predict/members_walk.h"

#include "proto/base/own.h"
#include "proto/delta/predict/squashfs_meta.h"

enum {
	SUPERBLOCK_LEN = 96,
	MAJOR = 4,
	BLOCK_LOG_MIN = 12,
	BLOCK_LOG_MAX = 20,
	INODES_MAX = 1 << 22,
	HEAD_LEN = 16, /* bytes that all inodes have */
	NAME_LEN_MAX = 256,
	FOLDER_HEAD_LEN = 12,
	FOLDER_RUN_MAX = 256, /* entries behind a head */
	FOLDER_EMPTY_LEN = 3, /* what a folder says above its length: "." and ".." */
	ENTRY_LEN = 8,        /* bytes before a name */
	FRAGMENT_LEN = 16,    /* bytes */
	FRAGMENT_NONE = -1,
	IS_PLAIN = 1 << 24, /* in the length of a block: not compressed */
};

enum { FOLDER = 1, FILE_BASIC = 2, FOLDER_EXTENDED = 8, FILE_EXTENDED = 9 };

enum { FLAG_PLAIN_BLOCKS = 0x2 }; /* of the superblock */

struct squashfs {
	const struct ota_volume *volume;
	enum ota_packing packing;
	uint32_t block_len, inode_count, fragment_count, flags;
	uint64_t root, inodes_at, folders_at, fragments_at, folders_end;
	struct ota_squashfs_meta inodes, folders, fragments;
};

static void fini(struct squashfs *fs)
{
	ota_squashfs_meta_fini(&fs->inodes);
	ota_squashfs_meta_fini(&fs->folders);
	ota_squashfs_meta_fini(&fs->fragments);
}

static enum ota_packing packing_of(uint32_t number)
{
	static const uint8_t packings[] = { OTA_PACKING_NONE, OTA_PACKING_GZIP,
		OTA_PACKING_LZMA, OTA_PACKING_LZO, OTA_PACKING_XZ, OTA_PACKING_LZ4,
		OTA_PACKING_ZSTD };

	return number < sizeof packings ? (enum ota_packing)packings[number]
					: OTA_PACKING_NONE;
}

static bool read_superblock(const struct ota_volume *volume, struct squashfs *fs)
{
	struct ota_bytes sb;
	uint32_t block_log;

	if (!ota_stands_at(volume->in, 0, "hsqs") ||
		!ota_within(volume->in, 0, SUPERBLOCK_LEN, &sb) ||
		ota_le16(sb.at + 28) != MAJOR)
		return false;
	block_log = ota_le16(sb.at + 22);
	*fs = (struct squashfs){ .volume = volume,
		.packing = packing_of(ota_le16(sb.at + 20)),
		.inode_count = ota_le32(sb.at + 4),
		.fragment_count = ota_le32(sb.at + 16),
		.flags = ota_le16(sb.at + 24),
		.root = ota_le64(sb.at + 32),
		.inodes_at = ota_le64(sb.at + 64),
		.folders_at = ota_le64(sb.at + 72),
		.fragments_at = ota_le64(sb.at + 80) };
	fs->folders_end = fs->fragments_at;
	for (unsigned at = 48; at <= 88; at += 40) /* ids, exports */
		if (ota_le64(sb.at + at) > fs->folders_at &&
			ota_le64(sb.at + at) < fs->folders_end)
			fs->folders_end = ota_le64(sb.at + at);
	if (block_log < BLOCK_LOG_MIN || block_log > BLOCK_LOG_MAX ||
		fs->inode_count > INODES_MAX)
		return false;
	fs->block_len = (uint32_t)1 << block_log;
	return true;
}

/* The fragments: a list of where the blocks of their table lie, which follow each other.
 */
static void read_fragments(struct squashfs *fs)
{
	struct ota_bytes first;

	if (fs->fragment_count > 0 &&
		ota_within(fs->volume->in, fs->fragments_at, sizeof(uint64_t), &first))
		ota_squashfs_meta_read(fs->volume, fs->packing, ota_le64(first.at),
			fs->fragments_at, &fs->fragments);
}

static void count_fragments(const struct squashfs *fs)
{
	struct ota_bytes table = ota_squashfs_meta_bytes(&fs->fragments);
	struct ota_bytes row;

	for (uint64_t i = 0; i < fs->fragment_count &&
			     ota_within(table, i * FRAGMENT_LEN, FRAGMENT_LEN, &row);
		i++) {
		uint32_t len = ota_le32(row.at + 8);

		if ((len & IS_PLAIN) == 0)
			ota_finder_packed(fs->volume->finder, fs->packing, len);
	}
}

/* A file of the inode table: where its blocks, its lengths and its tail are. */
struct file {
	uint64_t at, len;        /* in the image; bytes of content */
	uint64_t lens_at;        /* in the inode table: 4 bytes for each block */
	uint32_t fragment, tail; /* FRAGMENT_NONE; offset in it */
};

/* An inode of a kind that is read. */
struct inode {
	uint32_t kind, number;
	struct file file;
	uint32_t folder_block, folder_offset, folder_len;
};

static bool read_file(
	struct ota_bytes raw, uint64_t at, bool is_extended, struct file *file)
{
	struct ota_bytes i;

	if (!ota_within(raw, at, is_extended ? 56 : 32, &i))
		return false;
	if (is_extended)
		*file = (struct file){ .at = ota_le64(i.at + 16),
			.len = ota_le64(i.at + 24),
			.lens_at = at + 56,
			.fragment = ota_le32(i.at + 44),
			.tail = ota_le32(i.at + 48) };
	else
		*file = (struct file){ .at = ota_le32(i.at + 16),
			.len = ota_le32(i.at + 28),
			.lens_at = at + 32,
			.fragment = ota_le32(i.at + 20),
			.tail = ota_le32(i.at + 24) };
	return true;
}

static bool read_folder(
	struct ota_bytes raw, uint64_t at, bool is_extended, struct inode *out)
{
	struct ota_bytes i;

	if (!ota_within(raw, at, is_extended ? 40 : 32, &i))
		return false;
	out->folder_block = ota_le32(i.at + (is_extended ? 24 : 16));
	out->folder_offset = ota_le16(i.at + (is_extended ? 34 : 26));
	out->folder_len = is_extended ? ota_le32(i.at + 20) : ota_le16(i.at + 24);
	return true;
}

/* A reference has the start of a block of the table in its upper bits, the offset in what
 * the block holds in the lower 16. */
static bool read_inode(const struct squashfs *fs, uint64_t reference, struct inode *out)
{
	struct ota_bytes raw = ota_squashfs_meta_bytes(&fs->inodes);
	struct ota_bytes head;
	uint64_t at;

	if (!ota_finder_spend(fs->volume->finder, 1) ||
		!ota_squashfs_meta_find(&fs->inodes, reference >> 16,
			(uint32_t)(reference & 0xffff), &at) ||
		!ota_within(raw, at, HEAD_LEN, &head))
		return false;
	out->kind = ota_le16(head.at);
	out->number = ota_le32(head.at + 12);
	if (out->kind == FILE_BASIC || out->kind == FILE_EXTENDED)
		return read_file(raw, at, out->kind == FILE_EXTENDED, &out->file);
	if (out->kind == FOLDER || out->kind == FOLDER_EXTENDED)
		return read_folder(raw, at, out->kind == FOLDER_EXTENDED, out);
	return false;
}

/* The tail of a file, which shares a block with other tails. */
static bool map_tail(const struct squashfs *fs, const struct file *file, uint64_t len)
{
	struct ota_bytes table = ota_squashfs_meta_bytes(&fs->fragments);
	struct ota_bytes row;
	uint32_t size;

	if (!ota_within(
		    table, (uint64_t)file->fragment * FRAGMENT_LEN, FRAGMENT_LEN, &row))
		return false;
	size = ota_le32(row.at + 8);
	if ((size & IS_PLAIN) == 0 || (size & (IS_PLAIN - 1)) < file->tail + len ||
		ota_le64(row.at) > fs->volume->in.len)
		return false;
	return ota_finder_extent(fs->volume, ota_le64(row.at) + file->tail, len);
}

/* A block that is not compressed; 0 bytes are a hole. */
static bool map_block(
	const struct ota_volume *volume, uint64_t at, uint32_t len, uint32_t want)
{
	if (len == 0)
		return ota_finder_hole(volume, want);
	return len == (IS_PLAIN | want) && ota_finder_extent(volume, at, want);
}

/* Make a file's content the finder's, unless some of it is compressed or a hole; what is
 * compressed is counted. */
static bool map_file(const struct squashfs *fs, const struct file *file)
{
	struct ota_bytes inodes = ota_squashfs_meta_bytes(&fs->inodes);
	struct ota_bytes lens;
	bool has_tail = file->fragment != (uint32_t)FRAGMENT_NONE, is_whole = true;
	uint64_t at = file->at, left = file->len;

	ota_finder_begin(fs->volume->finder);
	for (uint64_t i = 0; left > 0 && !(has_tail && left < fs->block_len); i++) {
		uint32_t len,
			want = left < fs->block_len ? (uint32_t)left : fs->block_len;

		if (!ota_within(inodes, file->lens_at + i * 4, 4, &lens) ||
			!ota_finder_spend(fs->volume->finder, 1) ||
			at > fs->volume->in.len)
			return false;
		len = ota_le32(lens.at);
		if ((len & IS_PLAIN) == 0)
			ota_finder_packed(fs->volume->finder, fs->packing, len);
		is_whole = is_whole && map_block(fs->volume, at, len, want);
		at += len & (IS_PLAIN - 1);
		left -= want;
	}
	return is_whole && (left == 0 || map_tail(fs, file, left));
}

/* What a folder has under a name. */
static void meet(const struct squashfs *fs, struct ota_walk *walk,
	const struct ota_folder *folder, struct ota_name name, uint64_t reference)
{
	struct inode inode;

	if (!ota_walk_is_name(name) || !read_inode(fs, reference, &inode) ||
		!ota_walk_meets(walk, inode.number))
		return;
	if (inode.kind == FOLDER || inode.kind == FOLDER_EXTENDED)
		ota_walk_folder(walk, folder, name, reference);
	else if (map_file(fs, &inode.file))
		ota_finder_keep(fs->volume, ota_walk_path(walk, folder), name);
}

/* The entries behind one head, whose inodes begin in one block: offset (2), inode number
 * (2), kind (2), length of the name less 1 (2), name. */
static bool read_run(const struct squashfs *fs, struct ota_walk *walk,
	const struct ota_folder *folder, struct ota_reader *r)
{
	const uint8_t *head = ota_read(r, FOLDER_HEAD_LEN);
	uint64_t count, block;

	if (head == NULL)
		return false;
	count = (uint64_t)ota_le32(head) + 1;
	block = ota_le32(head + 4);
	if (count > FOLDER_RUN_MAX)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *e = ota_read(r, ENTRY_LEN);
		size_t len = e == NULL ? 0 : ota_le16(e + 6) + (size_t)1;
		const uint8_t *name = ota_read(r, len);

		if (e == NULL || name == NULL || len > NAME_LEN_MAX)
			return false;
		meet(fs, walk, folder, (struct ota_name){ (const char *)name, len },
			block << 16 | ota_le16(e));
	}
	return true;
}

static void visit(
	const struct squashfs *fs, struct ota_walk *walk, const struct ota_folder *folder)
{
	struct ota_bytes entries;
	struct ota_reader r;
	struct inode inode = { 0 };
	uint64_t at;

	if (!read_inode(fs, folder->id, &inode) || inode.folder_len <= FOLDER_EMPTY_LEN ||
		!ota_squashfs_meta_find(
			&fs->folders, inode.folder_block, inode.folder_offset, &at) ||
		!ota_within(ota_squashfs_meta_bytes(&fs->folders), at,
			inode.folder_len - FOLDER_EMPTY_LEN, &entries))
		return;
	r = ota_reader_of(entries);
	while (r.left > 0 && read_run(fs, walk, folder, &r))
		;
}

static void walk_all(const struct squashfs *fs)
{
	OTA_AUTO(ota_walk_fini) struct ota_walk walk = { 0 };
	struct ota_folder folder;
	struct inode root;

	if (!read_inode(fs, fs->root, &root) ||
		(root.kind != FOLDER && root.kind != FOLDER_EXTENDED) ||
		!ota_walk_begin(&walk, fs->volume, (uint64_t)fs->inode_count + 1))
		return;
	(void)ota_walk_meets(&walk, root.number);
	ota_walk_root(&walk, fs->root);
	while (ota_walk_next(&walk, &folder))
		visit(fs, &walk, &folder);
}

/* Tables that are packed as this build cannot read: they and the blocks before them. */
static void count_unread(const struct squashfs *fs)
{
	bool is_plain = (fs->flags & FLAG_PLAIN_BLOCKS) != 0;
	uint64_t begin = is_plain ? fs->inodes_at : 0;

	if (fs->folders_end <= fs->volume->in.len && begin < fs->folders_end)
		ota_finder_packed(
			fs->volume->finder, fs->packing, fs->folders_end - begin);
}

bool ota_members_squashfs(const struct ota_volume *volume)
{
	OTA_AUTO(fini) struct squashfs fs = { 0 };

	if (!read_superblock(volume, &fs))
		return false;
	ota_squashfs_meta_read(
		volume, fs.packing, fs.inodes_at, fs.folders_at, &fs.inodes);
	ota_squashfs_meta_read(
		volume, fs.packing, fs.folders_at, fs.folders_end, &fs.folders);
	read_fragments(&fs);
	count_fragments(&fs);
	walk_all(&fs);
	if (fs.inodes.len == 0 || fs.folders.len == 0)
		count_unread(&fs);
	return true;
}

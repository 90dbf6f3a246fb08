/* EROFS, by the kernel's fs/erofs/erofs_fs.h: files stored plain, plain with their tail
 * in the inode's block, and in chunks. Compressed ones are counted only; images of
 * several devices are not read. */

#include "proto/delta/predict/members_walk.h"

#include <string.h>

#include "proto/base/own.h"

enum {
	SUPERBLOCK_AT = 1024,
	SUPERBLOCK_LEN = 128,
	BLOCK_LOG_MIN = 9,
	BLOCK_LOG_MAX = 16,
	SLOT_LEN = 32, /* bytes: an inode's number counts such slots */
	COMPACT_LEN = 32,
	EXTENDED_LEN = 64,
	ATTRIBUTES_HEAD_LEN = 12,
	ENTRY_LEN = 12, /* of a folder */
	MODE_KIND = 0xf000,
	MODE_FILE = 0x8000,
	MODE_FOLDER = 0x4000,
};

static const uint32_t magic = 0xe0f5e1e2;

enum {                      /* features without which an image cannot be read */
	HAS_PACKINGS = 0x2, /* the superblock lists them */
	HAS_DEVICES = 0x8,
	HAS_48BIT = 0x80,
};

enum { /* how an inode's content is held */
	PLAIN = 0,
	PACKED_FULL = 1,
	INLINE = 2,
	PACKED = 3,
	CHUNKS = 4,
};

enum {                    /* of chunks */
	CHUNK_LOG = 0x1f, /* blocks of a chunk, as a power of two */
	CHUNK_INDEXES = 0x20,
	CHUNK_MAP_LEN = 4,   /* bytes of an entry: a block number */
	CHUNK_INDEX_LEN = 8, /* the same behind 4 bytes about the device */
};

struct erofs {
	const struct ota_volume *volume;
	uint32_t block_len, block_log;
	uint64_t inodes_at; /* offset of slot 0 */
	uint64_t root;
	enum ota_packing packing;
};

struct inode {
	uint64_t end; /* offset of the first byte behind the inode and its attributes */
	uint64_t len; /* bytes of content */
	uint32_t mode, layout, where; /* where: a block, blocks, or a chunk format */
};

/* The packing of a list of bits: LZ4, LZMA, deflate, zstd. */
static enum ota_packing packing_of(uint32_t bits)
{
	static const uint8_t packings[] = { OTA_PACKING_LZ4, OTA_PACKING_LZMA,
		OTA_PACKING_GZIP, OTA_PACKING_ZSTD };

	for (unsigned i = 0; i < sizeof packings; i++)
		if ((bits >> i & 1) != 0)
			return (enum ota_packing)packings[i];
	return OTA_PACKING_LZ4;
}

static bool read_superblock(const struct ota_volume *volume, struct erofs *fs)
{
	struct ota_bytes sb;
	uint32_t features;

	if (!ota_within(volume->in, SUPERBLOCK_AT, SUPERBLOCK_LEN, &sb) ||
		ota_le32(sb.at) != magic || sb.at[12] < BLOCK_LOG_MIN ||
		sb.at[12] > BLOCK_LOG_MAX)
		return false;
	features = ota_le32(sb.at + 80);
	*fs = (struct erofs){ .volume = volume,
		.block_log = sb.at[12],
		.block_len = (uint32_t)1 << sb.at[12],
		.inodes_at = (uint64_t)ota_le32(sb.at + 40) << sb.at[12],
		.root = ota_le16(sb.at + 14),
		.packing = packing_of(
			(features & HAS_PACKINGS) != 0 ? ota_le16(sb.at + 84) : 0) };
	return (features & (HAS_DEVICES | HAS_48BIT)) == 0;
}

static bool read_inode(const struct erofs *fs, uint64_t number, struct inode *out)
{
	struct ota_bytes i;
	uint64_t at = fs->inodes_at + number * SLOT_LEN;
	uint32_t format, attributes;
	bool is_extended;

	if (number > fs->volume->in.len / SLOT_LEN ||
		!ota_finder_spend(fs->volume->finder, 1) ||
		!ota_within(fs->volume->in, at, COMPACT_LEN, &i))
		return false;
	format = ota_le16(i.at);
	is_extended = (format & 1) != 0;
	if (is_extended && !ota_within(fs->volume->in, at, EXTENDED_LEN, &i))
		return false;
	attributes = ota_le16(i.at + 2);
	*out = (struct inode){ .layout = format >> 1 & 7,
		.mode = ota_le16(i.at + 4) & MODE_KIND,
		.len = is_extended ? ota_le64(i.at + 8) : ota_le32(i.at + 8),
		.where = ota_le32(i.at + 16),
		.end = at + (is_extended ? EXTENDED_LEN : COMPACT_LEN) };
	if (attributes > 0)
		out->end += ATTRIBUTES_HEAD_LEN + 4 * ((uint64_t)attributes - 1);
	return true;
}

/* Blocks that follow each other, as far as the file goes. */
static bool map_blocks(const struct erofs *fs, uint32_t block, uint64_t len)
{
	return len == 0 ||
	       ota_finder_extent(fs->volume, (uint64_t)block << fs->block_log, len);
}

/* Each chunk lies somewhere, or nowhere: then it is a hole. */
static bool map_chunks(const struct erofs *fs, const struct inode *inode)
{
	bool has_indexes = (inode->where & CHUNK_INDEXES) != 0;
	uint32_t entry_len = has_indexes ? CHUNK_INDEX_LEN : CHUNK_MAP_LEN;
	uint64_t chunk_len = (uint64_t)fs->block_len << (inode->where & CHUNK_LOG);
	uint64_t at = (inode->end + entry_len - 1) / entry_len * entry_len;
	struct ota_bytes entry;

	for (uint64_t left = inode->len; left > 0; at += entry_len) {
		uint64_t len = left < chunk_len ? left : chunk_len;
		uint32_t block;

		if (!ota_within(fs->volume->in, at, entry_len, &entry))
			return false;
		block = ota_le32(entry.at + entry_len - 4);
		if (block == UINT32_MAX ? !ota_finder_hole(fs->volume, len)
					: !map_blocks(fs, block, len))
			return false;
		left -= len;
	}
	return true;
}

/* Make an inode's content the finder's file. */
static bool map_inode(const struct erofs *fs, const struct inode *inode)
{
	uint64_t tail = inode->len & (fs->block_len - 1);

	ota_finder_begin(fs->volume->finder);
	switch (inode->layout) {
	case PLAIN:
		return map_blocks(fs, inode->where, inode->len);
	case INLINE:
		return map_blocks(fs, inode->where, inode->len - tail) &&
		       (tail == 0 || ota_finder_extent(fs->volume, inode->end, tail));
	case CHUNKS:
		return map_chunks(fs, inode);
	case PACKED_FULL:
	case PACKED:
		ota_finder_packed(fs->volume->finder, fs->packing,
			(uint64_t)inode->where << fs->block_log);
		return false;
	default:
		return false;
	}
}

/* What a folder has under a name. */
static void meet(const struct erofs *fs, struct ota_walk *walk,
	const struct ota_folder *folder, struct ota_name name, uint64_t number)
{
	struct inode inode;

	if (!ota_walk_is_name(name) || !ota_walk_meets(walk, number) ||
		!read_inode(fs, number, &inode))
		return;
	if (inode.mode == MODE_FOLDER)
		ota_walk_folder(walk, folder, name, number);
	else if (inode.mode == MODE_FILE && map_inode(fs, &inode))
		ota_finder_keep(fs->volume, ota_walk_path(walk, folder), name);
}

/* A block of a folder: entries of number (8), where the name begins (2), kind (1) and a
 * byte that says nothing; then the names, the last one to a NUL or the end. */
static void read_block(const struct erofs *fs, struct ota_walk *walk,
	const struct ota_folder *folder, struct ota_bytes block)
{
	uint32_t count = block.len < ENTRY_LEN ? 0 : ota_le16(block.at + 8) / ENTRY_LEN;
	struct ota_bytes entry, name;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *nul;
		uint64_t begin, end = block.len;

		if (!ota_within(block, (uint64_t)i * ENTRY_LEN, ENTRY_LEN, &entry) ||
			!ota_finder_spend(fs->volume->finder, 1))
			return;
		begin = ota_le16(entry.at + 8);
		if (i + 1 < count && ota_within(block, (uint64_t)(i + 1) * ENTRY_LEN,
					     ENTRY_LEN, &name))
			end = ota_le16(name.at + 8);
		if (begin >= end || !ota_within(block, begin, end - begin, &name))
			return;
		nul = memchr(name.at, '\0', name.len);
		if (nul != NULL)
			name.len = (size_t)(nul - name.at);
		meet(fs, walk, folder,
			(struct ota_name){ (const char *)name.at, name.len },
			ota_le64(entry.at));
	}
}

/* The blocks in bytes of a folder that lie together. */
static void read_blocks(const struct erofs *fs, struct ota_walk *walk,
	const struct ota_folder *folder, const struct ota_extent *extent)
{
	struct ota_bytes block = { 0 };

	for (uint64_t done = 0; ota_walk_block(walk, extent, done, fs->block_len, &block);
		done += block.len)
		read_block(fs, walk, folder, block);
}

static void read_folder(
	const struct erofs *fs, struct ota_walk *walk, const struct ota_folder *folder)
{
	ota_autofree struct ota_extent *extents = NULL;
	struct inode inode;
	uint32_t count;

	if (!read_inode(fs, folder->id, &inode) || inode.mode != MODE_FOLDER ||
		!map_inode(fs, &inode))
		return;
	extents = ota_finder_take(fs->volume->finder, &count);
	for (uint32_t i = 0; extents != NULL && i < count; i++)
		read_blocks(fs, walk, folder, &extents[i]);
}

bool ota_members_erofs(const struct ota_volume *volume)
{
	OTA_AUTO(ota_walk_fini) struct ota_walk walk = { 0 };
	struct ota_folder folder;
	struct erofs fs;

	if (!read_superblock(volume, &fs))
		return false;
	if (!ota_walk_begin(&walk, volume, volume->in.len / SLOT_LEN))
		return true;
	(void)ota_walk_meets(&walk, fs.root);
	ota_walk_root(&walk, fs.root);
	while (ota_walk_next(&walk, &folder))
		read_folder(&fs, &walk, &folder);
	return true;
}

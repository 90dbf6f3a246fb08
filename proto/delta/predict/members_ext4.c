/* ext2, ext3 and ext4, by the kernel's Documentation/filesystems/ext4. Not read: groups
 * of meta_bg, encrypted files, and files whose extended attributes lie outside their
 * inode while their content is in them. */

#include "proto/delta/predict/members_walk.h"

#include "proto/base/own.h"

enum {
	SUPERBLOCK_AT = 1024,
	SUPERBLOCK_LEN = 1024,
	MAGIC = 0xef53,
	BLOCK_LOG_MAX = 6, /* 64 KiB */
	BLOCK_LEN_MIN = 1024,
	REVISION_OLD_INODE_LEN = 128,
	INODE_LEN_MAX = 4096,
	ROOT = 2,
	MODE_KIND = 0xf000,
	MODE_FILE = 0x8000,
	MODE_FOLDER = 0x4000,
	BLOCKS_AT = 40,     /* in an inode: what tells where its content is */
	BLOCKS_LEN = 60,    /* bytes there */
	DIRECT = 12,        /* blocks that an inode without extents names itself */
	PARENT_LEN = 4,     /* bytes before the entries of a folder in its inode */
	OLD_LEVELS_MAX = 3, /* of a tree of block numbers */
	LEVELS_MAX = 5,     /* of an extent tree */
	EXTENT_MAGIC = 0xf30a,
	EXTENT_LEN = 12,
	EXTENT_WRITTEN_MAX = 32768, /* blocks; above: room that was never written */
	ENTRY_HEAD_LEN = 8,         /* of a folder */
	ATTRIBUTE_MAGIC_LEN = 4,
	ATTRIBUTE_HEAD_LEN = 16,
	ATTRIBUTE_SYSTEM = 7, /* the prefix "system." */
};

static const uint32_t attribute_magic = 0xea020000;

enum { /* incompatible features */
	HAS_COMPRESSION = 0x1,
	HAS_JOURNAL_DEVICE = 0x8,
	HAS_META_GROUPS = 0x10,
	HAS_64BIT = 0x80,
};

enum { /* of an inode */
	IS_COMPRESSED = 0x4,
	IS_ENCRYPTED = 0x800,
	IS_EXTENTS = 0x80000,
	IS_INLINE = 0x10000000,
};

struct ext4 {
	const struct ota_volume *volume;
	uint32_t block_len, first_block, inodes, group_inodes, inode_len, descriptor_len;
};

/* An inode, and the content of it that lies in itself. */
struct inode {
	struct ota_bytes raw;
	uint64_t at;  /* offset in the volume */
	uint64_t len; /* bytes of content */
	uint32_t mode, flags;
};

static bool block_of(const struct ext4 *fs, uint64_t block, struct ota_bytes *out)
{
	return block != 0 && block <= fs->volume->in.len / fs->block_len &&
	       ota_within(fs->volume->in, block * fs->block_len, fs->block_len, out);
}

static bool read_superblock(const struct ota_volume *volume, struct ext4 *fs)
{
	struct ota_bytes sb;
	uint32_t block_log, features;

	if (!ota_within(volume->in, SUPERBLOCK_AT, SUPERBLOCK_LEN, &sb) ||
		ota_le16(sb.at + 56) != MAGIC)
		return false;
	block_log = ota_le32(sb.at + 24);
	features = ota_le32(sb.at + 96);
	*fs = (struct ext4){ .volume = volume,
		.first_block = ota_le32(sb.at + 20),
		.inodes = ota_le32(sb.at),
		.group_inodes = ota_le32(sb.at + 40),
		.inode_len = REVISION_OLD_INODE_LEN,
		.descriptor_len = 32 };
	if (ota_le32(sb.at + 76) > 0)
		fs->inode_len = ota_le16(sb.at + 88);
	if ((features & HAS_64BIT) != 0)
		fs->descriptor_len = ota_le16(sb.at + 254);
	if (block_log > BLOCK_LOG_MAX || fs->group_inodes == 0 ||
		fs->inode_len < REVISION_OLD_INODE_LEN || fs->inode_len > INODE_LEN_MAX ||
		fs->descriptor_len < 32 || fs->first_block > 1 ||
		fs->inodes > volume->in.len / fs->inode_len)
		return false;
	fs->block_len = (uint32_t)BLOCK_LEN_MIN << block_log;
	return (features & (HAS_COMPRESSION | HAS_JOURNAL_DEVICE | HAS_META_GROUPS)) == 0;
}

static bool read_inode(const struct ext4 *fs, uint64_t number, struct inode *inode)
{
	uint64_t index = number - 1, table;
	uint64_t group = index / fs->group_inodes;
	uint64_t groups_at = (uint64_t)(fs->first_block + 1) * fs->block_len;
	struct ota_bytes d;

	if (number == 0 || number > fs->inodes ||
		!ota_finder_spend(fs->volume->finder, 1) ||
		!ota_within(fs->volume->in, groups_at + group * fs->descriptor_len,
			fs->descriptor_len, &d))
		return false;
	table = ota_le32(d.at + 8);
	if (fs->descriptor_len >= 64)
		table |= (uint64_t)ota_le32(d.at + 40) << 32;
	if (table > fs->volume->in.len / fs->block_len)
		return false;
	inode->at = table * fs->block_len + index % fs->group_inodes * fs->inode_len;
	if (!ota_within(fs->volume->in, inode->at, fs->inode_len, &inode->raw))
		return false;
	inode->mode = ota_le16(inode->raw.at) & MODE_KIND;
	inode->flags = ota_le32(inode->raw.at + 32);
	inode->len = ota_le32(inode->raw.at + 4) | (uint64_t)ota_le32(inode->raw.at + 108)
							   << 32;
	return (inode->flags & (IS_COMPRESSED | IS_ENCRYPTED)) == 0;
}

/* How far the content of a file is known. */
struct mapping {
	const struct ext4 *fs;
	uint64_t blocks; /* of the file, known */
	uint64_t left;   /* bytes that are not */
};

/* The next blocks of the file, 0 for a hole; what lies behind its end does not count. */
static bool map_blocks(struct mapping *map, uint64_t block, uint64_t count)
{
	uint64_t block_len = map->fs->block_len;
	uint64_t len = count * block_len;

	if (len > map->left)
		len = map->left;
	map->blocks += count;
	map->left -= len;
	if (block == 0)
		return ota_finder_hole(map->fs->volume, len);
	return block <= map->fs->volume->in.len / block_len &&
	       ota_finder_extent(map->fs->volume, block * block_len, len);
}

/* Up to a block of the file there is a hole. */
static bool map_hole(struct mapping *map, uint64_t end)
{
	return end >= map->blocks &&
	       (end == map->blocks || map_blocks(map, 0, end - map->blocks));
}

/* The extents in a leaf, holes between them, and room that was never written, which reads
 * as zeros. */
static bool map_leaf(struct mapping *map, struct ota_bytes node, uint32_t count)
{
	for (uint32_t i = 0; i < count && map->left > 0; i++) {
		const uint8_t *e = node.at + (i + 1) * EXTENT_LEN;
		uint64_t block = ota_le32(e + 8) | (uint64_t)ota_le16(e + 6) << 32;
		uint32_t len = ota_le16(e + 4);

		if (len > EXTENT_WRITTEN_MAX) {
			len -= EXTENT_WRITTEN_MAX;
			block = 0;
		}
		if (len == 0 || !map_hole(map, ota_le32(e)) ||
			!map_blocks(map, block, len))
			return false;
	}
	return true;
}

/* A node of an extent tree and how much of it was read. */
struct level {
	struct ota_bytes node;
	uint32_t count, next;
};

static bool enter(struct level *level, struct ota_bytes node, uint32_t depth)
{
	*level = (struct level){ .node = node, .count = ota_le16(node.at + 2) };
	return ota_le16(node.at) == EXTENT_MAGIC && ota_le16(node.at + 6) == depth &&
	       level->count < node.len / EXTENT_LEN;
}

/* What no extent has is a hole up to the file's end. */
static bool map_rest(struct mapping *map)
{
	uint64_t block_len = map->fs->block_len;

	return map_hole(map, map->blocks + (map->left + block_len - 1) / block_len);
}

static bool map_extents(struct mapping *map, struct ota_bytes root)
{
	struct level levels[LEVELS_MAX + 1];
	uint32_t depth = ota_le16(root.at + 6), down = 0; /* levels below the root */

	if (depth > LEVELS_MAX || !enter(&levels[0], root, depth))
		return false;
	while (map->left > 0) {
		struct level *level = &levels[down];
		const uint8_t *e = level->node.at + (level->next + 1) * EXTENT_LEN;
		struct ota_bytes node;

		if (down == depth && !map_leaf(map, level->node, level->count))
			return false;
		if (down == depth || level->next == level->count) {
			if (down == 0)
				return map_rest(map);
			down--;
			continue;
		}
		level->next++;
		if (!ota_finder_spend(map->fs->volume->finder, 1) ||
			!block_of(map->fs,
				ota_le32(e + 4) | (uint64_t)ota_le16(e + 8) << 32,
				&node) ||
			!enter(&levels[down + 1], node, depth - down - 1))
			return false;
		down++;
	}
	return true;
}

/* The block that a tree of block numbers, `depth` levels high, has at an index. 0 is a
 * hole; a number that no image has stands for a tree that is damaged. */
static uint64_t block_in(
	const struct ext4 *fs, uint64_t block, unsigned depth, uint64_t index)
{
	uint64_t span = 1;
	uint32_t fan = fs->block_len / 4;
	struct ota_bytes node;

	for (unsigned i = 1; i < depth; i++)
		span *= fan;
	for (; depth > 0; depth--) {
		if (block == 0)
			return 0;
		if (!block_of(fs, block, &node))
			return UINT64_MAX;
		block = ota_le32(node.at + index / span % fan * 4);
		span /= depth > 1 ? fan : 1;
	}
	return block;
}

/* ext2's way: twelve blocks, then trees of one, two and three levels. */
static bool map_old(struct mapping *map, const uint8_t *at)
{
	uint64_t fan = map->fs->block_len / 4, first = DIRECT, span = fan;
	unsigned depth = 1;

	for (uint64_t n = 0; map->left > 0; n++) {
		const uint8_t *top = at + (n < DIRECT ? n : DIRECT + depth - 1) * 4;

		if (n >= DIRECT && n - first == span) {
			first += span;
			span *= fan;
			top += 4;
			if (++depth > OLD_LEVELS_MAX)
				return false;
		}
		if (!map_blocks(map,
			    block_in(map->fs, ota_le32(top), n < DIRECT ? 0 : depth,
				    n - first),
			    1))
			return false;
	}
	return true;
}

/* Where the attribute "system.data" of an inode has its value: offset in the inode. */
static bool inline_rest(const struct inode *inode, uint32_t *at, uint32_t *len)
{
	uint64_t first = REVISION_OLD_INODE_LEN;
	struct ota_bytes head, value;

	if (!ota_within(inode->raw, first, 4, &head))
		return false;
	first += ota_le16(head.at);
	if (!ota_within(inode->raw, first, ATTRIBUTE_MAGIC_LEN, &head) ||
		ota_le32(head.at) != attribute_magic)
		return false;
	first += ATTRIBUTE_MAGIC_LEN;
	for (uint64_t here = first;
		ota_within(inode->raw, here, ATTRIBUTE_HEAD_LEN, &head) &&
		ota_le32(head.at) != 0;
		here += ATTRIBUTE_HEAD_LEN + (head.at[0] + 3u) / 4 * 4) {
		*at = (uint32_t)first + ota_le16(head.at + 2);
		*len = ota_le32(head.at + 8);
		if (head.at[1] == ATTRIBUTE_SYSTEM && head.at[0] == 4 &&
			ota_stands_at(inode->raw, here + ATTRIBUTE_HEAD_LEN, "data"))
			return ota_le32(head.at + 4) == 0 &&
			       ota_within(inode->raw, *at, *len, &value);
	}
	return false;
}

/* Content in the inode: first where block numbers would be, then in an attribute. */
static bool map_inline(const struct ext4 *fs, const struct inode *inode)
{
	uint64_t head = inode->len < BLOCKS_LEN ? inode->len : BLOCKS_LEN;
	uint32_t at, len;

	if (!ota_finder_extent(fs->volume, inode->at + BLOCKS_AT, head))
		return false;
	if (inode->len == head)
		return true;
	return inline_rest(inode, &at, &len) && len >= inode->len - head &&
	       ota_finder_extent(fs->volume, inode->at + at, inode->len - head);
}

/* Make the content of an inode the finder's file. */
static bool map_inode(const struct ext4 *fs, const struct inode *inode)
{
	struct mapping map = { .fs = fs, .left = inode->len };
	struct ota_bytes root = { inode->raw.at + BLOCKS_AT, BLOCKS_LEN };

	ota_finder_begin(fs->volume->finder);
	if (inode->len / 2 > fs->volume->in.len) /* mostly holes */
		return false;
	if ((inode->flags & IS_INLINE) != 0)
		return map_inline(fs, inode);
	if ((inode->flags & IS_EXTENTS) != 0)
		return map_extents(&map, root);
	return map_old(&map, root.at);
}

/* What a folder has under a name. */
static void meet(const struct ext4 *fs, struct ota_walk *walk,
	const struct ota_folder *folder, struct ota_name name, uint32_t number)
{
	struct inode inode;

	if (number == 0 || !ota_walk_is_name(name) || !ota_walk_meets(walk, number) ||
		!read_inode(fs, number, &inode))
		return;
	if (inode.mode == MODE_FOLDER)
		ota_walk_folder(walk, folder, name, number);
	else if (inode.mode == MODE_FILE && map_inode(fs, &inode))
		ota_finder_keep(fs->volume, ota_walk_path(walk, folder), name);
}

/* The entries in one block of a folder: number (4), length (2), length of the name (1),
 * kind (1), name. The inner nodes of an indexed folder look like one unused entry. */
static void read_entries(const struct ext4 *fs, struct ota_walk *walk,
	const struct ota_folder *folder, struct ota_bytes block)
{
	struct ota_bytes head, name;
	uint64_t here = 0;

	while (ota_within(block, here, ENTRY_HEAD_LEN, &head)) {
		uint32_t len = ota_le16(head.at + 4);

		if (len == 0 || len == 0xffff) /* of blocks of 64 KiB: to the end */
			len = (uint32_t)(block.len - here);
		if (len < ENTRY_HEAD_LEN + (uint32_t)head.at[6] ||
			!ota_finder_spend(fs->volume->finder, 1) ||
			!ota_within(block, here + ENTRY_HEAD_LEN, head.at[6], &name))
			return;
		meet(fs, walk, folder,
			(struct ota_name){ (const char *)name.at, name.len },
			ota_le32(head.at));
		here += len;
	}
}

/* The entries in bytes of a folder that lie together. */
static void read_blocks(const struct ext4 *fs, struct ota_walk *walk,
	const struct ota_folder *folder, const struct ota_extent *extent)
{
	struct ota_bytes block = { 0 };

	for (uint64_t done = 0; ota_walk_block(walk, extent, done, fs->block_len, &block);
		done += block.len)
		read_entries(fs, walk, folder, block);
}

static void read_folder(
	const struct ext4 *fs, struct ota_walk *walk, const struct ota_folder *folder)
{
	struct ota_finder *finder = fs->volume->finder;
	ota_autofree struct ota_extent *extents = NULL;
	struct inode inode;
	uint32_t count;

	if (!read_inode(fs, folder->id, &inode) || inode.mode != MODE_FOLDER)
		return;
	inode.len &= UINT32_MAX; /* the upper half is for files */
	if (!map_inode(fs, &inode))
		return;
	extents = ota_finder_take(finder, &count);
	if (extents != NULL && (inode.flags & IS_INLINE) != 0 &&
		extents[0].len >= PARENT_LEN) {
		extents[0].offset += PARENT_LEN;
		extents[0].len -= PARENT_LEN;
	}
	for (uint32_t i = 0; extents != NULL && i < count; i++)
		read_blocks(fs, walk, folder, &extents[i]);
}

bool ota_members_ext4(const struct ota_volume *volume)
{
	OTA_AUTO(ota_walk_fini) struct ota_walk walk = { 0 };
	struct ota_folder folder;
	struct ext4 fs;

	if (!read_superblock(volume, &fs))
		return false;
	if (!ota_walk_begin(&walk, volume, (uint64_t)fs.inodes + 1))
		return true;
	(void)ota_walk_meets(&walk, ROOT);
	ota_walk_root(&walk, ROOT);
	while (ota_walk_next(&walk, &folder))
		read_folder(&fs, &walk, &folder);
	return true;
}

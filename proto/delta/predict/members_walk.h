#ifndef PROTO_DELTA_PREDICT_MEMBERS_WALK_H
#define PROTO_DELTA_PREDICT_MEMBERS_WALK_H

/* A walk over the folders of a file system that meets each inode once. Folders wait in a
 * queue, so depth costs no stack. */

#include "proto/delta/predict/members_list.h"

struct ota_folder {
	uint64_t id;    /* what the reader finds its inode by */
	size_t path;    /* offset in the walk's paths */
	size_t len;     /* bytes of the path */
	unsigned depth; /* 0: the root */
};

struct ota_walk {
	const struct ota_volume *volume; /* borrowed */
	struct ota_folder *folders;      /* owned */
	uint32_t count, cap, next;
	struct ota_buf paths;
	uint8_t *seen;       /* owned: a bit for each number */
	uint64_t number_end; /* numbers of inodes are below */
};

/** Begin a walk over inodes whose numbers are below number_end. False without memory. */
bool ota_walk_begin(
	struct ota_walk *walk, const struct ota_volume *volume, uint64_t number_end);

/** True for a number in range, the first time it is met. */
bool ota_walk_meets(struct ota_walk *walk, uint64_t number);

/** Let the root wait for its turn. */
void ota_walk_root(struct ota_walk *walk, uint64_t id);

/** Let a folder wait that was found in `in`, unless that is too deep. */
void ota_walk_folder(struct ota_walk *walk, const struct ota_folder *in,
	struct ota_name name, uint64_t id);

/** The next folder; false after the last. */
bool ota_walk_next(struct ota_walk *walk, struct ota_folder *folder);

/** The path of a folder, until the walk learns of another. */
struct ota_name ota_walk_path(
	const struct ota_walk *walk, const struct ota_folder *folder);

/** The block that begins `done` bytes into an extent of a folder, of at most `cap` bytes.
 *  False behind the extent's end, and if the image ends before. */
bool ota_walk_block(const struct ota_walk *walk, const struct ota_extent *extent,
	uint64_t done, uint64_t cap, struct ota_bytes *block);

/** True if a name can stand in a folder and is neither "." nor "..". */
bool ota_walk_is_name(struct ota_name name);

/** Release. Accepts a zeroed walk. */
void ota_walk_fini(struct ota_walk *walk);

#endif

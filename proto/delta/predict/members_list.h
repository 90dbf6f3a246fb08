#ifndef PROTO_DELTA_PREDICT_MEMBERS_LIST_H
#define PROTO_DELTA_PREDICT_MEMBERS_LIST_H

/* What the readers of single containers share: the list they fill, and its limits. What
 * does not hold together, or is beyond a limit, is left out; only memory is a failure,
 * and it stays one, so that a reader merely stops and who began asks `nomem`. */

#include "proto/delta/predict/members.h"
#include "proto/delta/predict/members_read.h"

enum {
	OTA_MEMBERS_MAX = 1 << 20,        /* members of one image */
	OTA_MEMBER_EXTENTS_MAX = 1 << 22, /* extents of one image */
	OTA_MEMBER_PATHS_MAX = 256 << 20, /* bytes of all paths, with their NULs */
	OTA_MEMBER_PATH_MAX = 4096,       /* bytes of one path, with its NUL */
	OTA_MEMBER_WORK_MAX = 1 << 26, /* steps for one image: entries, blocks, nodes */
	OTA_MEMBER_DEPTH_MAX = 64,     /* folders in folders */
};

struct ota_found {
	uint64_t path; /* offset in the paths */
	uint64_t len;  /* bytes of all extents */
	uint32_t extent_first, extent_count;
};

struct ota_finder {
	struct ota_found *members;  /* owned */
	struct ota_extent *extents; /* owned */
	struct ota_buf paths;
	uint32_t member_count, member_cap;
	uint32_t extent_count, extent_cap;
	uint32_t file_first; /* the first extent of the file being read */
	uint64_t work;       /* steps left */
	enum ota_packing packing;
	uint64_t packed_len; /* bytes */
	bool takes_holes;
	bool nomem;
};

/** A container in the image. */
struct ota_volume {
	struct ota_finder *finder; /* borrowed */
	struct ota_bytes in;       /* borrowed: its bytes */
	uint64_t base;             /* offset of its first byte in the image */
	const char *prefix;        /* borrowed: before each path: "p1/", "boot/initrd/" */
};

/** A piece of text that has no NUL. */
struct ota_name {
	const char *at;
	size_t len;
};

/** Pay for n steps. False once there are none left. */
bool ota_finder_spend(struct ota_finder *finder, uint64_t n);

/** Begin a file, forgetting extents of one that was not kept. */
void ota_finder_begin(struct ota_finder *finder);

/** Add bytes of a volume to the file. False if they are not all there. */
bool ota_finder_extent(const struct ota_volume *volume, uint64_t offset, uint64_t len);

/** Add zeros to the file that lie nowhere. False if such files are not wanted. */
bool ota_finder_hole(const struct ota_volume *volume, uint64_t len);

/** The extents of the file, which is forgotten: an owned copy, or NULL if it has none. */
struct ota_extent *ota_finder_take(struct ota_finder *finder, uint32_t *count);

/** Make the file a member, if it has any bytes and its path is one. folder may be empty.
 */
void ota_finder_keep(
	const struct ota_volume *volume, struct ota_name folder, struct ota_name name);

/** Count bytes that a volume holds compressed. */
void ota_finder_packed(struct ota_finder *finder, enum ota_packing packing, uint64_t len);

/** Order members by their first byte and leave out those that share bytes with one found
 *  earlier. Takes O(n log n) for n extents. */
void ota_finder_settle(struct ota_finder *finder);

/** Release. Accepts a zeroed finder. */
void ota_finder_fini(struct ota_finder *finder);

/* Each reader finds the members of one kind of container. False if the volume is none. */

/** ext2, ext3, ext4 */
bool ota_members_ext4(const struct ota_volume *volume);

/** squashfs 4.0 */
bool ota_members_squashfs(const struct ota_volume *volume);

/** EROFS */
bool ota_members_erofs(const struct ota_volume *volume);

/** ustar, with GNU's and pax's extensions */
bool ota_members_tar(const struct ota_volume *volume);

/** cpio, "newc" with and without checksums; several behind each other too */
bool ota_members_cpio(const struct ota_volume *volume);

#endif

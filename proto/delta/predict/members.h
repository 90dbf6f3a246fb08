#ifndef PROTO_DELTA_PREDICT_MEMBERS_H
#define PROTO_DELTA_PREDICT_MEMBERS_H

/* Encoder only: the files inside an image, and where their bytes lie. Read are ext2/3/4,
 * squashfs, EROFS, cpio (newc), tar (ustar, GNU, pax), a partition table (GPT, MBR)
 * around any of them, and members inside members (a cpio in a file) one level deep. The
 * image comes from an operator's build and is not trusted: whatever does not hold
 * together is left out, and an image without structure has no members.
 *
 * No byte belongs to two members: what files share is the first one's, and a file with
 * members inside is none itself. Paths in it follow its own ("boot/initrd/bin/sh"), those
 * of a partition its number ("p2/bin/sh"). Empty files are left out. */

#include "proto/base/bytes.h"

/** The offset of zeros that a file has and the image has not. */
#define OTA_HOLE UINT64_MAX

/** Bytes of a member that lie together in the image. */
struct ota_extent {
	uint64_t offset; /* in the image; OTA_HOLE only for who asked for holes */
	uint64_t len;    /* bytes */
};

struct ota_member {
	const char *path; /* borrowed from the list: "usr/lib/libc.so.6", UTF-8 or not */
	uint32_t extent_first,
		extent_count; /* in the list's extents, in the file's order */
	uint64_t len;         /* bytes of all extents. A file with compressed blocks is no
			       * member, nor one with holes unless they were asked for. */
};

/** How an image, or a part of it, is held. */
enum ota_packing {
	OTA_PACKING_NONE, /* stored as it is */
	OTA_PACKING_GZIP,
	OTA_PACKING_XZ,
	OTA_PACKING_LZMA,
	OTA_PACKING_LZO,
	OTA_PACKING_LZ4,
	OTA_PACKING_ZSTD,
	OTA_PACKING_BZIP2,
};

struct ota_members {
	const char *container;      /* "ext4", "squashfs", "erofs", "cpio", "tar", "disk",
				     * "raw":      static text */
	enum ota_packing packing;   /* of the whole, or of the file system's blocks */
	uint64_t packed_len;        /* bytes of the image that are compressed content */
	struct ota_member *members; /* owned, by offset of the first bytes */
	struct ota_extent *extents; /* owned */
	char *paths;                /* owned */
	uint32_t member_count, extent_count;
};

/** Find the members of an image. OTA_OK (out is the caller's) or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_members_find(
	struct ota_bytes image, struct ota_members *out);

/** The same, and files with holes are members too, with extents at OTA_HOLE, unless they
 *  have more of holes than of bytes. Makers of ext4 and squashfs leave holes for blocks
 *  of zeros, which one in some hundred executables has, and large ones more often. */
OTA_CHECKED enum ota_code ota_members_find_sparse(
	struct ota_bytes image, struct ota_members *out);

/** Release. Accepts zeroed members. */
void ota_members_fini(struct ota_members *members);

/** The name of a packing ("gzip"). */
const char *ota_packing_text(enum ota_packing packing);

/** The packing that begins with these bytes, by magic number; OTA_PACKING_NONE. */
enum ota_packing ota_packing_of(struct ota_bytes in);

/** What to tell an operator about an image whose content is compressed: what it costs and
 *  which option of the image's maker would shrink updates. NULL if nothing. Static. */
const char *ota_members_advice(const struct ota_members *members);

enum { OTA_ADVICE_CAP = 512 }; /* bytes with the NUL */

/** Look into an image and say how much of it is compressed, and the advice: "38.2 MB of
 *  this image's 38.2 MB are compressed (squashfs, xz). ...". False, with out empty, if
 *  there is nothing to say (or no memory to find out). */
bool ota_image_advice(struct ota_bytes image, char out[static OTA_ADVICE_CAP]);

#endif

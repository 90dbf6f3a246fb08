#ifndef AGENT_PORT_TREE_H
#define AGENT_PORT_TREE_H

/* Directory trees: out of a tar archive, and away again. No path is ever followed through
 * a symbolic link. */

#include <stdatomic.h>

#include "proto/base/bytes.h"

enum {
	TREE_ENTRIES_MAX = 1 << 18, /* of an archive */
	TREE_DEPTH_MAX = 64,        /* directories in each other */
};

/** What an archive may do. */
struct tree_limits {
	uint64_t bytes_max;      /* of all files together, once unpacked */
	uint32_t entries_max;    /* at most TREE_ENTRIES_MAX */
	bool special_files;      /* devices and pipes may be made */
	const atomic_bool *stop; /* borrowed; ends it early, may be NULL */
};

/**
 * Unpack a tar archive (ustar, pax or GNU, not compressed) into a new directory, and sync
 * every file and directory of it.
 *
 * archive  an open file, read from its start
 * into     path of the directory, which must not be there yet; its parent is not synced
 *
 * Refused, as OTA_E_FORMAT with the name of the entry: absolute paths, `..`, paths
 * through a symbolic link, symbolic links that lead out of the tree, hard links to
 * anything but a file unpacked before, other kinds of files, and devices and pipes unless
 * allowed. Owners are set by number if this process is root; modes and times are kept,
 * extended attributes are not. A directory is always open to its owner.
 *
 * Returns OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT (entries, depth, bytes), OTA_E_CANCELLED,
 * OTA_E_NOSPACE, OTA_E_IO, OTA_E_NOMEM; OTA_E_CONFIG if built without libarchive. After a
 * failure what was unpacked is left for tree_remove().
 */
OTA_CHECKED enum ota_code tree_unpack(int archive, const char *into,
	const struct tree_limits *limits, struct ota_error *err);

/** Remove a directory and all in it; also one that is not there. Its parent is not
 * synced. OTA_OK, OTA_E_LIMIT (depth) or OTA_E_IO. */
OTA_CHECKED enum ota_code tree_remove(const char *path, struct ota_error *err);

/** Sync every directory of a tree. OTA_OK, OTA_E_LIMIT (depth) or OTA_E_IO. */
OTA_CHECKED enum ota_code tree_sync(const char *path, struct ota_error *err);

/** Bytes on the medium of all in a directory; 0 if it is not there or cannot be read. */
uint64_t tree_bytes(const char *path);

#endif

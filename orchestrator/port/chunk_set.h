#ifndef ORCHESTRATOR_PORT_CHUNK_SET_H
#define ORCHESTRATOR_PORT_CHUNK_SET_H

/* Sets of chunks of patches, and of blocks of images, as a list: those that devices
 * cannot get, and those that are to be cleared. */

#include "proto/wire/manifest.h"

enum { CHUNK_SETS_MAX = 64 }; /* patches in one list */

struct chunk_set {
	struct chunk_set *next;  /* owned */
	struct ota_digest patch; /* digest of the manifest, or of a block table */
	uint64_t seq;            /* of the outbox row behind it; 0: none */
	uint32_t count;          /* chunks of the patch */
	uint32_t cursor;         /* chunks below were handed out */
	bool blocks;             /* of a block table, not of a patch */
	bool manifest;           /* the manifest or the table is in the set */
	uint8_t bitmap[];        /* bit i % 8 of byte i / 8: chunk i is in the set */
};

/** The set of a patch, added to the list (empty) if it is not there. NULL when memory or
 *  room is short, or the one there has another count. */
struct chunk_set *chunk_set_of(
	struct chunk_set **list, const struct ota_digest *patch, uint32_t count);

/** Add what need asks for; its count is that of set. */
void chunk_set_merge(struct chunk_set *set, const struct ota_need *need);

/** Add every chunk and the manifest. */
void chunk_set_fill(struct chunk_set *set);

/** Hand out the next chunk, once. False if there is none left. */
bool chunk_set_take(struct chunk_set *set, uint32_t *index);

/** Remove the first set. */
void chunk_set_pop(struct chunk_set **list);

/** Remove the set of a patch if it is there. */
void chunk_set_drop(struct chunk_set **list, const struct ota_digest *patch);

/** Remove all. */
void chunk_set_clear(struct chunk_set **list);

#endif

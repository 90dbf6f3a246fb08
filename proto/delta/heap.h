#ifndef PROTO_DELTA_HEAP_H
#define PROTO_DELTA_HEAP_H

/* A heap with a hard cap, which a codec and the libraries below it share: what a crafted
 * patch asks for is refused here before the system is asked, and what a library forgets
 * is released with the heap. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union ota_heap_head;

/** `{ .max = n }` is ready for use. */
struct ota_heap {
	uint64_t max;               /* bytes that may be held at any moment */
	uint64_t held;              /* bytes held now, with what it costs to keep count */
	uint64_t peak;              /* the most bytes ever held */
	bool capped;                /* an allocation was refused because of max */
	bool exhausted;             /* an allocation was refused by the system */
	union ota_heap_head *first; /* owned, the newest of a list of all that is held */
};

/** Allocate len bytes, aligned for any type. NULL if that would exceed the cap or the
 *  system has no memory; heap->capped or ->exhausted then says which. Without a heap
 *  (NULL), the system's memory without a cap. */
void *ota_heap_alloc(struct ota_heap *heap, size_t len);

/** Release what ota_heap_alloc() gave for the same heap. NULL is allowed. */
void ota_heap_free(struct ota_heap *heap, void *at);

/** Release all that is still held. */
void ota_heap_fini(struct ota_heap *heap);

#endif

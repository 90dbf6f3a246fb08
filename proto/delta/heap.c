#include "proto/delta/heap.h"

#include <stdlib.h>

/* Stands before each allocation, so that releasing it can be counted. */
union head {
	size_t total; /* bytes, head included */
	max_align_t align;
};

void *ota_heap_alloc(struct ota_heap *heap, size_t len)
{
	union head *head;
	uint64_t left = heap->max - heap->held;

	if (left < sizeof *head || len > left - sizeof *head) {
		heap->capped = true;
		return NULL;
	}
	head = malloc(sizeof *head + len);
	if (head == NULL) {
		heap->exhausted = true;
		return NULL;
	}

	head->total = sizeof *head + len;
	heap->held += head->total;
	if (heap->held > heap->peak)
		heap->peak = heap->held;
	return head + 1;
}

void ota_heap_free(struct ota_heap *heap, void *at)
{
	union head *head = at;

	if (at == NULL)
		return;
	head--;
	heap->held -= head->total;
	free(head);
}

#include "proto/delta/heap.h"

#include <stdlib.h>

/* Stands before each allocation. */
union ota_heap_head {
	struct {
		union ota_heap_head *next, *prev;
		size_t total; /* bytes, head included */
	};
	max_align_t align;
};

static void link_in(struct ota_heap *heap, union ota_heap_head *head)
{
	head->prev = NULL;
	head->next = heap->first;
	if (head->next != NULL)
		head->next->prev = head;
	heap->first = head;
	heap->held += head->total;
	if (heap->held > heap->peak)
		heap->peak = heap->held;
}

static void link_out(struct ota_heap *heap, union ota_heap_head *head)
{
	heap->held -= head->total;
	if (head->next != NULL)
		head->next->prev = head->prev;
	if (head->prev != NULL)
		head->prev->next = head->next;
	else
		heap->first = head->next;
}

void *ota_heap_alloc(struct ota_heap *heap, size_t len)
{
	union ota_heap_head *head;
	uint64_t left;

	if (heap == NULL)
		return malloc(len);
	left = heap->max - heap->held;
	if (left < sizeof *head || len > left - sizeof *head ||
		len > SIZE_MAX - sizeof *head) {
		heap->capped = true;
		return NULL;
	}
	head = malloc(sizeof *head + len);
	if (head == NULL) {
		heap->exhausted = true;
		return NULL;
	}
	head->total = sizeof *head + len;
	link_in(heap, head);
	return head + 1;
}

void ota_heap_free(struct ota_heap *heap, void *at)
{
	union ota_heap_head *head = at;

	if (heap == NULL) {
		free(at);
		return;
	}
	if (at == NULL)
		return;
	head--;
	link_out(heap, head);
	free(head);
}

void ota_heap_fini(struct ota_heap *heap)
{
	while (heap->first != NULL)
		ota_heap_free(heap, heap->first + 1);
}

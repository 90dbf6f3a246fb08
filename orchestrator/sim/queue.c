#include "orchestrator/sim/queue.h"

#include <stdbool.h>
#include <stdlib.h>

enum { CAP_FIRST = 64 };

static bool is_sooner(const struct queue_item *a, const struct queue_item *b)
{
	return a->at_s < b->at_s || (a->at_s == b->at_s && a->serial < b->serial);
}

static void grow(struct queue *queue)
{
	queue->cap = queue->cap == 0 ? CAP_FIRST : 2 * queue->cap;
	queue->items = reallocarray(queue->items, queue->cap, sizeof *queue->items);
	if (queue->items == NULL)
		__builtin_trap();
}

void queue_add(struct queue *queue, uint64_t at_s, uint32_t who, uint32_t what)
{
	struct queue_item item = { at_s, queue->serial++, who, what };
	size_t at = queue->count++;

	if (at == queue->cap)
		grow(queue);
	while (at > 0 && is_sooner(&item, &queue->items[(at - 1) / 2])) {
		queue->items[at] = queue->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	queue->items[at] = item;
}

uint64_t queue_due_s(const struct queue *queue)
{
	return queue->count > 0 ? queue->items[0].at_s : UINT64_MAX;
}

struct queue_item queue_pop(struct queue *queue)
{
	struct queue_item first = queue->items[0];
	struct queue_item last = queue->items[--queue->count];
	size_t at = 0, child = 1;

	while (child < queue->count) {
		if (child + 1 < queue->count &&
			is_sooner(&queue->items[child + 1], &queue->items[child]))
			child++;
		if (!is_sooner(&queue->items[child], &last))
			break;
		queue->items[at] = queue->items[child];
		at = child;
		child = 2 * at + 1;
	}
	queue->items[at] = last;
	return first;
}

void queue_fini(struct queue *queue)
{
	free(queue->items);
	*queue = (struct queue){ 0 };
}

#ifndef ORCHESTRATOR_SIM_QUEUE_H
#define ORCHESTRATOR_SIM_QUEUE_H

/* What is going to happen, soonest first; what falls on the same second happens in the
 * order in which it was put in. */

#include <stddef.h>
#include <stdint.h>

struct queue_item {
	uint64_t at_s;   /* simulated time */
	uint64_t serial; /* filled in by queue_add() */
	uint32_t who, what;
};

/** `= { 0 }` is empty. */
struct queue {
	struct queue_item *items; /* owned; a binary heap */
	size_t count, cap;
	uint64_t serial;
};

/** Put something in. Ends the process when there is no memory. */
void queue_add(struct queue *queue, uint64_t at_s, uint32_t who, uint32_t what);

/** When the next thing happens; UINT64_MAX: never. */
uint64_t queue_due_s(const struct queue *queue);

/** Take the next thing out of a queue that is not empty. */
struct queue_item queue_pop(struct queue *queue);

/** Release the memory and leave an empty queue. */
void queue_fini(struct queue *queue);

#endif

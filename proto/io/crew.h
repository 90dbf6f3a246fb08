#ifndef PROTO_IO_CREW_H
#define PROTO_IO_CREW_H

/* Threads for work that falls into independent tasks. */

#include <stdint.h>

enum { OTA_CREW_MAX = 64 }; /* workers, the caller's thread included */

/** How many workers this machine has processors for, 1 .. OTA_CREW_MAX. */
uint32_t ota_crew_size(void);

/**
 * Run task(arg, worker, i) once for each i < count, and return when all are done. Tasks
 * are begun in order; worker 0 is the calling thread, and does them all where no thread
 * can be had. Fits `struct ota_crew` of proto/delta.
 *
 * ctx   points to the number of workers, uint32_t
 */
void ota_crew_run(void *ctx, uint32_t count,
	void (*task)(void *arg, uint32_t worker, uint32_t i), void *arg);

#endif

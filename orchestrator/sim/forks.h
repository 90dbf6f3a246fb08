#ifndef ORCHESTRATOR_SIM_FORKS_H
#define ORCHESTRATOR_SIM_FORKS_H

/* Many runs from one beginning: each is played in a process of its own that begins as a
 * copy of this one, so what took long to set up is set up once, and processors share the
 * work. Which run is played where changes nothing of what comes out. */

#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"

enum { FORKS_MAX = 64 }; /* processes at once */

struct forks {
	void *ctx;
	/** Play run i and fill out, out_len bytes. In the process of its own. */
	enum ota_code (*run)(void *ctx, uint32_t index, void *out, struct ota_error *err);
	/** Run i is in: called in this process, in order. May be NULL. */
	void (*done)(void *ctx, uint32_t index, uint32_t runs);
	size_t out_len;   /* bytes of one result, without pointers in it */
	unsigned at_once; /* 1 .. FORKS_MAX; 0: one per processor */
};

/** Play runs and gather their results in out, runs * out_len bytes. OTA_OK; OTA_E_IO if a
 *  process cannot be made or ends by itself; the code of the first run that failed. */
OTA_CHECKED enum ota_code forks_play(
	const struct forks *forks, uint32_t runs, void *out, struct ota_error *err);

#endif

#ifndef ORCHESTRATOR_PORT_NOW_H
#define ORCHESTRATOR_PORT_NOW_H

#include "orchestrator/core/core.h"
#include "proto/io/loop.h"

/** Now, by this machine's clocks. */
static inline struct core_now port_now(void)
{
	return (struct core_now){ ota_clock_mono_ms(), ota_clock_utc_s() };
}

#endif

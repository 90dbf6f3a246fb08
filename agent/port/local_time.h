#ifndef AGENT_PORT_LOCAL_TIME_H
#define AGENT_PORT_LOCAL_TIME_H

#include "agent/core/policy.h"

/** The local time zone at a moment, with its last jump if that was within two days. */
struct policy_zone local_time_zone(uint64_t utc_s);

#endif

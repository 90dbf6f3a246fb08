#ifndef ORCHESTRATOR_CLI_PLAN_PRINT_H
#define ORCHESTRATOR_CLI_PLAN_PRINT_H

/* A rollout's plan, for people. */

#include <cjson/cJSON.h>

/** Print the answer of POST /plan (orchestrator/README.md) on stdout. */
void plan_print(const cJSON *plan);

#endif

#ifndef ORCHESTRATOR_CLI_PATCH_TREE_H
#define ORCHESTRATOR_CLI_PATCH_TREE_H

#include <cjson/cJSON.h>

#include "proto/wire/manifest.h"

/** What a manifest says, without its chunk digests. Owned by the caller. */
cJSON *patch_tree(const struct ota_manifest *manifest);

#endif

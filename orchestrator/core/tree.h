#ifndef ORCHESTRATOR_CORE_TREE_H
#define ORCHESTRATOR_CORE_TREE_H

/* Memory and JSON trees for the core. Running out of memory ends the process here: a
 * decision half made in memory must not live on, while what is stored is whole, and the
 * start after it finishes the job. */

#include <cjson/cJSON.h>

#include "proto/wire/json.h"

/** End the process. */
_Noreturn void core_out_of_memory(void);

/** count * len zeroed bytes, never NULL. */
void *core_alloc(size_t count, size_t len);

/** Make room in a growing array for one more entry after count. Returns the array, which
 *  may have moved. Capacity is the next power of two. */
void *core_grow(void *array, size_t count, size_t len);

/** An empty object, never NULL. */
cJSON *tree_object(void);

/** An empty array, never NULL. */
cJSON *tree_array(void);

/** Add a member; item is taken. Gives item back. */
cJSON *tree_add(cJSON *object, const char *key, cJSON *item);

/** Append to an array; item is taken. Gives item back. */
cJSON *tree_push(cJSON *array, cJSON *item);

/** Append a string to an array. */
void tree_push_text(cJSON *array, const char *text);

/** Add a string. */
void tree_text(cJSON *object, const char *key, const char *text);

/** Add an unsigned integer. */
void tree_u64(cJSON *object, const char *key, uint64_t value);

/** Add a truth. */
void tree_bool(cJSON *object, const char *key, bool value);

/** Add a digest in hex. */
void tree_digest(cJSON *object, const char *key, const struct ota_digest *digest);

/** Add "key": magnitude and "key_negative": sign: JSON here knows no negative numbers. */
void tree_signed(cJSON *object, const char *key, int64_t value);

/** Add text of people or devices: what strict JSON would refuse is escaped, and it is cut
 *  to 255 bytes. */
void tree_foreign(cJSON *object, const char *key, const char *text);

#endif

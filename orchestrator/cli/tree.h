#ifndef ORCHESTRATOR_CLI_TREE_H
#define ORCHESTRATOR_CLI_TREE_H

/* Reading answers of the server, which may lack members that an older one does not send:
 * a missing member reads as nothing. */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/** A string member; "" if it is not there. */
static inline const char *tree_text(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) ? item->valuestring : "";
}

/** An unsigned number member; 0 if it is not there. */
static inline uint64_t tree_number(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : 0;
}

/** A boolean member; false if it is not there. */
static inline bool tree_bool(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/** Any member; NULL if it is not there. */
static inline const cJSON *tree_item(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

#endif

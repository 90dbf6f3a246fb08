#include "orchestrator/core/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOREIGN_CAP = 256, KEY_CAP = 64 };

_Noreturn void core_out_of_memory(void)
{
	__builtin_trap();
}

static void *held(void *memory)
{
	if (memory == NULL)
		core_out_of_memory();
	return memory;
}

void *core_alloc(size_t count, size_t len)
{
	return held(calloc(count, len));
}

void *core_grow(void *array, size_t count, size_t len)
{
	if ((count & (count - 1)) != 0)
		return array;
	return held(reallocarray(array, count == 0 ? 1 : 2 * count, len));
}

cJSON *tree_object(void)
{
	return held(cJSON_CreateObject());
}

cJSON *tree_array(void)
{
	return held(cJSON_CreateArray());
}

cJSON *tree_add(cJSON *object, const char *key, cJSON *item)
{
	return cJSON_AddItemToObject(object, key, held(item)) ? item : held(NULL);
}

cJSON *tree_push(cJSON *array, cJSON *item)
{
	return cJSON_AddItemToArray(array, held(item)) ? item : held(NULL);
}

void tree_push_text(cJSON *array, const char *text)
{
	(void)tree_push(array, cJSON_CreateString(text));
}

void tree_text(cJSON *object, const char *key, const char *text)
{
	(void)held(cJSON_AddStringToObject(object, key, text));
}

void tree_u64(cJSON *object, const char *key, uint64_t value)
{
	(void)held(ota_json_add_u64(object, key, value));
}

void tree_bool(cJSON *object, const char *key, bool value)
{
	(void)held(cJSON_AddBoolToObject(object, key, value));
}

void tree_digest(cJSON *object, const char *key, const struct ota_digest *digest)
{
	(void)held(ota_json_add_digest(object, key, digest));
}

void tree_signed(cJSON *object, const char *key, int64_t value)
{
	char sign[KEY_CAP];

	(void)snprintf(sign, sizeof sign, "%s_negative", key);
	tree_u64(object, key, value < 0 ? (uint64_t)-value : (uint64_t)value);
	tree_bool(object, sign, value < 0);
}

void tree_foreign(cJSON *object, const char *key, const char *text)
{
	char safe[FOREIGN_CAP];

	ota_escape(text, safe, sizeof safe);
	tree_text(object, key, safe);
}

#include "proto/delta/predict/sort.h"

#include <stdint.h>
#include <string.h>

struct array {
	uint8_t *at; /* borrowed */
	size_t len;  /* bytes of an item */
	bool (*before)(const void *a, const void *b);
};

static bool is_before(const struct array *array, size_t a, size_t b)
{
	return array->before(array->at + a * array->len, array->at + b * array->len);
}

static void swap(const struct array *array, size_t a, size_t b)
{
	uint8_t held[OTA_SORT_ITEM_MAX];
	uint8_t *at_a = array->at + a * array->len, *at_b = array->at + b * array->len;

	memcpy(held, at_a, array->len);
	memcpy(at_a, at_b, array->len);
	memcpy(at_b, held, array->len);
}

/* Let the item at root sink into the heap of count items until no child is above it. */
static void sink(const struct array *array, size_t root, size_t count)
{
	while (root < count / 2) {
		size_t child = 2 * root + 1;

		if (child + 1 < count && is_before(array, child, child + 1))
			child++;
		if (!is_before(array, root, child))
			return;
		swap(array, root, child);
		root = child;
	}
}

static bool is_sorted(const struct array *array, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (is_before(array, i, i - 1))
			return false;
	return true;
}

void ota_sort(
	void *at, size_t count, size_t len, bool (*before)(const void *a, const void *b))
{
	struct array array = { at, len, before };

	if (is_sorted(&array, count))
		return;
	for (size_t root = count / 2; root-- > 0;)
		sink(&array, root, count);
	for (size_t left = count; left-- > 1;) {
		swap(&array, 0, left);
		sink(&array, 0, left);
	}
}

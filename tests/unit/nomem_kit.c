#include "tests/unit/nomem_kit.h"

#include <stddef.h>

/* Allocations until one fails; negative: none does, or one did. */
static long countdown = -1;

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *at, size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *at, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);

static bool is_due(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t len)
{
	return is_due() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len)
{
	return is_due() ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *at, size_t len)
{
	return is_due() ? NULL : __real_realloc(at, len);
}

void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return is_due() ? NULL : __real_aligned_alloc(align, len);
}

void nomem_arm(long nth)
{
	countdown = nth;
}

bool nomem_disarm(void)
{
	bool failed = countdown < 0;

	countdown = -1;
	return failed;
}

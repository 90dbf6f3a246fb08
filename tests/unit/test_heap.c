#include "proto/delta/heap.h"

#include <criterion/criterion.h>

Test(heap, what_is_held_is_counted_and_given_back)
{
	struct ota_heap heap = { .max = 1000 };
	void *a = ota_heap_alloc(&heap, 100), *b = ota_heap_alloc(&heap, 200);

	cr_assert(a != NULL && b != NULL);
	cr_assert_geq(heap.held, 300);
	ota_heap_free(&heap, a);
	ota_heap_free(&heap, b);
	ota_heap_free(&heap, NULL);
	cr_assert_eq(heap.held, 0);
	cr_assert_geq(heap.peak, 300);
}

Test(heap, the_cap_is_exact_and_never_wraps)
{
	struct ota_heap heap = { .max = 100 };
	size_t cost, len[] = { 0, 1, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 16 };
	void *at = ota_heap_alloc(&heap, 0);

	cr_assert_not_null(at);
	cost = heap.held;
	ota_heap_free(&heap, at);
	at = ota_heap_alloc(&heap, 100 - cost);
	cr_assert_not_null(at);
	cr_assert_eq(heap.held, 100);
	for (unsigned i = 0; i < sizeof len / sizeof len[0]; i++)
		cr_expect_null(ota_heap_alloc(&heap, len[i]));
	cr_assert(heap.capped && !heap.exhausted);
	ota_heap_free(&heap, at);
}

Test(heap, what_was_forgotten_goes_with_the_heap)
{
	struct ota_heap heap = { .max = 1000 };
	void *at[4];

	for (unsigned i = 0; i < 4; i++)
		at[i] = ota_heap_alloc(&heap, i);
	ota_heap_free(&heap, at[1]);
	ota_heap_free(&heap, at[3]);
	ota_heap_fini(&heap);
	cr_assert_eq(heap.held, 0);
	cr_assert_null(heap.first);
	ota_heap_fini(&heap);
}

/* The nth allocation fails, for every n until a run gets through. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "proto/base/own.h"
#include "tests/unit/nomem_kit.h"
#include "tests/unit/run_kit.h"

static enum ota_code align(struct ota_bytes from, struct ota_bytes to)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };

	return ota_align(from, to, NULL, &runs);
}

static enum ota_code match(struct ota_bytes from, struct ota_bytes to)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	struct ota_run all = { .len = to.len };

	return ota_match(from, to, &(struct ota_runs){ &all, 1, 1 }, NULL, &runs);
}

static enum ota_code partner(struct ota_bytes from, struct ota_bytes to)
{
	struct ota_candidate a = { .path = "a", .sketch = ota_sketch_of(from) };
	struct ota_candidate b = { .path = "b", .sketch = ota_sketch_of(to) };
	int32_t found;

	return ota_partners(&a, 1, &b, 1, &found);
}

static enum ota_code (*const works[])(
	struct ota_bytes from, struct ota_bytes to) = { align, match, partner };

static unsigned indexes[] = { 0, 1, 2 };

ParameterizedTestParameters(align_nomem, any_allocation_may_fail)
{
	return cr_make_param_array(unsigned, indexes, 3);
}

ParameterizedTest(unsigned *index, align_nomem, any_allocation_may_fail)
{
	OTA_AUTO(kit_pair_fini) struct kit_pair pair = { 0 };
	enum ota_code rc = OTA_E_NOMEM;
	long nth;

	kit_mutated(&pair, 100000, 900, 1);
	for (nth = 0; rc == OTA_E_NOMEM; nth++) {
		nomem_arm(nth);
		rc = works[*index](ota_buf_bytes(&pair.from), ota_buf_bytes(&pair.to));
		cr_assert(nomem_disarm() == (rc != OTA_OK));
	}
	cr_assert_eq(rc, OTA_OK);
	cr_assert_gt(nth, 3);
}

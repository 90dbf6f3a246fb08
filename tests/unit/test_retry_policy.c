#include <criterion/criterion.h>

#include "orchestrator/core/retry.h"

static const struct rollout_retry policy = {
	.soft = 1,
	.soft_backoff_s = 60,
	.excused = 3,
	.excused_backoff_s = 10,
	.factor = 3,
};

Test(retry_policy, a_hard_failure_is_never_tried_again_by_itself)
{
	struct rollout_retry generous = policy;

	generous.soft = generous.excused = SPEC_RETRIES_MAX;
	cr_expect_eq(retry_allowed(&generous, FAILURE_HARD), 0);
	cr_expect_eq(retry_allowed(&generous, FAILURE_NONE), 0);
}

Test(retry_policy, each_class_has_its_own_number_of_tries)
{
	cr_expect_eq(retry_allowed(&policy, FAILURE_SOFT), 1);
	cr_expect_eq(retry_allowed(&policy, FAILURE_EXCUSED), 3);
}

Test(retry_policy, each_wait_is_a_multiple_of_the_one_before)
{
	cr_expect_eq(retry_backoff_s(&policy, FAILURE_EXCUSED, 0), 10);
	cr_expect_eq(retry_backoff_s(&policy, FAILURE_EXCUSED, 1), 30);
	cr_expect_eq(retry_backoff_s(&policy, FAILURE_EXCUSED, 2), 90);
	cr_expect_eq(retry_backoff_s(&policy, FAILURE_SOFT, 0), 60);
}

Test(retry_policy, a_wait_has_an_end_however_many_there_were)
{
	cr_expect_eq(retry_backoff_s(&policy, FAILURE_SOFT, SPEC_RETRIES_MAX),
		SPEC_DURATION_MAX_S);
	cr_expect_eq(
		retry_backoff_s(&policy, FAILURE_SOFT, UINT64_MAX), SPEC_DURATION_MAX_S);
}

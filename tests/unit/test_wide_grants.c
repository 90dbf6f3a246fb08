#include <criterion/criterion.h>

#include "proto/base/own.h"
#include "tests/unit/samples.h"

/* How many operators a grant needs depends on how far it goes. */

static const char ROOT[] = { SAMPLE_ROOT_KEY, '\0' };
static const char RELEASE[] = { SAMPLE_RELEASE_KEY, '\0' };
static const char OPERATOR[] = { SAMPLE_OPERATOR_KEY, '\0' };
static const char OPERATOR_2[] = { SAMPLE_OPERATOR_KEY_2, '\0' };
static const char OPERATORS[] = { SAMPLE_OPERATOR_KEY, SAMPLE_OPERATOR_KEY_2, '\0' };
static const char ONE_TWICE[] = { SAMPLE_OPERATOR_KEY, SAMPLE_OPERATOR_KEY, '\0' };
static const char ONE_OF_EACH[] = { SAMPLE_OPERATOR_KEY, SAMPLE_RELEASE_KEY, '\0' };

/* A fleet whose wide grants need two of two operators. */
static struct ota_trust trust_in_two(void)
{
	struct ota_trust trust = { 0 };
	struct ota_root root = sample_root();
	struct ota_role_keys *operators = &root.roles[OTA_ROLE_OPERATOR];

	operators->set.keys[1] = sample_public(SAMPLE_OPERATOR_KEY_2);
	operators->set.count = 2;
	operators->wide = 2;
	OTA_AUTO(ota_buf_fini)
	struct ota_buf buf = sample_sign(OTA_DOC_ROOT, &root, ROOT);
	cr_assert_eq(ota_trust_anchor(&trust, ota_buf_bytes(&buf), NULL), OTA_OK);
	return trust;
}

static enum ota_code take_grant(
	uint64_t permille, const char *keys, struct ota_error *err)
{
	struct ota_trust trust = trust_in_two();
	struct ota_grant grant = sample_grant();

	grant.max_permille = permille;
	OTA_AUTO(ota_buf_fini)
	struct ota_buf buf = sample_sign(OTA_DOC_GRANT, &grant, keys);
	return ota_trust_grant(&trust, ota_buf_bytes(&buf), &grant, err);
}

Test(wide_grants, a_wide_grant_needs_two_operators)
{
	struct ota_error err = { 0 };

	cr_expect_eq(take_grant(11, OPERATORS, NULL), OTA_OK);
	cr_expect_eq(take_grant(1000, OPERATORS, NULL), OTA_OK);
	cr_expect_eq(take_grant(11, OPERATOR, &err), OTA_E_THRESHOLD);
	cr_expect_str_eq(err.text, "11 permille: grant: signed by 1 of 2 keys");
	cr_expect_eq(take_grant(1000, OPERATOR_2, NULL), OTA_E_THRESHOLD);
}

Test(wide_grants, a_narrow_grant_needs_the_threshold_of_all)
{
	cr_expect_eq(take_grant(0, OPERATOR, NULL), OTA_OK);
	cr_expect_eq(take_grant(OTA_PERMILLE_NARROW, OPERATOR_2, NULL), OTA_OK);
	cr_expect_eq(take_grant(OTA_PERMILLE_NARROW, RELEASE, NULL), OTA_E_SIGNATURE);
}

Test(wide_grants, one_operator_twice_and_one_of_another_role_are_one)
{
	cr_expect_eq(take_grant(1000, ONE_TWICE, NULL), OTA_E_THRESHOLD);
	cr_expect_eq(take_grant(1000, ONE_OF_EACH, NULL), OTA_E_THRESHOLD);
}

Test(wide_grants, where_the_root_says_nothing_of_wide_grants_one_key_opens_all)
{
	struct ota_trust trust = sample_trust();
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_GRANT);
	struct ota_grant grant;

	cr_expect_eq(ota_grant_threshold(&trust.root, 1000), 1);
	cr_assert_eq(ota_trust_grant(&trust, ota_buf_bytes(&buf), &grant, NULL), OTA_OK);
	cr_expect_gt(grant.max_permille, OTA_PERMILLE_NARROW);
}

Test(wide_grants, keys_of_a_role_are_equal_in_everything)
{
	const struct ota_role_keys a = trust_in_two().root.roles[OTA_ROLE_OPERATOR];
	struct ota_role_keys others[] = { a, a, a, a, a };

	others[0].epoch++;
	others[1].wide = 0;
	others[2].set.threshold = 2;
	others[3].set.count = 1;
	others[4].set.keys[1] = sample_public(SAMPLE_STRANGER_KEY);
	cr_expect(ota_role_keys_equal(
		&a, &(struct ota_role_keys){ a.set, a.epoch, a.wide }));
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		cr_expect_not(ota_role_keys_equal(&a, &others[i]), "%zu", i);
}

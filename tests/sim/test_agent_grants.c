#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/world.h"
#include "tests/sim/world_people.h"

/* How many operators have to sign a grant is the device's to count, by its root. */

static struct world w;
static struct ota_secret_key second;

/* A root with two operators, of whom wide grants need both. */
static void two_operators(void)
{
	struct ota_role_keys *operators = &w.root.roles[OTA_ROLE_OPERATOR];
	const uint8_t seed[32] = { 0x13 };

	second = ota_secret_key_from_seed(seed);
	operators->set.keys[1] = ota_secret_key_public(&second);
	operators->set.count = 2;
	operators->wide = 2;
}

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_grants, .init = set_up, .fini = tear_down);

static void boot_with_two(void)
{
	two_operators();
	people_sign_root(&w);
	world_boot(&w);
}

/* The second operator signs the grant as it was last signed. */
static void sign_again(void)
{
	struct ota_buf *grant = &w.docs[OTA_TOPIC_GRANT];
	struct ota_buf more = { 0 };

	cr_assert_eq(
		ota_envelope_sign(ota_buf_bytes(grant), &second, &more, NULL), OTA_OK);
	ota_buf_fini(grant);
	*grant = more;
}

Test(agent_grants, a_wide_grant_by_one_operator_is_refused)
{
	boot_with_two();
	world_publish(&w);
	world_pass(&w, 300 * 1000);
	cr_expect_eq(w.report.error, OTA_E_THRESHOLD, "error %d, wait %d: %s",
		(int)w.report.error, (int)w.report.wait, w.report.error_text);
	cr_expect_eq(w.slot_writes, 0);
	cr_expect(world_runs(&w, 1));
}

Test(agent_grants, the_same_grant_by_two_is_taken)
{
	boot_with_two();
	world_publish(&w);
	world_pass(&w, 300 * 1000);
	cr_assert_eq(w.report.error, OTA_E_THRESHOLD);
	sign_again();
	world_deliver(&w, OTA_TOPIC_GRANT);
	world_pass(&w, 300 * 1000);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
	cr_expect(world_runs(&w, 2));
}

Test(agent_grants, a_narrow_grant_by_one_operator_is_taken)
{
	boot_with_two();
	w.grant.max_permille = OTA_PERMILLE_NARROW;
	memcpy(w.grant.canaries[0], "gw-1", 5);
	memcpy(w.order.canaries[0], "gw-1", 5);
	w.grant.canary_count = w.order.canary_count = 1;
	w.order.permille = OTA_PERMILLE_NARROW;
	world_publish(&w);
	world_pass(&w, 300 * 1000);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
	cr_expect(world_runs(&w, 2));
}

/* The grant it holds was good under the root before. */
Test(agent_grants, a_root_that_asks_for_more_operators_takes_the_grant_back)
{
	w.net_is_mute = true;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	cr_assert(w.agent.papers.has[OTA_TOPIC_GRANT]);
	two_operators();
	people_next_root(&w);
	world_deliver(&w, OTA_TOPIC_ROOT);
	world_run(&w);
	cr_assert_eq(w.agent.papers.trust.root.version, 2);
	cr_expect_not(w.agent.papers.has[OTA_TOPIC_GRANT]);
	world_pass(&w, 120 * 1000);
	cr_expect_not(w.agent.papers.has[OTA_TOPIC_GRANT], "the kept one does not count");
	sign_again();
	world_deliver(&w, OTA_TOPIC_GRANT);
	world_run(&w);
	cr_expect(w.agent.papers.has[OTA_TOPIC_GRANT]);
}

Test(agent_grants, a_root_with_the_same_operators_leaves_the_grant_alone)
{
	w.net_is_mute = true;
	world_boot(&w);
	world_publish(&w);
	world_run(&w);
	people_next_root(&w);
	world_deliver(&w, OTA_TOPIC_ROOT);
	world_run(&w);
	cr_assert_eq(w.agent.papers.trust.root.version, 2);
	cr_expect(w.agent.papers.has[OTA_TOPIC_GRANT]);
}

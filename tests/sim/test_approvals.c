#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Wide grants need two operators: how the core collects their signatures. */

static struct fw_world *world;
static struct ota_secret_key second;

static void open_world(void)
{
	const uint8_t seed[32] = { 0x13 };

	world = fw_open();
	second = ota_secret_key_from_seed(seed);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(approvals, .init = open_world, .fini = close_world);

static const char both[] =
	"{\"rollout\":\"r-1\",\"stages\":["
	"{\"name\":\"few\",\"cohort\":\"fleet\",\"permille\":10,\"soak_s\":0},"
	"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":0}],"
	"\"gates\":{\"silence_s\":60},"
	"\"deadlines\":{\"fetch_s\":120,\"install_s\":60,\"prove_s\":60}}";

/* Hand in a grant signed by n keys. */
static enum ota_code hand_in(const struct ota_grant *grant,
	const struct ota_secret_key *const *keys, unsigned n, struct core_accepted *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 }, envelope = { 0 };

	cr_assert_eq(ota_grant_encode(grant, &payload, NULL), OTA_OK);
	fw_seal(OTA_DOC_GRANT, ota_buf_bytes(&payload), keys[0], &envelope);
	for (unsigned i = 1; i < n; i++) {
		struct ota_buf more = { 0 };

		cr_assert_eq(
			ota_envelope_sign(ota_buf_bytes(&envelope), keys[i], &more, NULL),
			OTA_OK);
		ota_buf_fini(&envelope);
		envelope = more;
	}
	return core_document(
		world->core, world->now, "people", ota_buf_bytes(&envelope), out, NULL);
}

static enum ota_code sign_one(const struct ota_grant *grant,
	const struct ota_secret_key *key, struct core_accepted *out)
{
	return hand_in(grant, &key, 1, out);
}

static struct ota_grant grant_of(
	const struct ota_digest *release, uint64_t seq, uint64_t permille)
{
	return (struct ota_grant){ .seq = seq,
		.release = *release,
		.max_permille = permille,
		.salt = { 1, 2, 3, 4 },
		.issued_utc_s = world->now.utc_s,
		.not_before_utc_s = world->now.utc_s,
		.expires_utc_s = world->now.utc_s + UINT64_C(14) * 86400 };
}

/* Ten devices, a rollout that waits for its grant, operators of whom wide ones need two.
 */
static struct ota_digest prepare(void)
{
	struct ota_digest release;

	fw_operators(world, &second, 1, 2);
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "fleet", 10, FW_GOOD);
	release = fw_release(world, "2.0", 2);
	cr_assert_eq(fw_apply(world, both, &release, NULL), OTA_OK);
	cr_assert(fw_until(world, "r-1", "waiting-for-grant", 30));
	return release;
}

static const struct ota_secret_key *first_key(void)
{
	return &world->keys[OTA_ROLE_OPERATOR];
}

static void expect_reason(const char *name)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	cr_expect_str_eq(fw_text(tree, "reason_name"), name, "%s: %s",
		fw_text(tree, "reason_name"), fw_text(tree, "reason"));
}

static uint64_t number(const char *path)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_rollout_json(world->core, world->now, "r-1");

	return fw_number(tree, path);
}

static bool is_published(const struct ota_digest *release)
{
	struct ota_topic topic = { .kind = OTA_TOPIC_GRANT, .digest = *release };

	return fw_topic_payload(world, &topic).len > 0;
}

Test(approvals, one_signature_holds_the_stage_and_says_who_is_missing)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 1000);
	struct core_accepted doc = { 0 };

	expect_reason("NOGRANT");
	cr_assert_eq(sign_one(&grant, first_key(), &doc), OTA_OK);
	cr_expect_eq(doc.missing, 1);
	expect_reason("APPROVAL");
	cr_expect_eq(number("approval.missing"), 1);
	cr_expect_eq(number("approval.permille"), 1000);
	cr_expect_eq(number("grant.permille"), 0);
	cr_expect_not(is_published(&release));
	cr_expect_str_eq(fw_rule(world, "fleet-1"), "APPROVAL");
	cr_expect_eq(fw_count_running(world, "2.0"), 0);
}

Test(approvals, the_second_signature_opens_it)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 1000);
	struct core_accepted doc = { 0 };

	cr_assert_eq(sign_one(&grant, first_key(), NULL), OTA_OK);
	cr_assert_eq(sign_one(&grant, &second, &doc), OTA_OK);
	cr_expect_eq(doc.missing, 0);
	cr_expect(is_published(&release));
	cr_expect_eq(number("approval.needed"), 0, "it waits no longer");
	cr_expect_not_null(strstr(world->actions, "grant.sign document.add"));
	cr_assert(fw_until(world, "r-1", "completed", 200));
	cr_expect_eq(fw_count_running(world, "2.0"), 10);
}

Test(approvals, both_at_once_open_it_too)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 1000);
	const struct ota_secret_key *keys[] = { first_key(), &second };

	cr_assert_eq(hand_in(&grant, keys, 2, NULL), OTA_OK);
	cr_expect(is_published(&release));
}

Test(approvals, the_same_key_twice_does_not_count)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 1000);
	const struct ota_secret_key *keys[] = { first_key(), first_key() };
	struct core_accepted doc = { 0 };

	cr_assert_eq(sign_one(&grant, first_key(), NULL), OTA_OK);
	cr_assert_eq(sign_one(&grant, first_key(), &doc), OTA_OK);
	cr_expect_eq(doc.missing, 1);
	cr_assert_eq(hand_in(&grant, keys, 2, &doc), OTA_OK);
	cr_expect_eq(doc.missing, 1);
	expect_reason("APPROVAL");
	cr_expect_not(is_published(&release));
}

Test(approvals, a_stranger_s_signature_is_none)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 1000);
	const struct ota_secret_key *online = &world->keys[OTA_ROLE_ONLINE];
	const struct ota_secret_key *keys[] = { first_key(), online };

	cr_expect_eq(sign_one(&grant, online, NULL), OTA_E_SIGNATURE);
	expect_reason("NOGRANT");
	cr_assert_eq(hand_in(&grant, keys, 2, NULL), OTA_OK);
	expect_reason("APPROVAL");
}

Test(approvals, one_operator_opens_one_percent_and_then_it_waits)
{
	const struct ota_digest release = prepare();
	const struct ota_grant narrow = grant_of(&release, 1, 10);
	const struct ota_grant wide = grant_of(&release, 2, 1000);

	cr_assert_eq(sign_one(&narrow, &second, NULL), OTA_OK);
	cr_expect(is_published(&release));
	cr_assert_eq(sign_one(&wide, &second, NULL), OTA_OK);
	cr_assert(fw_until(world, "r-1", "waiting-for-grant", 200));
	expect_reason("APPROVAL");
	cr_expect_eq(number("grant.permille"), 10, "the narrow one stays in force");
	cr_assert_eq(sign_one(&wide, first_key(), NULL), OTA_OK);
	cr_assert(fw_until(world, "r-1", "completed", 200));
}

Test(approvals, another_grant_of_the_same_number_is_refused)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 2, 1000);
	struct ota_grant other = grant_of(&release, 2, 500);

	cr_assert_eq(sign_one(&grant, first_key(), NULL), OTA_OK);
	cr_expect_eq(sign_one(&other, &second, NULL), OTA_E_SEQUENCE);
	other.seq = 1;
	cr_expect_eq(sign_one(&other, &second, NULL), OTA_E_SEQUENCE);
	other.seq = 3;
	cr_expect_eq(sign_one(&other, &second, NULL), OTA_OK);
	cr_expect_eq(number("approval.permille"), 500);
	cr_expect_eq(number("approval.missing"), 1, "its signatures are its own");
}

Test(approvals, an_expired_one_is_refused_and_does_not_hold)
{
	const struct ota_digest release = prepare();
	struct ota_grant grant = grant_of(&release, 1, 1000);

	grant.expires_utc_s = world->now.utc_s + 60;
	cr_assert_eq(sign_one(&grant, first_key(), NULL), OTA_OK);
	world->now.utc_s += 61;
	world->now.mono_ms += 61000;
	cr_expect_eq(sign_one(&grant, &second, NULL), OTA_E_EXPIRED);
	cr_expect_not(is_published(&release));
}

Test(approvals, a_restart_keeps_what_was_signed)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 1000);
	struct core_accepted doc = { 0 };

	cr_assert_eq(sign_one(&grant, first_key(), NULL), OTA_OK);
	fw_restart(world);
	expect_reason("APPROVAL");
	cr_expect_eq(number("approval.missing"), 1);
	cr_assert_eq(sign_one(&grant, &second, &doc), OTA_OK);
	cr_expect_eq(doc.missing, 0);
	fw_restart(world);
	cr_expect_eq(number("approval.needed"), 0);
	cr_assert(fw_until(world, "r-1", "completed", 200));
}

Test(approvals, a_root_that_asks_for_more_takes_a_grant_out_of_force)
{
	const struct ota_digest release = prepare();
	const struct ota_grant grant = grant_of(&release, 1, 10);

	cr_assert_eq(sign_one(&grant, first_key(), NULL), OTA_OK);
	cr_assert(is_published(&release));
	fw_operators(world, &second, 1, 0);
	cr_assert(is_published(&release), "one is enough still");
	fw_operators(world, &second, 2, 0);
	cr_expect_not(is_published(&release));
	cr_expect_eq(number("approval.missing"), 1);
	cr_expect_not_null(strstr(world->actions, "grant.lapse grant.sign"));
	fw_restart(world);
	cr_expect_not(is_published(&release));
	cr_assert_eq(sign_one(&grant, &second, NULL), OTA_OK);
	cr_expect(is_published(&release));
}

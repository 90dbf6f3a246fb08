#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/world.h"
#include "tests/sim/world_people.h"

/* Each reason not to install has its own number, is in the report, and nothing is
 * written to a slot. */

static struct world w;

static void set_up(void)
{
	world_init(&w);
	world_boot(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_refusals, .init = set_up, .fini = tear_down);

static void other_hardware(void)
{
	memcpy(w.release.hardware[0], "rev-a", 6);
	memcpy(w.order.hardware[0], "rev-a", 6);
}

static void other_product(void)
{
	memcpy(w.release.product, "toaster", 8);
}

static void disagreement(void)
{
	w.order.counter = 3;
}

static void revoked(void)
{
	w.catalog.revoked_count = 1;
}

static void below_minimum(void)
{
	w.catalog.minimum_count = 1;
	memcpy(w.catalog.minimum[0].product, "gateway", 8);
	w.catalog.minimum[0].counter = 3;
}

static void beyond_share(void)
{
	w.grant.max_permille = 10;
}

static void not_in_bucket(void)
{
	w.order.permille = 0;
}

static void not_yet_granted(void)
{
	w.grant.not_before_utc_s = w.now.utc_s + 3600;
}

static void no_patch_from_here(void)
{
	w.manifest.from = w.order.patches[0].from = world_image(9);
}

static void wrong_running_image(void)
{
	w.slots[0].content = world_image(9);
}

static void manifest_of_another_image(void)
{
	w.manifest.to = world_image(9);
}

static void manifest_from_another_image(void)
{
	w.manifest.from = world_image(9);
}

static void too_much_ram(void)
{
	w.manifest.decoder_ram = (8 << 20) + 1;
}

static void no_room_in_slot(void)
{
	w.room.slot = w.release.image_len - 1;
}

static void no_room_in_spool(void)
{
	w.room.spool = w.manifest.patch_len - 1;
}

static void closed_window(void)
{
	w.order.window = (struct ota_window){ 60, 120 };
}

static void expired_fresh(void)
{
	w.fresh.expires_utc_s = w.now.utc_s - 1;
	w.fresh.issued_utc_s = w.now.utc_s - 100;
}

static void needs_a_step_between(void)
{
	w.release.needs_count = 1;
	memcpy(w.release.needs[0], "1.5", 4);
}

static void hook_says_no(void)
{
	w.hooks[0].answer = OTA_E_HOOK;
}

static void hook_says_later(void)
{
	w.hooks[0].answer = OTA_E_BUSY;
}

static void hook_hangs(void)
{
	w.hooks[0].answer = OTA_E_TIMEOUT;
}

static void wrong_device(void)
{
	memcpy(w.assign.device, "gw-2", 5);
}

static void paused(void)
{
	w.order.state = OTA_ORDER_PAUSE;
}

struct refusal {
	const char *name;
	void (*change)(void);
	enum ota_code error, wait;
};

static const struct refusal refusals[] = {
	{ "hardware", other_hardware, OTA_E_HARDWARE, 0 },
	{ "product", other_product, OTA_E_PRODUCT, 0 },
	{ "disagreement", disagreement, OTA_E_AGREEMENT, 0 },
	{ "revoked", revoked, OTA_E_UNLISTED, 0 },
	{ "minimum", below_minimum, OTA_E_UNLISTED, 0 },
	{ "share", beyond_share, OTA_E_SHARE, 0 },
	{ "bucket", not_in_bucket, 0, OTA_E_BUCKET },
	{ "early grant", not_yet_granted, 0, OTA_E_NOGRANT },
	{ "no patch", no_patch_from_here, OTA_E_PRECURSOR, 0 },
	{ "wrong image runs", wrong_running_image, OTA_E_PRECURSOR, 0 },
	{ "manifest to", manifest_of_another_image, OTA_E_AGREEMENT, 0 },
	{ "manifest from", manifest_from_another_image, OTA_E_AGREEMENT, 0 },
	{ "ram", too_much_ram, OTA_E_NORAM, 0 },
	{ "slot", no_room_in_slot, 0, OTA_E_NOSPACE },
	{ "spool", no_room_in_spool, 0, OTA_E_NOSPACE },
	{ "window", closed_window, 0, OTA_E_WINDOW },
	{ "expired", expired_fresh, OTA_E_EXPIRED, OTA_E_SEQUENCE },
	{ "needs", needs_a_step_between, OTA_E_PRECURSOR, 0 },
	{ "hook: no", hook_says_no, OTA_E_HOOK, 0 },
	{ "hook: later", hook_says_later, 0, OTA_E_HOOK },
	{ "hook: hangs", hook_hangs, OTA_E_HOOK, 0 },
	{ "device", wrong_device, OTA_E_DEVICE, OTA_E_NOROLLOUT },
	{ "paused", paused, 0, OTA_E_PAUSED },
};

Test(agent_refusals, each_has_its_number_and_no_slot_is_written)
{
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		const struct refusal *r = &refusals[i];

		tear_down();
		set_up();
		r->change();
		world_publish(&w);
		world_pass(&w, 300 * 1000);
		cr_expect_eq(w.report.error, r->error, "%s: error %d, wait %d: %s",
			r->name, (int)w.report.error, (int)w.report.wait,
			w.report.error_text);
		cr_expect_eq(w.report.wait, r->wait, "%s: wait %d: %s", r->name,
			(int)w.report.wait, w.report.error_text);
		cr_expect_neq(w.report.error_text[0], '\0', "%s", r->name);
		cr_expect_eq(w.slot_writes, 0, "%s", r->name);
		cr_expect(world_runs(&w, 1) || r->change == wrong_running_image, "%s",
			r->name);
	}
}

Test(agent_refusals, a_refused_offer_causes_no_stream_of_reports)
{
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		unsigned reports;

		tear_down();
		set_up();
		refusals[i].change();
		world_publish(&w);
		world_pass(&w, 10 * 1000);
		reports = w.reports;
		world_pass(&w, 3600 * 1000);
		cr_expect_eq(w.reports, reports, "%s", refusals[i].name);
	}
}

/* Documents come in any order: while they do, nothing is amiss and nothing is said. */
Test(agent_refusals, documents_that_are_not_all_there_yet_are_no_trouble)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_ASSIGN, OTA_TOPIC_ORDER,
		OTA_TOPIC_FRESH, OTA_TOPIC_CATALOG, OTA_TOPIC_RELEASE };
	struct ota_error trouble = { 0 };

	world_sign(&w);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		world_deliver(&w, kinds[i]);
		world_run(&w);
		agent_trouble(&w.agent, &trouble);
		cr_expect_eq(trouble.code, OTA_OK, "%zu: %s", i, trouble.text);
		cr_expect_eq(w.report.error + w.report.wait, 0, "%zu: %s", i,
			w.report.error_text);
	}
	world_pass(&w, 5000);
	agent_trouble(&w.agent, &trouble);
	cr_expect_eq(trouble.code, OTA_E_NOGRANT, "%s", trouble.text);
	cr_expect_eq(w.report.wait, OTA_E_NOGRANT, "%s", w.report.error_text);
}

/* What was waited for under one order is not said of the next. */
Test(agent_refusals, an_old_wait_is_not_said_with_something_new)
{
	world_sign(&w);
	w.docs[OTA_TOPIC_GRANT].len = 0;
	world_restart(&w);
	world_pass(&w, 5000);
	cr_assert_eq(w.report.wait, OTA_E_NOGRANT);
	world_next(&w);
	memcpy(w.order.rollout, "other", 6);
	w.grant.max_permille = 10;
	world_publish(&w);
	world_run(&w);
	cr_expect_str_eq(w.report.rollout, "other");
	cr_expect_eq(w.report.error, OTA_E_SHARE, "%s", w.report.error_text);
	cr_expect_eq(w.report.wait, 0);
}

Test(agent_refusals, what_only_lacked_time_goes_on_by_itself)
{
	static const struct {
		void (*change)(void);
	} rows[] = { { no_room_in_slot }, { hook_says_later }, { not_yet_granted } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		tear_down();
		set_up();
		rows[i].change();
		world_publish(&w);
		world_pass(&w, 10 * 1000);
		cr_assert_eq(w.slot_writes, 0);
		w.room.slot = w.release.image_len;
		w.hooks[0].answer = OTA_OK;
		world_pass(&w, 3700 * 1000);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "row %zu: %s", i,
			w.report.error_text);
	}
}

Test(agent_refusals, without_a_grant_it_waits_and_with_one_it_goes)
{
	world_sign(&w);
	w.docs[OTA_TOPIC_GRANT].len = 0;
	world_restart(&w);
	world_pass(&w, 10 * 1000);
	cr_expect_eq(w.report.wait, OTA_E_NOGRANT);
	cr_expect_eq(w.report.error, 0);
	cr_expect_eq(w.report.state, OTA_UPDATE_IDLE);
	world_sign(&w);
	world_deliver(&w, OTA_TOPIC_GRANT);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

static const enum ota_topic_kind signed_kinds[] = { OTA_TOPIC_FRESH, OTA_TOPIC_CATALOG,
	OTA_TOPIC_ASSIGN, OTA_TOPIC_ORDER, OTA_TOPIC_RELEASE, OTA_TOPIC_GRANT };

static void deliver_all_but_the_grant(void)
{
	world_sign(&w);
	for (size_t i = 0; i < sizeof signed_kinds / sizeof signed_kinds[0]; i++)
		if (signed_kinds[i] != OTA_TOPIC_GRANT)
			world_deliver(&w, signed_kinds[i]);
}

Test(agent_refusals, the_same_wait_for_another_release_begins_anew)
{
	deliver_all_but_the_grant();
	world_pass(&w, 5000);
	cr_assert_eq(w.report.wait, OTA_E_NOGRANT);
	world_next(&w);
	memcpy(w.order.rollout, "other", 6);
	memcpy(w.release.version, "2.1", 4);
	deliver_all_but_the_grant();
	world_run(&w);
	cr_expect_str_eq(w.report.rollout, "other");
	cr_expect_eq(w.report.wait, 0);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.wait, OTA_E_NOGRANT);
}

Test(agent_refusals, a_flipped_bit_in_any_document_is_refused)
{
	for (size_t i = 0; i < sizeof signed_kinds / sizeof signed_kinds[0]; i++) {
		enum ota_topic_kind kind = signed_kinds[i];

		tear_down();
		set_up();
		world_sign(&w);
		w.docs[kind].at[40] ^= 1;
		world_restart(&w);
		world_pass(&w, 10 * 1000);
		cr_expect_eq(w.slot_writes, 0, "kind %d", (int)kind);
		if (kind == OTA_TOPIC_RELEASE || kind == OTA_TOPIC_ORDER ||
			kind == OTA_TOPIC_FRESH || kind == OTA_TOPIC_GRANT)
			cr_expect_eq(w.report.error, OTA_E_SIGNATURE, "kind %d: %s",
				(int)kind, w.report.error_text);
	}
}

/* Sign a payload given as text in place of a document. */
static void deliver_text(
	enum ota_topic_kind kind, enum ota_doc_type type, const char *text)
{
	people_sign(&w, kind, type, ota_bytes_of(text));
	world_deliver(&w, kind);
	world_pass(&w, 5000);
}

Test(agent_refusals, a_key_twice_in_a_signed_payload_is_refused)
{
	deliver_text(OTA_TOPIC_FRESH, OTA_DOC_FRESH, "{\"seq\":1,\"seq\":2}");
	cr_expect_eq(w.report.error, OTA_E_DUPKEY, "%s", w.report.error_text);
}

Test(agent_refusals, one_key_counted_twice_does_not_make_a_threshold)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf twice = { 0 };
	struct ota_role_keys *role = &w.root.roles[OTA_ROLE_ONLINE];
	uint8_t seed[32] = { 77 };
	struct ota_secret_key other = ota_secret_key_from_seed(seed);

	tear_down();
	world_init(&w);
	role->set.keys[1] = ota_secret_key_public(&other);
	role->set.count = role->set.threshold = 2;
	w.root_bytes.len = 0;
	world_sign(&w);
	people_sign_root(&w);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_THRESHOLD, "%s", w.report.error_text);
	/* the same signature once more */
	cr_assert_eq(
		ota_buf_add(&twice, ota_buf_bytes(&w.docs[OTA_TOPIC_ASSIGN])), OTA_OK);
	cr_assert_eq(
		ota_buf_add(&twice, (struct ota_bytes){ twice.at + twice.len - 80, 80 }),
		OTA_OK);
	twice.at[twice.len - 161] = 2;
	w.docs[OTA_TOPIC_ASSIGN].len = 0;
	cr_assert_eq(
		ota_buf_add(&w.docs[OTA_TOPIC_ASSIGN], ota_buf_bytes(&twice)), OTA_OK);
	world_deliver(&w, OTA_TOPIC_ASSIGN);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_THRESHOLD, "%s", w.report.error_text);
}

Test(agent_refusals, a_release_or_grant_that_the_order_does_not_name_is_passed_over)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_RELEASE, OTA_TOPIC_GRANT };

	for (size_t i = 0; i < 2; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf other = { 0 };
		struct ota_buf *doc;

		tear_down();
		set_up();
		doc = &w.docs[kinds[i]];
		memcpy(w.release.notes, "other", 6);
		world_sign(&w);
		cr_assert_eq(ota_buf_add(&other, ota_buf_bytes(doc)), OTA_OK);
		memcpy(w.release.notes, "right", 6);
		world_sign(&w);
		doc->len = 0;
		cr_assert_eq(ota_buf_add(doc, ota_buf_bytes(&other)), OTA_OK);
		world_restart(&w);
		world_pass(&w, 5000);
		cr_expect_eq(w.slot_writes, 0);
		cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
		cr_expect_eq(w.report.wait, i == 0 ? OTA_E_NOTFOUND : OTA_E_NOGRANT);
	}
}

Test(agent_refusals, a_refusal_is_forgotten_once_the_right_document_comes)
{
	world_sign(&w);
	w.docs[OTA_TOPIC_FRESH].at[40] ^= 1;
	world_deliver(&w, OTA_TOPIC_FRESH);
	world_pass(&w, 5000);
	cr_assert_eq(w.report.error, OTA_E_SIGNATURE);
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, 0, "%s", w.report.error_text);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED);
}

Test(agent_refusals, a_spool_that_is_not_the_patch_is_fetched_again_and_then_given_up)
{
	w.verify_answer = OTA_E_DIGEST;
	world_publish(&w);
	world_run(&w);
	cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
	cr_expect_eq(w.report.error, OTA_E_DIGEST);
	cr_expect_eq(w.fetches, 4);
	cr_expect_eq(w.slot_writes, 0);
}

Test(agent_refusals, an_install_that_fails_leaves_the_running_image)
{
	static const enum ota_code codes[] = { OTA_E_DECODER, OTA_E_DIGEST, OTA_E_MEDIA,
		OTA_E_NOSPACE, OTA_E_IO };

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		tear_down();
		set_up();
		w.install_answer = codes[i];
		world_publish(&w);
		world_run(&w);
		cr_expect_eq(w.report.state, OTA_UPDATE_FAILED);
		cr_expect_eq(w.report.error, codes[i]);
		world_boot(&w);
		world_run(&w);
		cr_expect(world_runs(&w, 1));
	}
}

Test(agent_refusals, expired_documents_do_not_stop_what_has_begun)
{
	static const enum ota_update_state begun[] = { OTA_UPDATE_FETCHING,
		OTA_UPDATE_VERIFYING, OTA_UPDATE_INSTALLING, OTA_UPDATE_REBOOTING,
		OTA_UPDATE_PROVING };
	static const unsigned days[] = { 2, 15, 91, 100, 3650 };

	for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++)
		for (size_t k = 0; k < sizeof days / sizeof days[0]; k++) {
			const char *state = ota_update_state_text(begun[i]);

			tear_down();
			set_up();
			world_run_to(&w, begun[i]);
			w.now.utc_s += days[k] * (uint64_t)WORLD_DAY_S;
			world_run(&w);
			cr_expect_eq(w.agent.journal.state, OTA_UPDATE_CONFIRMED,
				"%u days after %s", days[k], state);
			cr_expect_eq(w.current, 1, "%u days after %s", days[k], state);
		}
}

Test(agent_refusals, a_clock_that_jumped_ahead_for_a_while_does_no_lasting_harm)
{
	w.now.utc_s += 3650 * (uint64_t)WORLD_DAY_S;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_EXPIRED);
	w.now.utc_s = WORLD_UTC_S;
	world_publish(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s", w.report.error_text);
}

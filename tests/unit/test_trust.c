#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/samples.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char ROOT_OLD[] = { SAMPLE_ROOT_KEY, '\0' };
static const char ROOT_NEW[] = { SAMPLE_ROOT_KEY_2, '\0' };
static const char ROOT_BOTH[] = { SAMPLE_ROOT_KEY, SAMPLE_ROOT_KEY_2, '\0' };
static const char ONLINE[] = { SAMPLE_ONLINE_KEY, '\0' };
static const char RELEASE[] = { SAMPLE_RELEASE_KEY, '\0' };
static const char OPERATOR[] = { SAMPLE_OPERATOR_KEY, '\0' };
static const char DEVICE[] = { SAMPLE_DEVICE_KEY, '\0' };

static enum ota_code anchor(
	struct ota_trust *trust, const struct ota_root *root, const char *keys)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_sign(OTA_DOC_ROOT, root, keys);

	return ota_trust_anchor(trust, ota_buf_bytes(&buf), NULL);
}

static enum ota_code take_fresh(
	struct ota_trust *trust, const struct ota_fresh *fresh, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini)
	struct ota_buf buf = sample_sign(OTA_DOC_FRESH, fresh, ONLINE);
	struct ota_fresh out;

	return ota_trust_fresh(trust, ota_buf_bytes(&buf), &out, err);
}

/* The anchor */

Test(trust, an_anchor_is_signed_by_its_own_root_keys)
{
	struct ota_root root = sample_root();
	struct ota_trust trust = { 0 };

	cr_expect_eq(anchor(&trust, &root, RELEASE), OTA_E_SIGNATURE);
	cr_expect_eq(anchor(&trust, &root, ""), OTA_E_SIGNATURE);
	cr_expect_not(trust.anchored);
	cr_expect_eq(anchor(&trust, &root, ROOT_OLD), OTA_OK);
	cr_expect(trust.anchored);
	cr_expect_eq(trust.root.version, 1);
	cr_expect_eq(trust.trusted_utc_s, SAMPLE_ISSUED);
	cr_expect_eq(anchor(&trust, &root, ROOT_OLD), OTA_E_CONFLICT);
}

Test(trust, an_anchor_needs_its_whole_threshold)
{
	struct ota_root root = sample_root();
	struct ota_trust trust = { 0 };
	struct ota_keyset *set = &root.roles[OTA_ROLE_ROOT].set;

	set->keys[1] = sample_public(SAMPLE_ROOT_KEY_2);
	set->count = set->threshold = 2;
	cr_expect_eq(anchor(&trust, &root, ROOT_OLD), OTA_E_THRESHOLD);
	cr_expect_eq(anchor(&trust, &root, ROOT_BOTH), OTA_OK);
}

Test(trust, an_anchor_carries_its_own_fleet_id_and_type)
{
	struct ota_root root = sample_root();
	OTA_AUTO(ota_buf_fini) struct ota_buf grant = sample_envelope(OTA_DOC_GRANT);
	struct ota_trust trust = { 0 };

	root.fleet_id[0] ^= 1;
	cr_expect_eq(anchor(&trust, &root, ROOT_OLD), OTA_E_FLEET);
	cr_expect_eq(
		ota_trust_anchor(&trust, ota_buf_bytes(&grant), NULL), OTA_E_DOCTYPE);
}

Test(trust, without_an_anchor_nothing_is_believed)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_RELEASE);
	struct ota_trust trust = { 0 };
	struct ota_release release;

	cr_expect_eq(ota_trust_release(&trust, ota_buf_bytes(&buf), &release, NULL, NULL),
		OTA_E_ROOTCHAIN);
}

/* The chain */

Test(trust, the_next_root_needs_the_keys_of_both)
{
	struct ota_trust trust = sample_trust();
	struct ota_root next = sample_next_root();

	cr_expect_eq(sample_follow(&trust, &next, ROOT_OLD), OTA_E_SIGNATURE);
	cr_expect_eq(sample_follow(&trust, &next, ROOT_NEW), OTA_E_SIGNATURE);
	cr_expect_eq(trust.root.version, 1);
	cr_expect_eq(sample_follow(&trust, &next, ROOT_BOTH), OTA_OK);
	cr_expect_eq(trust.root.version, 2);
}

Test(trust, the_next_root_needs_the_thresholds_of_both)
{
	static const char three[] = { SAMPLE_ROOT_KEY, SAMPLE_ROOT_KEY_2,
		SAMPLE_STRANGER_KEY, '\0' };
	struct ota_trust trust = sample_trust();
	struct ota_root next = sample_next_root();
	struct ota_keyset *set = &next.roles[OTA_ROLE_ROOT].set;

	set->keys[1] = sample_public(SAMPLE_STRANGER_KEY);
	set->count = set->threshold = 2;
	cr_expect_eq(sample_follow(&trust, &next, ROOT_BOTH), OTA_E_THRESHOLD);
	cr_expect_eq(sample_follow(&trust, &next, three), OTA_OK);
}

Test(trust, a_root_is_never_skipped_or_gone_back_to)
{
	struct ota_trust trust = sample_trust();
	struct ota_root root = sample_root();

	root.version = 3;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_E_ROOTCHAIN);
	root.version = 2;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_OK);
	root.version = 3;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_OK);
	root.version = 2;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_E_ROOTCHAIN);
	cr_expect_eq(trust.root.version, 3);
}

Test(trust, the_root_already_held_is_welcome_but_not_another_of_its_number)
{
	struct ota_trust trust = sample_trust();
	struct ota_root root = sample_root();

	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_OK);
	root.roles[OTA_ROLE_ONLINE].epoch = 2;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_E_ROOTCHAIN);
	cr_expect_eq(trust.root.roles[OTA_ROLE_ONLINE].epoch, 1);
}

Test(trust, a_chain_never_changes_its_fleet_nor_lowers_an_epoch)
{
	struct ota_trust trust = sample_trust();
	struct ota_root root = sample_root();

	root.version = 2;
	root.fleet[0] = 'x';
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_E_FLEET);
	root = sample_root();
	root.version = 2;
	root.fleet_id[0] ^= 1;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_E_FLEET);
	trust.root.roles[OTA_ROLE_RELEASE].epoch = 2;
	root = sample_root();
	root.version = 2;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_E_ROOTCHAIN);
}

Test(trust, an_expired_root_on_the_way_does_not_break_the_chain)
{
	struct ota_trust trust = sample_trust();
	struct ota_root root = sample_root();

	(void)ota_trust_now(&trust, root.expires_utc_s + 1);
	root.version = 2;
	cr_expect_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_OK);
}

/* Roles */

Test(trust, each_document_is_opened_only_with_the_key_of_its_role)
{
	for (unsigned type = OTA_DOC_ROOT; type < OTA_DOC_REPORT; type++)
		for (char key = SAMPLE_ROOT_KEY; key <= SAMPLE_DEVICE_KEY; key++) {
			OTA_AUTO(ota_buf_fini)
			struct ota_buf buf =
				sample_sign(type, sample_of(type), (char[]){ key, '\0' });
			struct ota_trust trust = sample_trust();
			struct ota_envelope out;
			bool right = key == SAMPLE_ROOT_KEY + (char)ota_doc_role(type);

			cr_expect_eq(ota_trust_open(&trust, type, ota_buf_bytes(&buf),
					     &out, NULL),
				right ? OTA_OK : OTA_E_SIGNATURE, "%s by key %d",
				ota_doc_type_text(type), key);
		}
}

Test(trust, one_type_does_not_pass_for_another)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_ORDER);
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh;
	struct ota_error err = { 0 };

	cr_expect_eq(ota_trust_fresh(&trust, ota_buf_bytes(&buf), &fresh, &err),
		OTA_E_DOCTYPE);
	cr_expect_str_eq(err.text, "order where fresh belongs");
	buf.at[4] = OTA_DOC_FRESH;
	cr_expect_eq(ota_trust_fresh(&trust, ota_buf_bytes(&buf), &fresh, &err),
		OTA_E_SIGNATURE);
}

Test(trust, a_document_of_another_fleet_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_FRESH);
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh;

	trust.root.fleet_id[15] ^= 1;
	cr_expect_eq(
		ota_trust_fresh(&trust, ota_buf_bytes(&buf), &fresh, NULL), OTA_E_FLEET);
}

Test(trust, a_duplicate_key_in_a_signed_payload_is_refused)
{
	OTA_AUTO(ota_buf_fini)
	struct ota_buf buf = sample_seal(
		OTA_DOC_ASSIGN, ota_bytes_of("{\"seq\":1,\"seq\":2}"), ONLINE);
	struct ota_trust trust = sample_trust();
	struct ota_assign assign;
	struct ota_error err = { 0 };

	cr_expect_eq(ota_trust_assign(
			     &trust, ota_buf_bytes(&buf), SAMPLE_DEVICE, &assign, &err),
		OTA_E_DUPKEY);
	cr_expect_str_eq(err.text, "assign: duplicate key 'seq' at byte 10");
}

Test(trust, a_root_that_is_none_is_refused_by_both_doors)
{
	static const char *const none[] = { "{}", "{\"version\":1}", "[]" };
	struct ota_bytes junk = ota_bytes_of("no envelope");
	struct ota_trust fresh = { 0 }, trust = sample_trust();

	cr_expect_eq(ota_trust_anchor(&fresh, junk, NULL), OTA_E_FORMAT);
	cr_expect_eq(ota_trust_root(&trust, junk, NULL), OTA_E_FORMAT);
	for (size_t i = 0; i < COUNT(none); i++) {
		OTA_AUTO(ota_buf_fini)
		struct ota_buf buf =
			sample_seal(OTA_DOC_ROOT, ota_bytes_of(none[i]), ROOT_OLD);

		cr_expect_eq(ota_trust_anchor(&fresh, ota_buf_bytes(&buf), NULL),
			OTA_E_FORMAT, "%s", none[i]);
		cr_expect_eq(ota_trust_root(&trust, ota_buf_bytes(&buf), NULL),
			OTA_E_FORMAT, "%s", none[i]);
	}
	cr_expect_not(fresh.anchored);
	cr_expect_eq(trust.root.version, 1);
}

Test(trust, the_digest_of_a_release_need_not_be_asked_for)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_RELEASE);
	struct ota_trust trust = sample_trust();
	struct ota_release release;

	cr_expect_eq(ota_trust_release(&trust, ota_buf_bytes(&buf), &release, NULL, NULL),
		OTA_OK);
}

/* Sequences */

Test(trust, a_replayed_older_document_is_refused)
{
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh = sample_fresh();
	struct ota_error err = { 0 };

	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK, "the same again");
	fresh.seq--;
	cr_expect_eq(take_fresh(&trust, &fresh, &err), OTA_E_SEQUENCE);
	cr_expect_str_eq(err.text, "sequence 1233 after 1234");
	fresh.seq += 2;
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	cr_expect_eq(trust.fresh.seq, 1235);
}

Test(trust, other_content_under_a_sequence_already_seen_is_refused)
{
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh = sample_fresh();
	struct ota_error err = { 0 };

	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	fresh.order_count = 0;
	cr_expect_eq(take_fresh(&trust, &fresh, &err), OTA_E_SEQUENCE);
	cr_expect_str_eq(err.text, "other content under sequence 1234");
}

Test(trust, a_new_epoch_of_the_role_counts_from_the_beginning)
{
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh = sample_fresh();
	struct ota_root root = sample_root();

	fresh.seq = UINT64_C(9007199254740991); /* fast-forwarded by a thief */
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	fresh.seq = 1;
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_E_SEQUENCE);
	root.version = 2;
	root.roles[OTA_ROLE_ONLINE].epoch = 2;
	cr_assert_eq(sample_follow(&trust, &root, ROOT_OLD), OTA_OK);
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	cr_expect_eq(trust.fresh.epoch, 2);
}

Test(trust, sequences_of_order_assign_and_catalog_count_too)
{
	struct ota_trust trust = sample_trust();
	struct ota_order order = sample_order();
	struct ota_assign assign = sample_assign();
	struct ota_catalog catalog = sample_catalog();

	trust.order = (struct ota_seen){ .epoch = 1, .seq = order.seq + 1 };
	trust.assign = (struct ota_seen){ .epoch = 1, .seq = assign.seq + 1 };
	trust.catalog = (struct ota_seen){ .epoch = 1, .seq = catalog.seq + 1 };
	OTA_AUTO(ota_buf_fini) struct ota_buf a = sample_envelope(OTA_DOC_ORDER);
	OTA_AUTO(ota_buf_fini) struct ota_buf b = sample_envelope(OTA_DOC_ASSIGN);
	OTA_AUTO(ota_buf_fini) struct ota_buf c = sample_envelope(OTA_DOC_CATALOG);

	cr_expect_eq(
		ota_trust_order(&trust, ota_buf_bytes(&a), SAMPLE_COHORT, &order, NULL),
		OTA_E_SEQUENCE);
	cr_expect_eq(
		ota_trust_assign(&trust, ota_buf_bytes(&b), SAMPLE_DEVICE, &assign, NULL),
		OTA_E_SEQUENCE);
	cr_expect_eq(ota_trust_catalog(&trust, ota_buf_bytes(&c), NULL, &catalog, NULL),
		OTA_E_SEQUENCE);
}

/* Time */

Test(trust, trusted_time_rises_and_never_falls)
{
	struct ota_trust trust = { 0 };

	cr_expect_eq(ota_trust_now(&trust, 100), 100);
	cr_expect_eq(ota_trust_now(&trust, 50), 100);
	cr_expect_eq(ota_trust_now(&trust, 101), 101);
}

Test(trust, verified_documents_raise_trusted_time_and_refused_ones_do_not)
{
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh = sample_fresh();
	OTA_AUTO(ota_buf_fini)
	struct ota_buf forged = sample_sign(OTA_DOC_FRESH, &fresh, RELEASE);

	fresh.issued_utc_s += 60;
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	cr_expect_eq(ota_trust_now(&trust, 0), SAMPLE_ISSUED + 60);
	fresh.issued_utc_s += 60;
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_E_SEQUENCE);
	cr_expect_eq(ota_trust_fresh(&trust, ota_buf_bytes(&forged), &fresh, NULL),
		OTA_E_SIGNATURE);
	cr_expect_eq(ota_trust_now(&trust, 0), SAMPLE_ISSUED + 60);
}

Test(trust, what_has_expired_is_refused_at_its_very_second)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf catalog = sample_envelope(OTA_DOC_CATALOG);
	OTA_AUTO(ota_buf_fini) struct ota_buf grant = sample_envelope(OTA_DOC_GRANT);
	struct ota_trust trust = sample_trust();
	struct ota_fresh fresh = sample_fresh();
	struct ota_grant some_grant;
	struct ota_catalog some;

	(void)ota_trust_now(&trust, fresh.expires_utc_s - 1);
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_OK);
	(void)ota_trust_now(&trust, fresh.expires_utc_s);
	cr_expect_eq(take_fresh(&trust, &fresh, NULL), OTA_E_EXPIRED);
	(void)ota_trust_now(&trust, SAMPLE_ISSUED + 1209600);
	cr_expect_eq(ota_trust_grant(&trust, ota_buf_bytes(&grant), &some_grant, NULL),
		OTA_E_EXPIRED);
	cr_expect_eq(
		ota_trust_catalog(&trust, ota_buf_bytes(&catalog), NULL, &some, NULL),
		OTA_OK);
	(void)ota_trust_now(&trust, SAMPLE_EXPIRES);
	cr_expect_eq(
		ota_trust_catalog(&trust, ota_buf_bytes(&catalog), NULL, &some, NULL),
		OTA_E_EXPIRED);
}

Test(trust, a_release_and_an_order_do_not_expire)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf a = sample_envelope(OTA_DOC_RELEASE);
	OTA_AUTO(ota_buf_fini) struct ota_buf b = sample_envelope(OTA_DOC_ORDER);
	struct ota_trust trust = sample_trust();
	struct ota_digest digest, want = sample_order().release;
	struct ota_release release;
	struct ota_order order;

	(void)ota_trust_now(&trust, UINT64_C(9007199254740991));
	cr_expect_eq(
		ota_trust_release(&trust, ota_buf_bytes(&a), &release, &digest, NULL),
		OTA_OK);
	cr_expect(ota_digest_equal(&digest, &want));
	cr_expect_eq(
		ota_trust_order(&trust, ota_buf_bytes(&b), SAMPLE_COHORT, &order, NULL),
		OTA_OK);
	cr_expect_eq(trust.order.seq, order.seq);
}

Test(trust, a_grant_does_not_count_before_it_begins)
{
	struct ota_grant grant = sample_grant();
	struct ota_trust trust = sample_trust();

	grant.not_before_utc_s = SAMPLE_ISSUED + 10;
	OTA_AUTO(ota_buf_fini)
	struct ota_buf buf = sample_sign(OTA_DOC_GRANT, &grant, OPERATOR);

	cr_expect_eq(ota_trust_grant(&trust, ota_buf_bytes(&buf), &grant, NULL),
		OTA_E_NOGRANT);
	(void)ota_trust_now(&trust, SAMPLE_ISSUED + 10);
	cr_expect_eq(ota_trust_grant(&trust, ota_buf_bytes(&buf), &grant, NULL), OTA_OK);
}

/* Whom it is for */

Test(trust, only_the_catalog_that_fresh_names_is_taken)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_CATALOG);
	struct ota_trust trust = sample_trust();
	struct ota_digest want = sample_fresh().catalog, other = sample_digest("other");
	struct ota_catalog catalog;

	cr_expect_eq(
		ota_trust_catalog(&trust, ota_buf_bytes(&buf), &other, &catalog, NULL),
		OTA_E_DIGEST);
	cr_expect_eq(trust.catalog.seq, 0);
	cr_expect_eq(
		ota_trust_catalog(&trust, ota_buf_bytes(&buf), &want, &catalog, NULL),
		OTA_OK);
	cr_expect(ota_digest_equal(&trust.catalog.digest, &want));
}

Test(trust, documents_for_others_are_refused_and_leave_no_trace)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf a = sample_envelope(OTA_DOC_ORDER);
	OTA_AUTO(ota_buf_fini) struct ota_buf b = sample_envelope(OTA_DOC_ASSIGN);
	struct ota_trust trust = sample_trust();
	struct ota_order order;
	struct ota_assign assign;

	cr_expect_eq(ota_trust_order(&trust, ota_buf_bytes(&a), "lab", &order, NULL),
		OTA_E_COHORT);
	cr_expect_eq(ota_trust_assign(&trust, ota_buf_bytes(&b), "gw-2", &assign, NULL),
		OTA_E_DEVICE);
	cr_expect_eq(trust.order.seq, 0);
	cr_expect_eq(trust.assign.seq, 0);
	cr_expect_eq(
		ota_trust_assign(&trust, ota_buf_bytes(&b), SAMPLE_DEVICE, &assign, NULL),
		OTA_OK);
	cr_expect_str_eq(assign.cohort, SAMPLE_COHORT);
}

/* Reports */

Test(trust, a_report_is_signed_by_the_key_of_its_own_device)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_REPORT);
	struct ota_root root = sample_root();
	struct ota_public_key key = sample_public(SAMPLE_DEVICE_KEY);
	struct ota_public_key other = sample_public(SAMPLE_STRANGER_KEY);
	struct ota_bytes in = ota_buf_bytes(&buf);
	struct ota_report report = { .boot = 77 };

	cr_expect_eq(
		ota_report_open(in, root.fleet_id, &other, SAMPLE_DEVICE, &report, NULL),
		OTA_E_SIGNATURE);
	cr_expect_eq(ota_report_open(in, root.fleet_id, &key, "gw-0002", &report, NULL),
		OTA_E_DEVICE);
	root.fleet_id[0] ^= 1;
	cr_expect_eq(
		ota_report_open(in, root.fleet_id, &key, SAMPLE_DEVICE, &report, NULL),
		OTA_E_FLEET);
	cr_expect_eq(report.boot, 77);
	root.fleet_id[0] ^= 1;
	cr_expect_eq(
		ota_report_open(in, root.fleet_id, &key, SAMPLE_DEVICE, &report, NULL),
		OTA_OK);
	cr_expect_eq(report.boot, 9);
}

Test(trust, a_report_passes_only_through_its_own_door)
{
	struct ota_trust trust = sample_trust();
	struct ota_root root = sample_root();
	struct ota_public_key key = sample_public(SAMPLE_DEVICE_KEY);
	struct ota_assign assign = sample_assign();
	OTA_AUTO(ota_buf_fini) struct ota_buf a = sample_envelope(OTA_DOC_REPORT);
	OTA_AUTO(ota_buf_fini)
	struct ota_buf b = sample_sign(OTA_DOC_ASSIGN, &assign, DEVICE);
	struct ota_envelope out;
	struct ota_report report;

	cr_expect_eq(
		ota_trust_open(&trust, OTA_DOC_REPORT, ota_buf_bytes(&a), &out, NULL),
		OTA_E_DOCTYPE);
	cr_expect_eq(ota_report_open(ota_buf_bytes(&b), root.fleet_id, &key,
			     SAMPLE_DEVICE, &report, NULL),
		OTA_E_DOCTYPE);
}

/* Every bit of every sample, through the door that its reader uses. */
static enum ota_code through_the_door(enum ota_doc_type type, struct ota_bytes in)
{
	struct ota_trust trust = sample_trust();
	struct ota_public_key key = sample_public(SAMPLE_DEVICE_KEY);
	struct ota_envelope out;
	struct ota_report report;

	return type == OTA_DOC_REPORT ? ota_report_open(in, trust.root.fleet_id, &key,
						SAMPLE_DEVICE, &report, NULL)
				      : ota_trust_open(&trust, type, in, &out, NULL);
}

Test(trust, one_flipped_bit_in_any_byte_of_any_document_is_refused)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(type);

		cr_assert_eq(through_the_door(type, ota_buf_bytes(&buf)), OTA_OK);
		for (size_t i = 0; i < buf.len; i++) {
			uint8_t bit = (uint8_t)(1u << i % 8);

			buf.at[i] ^= bit;
			cr_expect_neq(through_the_door(type, ota_buf_bytes(&buf)), OTA_OK,
				"%s byte %zu", ota_doc_type_text(type), i);
			buf.at[i] ^= bit;
		}
	}
}

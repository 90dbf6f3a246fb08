#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/samples.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* A case in which the sample device may install, with its documents. */
struct scene {
	struct ota_self self;
	struct ota_case c;
	struct ota_root root;
	struct ota_fresh fresh;
	struct ota_catalog catalog;
	struct ota_release release;
	struct ota_order order;
	struct ota_grant grant;
};

static void set_scene(struct scene *s)
{
	s->root = sample_root();
	s->fresh = sample_fresh();
	s->catalog = sample_catalog();
	s->release = sample_release();
	s->order = sample_order();
	s->grant = sample_grant();
	s->self = (struct ota_self){
		.device = SAMPLE_DEVICE,
		.product = "gateway",
		.hardware = "gw-2",
		.version = "1.3.0",
		.running = sample_digest("image 1.3.0"),
		.floor = 12,
		.counter = 13,
		.local_min = 120,
	};
	s->c = (struct ota_case){
		.trusted_utc_s = SAMPLE_ISSUED,
		.root = &s->root,
		.fresh = &s->fresh,
		.catalog = &s->catalog,
		.release = &s->release,
		.order = &s->order,
		.grant = &s->grant,
		.order_digest = s->fresh.orders[0].order,
		.release_digest = s->order.release,
		.catalog_digest = s->fresh.catalog,
	};
}

static void no_root(struct scene *s)
{
	s->c.root = NULL;
}

static void older_root(struct scene *s)
{
	s->fresh.root = 2;
}

static void root_expired(struct scene *s)
{
	s->root.expires_utc_s = s->c.trusted_utc_s;
}

static void fresh_expired(struct scene *s)
{
	s->fresh.expires_utc_s = s->c.trusted_utc_s;
}

static void no_order(struct scene *s)
{
	s->c.order = NULL;
}

static void no_fresh(struct scene *s)
{
	s->c.fresh = NULL;
}

static void other_order_seq(struct scene *s)
{
	s->fresh.orders[0].seq++;
}

static void other_order_digest(struct scene *s)
{
	s->c.order_digest.at[0] ^= 1;
}

static void cohort_not_listed(struct scene *s)
{
	s->fresh.order_count = 0;
}

static void no_catalog(struct scene *s)
{
	s->c.catalog = NULL;
}

static void other_catalog(struct scene *s)
{
	s->c.catalog_digest.at[0] ^= 1;
}

static void catalog_expired(struct scene *s)
{
	s->catalog.expires_utc_s = s->c.trusted_utc_s;
}

static void revoked(struct scene *s)
{
	s->catalog.revoked[s->catalog.revoked_count++] = s->c.release_digest;
}

static void unlisted(struct scene *s)
{
	s->catalog.releases[0].at[0] ^= 1;
}

static void no_release(struct scene *s)
{
	s->c.release = NULL;
}

static void below_minimum(struct scene *s)
{
	s->catalog.minimum[0].counter = 15;
}

static void other_release(struct scene *s)
{
	s->order.release.at[0] ^= 1;
}

static void other_image(struct scene *s)
{
	s->order.image.at[0] ^= 1;
}

static void other_len(struct scene *s)
{
	s->order.image_len++;
}

static void other_hardware(struct scene *s)
{
	(void)snprintf(s->order.hardware[0], OTA_NAME_CAP, "gw-9");
}

static void less_hardware(struct scene *s)
{
	s->order.hardware_count = 1;
}

static void other_counter(struct scene *s)
{
	s->order.counter++;
}

static void other_product(struct scene *s)
{
	s->self.product = "camera";
}

static void wrong_hardware(struct scene *s)
{
	s->self.hardware = "gw-3";
}

static void below_floor(struct scene *s)
{
	s->self.floor = 15;
}

static void already_current(struct scene *s)
{
	s->self.running = s->release.image;
}

static void needs_another(struct scene *s)
{
	s->self.version = "1.2.0";
}

static void paused(struct scene *s)
{
	s->order.state = OTA_ORDER_PAUSE;
}

static void aborted(struct scene *s)
{
	s->order.state = OTA_ORDER_ABORT;
}

static void reverting(struct scene *s)
{
	s->order.state = OTA_ORDER_REVERT;
}

static void no_grant(struct scene *s)
{
	s->c.grant = NULL;
}

static void grant_for_another(struct scene *s)
{
	s->grant.release.at[0] ^= 1;
}

static void grant_expired(struct scene *s)
{
	s->grant.expires_utc_s = s->c.trusted_utc_s;
}

static void grant_not_begun(struct scene *s)
{
	s->grant.not_before_utc_s = s->c.trusted_utc_s + 1;
}

static void beyond_share(struct scene *s)
{
	s->grant.max_permille = 100;
}

static void foreign_canary(struct scene *s)
{
	(void)snprintf(s->order.canaries[0], OTA_NAME_CAP, "gw-0008");
}

static void not_in_bucket(struct scene *s)
{
	s->order.permille = 161;
}

static void no_patch(struct scene *s)
{
	s->order.patch_count = 1;
	s->self.running = sample_digest("image 1.2.9");
}

static void window_closed(struct scene *s)
{
	s->self.local_min = 59;
}

/* In the documented order. */
static const struct {
	void (*spoil)(struct scene *s);
	enum ota_code code;
	const char *text;
} rows[] = {
	/* clang-format off */
	{ no_root, OTA_E_ROOTCHAIN, "no root is held" },
	{ older_root, OTA_E_ROOTCHAIN, "root 1 is held, 2 in force" },
	{ root_expired, OTA_E_EXPIRED, "root expired at 1760000000" },
	{ fresh_expired, OTA_E_EXPIRED, "fresh expired at 1760000000" },
	{ no_order, OTA_E_NOROLLOUT, "no order is there" },
	{ no_fresh, OTA_E_SEQUENCE, "no fresh is there" },
	{ other_order_seq, OTA_E_SEQUENCE, "order 21 is not the one that fresh lists" },
	{ other_order_digest, OTA_E_SEQUENCE, "order 21 is not the one that fresh lists" },
	{ cohort_not_listed, OTA_E_SEQUENCE, "order 21 is not the one that fresh lists" },
	{ no_catalog, OTA_E_UNLISTED, "no catalog is there" },
	{ other_catalog, OTA_E_UNLISTED, "fresh names another catalog" },
	{ catalog_expired, OTA_E_EXPIRED, "catalog expired at 1760000000" },
	{ revoked, OTA_E_UNLISTED, "release is revoked" },
	{ unlisted, OTA_E_UNLISTED, "release is not in the catalog" },
	{ no_release, OTA_E_NOTFOUND, "the release is not there yet" },
	{ below_minimum, OTA_E_UNLISTED, "counter 14 is below the catalog's minimum 15" },
	{ other_release, OTA_E_AGREEMENT, "order and release differ in release" },
	{ other_image, OTA_E_AGREEMENT, "order and release differ in image" },
	{ other_len, OTA_E_AGREEMENT, "order and release differ in image_len" },
	{ other_hardware, OTA_E_AGREEMENT, "order and release differ in hardware" },
	{ less_hardware, OTA_E_AGREEMENT, "order and release differ in hardware" },
	{ other_counter, OTA_E_AGREEMENT, "order and release differ in counter" },
	{ other_product, OTA_E_PRODUCT, "release is for gateway, device is a camera" },
	{ wrong_hardware, OTA_E_HARDWARE, "release 1.4.0 is not for hardware 'gw-3'" },
	{ below_floor, OTA_E_FLOOR, "counter 14 is below the floor 15" },
	{ already_current, OTA_E_CURRENT, "device runs 1.4.0" },
	{ needs_another, OTA_E_PRECURSOR,
	  "release needs another version first, device runs '1.2.0'" },
	{ paused, OTA_E_PAUSED, "the order says pause" },
	{ aborted, OTA_E_ABORTED, "the order says abort" },
	{ reverting, OTA_E_ABORTED, "the order says revert" },
	{ no_grant, OTA_E_NOGRANT, "no grant for release 1.4.0" },
	{ grant_for_another, OTA_E_NOGRANT, "no grant for release 1.4.0" },
	{ grant_expired, OTA_E_EXPIRED, "grant expired at 1760000000" },
	{ grant_not_begun, OTA_E_NOGRANT, "grant begins at 1760000001" },
	{ beyond_share, OTA_E_SHARE, "order opens 1000 permille, the grant 100" },
	{ foreign_canary, OTA_E_SHARE, "canary 'gw-0008' is not in the grant" },
	{ not_in_bucket, OTA_E_BUCKET, "bucket 161, released are those below 161" },
	{ no_patch, OTA_E_PRECURSOR, "none of 1 patches applies to the running image" },
	{ window_closed, OTA_E_WINDOW, "window opens at 01:00 local time" },
	/* clang-format on */
};

Test(admit, a_device_for_which_all_holds_is_admitted_with_the_delta)
{
	static struct scene s;
	struct ota_patch_ref patch = { 0 };
	struct ota_digest want = sample_digest("patch");
	struct ota_error err = { 0 };

	set_scene(&s);
	cr_expect_eq(ota_admit(&s.self, &s.c, &patch, &err), OTA_OK, "%s", err.text);
	cr_expect(ota_digest_equal(&patch.patch, &want));
	cr_expect_eq(ota_admit(&s.self, &s.c, NULL, NULL), OTA_OK);
}

Test(admit, each_reason_has_its_own_code_and_sentence)
{
	static struct scene s;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ota_patch_ref patch = { 0 };
		struct ota_error err = { 0 };

		set_scene(&s);
		rows[i].spoil(&s);
		cr_expect_eq(ota_admit(&s.self, &s.c, &patch, &err), rows[i].code,
			"row %zu: %s", i, err.text);
		cr_expect_str_eq(err.text, rows[i].text, "row %zu: %s", i, err.text);
		cr_expect(ota_digest_is_zero(&patch.patch), "touched on failure");
	}
}

/* A fault of a document ends where the document is missing. */
static bool is_cured(size_t i, size_t later)
{
	return rows[later].spoil == no_fresh &&
	       (rows[i].spoil == older_root || rows[i].spoil == fresh_expired);
}

Test(admit, of_two_reasons_the_earlier_one_is_given)
{
	static struct scene s;

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t later = i + 1; later < COUNT(rows); later++) {
			enum ota_code rc;

			if (is_cured(i, later))
				continue;
			set_scene(&s);
			rows[later].spoil(&s);
			rows[i].spoil(&s);
			rc = ota_admit(&s.self, &s.c, NULL, NULL);
			cr_expect_eq(rc, rows[i].code, "rows %zu and %zu: %s", i, later,
				ota_code_name(rc));
		}
}

Test(admit, a_named_canary_goes_before_its_bucket)
{
	static struct scene s;

	set_scene(&s);
	s.order.permille = 0;
	s.self.device = "gw-0007";
	cr_expect_eq(ota_admit(&s.self, &s.c, NULL, NULL), OTA_OK);
	s.order.canary_count = 0;
	cr_expect_eq(ota_admit(&s.self, &s.c, NULL, NULL), OTA_E_BUCKET);
}

Test(admit, a_bucket_is_open_one_permille_above_it)
{
	static struct scene s;

	set_scene(&s);
	s.order.permille = 162;
	cr_expect_eq(ota_admit(&s.self, &s.c, NULL, NULL), OTA_OK);
}

Test(admit, an_unknown_image_gets_the_full_patch)
{
	static struct scene s;
	struct ota_digest want = sample_digest("full image");
	struct ota_patch_ref patch = { 0 };

	set_scene(&s);
	s.self.running = sample_digest("something else");
	cr_assert_eq(ota_admit(&s.self, &s.c, &patch, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&patch.patch, &want));
	s.self.running = (struct ota_digest){ { 0 } };
	cr_assert_eq(ota_admit(&s.self, &s.c, &patch, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&patch.patch, &want));
}

Test(admit, hardware_may_be_listed_in_any_order_and_a_newer_root_is_no_harm)
{
	static struct scene s;

	set_scene(&s);
	(void)snprintf(s.order.hardware[0], OTA_NAME_CAP, "gw-2");
	(void)snprintf(s.order.hardware[1], OTA_NAME_CAP, "gw-1");
	s.root.version = 2;
	cr_expect_eq(ota_admit(&s.self, &s.c, NULL, NULL), OTA_OK);
}

Test(bucket, it_is_blake2b_of_salt_and_name)
{
	struct ota_grant grant = sample_grant();

	/* computed with another implementation of BLAKE2b */
	cr_expect_eq(ota_bucket(grant.salt, "gw-0001"), 161);
	cr_expect_eq(ota_bucket(grant.salt, "gw-0002"), 799);
	cr_expect_eq(ota_bucket(grant.salt, "gw-0007"), 28);
}

Test(bucket, devices_spread_evenly_and_another_salt_deals_anew)
{
	uint8_t one[OTA_SALT_LEN] = { 1 }, two[OTA_SALT_LEN] = { 2 };
	unsigned tenths[10] = { 0 }, same = 0;

	for (int i = 0; i < 20000; i++) {
		char name[OTA_NAME_CAP];
		uint32_t bucket;

		(void)snprintf(name, sizeof name, "gw-%05d", i);
		bucket = ota_bucket(one, name);
		cr_assert_lt(bucket, 1000);
		tenths[bucket / 100]++;
		same += bucket == ota_bucket(two, name);
	}
	for (size_t i = 0; i < 10; i++) /* 2000 expected, sigma 42 */
		cr_expect(tenths[i] > 1790 && tenths[i] < 2210, "%u", tenths[i]);
	cr_expect_lt(same, 60); /* 20 expected */
}

Test(window, it_opens_and_closes_on_the_minute)
{
	static const struct {
		uint32_t from, to, minute;
		bool open;
	} windows[] = {
		{ 60, 300, 59, false },
		{ 60, 300, 60, true },
		{ 60, 300, 299, true },
		{ 60, 300, 300, false },
		{ 1380, 120, 1379, false },
		{ 1380, 120, 1380, true },
		{ 1380, 120, 1439, true },
		{ 1380, 120, 0, true },
		{ 1380, 120, 119, true },
		{ 1380, 120, 120, false },
		{ 0, 0, 0, true },
		{ 700, 700, 3, true },
		{ 0, 1439, 1439, false },
	};

	for (size_t i = 0; i < COUNT(windows); i++) {
		struct ota_window window = { windows[i].from, windows[i].to };

		cr_expect_eq(ota_window_is_open(&window, windows[i].minute),
			windows[i].open, "row %zu", i);
	}
}

Test(canary, only_those_named_are_canaries)
{
	static const char names[2][OTA_NAME_CAP] = { "gw-1", "gw-2" };

	cr_expect(ota_is_canary(names, 2, "gw-2"));
	cr_expect_not(ota_is_canary(names, 1, "gw-2"));
	cr_expect_not(ota_is_canary(names, 2, "gw-20"));
	cr_expect_not(ota_is_canary(names, 0, "gw-1"));
}

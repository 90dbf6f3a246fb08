#include "proto/delta/predict/align.h"

#include <criterion/criterion.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/unit/run_kit.h"

/* Code with some words changed. */
static struct ota_buf content(size_t len, unsigned edits, uint64_t seed)
{
	struct kit_pair pair = { 0 };

	kit_mutated(&pair, len, edits + 1, seed);
	ota_buf_fini(edits > 0 ? &pair.from : &pair.to);
	return edits > 0 ? pair.to : pair.from;
}

static struct ota_candidate candidate(const char *path, struct ota_buf bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf owned = bytes;

	return (struct ota_candidate){ .path = path,
		.len = owned.len,
		.sketch = ota_sketch_of(ota_buf_bytes(&owned)) };
}

Test(sketch, equal_content_is_alike_in_all)
{
	struct ota_candidate a = candidate("", content(5000, 0, 1)),
			     b = candidate("", content(5000, 0, 1)),
			     c = candidate("", content(5, 0, 1)),
			     d = candidate("", content(5, 0, 1));

	cr_assert_eq(a.sketch.digest, b.sketch.digest);
	cr_assert_eq(ota_sketch_likeness(&a.sketch, &b.sketch), 16);
	cr_assert_eq(ota_sketch_likeness(&c.sketch, &d.sketch), 16);
	cr_assert_eq(ota_sketch_likeness(&a.sketch, &c.sketch), 0);
}

Test(sketch, edited_content_is_alike_and_other_content_is_not)
{
	struct ota_candidate a = candidate("", content(50000, 0, 1)),
			     b = candidate("", content(50000, 20, 1)),
			     c = candidate("", content(50000, 0, 2));

	cr_assert_neq(a.sketch.digest, b.sketch.digest);
	cr_expect_geq(ota_sketch_likeness(&a.sketch, &b.sketch), 12);
	cr_expect_leq(ota_sketch_likeness(&a.sketch, &c.sketch), 1);
}

Test(sketch, one_byte_changes_the_digest)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = content(61, 0, 1);
	uint64_t digest = ota_sketch_of(ota_buf_bytes(&bytes)).digest;

	for (size_t i = 0; i < bytes.len; i++) {
		bytes.at[i] ^= 1;
		cr_expect_neq(ota_sketch_of(ota_buf_bytes(&bytes)).digest, digest);
		bytes.at[i] ^= 1;
	}
}

/* New paths, and the old ones they come from. */
static const struct {
	const char *to, *from;
} same[] = {
	{ "usr/bin/git", "usr/bin/git" },
	{ "usr/lib/x86_64-linux-gnu/libicudata.so.76.1",
		"usr/lib/x86_64-linux-gnu/libicudata.so.72.1" },
	{ "lib/modules/6.1.0-12-arm64/kernel/net/ipv4/ip_gre.ko",
		"lib/modules/6.1.0-9-arm64/kernel/net/ipv4/ip_gre.ko" },
	{ "usr/lib/python3.12/__pycache__/ast.cpython-312.pyc",
		"usr/lib/python3.11/__pycache__/ast.cpython-311.pyc" },
	{ "usr/lib/libcrypto.so.1.1.1w", "usr/lib/libcrypto.so.1.1.1n" },
	{ "usr/lib/libz.so.1.3", "lib/libz.so.1.2.13" },
	{ "usr/lib/libfoo.so.2", "usr/lib/libfoo-1.2.so" },
	{ "usr/sbin/zebra", NULL },
};

enum { SAME = sizeof same / sizeof same[0] };

Test(partners, names_tell_who_comes_from_whom)
{
	struct ota_candidate from[SAME + 1], to[SAME];
	int32_t partner[SAME];

	from[SAME] = candidate("usr/lib/libcrypto.a", content(3400, 0, 40));
	for (unsigned i = 0; i < SAME; i++) {
		from[i] = candidate(same[i].from == NULL ? "x/other" : same[i].from,
			content(4000 + 100 * i, 0, i));
		to[i] = candidate(same[i].to, content(3000 + 100 * i, 0, 50 + i));
	}
	cr_assert_eq(ota_partners(from, SAME + 1, to, SAME, partner), OTA_OK);
	for (int32_t i = 0; i < SAME; i++)
		cr_expect_eq(partner[i], same[i].from == NULL ? OTA_NO_PARTNER : i, "%s",
			same[i].to);
}

Test(partners, a_build_id_is_better_than_a_name_without_versions)
{
	struct ota_candidate from[] = { candidate("lib/a.so.1", content(100, 0, 1)),
		candidate("lib/b.so", content(100, 0, 2)) };
	struct ota_candidate to[] = { candidate("lib/a.so.2", content(100, 0, 3)) };
	int32_t partner = 7;

	from[1].build_id_len = to[0].build_id_len = 10;
	memset(from[1].build_id, 7, 10);
	memset(to[0].build_id, 7, 10);
	cr_assert_eq(ota_partners(from, 2, to, 1, &partner), OTA_OK);
	cr_assert_eq(partner, 1);
}

Test(partners, content_tells_where_names_do_not)
{
	struct ota_candidate from[5], to[4];
	int32_t partner[4];

	for (unsigned i = 0; i < 5; i++)
		from[i] = candidate("", content(20000, 0, i));
	for (unsigned i = 0; i < 3; i++)
		to[i] = candidate("", content(20000, 10, 3 - i));
	to[3] = candidate("", content(20000, 0, 9));
	cr_assert_eq(ota_partners(from, 5, to, 4, partner), OTA_OK);
	for (int32_t i = 0; i < 3; i++)
		cr_expect_eq(partner[i], 3 - i);
	cr_expect_eq(partner[3], OTA_NO_PARTNER);
}

Test(partners, of_several_the_most_alike_serves)
{
	struct ota_candidate from[] = {
		candidate("m/6.1.0-8/x.ko", content(20000, 0, 1)),
		candidate("m/6.1.0-9/x.ko", content(20000, 0, 2)),
		candidate("m/6.1.0-7/x.ko", content(20000, 0, 3)),
	};
	struct ota_candidate to[] = { candidate("m/6.1.0-12/x.ko", content(20000, 9, 2)),
		candidate("m/6.1.0-13/x.ko", content(20000, 8, 2)) };
	int32_t partner[2];

	cr_assert_eq(ota_partners(from, 3, to, 2, partner), OTA_OK);
	cr_expect_eq(partner[0], 1);
	cr_expect_eq(partner[1], 1);
}

Test(partners, nobody_has_no_partner)
{
	struct ota_candidate to = candidate("a", content(100, 0, 1));
	int32_t partner = 7;

	cr_assert_eq(ota_partners(NULL, 0, &to, 1, &partner), OTA_OK);
	cr_assert_eq(partner, OTA_NO_PARTNER);
	cr_assert_eq(ota_partners(&to, 1, NULL, 0, NULL), OTA_OK);
}

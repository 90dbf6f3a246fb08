#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/ref_kit.h"

enum {
	ROUNDS = 20000, /* random fields for each form */
	PAGES = 24,     /* hostile pages for each kind */
	WINDOW = OTA_REF_MARGIN + OTA_REF_PAGE + OTA_REF_MARGIN,
};

/* A field and a place for it, anywhere an object may be. */
struct trial {
	uint8_t field[OTA_REF_FIELD_MAX];
	struct ota_spot spot;
	int64_t like;
};

static struct trial trial_of(uint64_t *seed)
{
	struct trial trial;
	uint64_t words[OTA_REF_FIELD_MAX / 8];

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		words[i] = kit_random(seed);
	memcpy(trial.field, words, sizeof words);
	trial.spot.address = (int64_t)(kit_random(seed) >> 38) * 4;
	trial.spot.base = (int64_t)(kit_random(seed) >> 38);
	trial.like = (int64_t)(kit_random(seed) >> 38);
	return trial;
}

Test(ref, a_field_written_with_what_it_says_stays_the_same)
{
	uint64_t seed = 1;

	for (unsigned n = 0; n <= UINT8_MAX; n++) {
		const struct ota_ref_form *form = ota_ref_form((uint8_t)n);

		for (int i = 0; form != NULL && i < ROUNDS; i++) {
			struct trial t = trial_of(&seed), was = t;
			int64_t target = form->read(t.field, &t.spot, t.like);

			cr_assert(
				form->write(t.field, &t.spot, target), "%s", form->name);
			cr_assert_arr_eq(
				t.field, was.field, sizeof t.field, "%s", form->name);
		}
	}
}

Test(ref, what_a_form_has_written_it_reads)
{
	uint64_t seed = 2;

	for (unsigned n = 0; n <= UINT8_MAX; n++) {
		const struct ota_ref_form *form = ota_ref_form((uint8_t)n);
		int written = 0;

		for (int i = 0; form != NULL && i < ROUNDS; i++) {
			struct trial t = trial_of(&seed), was = t;
			struct trial other = trial_of(&seed);
			int64_t target = t.spot.address + t.like % 0x1000;

			if (form->scope != OTA_SCOPE_OBJECT || i % 2 != 0)
				target = form->read(other.field, &t.spot, t.like);
			if (form->write(t.field, &t.spot, target)) {
				written++;
				target -= form->read(t.field, &t.spot, target);
				cr_assert_eq(target, 0, "%s", form->name);
			} else {
				cr_assert_arr_eq(t.field, was.field, sizeof t.field);
			}
		}
		cr_expect(form == NULL || written > 0, "%s", form->name);
	}
}

Test(ref, a_mask_has_the_bits_that_writing_changes)
{
	uint64_t seed = 3;

	for (unsigned n = 0; n <= UINT8_MAX; n++) {
		const struct ota_ref_form *form = ota_ref_form((uint8_t)n);
		uint8_t changed[OTA_REF_FIELD_MAX] = { 0 };

		for (int i = 0; form != NULL && i < ROUNDS; i++) {
			struct trial t = trial_of(&seed), other = trial_of(&seed);
			uint8_t was[OTA_REF_FIELD_MAX];

			memcpy(was, t.field, sizeof was);
			(void)form->write(t.field, &other.spot,
				form->read(other.field, &other.spot, other.like));
			for (size_t k = 0; k < sizeof was; k++)
				changed[k] |= (uint8_t)(was[k] ^ t.field[k]);
		}
		if (form != NULL)
			cr_expect_arr_eq(
				changed, form->mask, sizeof changed, "%s", form->name);
	}
}

Test(ref, a_number_without_a_kind_has_none)
{
	cr_expect_null(ota_ref_kind(OTA_REGION_KIND_COUNT));
	cr_expect_null(ota_ref_kind(UINT8_MAX));
	cr_expect_str_eq(ota_ref_kind_text(UINT8_MAX), "unknown");
	cr_expect_str_eq(ota_ref_kind_text(OTA_REGION_A64), "aarch64 code");
	cr_expect_null(ota_ref_kind(OTA_REGION_PLAIN)->scan);
	cr_expect_null(ota_ref_form(UINT8_MAX));
}

/* Bytes that scans may stumble over: noise, the same byte throughout, or a beginning of
 * an executable in small words. */
static void hostile(uint8_t *out, size_t len, unsigned round, uint64_t *seed)
{
	static const uint8_t fills[] = { 0x00, 0xff, 0x90, 0xe8, 0x0f, 0x66, 0x62, 0x48 };
	static const char elf[] = "\177ELF\2\1\1";

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)kit_random(seed);
	if (round < sizeof fills)
		memset(out, fills[round], len);
	for (size_t i = 0; round % 3 == 2 && i + 4 <= len; i += 4)
		out[i + 2] = out[i + 3] = 0;
	for (size_t i = 0; round % 4 == 3 && i + sizeof elf <= len; i += 512)
		memcpy(out + i, elf, sizeof elf);
}

/* A page in the middle of a window, with as much around it as the kind wants. */
static struct ota_scan middle(const uint8_t *window, const struct ota_ref_kind *kind)
{
	return (struct ota_scan){ .at = window + OTA_REF_MARGIN,
		.before = kind->before,
		.len = OTA_REF_PAGE,
		.after = kind->after,
		.offset = 8 * OTA_REF_PAGE,
		.address = 0x2000,
		.base = 0x800,
		.bounds = kit_bounds };
}

Test(ref, no_page_makes_a_scan_leave_it)
{
	uint8_t *window = malloc(WINDOW);
	struct ota_refs *refs = malloc(sizeof *refs);
	uint64_t seed = 4;

	for (unsigned n = 0; n < PAGES * OTA_REGION_KIND_COUNT; n++) {
		const struct ota_ref_kind *kind = ota_ref_kind((uint8_t)(n / PAGES));
		struct ota_scan scan = middle(window, kind);

		if (kind->scan == NULL)
			continue;
		hostile(window, WINDOW, n % PAGES, &seed);
		if (n % 5 == 0)
			scan.before = scan.after = 0;
		if (n % 7 == 0)
			scan.len = (uint32_t)kit_random(&seed) % OTA_REF_PAGE;
		if (n % 11 == 0)
			scan.address = INT64_MAX - 100 + n % 4;
		refs->count = 0;
		kind->scan(&scan, refs);
		cr_expect_null(kit_refs_breach(&scan, refs), "%s, page %u: %s",
			ota_ref_kind_text((uint8_t)(n / PAGES)), n % PAGES,
			kit_refs_breach(&scan, refs));
	}
	free(refs);
	free(window);
}

/* Field by field: what lies between fields is anything. */
static bool have_same(const struct ota_refs *a, const struct ota_refs *b)
{
	for (uint32_t i = 0; i < a->count && i < b->count; i++)
		if (a->at[i].at != b->at[i].at || a->at[i].form != b->at[i].form ||
			a->at[i].target != b->at[i].target ||
			a->at[i].base != b->at[i].base)
			return false;
	return a->count == b->count;
}

Test(ref, what_is_beyond_the_margins_does_not_matter)
{
	uint8_t *window = malloc(WINDOW);
	struct ota_refs *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
	uint64_t seed = 5;

	for (unsigned n = 0; n < PAGES * OTA_REGION_KIND_COUNT; n++) {
		const struct ota_ref_kind *kind = ota_ref_kind((uint8_t)(n / PAGES));
		struct ota_scan scan = middle(window, kind);
		const uint8_t *end = scan.at + scan.len + scan.after;

		if (kind->scan == NULL)
			continue;
		hostile(window, WINDOW, n % PAGES, &seed);
		a->count = b->count = 0;
		kind->scan(&scan, a);
		memset(window, 0x5a, (size_t)(scan.at - scan.before - window));
		memset(window + (end - window), 0xa5, (size_t)(window + WINDOW - end));
		kind->scan(&scan, b);
		cr_expect_eq(a->count, b->count);
		cr_expect(have_same(a, b));
	}
	free(b);
	free(a);
	free(window);
}

Test(ref, masked_bytes_do_not_depend_on_the_address)
{
	/* bl 0x1008; adrp and ldr for 0x5238 */
	uint8_t here[] = { 0x02, 0, 0, 0x94, 0x20, 0, 0, 0x90, 0x01, 0x1c, 0x41, 0xf9 };
	uint8_t there[] = { 0x80, 0, 0, 0x97, 0x40, 0, 0, 0xf0, 0x01, 0x20, 0x41, 0xf9 };
	struct ota_refs refs = { 3,
		{ { 0, 16, 0, 0 }, { 4, 20, 0, 0 }, { 8, 24, 0, 0 } } };

	ota_refs_mask(&refs, here);
	ota_refs_mask(&refs, there);
	cr_expect_arr_eq(here, there, sizeof here);
	cr_expect_eq(here[3] & 0xfc, 0x94);
	cr_expect_eq(here[8], 0x01);
}

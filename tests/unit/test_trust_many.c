#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/seeds.h"
#include "tests/unit/samples.h"

/* Names and roots in great number; what each single rule is is in test_trust.c. */

static const char ROOT_OLD[] = { SAMPLE_ROOT_KEY, '\0' };
static const char ROOT_NEW[] = { SAMPLE_ROOT_KEY_2, '\0' };
static const char ROOT_BOTH[] = { SAMPLE_ROOT_KEY, SAMPLE_ROOT_KEY_2, '\0' };

/* A device that was off for years: so many roots, each of its own life, some of them long
 * expired, some with other keys, follow one another; the last one counts. */
Test(trust_many, a_chain_of_any_roots_is_followed_to_its_end)
{
	static const char *const keys[] = { ROOT_OLD, ROOT_NEW };
	struct seeds seeds = seeds_of(20, 500);

	while (seeds_next(&seeds)) {
		const struct ota_root both[] = { sample_root(), sample_next_root() };
		struct ota_trust trust = sample_trust();
		uint64_t count = 1 + seeds_below(&seeds, 12), had = 0;

		(void)ota_trust_now(&trust, both[0].expires_utc_s * 3);
		for (uint64_t i = 0; i < count; i++) {
			uint64_t now = seeds_below(&seeds, 2);
			struct ota_root root = both[now];

			root.version = 2 + i;
			root.expires_utc_s -= seeds_below(&seeds, 1000);
			cr_expect_eq(sample_follow(&trust, &root,
					     now == had ? keys[now] : ROOT_BOTH),
				OTA_OK, "%s: root %" PRIu64, seeds_text(&seeds),
				root.version);
			had = now;
		}
		cr_expect_eq(trust.root.version, 1 + count, "%s", seeds_text(&seeds));
	}
}

/* Whatever letter of the name is another one, and whatever is missing or too much. */
Test(trust_many, an_assign_is_for_no_name_but_its_own)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = sample_envelope(OTA_DOC_ASSIGN);
	struct ota_assign assign = { .seq = 77 };
	size_t len = strlen(SAMPLE_DEVICE);
	unsigned refused = 0;

	for (size_t i = 0; i <= len; i++)
		for (const char *letter = letters; *letter != '\0'; letter++) {
			char name[OTA_NAME_CAP] = SAMPLE_DEVICE;
			struct ota_trust trust = sample_trust();

			if (name[i] == *letter)
				continue;
			name[i] = *letter;
			cr_expect_eq(ota_trust_assign(&trust, ota_buf_bytes(&buf), name,
					     &assign, NULL),
				OTA_E_DEVICE, "%s", name);
			cr_expect_eq(trust.assign.seq, 0);
			refused++;
		}
	cr_expect_geq(refused, len * (sizeof letters - 2));
	cr_expect_eq(assign.seq, 77, "out is written on success only");
}

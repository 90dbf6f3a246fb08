#include "proto/delta/predict/judge.h"

#include <string.h>

/* Is the field the same but for the address in it? */
static bool is_alike(const struct ota_ref_form *form, const uint8_t *a, const uint8_t *b)
{
	uint8_t other = 0;

	for (uint8_t i = 0; i < form->len; i++)
		other |= (uint8_t)((a[i] ^ b[i]) & ~form->mask[i]);
	return other == 0;
}

/* The field as it would be with that target. */
static void write_as(const struct ota_guess *guess, int64_t target, uint8_t *field)
{
	memcpy(field, guess->field, guess->form->len);
	(void)guess->form->write(field, &guess->spot, target);
}

enum ota_code ota_judge_fix(void *ctx, struct ota_guess *guess, struct ota_error *err)
{
	struct ota_judge *judge = ctx;
	const struct ota_ref_form *form = guess->form;
	const struct ota_guess asked = *guess;
	const uint8_t *want = judge->to.at + guess->to;
	uint8_t field[OTA_REF_FIELD_MAX];
	enum ota_code rc;

	write_as(guess, guess->target, field);
	if (memcmp(field, want, form->len) == 0) {
		/* right as it is */
	} else if (memcmp(guess->field, want, form->len) == 0) {
		guess->plain = true;
	} else if (is_alike(form, guess->field, want)) {
		int64_t target = form->read(want, &guess->spot, guess->target);

		write_as(guess, target, field);
		if (memcmp(field, want, form->len) == 0)
			guess->target = target;
	}
	rc = ota_segment_out_guess(&judge->segment, &asked, guess);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "no memory for a segment");
}

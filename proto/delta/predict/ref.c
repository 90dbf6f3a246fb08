#include "proto/delta/predict/ref.h"

#include "proto/delta/predict/ref_machine.h"

static const struct ota_ref_kind plain = { 0 };

/* A machine is a row here for each of its kinds .. */
static const struct ota_ref_kind *const kinds[OTA_REGION_KIND_COUNT] = {
	[OTA_REGION_PLAIN] = &plain,
	[OTA_REGION_A64] = &ota_kind_a64,
};

/* .. and one here for its forms. */
static const struct ota_ref_form *const families[] = {
	[OTA_FORMS_WORD / OTA_FAMILY_FORMS] = ota_forms_word,
	[OTA_FORMS_A64 / OTA_FAMILY_FORMS] = ota_forms_a64,
};

static const char *const texts[OTA_REGION_KIND_COUNT] = {
#define KIND_TEXT(name, number, text) [number] = (text),
	OTA_REGION_KINDS(KIND_TEXT)
#undef KIND_TEXT
};

const struct ota_ref_kind *ota_ref_kind(uint8_t number)
{
	if (number >= OTA_REGION_KIND_COUNT)
		return NULL;
	return kinds[number] != NULL ? kinds[number] : &plain;
}

const char *ota_ref_kind_text(uint8_t number)
{
	return number < OTA_REGION_KIND_COUNT ? texts[number] : "unknown";
}

const struct ota_ref_form *ota_ref_form(uint8_t number)
{
	unsigned family = number / OTA_FAMILY_FORMS;
	const struct ota_ref_form *form;

	if (family >= sizeof(families) / sizeof(families)[0])
		return NULL;
	form = &families[family][number % OTA_FAMILY_FORMS];
	return form->len != 0 ? form : NULL;
}

/* One behind the last byte of the last reference. */
static uint32_t refs_end(const struct ota_refs *refs)
{
	const struct ota_ref *last;

	if (refs->count == 0)
		return 0;
	last = &refs->at[refs->count - 1];
	return last->at + ota_ref_form(last->form)->len;
}

bool ota_refs_add(
	struct ota_refs *refs, const struct ota_scan *scan, const struct ota_ref *ref)
{
	if (refs->count == OTA_REF_PAGE_MAX || ref->at >= scan->len)
		return false;
	if (ref->at < refs_end(refs))
		return false;
	if (ota_ref_form(ref->form)->len > scan->len - ref->at + scan->after)
		return false;
	refs->at[refs->count++] = *ref;
	return true;
}

void ota_refs_mask(const struct ota_refs *refs, uint8_t *out)
{
	for (uint32_t i = 0; i < refs->count; i++) {
		const struct ota_ref *ref = &refs->at[i];
		const struct ota_ref_form *form = ota_ref_form(ref->form);

		for (uint32_t k = 0; k < form->len; k++)
			out[ref->at + k] &= (uint8_t)~form->mask[k];
	}
}

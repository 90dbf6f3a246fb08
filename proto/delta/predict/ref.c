#include "proto/delta/predict/ref.h"

#include "proto/delta/predict/ref_machine.h"

static const struct ota_ref_kind plain = { 0 };

/* A machine is a row here for each of its kinds .. */
static const struct ota_ref_kind *const kinds[OTA_REGION_KIND_COUNT] = {
	[OTA_REGION_PLAIN] = &plain,
	[OTA_REGION_A64] = &ota_kind_a64,
	[OTA_REGION_X64] = &ota_kind_x64,
	[OTA_REGION_X86] = &ota_kind_x86,
	[OTA_REGION_T32] = &ota_kind_t32,
	[OTA_REGION_A32] = &ota_kind_a32,
	[OTA_REGION_ARM_PLT] = &ota_kind_arm_plt,
	[OTA_REGION_RELA64] = &ota_kind_rela64,
	[OTA_REGION_RELA32] = &ota_kind_rela32,
	[OTA_REGION_REL32] = &ota_kind_rel32,
	[OTA_REGION_SYM64] = &ota_kind_sym64,
	[OTA_REGION_SYM32] = &ota_kind_sym32,
	[OTA_REGION_PTR64] = &ota_kind_ptr64,
	[OTA_REGION_PTR32] = &ota_kind_ptr32,
	[OTA_REGION_EH_FRAME] = &ota_kind_eh_frame,
	[OTA_REGION_EH_HDR] = &ota_kind_eh_hdr,
	[OTA_REGION_JUMP32] = &ota_kind_jump32,
	[OTA_REGION_KERNEL64] = &ota_kind_kernel64,
	[OTA_REGION_ABS32] = &ota_kind_abs32,
	[OTA_REGION_EXIDX] = &ota_kind_exidx,
	[OTA_REGION_INDEX64] = &ota_kind_index64,
	[OTA_REGION_REL_RELA64] = &ota_kind_rel_rela64,
	[OTA_REGION_REL_SYM64] = &ota_kind_rel_sym64,
	[OTA_REGION_GO_RECORDS] = &ota_kind_go_records,
	[OTA_REGION_GO_TABLE] = &ota_kind_go_table,
	[OTA_REGION_GO_LINKS] = &ota_kind_go_links,
};

/* .. and one here for its forms. */
const struct ota_ref_form *const ota_ref_families[(UINT8_MAX + 1) / OTA_FAMILY_FORMS] = {
	[OTA_FORMS_WORD / OTA_FAMILY_FORMS] = ota_forms_word,
	[OTA_FORMS_A64 / OTA_FAMILY_FORMS] = ota_forms_a64,
	[OTA_FORMS_X86 / OTA_FAMILY_FORMS] = ota_forms_x86,
	[OTA_FORMS_T32 / OTA_FAMILY_FORMS] = ota_forms_t32,
	[OTA_FORMS_A32 / OTA_FAMILY_FORMS] = ota_forms_a32,
	[OTA_FORMS_A64_FRAME / OTA_FAMILY_FORMS] = ota_forms_a64_frame,
	[OTA_FORMS_REL / OTA_FAMILY_FORMS] = ota_forms_rel,
	[OTA_FORMS_GO / OTA_FAMILY_FORMS] = ota_forms_go,
};

static const char *const texts[OTA_REGION_KIND_COUNT] = {
#define KIND_TEXT(name, number, text) [number] = (text),
	OTA_REGION_KINDS(KIND_TEXT)
#undef KIND_TEXT
};

const struct ota_ref_kind *ota_ref_kind(uint8_t number)
{
	return number < OTA_REGION_KIND_COUNT ? kinds[number] : NULL;
}

const char *ota_ref_kind_text(uint8_t number)
{
	return number < OTA_REGION_KIND_COUNT ? texts[number] : "unknown";
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

/* Whether a field says where something is, and not what it is. */
static bool is_masked(const struct ota_ref_form *form)
{
	return form->scope != OTA_SCOPE_FIELD && form->scope != OTA_SCOPE_LEN;
}

void ota_refs_mask(const struct ota_refs *refs, uint8_t *out)
{
	for (uint32_t i = 0; i < refs->count; i++) {
		const struct ota_ref *ref = &refs->at[i];
		const struct ota_ref_form *form = ota_ref_form(ref->form);

		for (uint32_t k = 0; k < form->len && is_masked(form); k++)
			out[ref->at + k] &= (uint8_t)~form->mask[k];
	}
}

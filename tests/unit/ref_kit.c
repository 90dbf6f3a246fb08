#include "tests/unit/ref_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"

const struct ota_bounds kit_bounds = {
	.low = 0, .high = 0x100000, .text_low = 0x1000, .text_high = 0x20000
};

uint64_t kit_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static int nibble(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* The bytes of a case's text. */
static uint32_t assemble(const char *text, uint8_t *out)
{
	uint32_t digits = 0;

	for (; *text != '\0'; text++) {
		int n = nibble(*text);

		if (*text == ';')
			text += strcspn(text, "\n") - 1;
		if (n < 0)
			continue;
		out[digits / 2] =
			(uint8_t)(digits % 2 == 0 ? n << 4 : out[digits / 2] | n);
		digits++;
	}
	return digits / 2;
}

const char *kit_refs_breach(const struct ota_scan *scan, const struct ota_refs *refs)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < refs->count; i++) {
		const struct ota_ref *ref = &refs->at[i];
		const struct ota_ref_form *form = ota_ref_form(ref->form);
		struct ota_spot spot = { (int64_t)((uint64_t)scan->address + ref->at),
			ref->base };
		uint8_t field[OTA_REF_FIELD_MAX];

		if (form == NULL || form->len > OTA_REF_FIELD_MAX)
			return "a form that is none";
		if (ref->at < end || ref->at >= scan->len)
			return "out of order or of the page";
		end = ref->at + form->len;
		if (end > scan->len + scan->after)
			return "beyond what can be seen";
		memcpy(field, scan->at + ref->at, form->len);
		if (form->read(field, &spot, ref->target) != ref->target)
			return "the form reads another target";
		if (!form->write(field, &spot, ref->target) ||
			memcmp(field, scan->at + ref->at, form->len) != 0)
			return "the form writes other bytes";
	}
	return NULL;
}

static bool differs(const struct kit_ref_case *test, const struct ota_refs *refs)
{
	uint32_t i = 0;

	for (; i < KIT_REFS_MAX && test->refs[i].form != NULL; i++)
		if (i >= refs->count || refs->at[i].at != test->refs[i].at ||
			refs->at[i].target != test->refs[i].target ||
			strcmp(ota_ref_form(refs->at[i].form)->name, test->refs[i].form))
			return true;
	return i != refs->count;
}

bool kit_ref_case_holds(const struct ota_bounds *bounds, const struct kit_ref_case *test)
{
	static uint8_t bytes[OTA_REF_PAGE];
	static struct ota_refs refs;
	struct ota_scan scan = { .at = bytes,
		.len = assemble(test->bytes, bytes),
		.address = test->address,
		.base = test->base,
		.bounds = *bounds };
	const char *breach;

	refs.count = 0;
	ota_ref_kind(test->kind)->scan(&scan, &refs);
	breach = kit_refs_breach(&scan, &refs);
	if (breach == NULL && !differs(test, &refs))
		return true;
	fprintf(stderr, "%s: %s\n", test->name, breach == NULL ? "found:" : breach);
	for (uint32_t i = 0; i < refs.count; i++)
		fprintf(stderr, "  { \"%s\", 0x%" PRIx32 ", 0x%" PRIx64 " }\n",
			ota_ref_form(refs.at[i].form)->name, refs.at[i].at,
			(uint64_t)refs.at[i].target);
	return false;
}

#include <stdlib.h>
#include <string.h>

#include "proto/delta/predict/ref.h"

/* The first byte is the kind, the next eight say where the page lies (see place()); then
 * come the bytes before it, of it and after it. */
enum { HEAD_LEN = 9, FIELD_CAP = OTA_REF_FIELD_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A page in the middle of the bytes, and an object around it. */
static struct ota_scan place(const uint8_t *data, const uint8_t *bytes, uint32_t len)
{
	const struct ota_ref_kind *kind = ota_ref_kind(data[0]);
	struct ota_scan scan = { .offset = data[1] * (uint64_t)OTA_REF_PAGE };
	int64_t low = (int64_t)((uint64_t)(int8_t)data[2] << (data[3] & 56));

	scan.before = least(kind->before, (uint32_t)((uint64_t)len * data[4] / 256));
	scan.at = bytes + scan.before;
	scan.len = least(OTA_REF_PAGE, len - scan.before);
	scan.after = least(kind->after, len - scan.before - scan.len);
	scan.address = (int64_t)((uint64_t)low + data[5] * 0x101ull);
	scan.base = (int64_t)((uint64_t)low + data[6]);
	scan.bounds = (struct ota_bounds){ low, INT64_MAX >> (data[7] & 63), low,
		INT64_MAX >> (data[8] & 63) };
	return scan;
}

static void check(const struct ota_scan *scan, const struct ota_ref *ref)
{
	const struct ota_ref_form *form = ota_ref_form(ref->form);
	struct ota_spot spot = { (int64_t)((uint64_t)scan->address + ref->at),
		ref->base };
	uint8_t field[FIELD_CAP];

	if (form == NULL || form->len > FIELD_CAP || ref->at >= scan->len ||
		ref->at + form->len > scan->len + scan->after)
		abort();
	memcpy(field, scan->at + ref->at, form->len);
	if (form->read(field, &spot, ref->target) != ref->target ||
		!form->write(field, &spot, ref->target) ||
		memcmp(field, scan->at + ref->at, form->len) != 0)
		abort();
}

/* References are in order, in sight, do not overlap, and hold what was found. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ota_refs refs;
	struct ota_scan scan;
	uint32_t end = 0, len = 3 * OTA_REF_PAGE;
	uint8_t *bytes;

	if (size <= HEAD_LEN || data[0] >= OTA_REGION_KIND_COUNT ||
		ota_ref_kind(data[0])->scan == NULL)
		return 0;
	if (size - HEAD_LEN < len)
		len = (uint32_t)(size - HEAD_LEN);
	bytes = malloc(len); /* exact, so that ASan sees what is beyond */
	if (bytes == NULL)
		return 0;
	memcpy(bytes, data + HEAD_LEN, len);
	scan = place(data, bytes, len);
	refs.count = 0;
	ota_ref_kind(data[0])->scan(&scan, &refs);
	for (uint32_t i = 0; i < refs.count; i++) {
		if (refs.at[i].at < end)
			abort();
		check(&scan, &refs.at[i]);
		end = refs.at[i].at + ota_ref_form(refs.at[i].form)->len;
	}
	free(bytes);
	return 0;
}

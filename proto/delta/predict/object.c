#include "proto/delta/predict/object.h"

#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/predict/object_elf.h"

enum {
	FIND_STEP = 4,
	MAGIC_ELF = 0x464c457f, /* "\177ELF" */
	MAGIC_PE = 0x00004550,  /* "PE\0\0" */
	MAGIC_MZ = 0x5a4d,      /* "MZ" */
	PE_HEAD_AT = 0x3c,      /* offset of the offset of the PE header */
};

static enum ota_code parse(struct ota_build *build)
{
	struct ota_elf elf;
	enum ota_code rc;

	if (build->in.len < OTA_OBJECT_LEN_MIN)
		return OTA_E_NOTFOUND;
	if (ota_elf_open(build->in, &elf)) {
		build->object.machine = elf.machine;
		build->object.is_64 = elf.is_64;
		if (elf.type == OTA_ET_REL)
			return ota_object_rel(&elf, build);
		return ota_object_elf(&elf, build);
	}
	rc = ota_object_kernel(build);
	return rc != OTA_E_NOTFOUND ? rc : ota_object_pe(build);
}

enum ota_code ota_object_parse(struct ota_bytes in, struct ota_object *out)
{
	OTA_AUTO(ota_build_fini) struct ota_build build = { .in = in };
	enum ota_code rc = parse(&build);

	if (rc == OTA_OK)
		ota_build_end(&build, out);
	return rc;
}

static bool begins_pe(struct ota_bytes in)
{
	uint32_t head = ota_le32(in.at + PE_HEAD_AT);

	return ota_is_within(head, 4, in.len) && ota_le32(in.at + head) == MAGIC_PE;
}

static bool begins_elf(struct ota_bytes in)
{
	struct ota_elf elf;

	return in.at[4] >= 1 && in.at[4] <= 2 && in.at[5] == 1 && ota_elf_open(in, &elf);
}

bool ota_object_find(struct ota_bytes in, uint64_t start, uint64_t *offset)
{
	uint64_t at = (start + FIND_STEP - 1) / FIND_STEP * FIND_STEP;

	if (start > in.len)
		return false;
	for (; ota_is_within(at, OTA_OBJECT_LEN_MIN, in.len); at += FIND_STEP) {
		uint32_t magic = ota_le32(in.at + at);
		struct ota_bytes rest = { in.at + at, (size_t)(in.len - at) };

		if ((magic == MAGIC_ELF && begins_elf(rest)) ||
			((magic & 0xffff) == MAGIC_MZ && begins_pe(rest))) {
			*offset = at;
			return true;
		}
	}
	return false;
}

void ota_object_fini(struct ota_object *object)
{
	free(object->spans);
	free(object->regions);
	free(object->sections);
	*object = (struct ota_object){ 0 };
}

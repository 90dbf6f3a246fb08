#include "proto/delta/predict/build_id.h"

#include <string.h>

#include "proto/delta/predict/elf.h"

enum { NOTE_HEAD_LEN = 12, NOTE_BUILD_ID = 3 };

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Among the notes of one segment or section. */
static size_t find(struct ota_bytes notes, uint8_t out[static OTA_BUILD_ID_MAX])
{
	struct ota_reader r = ota_reader_of(notes);

	while (r.left >= NOTE_HEAD_LEN && !r.bad) {
		uint32_t name_len = ota_read_le32(&r), len = ota_read_le32(&r);
		uint32_t type = ota_read_le32(&r);
		const uint8_t *name = ota_read(&r, padded(name_len));
		const uint8_t *id = ota_read(&r, len);

		if (id != NULL && name_len == 4 && memcmp(name, "GNU", 4) == 0 &&
			type == NOTE_BUILD_ID && len > 0 && len <= OTA_BUILD_ID_MAX) {
			memcpy(out, id, len);
			return len;
		}
		(void)ota_read(&r, padded(len) - len);
	}
	return 0;
}

size_t ota_build_id_of(struct ota_bytes file, uint8_t out[static OTA_BUILD_ID_MAX])
{
	struct ota_elf_segment segment;
	struct ota_elf_section section;
	struct ota_elf elf;
	size_t len = 0;

	if (!ota_elf_open(file, &elf))
		return 0;
	for (uint32_t i = 0; len == 0 && i < elf.segment_count; i++)
		if (ota_elf_segment(&elf, i, &segment) && segment.type == OTA_PT_NOTE)
			len = find((struct ota_bytes){ file.at + segment.offset,
					   (size_t)segment.len },
				out);
	for (uint32_t i = 0; len == 0 && i < elf.section_count; i++)
		if (ota_elf_section(&elf, i, &section) && section.type == OTA_SHT_NOTE)
			len = find((struct ota_bytes){ file.at + section.offset,
					   (size_t)section.len },
				out);
	return len;
}

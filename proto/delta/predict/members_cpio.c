/* cpio, "newc": heads of hexadecimal digits, names and contents each padded to 4 bytes.
 * The kernel takes several archives behind each other, with zeros between them and the
 * last one compressed, and so do we. */

#include "proto/delta/predict/members_list.h"

#include <string.h>

enum {
	HEAD_LEN = 110, /* bytes */
	MODE_AT = 14,
	LEN_AT = 54,
	NAME_LEN_AT = 94, /* the name's NUL counts */
	MODE_KIND = 0xf000,
	MODE_FILE = 0x8000,
};

/* 8 digits; UINT64_MAX if they are none. */
static uint64_t hex8(const uint8_t *at)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *digit = memchr(digits, at[i], sizeof digits - 1);

		if (digit == NULL)
			return UINT64_MAX;
		value = value << 4 | (uint64_t)((digit - digits) & 15);
	}
	return value;
}

static uint64_t padded(uint64_t len)
{
	return (len + 3) & ~(uint64_t)3;
}

static bool is_archive(struct ota_bytes in, uint64_t at)
{
	return ota_stands_at(in, at, "070701") || ota_stands_at(in, at, "070702");
}

/* An entry of an archive. */
struct entry {
	struct ota_name name;
	uint64_t mode, at, len; /* of the content */
	uint64_t end;           /* offset of the next entry */
};

static bool read_entry(const struct ota_volume *volume, uint64_t at, struct entry *entry)
{
	struct ota_bytes head, name;
	uint64_t name_len;

	if (!is_archive(volume->in, at) || !ota_within(volume->in, at, HEAD_LEN, &head) ||
		!ota_finder_spend(volume->finder, 1))
		return false;
	entry->mode = hex8(head.at + MODE_AT);
	entry->len = hex8(head.at + LEN_AT);
	name_len = hex8(head.at + NAME_LEN_AT);
	if (entry->mode > UINT32_MAX || entry->len > UINT32_MAX || name_len == 0 ||
		!ota_within(volume->in, at + HEAD_LEN, name_len, &name))
		return false;
	entry->name = (struct ota_name){ (const char *)name.at, name.len - 1 };
	entry->at = padded(at + HEAD_LEN + name_len);
	entry->end = padded(entry->at + entry->len);
	return true;
}

/* Where the next archive may begin. */
static uint64_t behind_zeros(struct ota_bytes in, uint64_t at)
{
	while (at < in.len && in.at[at] == 0)
		at++;
	return at;
}

bool ota_members_cpio(const struct ota_volume *volume)
{
	struct ota_name top = { "", 0 };
	struct ota_bytes rest;
	struct entry entry;
	uint64_t at = 0;

	if (!is_archive(volume->in, 0))
		return false;
	while (read_entry(volume, at, &entry)) {
		at = entry.end;
		ota_finder_begin(volume->finder);
		if (entry.name.len == 10 && memcmp(entry.name.at, "TRAILER!!!", 10) == 0)
			at = behind_zeros(volume->in, at);
		else if ((entry.mode & MODE_KIND) == MODE_FILE &&
			 ota_finder_extent(volume, entry.at, entry.len))
			ota_finder_keep(volume, top, entry.name);
	}
	if (at < volume->in.len &&
		ota_within(volume->in, at, volume->in.len - at, &rest) &&
		ota_packing_of(rest) != OTA_PACKING_NONE)
		ota_finder_packed(volume->finder, ota_packing_of(rest), rest.len);
	return true;
}

/* tar: POSIX ustar with pax's records (1003.1-2001, pax), GNU's long names. A file with
 * holes is no member. */

#include "proto/delta/predict/members_list.h"

#include <string.h>

enum {
	RECORD = 512, /* bytes: a head, and what contents are padded to */
	NAME_LEN = 100,
	LEN_AT = 124,
	LEN_LEN = 12,
	SUM_AT = 148,
	SUM_LEN = 8,
	KIND_AT = 156,
	MAGIC_AT = 257,
	PREFIX_AT = 345,
	PREFIX_LEN = 155,
	SPARSE_MORE_AT = 482,    /* in a head: a record of holes follows */
	SPARSE_MORE_AGAIN = 504, /* in such a record: another one follows */
};

/* What earlier heads said about the next file. */
struct said {
	struct ota_name path;
	uint64_t len;
	bool has_path, has_len, is_sparse;
};

struct tar {
	const struct ota_volume *volume;
	struct said said;
	uint64_t at; /* offset of the next head */
};

/* A number in octal digits between blanks, or (GNU) in base 256 behind a byte 0x80.
 * UINT64_MAX if it is none or too large. */
static uint64_t number(const uint8_t *at, size_t len)
{
	uint64_t value = 0;
	size_t i = 0;

	if (at[0] == 0x80) {
		for (i = 1; i < len; i++)
			value = value >> 55 != 0 ? UINT64_MAX >> 1 : value << 8 | at[i];
		return value >> 62 != 0 ? UINT64_MAX : value;
	}
	while (i < len && at[i] == ' ')
		i++;
	for (; i < len && at[i] >= '0' && at[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(at[i] - '0');
	return i < len && at[i] != ' ' && at[i] != '\0' ? UINT64_MAX : value;
}

/* A text that ends with its field or a NUL. */
static struct ota_name text(const uint8_t *at, size_t len)
{
	if (len == 0)
		return (struct ota_name){ "", 0 };
	return (struct ota_name){ (const char *)at, strnlen((const char *)at, len) };
}

/* The sum of a head's bytes, those of the sum itself counted as blanks. */
static bool is_head(const uint8_t *head)
{
	uint64_t sum = (uint64_t)SUM_LEN * ' ';

	for (unsigned i = 0; i < RECORD; i++)
		if (i < SUM_AT || i >= SUM_AT + SUM_LEN)
			sum += head[i];
	return memcmp(head + MAGIC_AT, "ustar", 5) == 0 &&
	       number(head + SUM_AT, SUM_LEN) == sum;
}

/* One of pax's records: "len key=value\n", where len counts all of it. */
static void hear_record(struct said *said, struct ota_bytes record)
{
	static const char sparse[] = "GNU.sparse.";
	const uint8_t *key = memchr(record.at, ' ', record.len);
	const uint8_t *equals = memchr(record.at, '=', record.len);
	struct ota_bytes value;
	uint64_t n = 0;

	if (key == NULL || equals == NULL || ++key > equals)
		return;
	value = (struct ota_bytes){ equals + 1,
		record.len - (size_t)(equals + 1 - record.at) - 1 };
	if (equals - key == 4 && memcmp(key, "path", 4) == 0) {
		said->path = text(value.at, value.len);
		said->has_path = true;
	} else if (equals - key == 4 && memcmp(key, "size", 4) == 0) {
		for (size_t i = 0; i < value.len && n < (uint64_t)1 << 59; i++)
			n = n * 10 + (uint64_t)(value.at[i] - '0');
		said->len = n;
		said->has_len = true;
	} else if (equals - key >= (ptrdiff_t)sizeof sparse - 1 &&
		   memcmp(key, sparse, sizeof sparse - 1) == 0) {
		said->is_sparse = true;
	}
}

static void hear_pax(struct said *said, struct ota_bytes in)
{
	while (in.len > 0) {
		size_t len = 0;

		for (size_t i = 0; i < in.len && in.at[i] >= '0' && in.at[i] <= '9'; i++)
			if (len <= in.len)
				len = len * 10 + (size_t)(in.at[i] - '0');
		if (len < 5 || len > in.len || in.at[len - 1] != '\n')
			return;
		hear_record(said, (struct ota_bytes){ in.at, len });
		in.at += len;
		in.len -= len;
	}
}

/* GNU's records of holes between the head and the content. */
static bool skip_sparse(struct tar *tar, const uint8_t *head)
{
	struct ota_bytes record;
	uint8_t more = head[SPARSE_MORE_AT];

	while (more != 0) {
		if (!ota_within(tar->volume->in, tar->at, RECORD, &record) ||
			!ota_finder_spend(tar->volume->finder, 1))
			return false;
		more = record.at[SPARSE_MORE_AGAIN];
		tar->at += RECORD;
	}
	return true;
}

/* The file's own path: prefix and name, unless an earlier head said it. */
static void keep(const struct tar *tar, const uint8_t *head)
{
	struct ota_name folder = { "", 0 }, name = text(head, NAME_LEN);

	if (tar->said.has_path)
		name = tar->said.path;
	else if (head[MAGIC_AT + 5] == '\0' && head[PREFIX_AT] != '\0')
		folder = text(head + PREFIX_AT, PREFIX_LEN);
	ota_finder_keep(tar->volume, folder, name);
}

/* What a head and its content say; the next head is heard as if nothing had been said,
 * unless this one was about it. */
static void hear(struct tar *tar, const uint8_t *head, struct ota_bytes content)
{
	uint8_t kind = head[KIND_AT];

	if (kind == 'L') {
		tar->said.path = text(content.at, content.len);
		tar->said.has_path = true;
	} else if (kind == 'x') {
		hear_pax(&tar->said, content);
	} else if (kind != 'K' && kind != 'g') {
		ota_finder_begin(tar->volume->finder);
		if ((kind == '0' || kind == '\0' || kind == '7') &&
			!tar->said.is_sparse &&
			ota_finder_extent(tar->volume, tar->at, content.len))
			keep(tar, head);
		tar->said = (struct said){ 0 };
	}
}

/* Bytes behind a head: links, devices and folders have none, whatever they say. */
static uint64_t content_len(const struct tar *tar, const uint8_t *head)
{
	uint8_t kind = head[KIND_AT];

	if (kind >= '1' && kind <= '6')
		return 0;
	return tar->said.has_len && kind != 'x' && kind != 'L' && kind != 'K'
		       ? tar->said.len
		       : number(head + LEN_AT, LEN_LEN);
}

bool ota_members_tar(const struct ota_volume *volume)
{
	struct tar tar = { .volume = volume };
	struct ota_bytes head, content;

	if (!ota_within(volume->in, 0, RECORD, &head) || !is_head(head.at))
		return false;
	while (ota_within(volume->in, tar.at, RECORD, &head) && is_head(head.at) &&
		ota_finder_spend(volume->finder, 1)) {
		uint64_t len = content_len(&tar, head.at);

		tar.at += RECORD;
		if (head.at[KIND_AT] == 'S' && !skip_sparse(&tar, head.at))
			break;
		if (!ota_within(volume->in, tar.at, len, &content))
			break;
		hear(&tar, head.at, content);
		tar.at += (len + RECORD - 1) / RECORD * RECORD;
	}
	return true;
}

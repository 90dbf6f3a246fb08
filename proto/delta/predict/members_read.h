#ifndef PROTO_DELTA_PREDICT_MEMBERS_READ_H
#define PROTO_DELTA_PREDICT_MEMBERS_READ_H

/* Fields and parts of untrusted images. A part is proved to be there once; its fields are
 * read by fixed offsets inside it. */

#include "proto/base/bytes.h"
#include "proto/base/le.h"

/** The len bytes at an offset. False, and part is unchanged, if they are not all there.
 */
static inline bool ota_within(
	struct ota_bytes in, uint64_t offset, uint64_t len, struct ota_bytes *part)
{
	if (offset > in.len || len > in.len - offset)
		return false;
	*part = (struct ota_bytes){ len == 0 ? NULL : in.at + offset, (size_t)len };
	return true;
}

/** True if text stands at an offset of in. */
static inline bool ota_stands_at(struct ota_bytes in, uint64_t offset, const char *text)
{
	struct ota_bytes want = ota_bytes_of(text);
	struct ota_bytes part;

	return ota_within(in, offset, want.len, &part) && ota_bytes_equal(part, want);
}

#endif

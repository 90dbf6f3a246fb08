#ifndef PROTO_DELTA_PREDICT_FRAME_H
#define PROTO_DELTA_PREDICT_FRAME_H

/* Where the offsets of one function's stack frame went, learnt while it is laid out. A
 * compiler that lays a frame out anew moves neighbours together. */

#include <stdint.h>

enum { OTA_FRAME_OFFSETS = 32 }; /* that are remembered */

/** `{ 0 }` knows nothing. */
struct ota_frame {
	struct {
		int64_t from, to;
	} known[OTA_FRAME_OFFSETS];
	uint32_t count; /* offsets learnt so far; the newest are known */
	uint32_t moved; /* of those that are known, how many went elsewhere */
};

/** Forget all. */
static inline void ota_frame_forget(struct ota_frame *frame)
{
	frame->count = frame->moved = 0;
}

/** Where an offset went: as the nearest one that is known, or nowhere. */
int64_t ota_frame_guess(const struct ota_frame *frame, int64_t from);

/** Learn where one went. */
void ota_frame_learn(struct ota_frame *frame, int64_t from, int64_t to);

#endif

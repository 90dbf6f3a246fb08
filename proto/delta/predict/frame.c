#include "proto/delta/predict/frame.h"

#include <stddef.h>

enum { NEAR = 65536 /* bytes: offsets further apart are of different things */ };

static uint64_t distance(int64_t a, int64_t b)
{
	return a < b ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
}

static uint32_t known_count(const struct ota_frame *frame)
{
	return frame->count < OTA_FRAME_OFFSETS ? frame->count : OTA_FRAME_OFFSETS;
}

int64_t ota_frame_guess(const struct ota_frame *frame, int64_t from)
{
	uint32_t count = frame->moved > 0 ? known_count(frame) : 0;
	uint64_t least = NEAR, moved = 0;

	for (uint32_t i = 0; i < count && least > 0; i++) {
		uint64_t far = distance(frame->known[i].from, from);

		if (far < least) {
			least = far;
			moved = (uint64_t)frame->known[i].to -
				(uint64_t)frame->known[i].from;
		}
	}
	return (int64_t)((uint64_t)from + moved);
}

/* Where an offset is known, or else where it will be. */
static uint32_t place_of(struct ota_frame *frame, int64_t from)
{
	uint32_t count = known_count(frame), at = 0;

	while (at < count && frame->known[at].from != from)
		at++;
	return at < count ? at : frame->count++ % OTA_FRAME_OFFSETS;
}

void ota_frame_learn(struct ota_frame *frame, int64_t from, int64_t to)
{
	uint32_t count = known_count(frame), at = place_of(frame, from);

	if (at < count && frame->known[at].from != frame->known[at].to)
		frame->moved--;
	frame->known[at].from = from;
	frame->known[at].to = to;
	frame->moved += from != to;
}

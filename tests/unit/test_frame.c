#include <criterion/criterion.h>

#include "proto/delta/predict/frame.h"

Test(frame, nothing_known_leaves_offsets_where_they_are)
{
	const struct ota_frame frame = { 0 };

	cr_expect_eq(ota_frame_guess(&frame, 24), 24);
	cr_expect_eq(ota_frame_guess(&frame, INT64_MIN), INT64_MIN);
}

Test(frame, an_offset_goes_with_its_nearest_neighbour)
{
	struct ota_frame frame = { 0 };

	ota_frame_learn(&frame, 16, 176);
	ota_frame_learn(&frame, 200, 152);
	cr_expect_eq(ota_frame_guess(&frame, 16), 176);
	cr_expect_eq(ota_frame_guess(&frame, 32), 192);
	cr_expect_eq(ota_frame_guess(&frame, 192), 144);
	ota_frame_learn(&frame, 16, 16);
	cr_expect_eq(ota_frame_guess(&frame, 32), 32, "the last word counts");
}

Test(frame, what_is_far_away_tells_nothing)
{
	struct ota_frame frame = { 0 };

	ota_frame_learn(&frame, 16, 176);
	cr_expect_eq(ota_frame_guess(&frame, 1 << 24), 1 << 24);
	cr_expect_eq(ota_frame_guess(&frame, INT64_MIN), INT64_MIN);
}

Test(frame, the_oldest_is_forgotten_first)
{
	struct ota_frame frame = { 0 };

	for (int64_t i = 0; i <= OTA_FRAME_OFFSETS; i++)
		ota_frame_learn(&frame, 1024 * i, 1024 * i + i + 1);
	cr_expect_eq(ota_frame_guess(&frame, 0), 2, "as 1024, which is next");
	cr_expect_eq(ota_frame_guess(&frame, 1024), 1026);
}

Test(frame, what_came_back_and_what_is_forgotten_moves_nothing)
{
	struct ota_frame frame = { 0 };

	ota_frame_learn(&frame, 16, 176);
	ota_frame_learn(&frame, 16, 184);
	ota_frame_learn(&frame, 16, 16);
	cr_expect_eq(frame.moved, 0);
	ota_frame_learn(&frame, 16, 8);
	for (int64_t i = 1; i <= OTA_FRAME_OFFSETS; i++)
		ota_frame_learn(&frame, 1024 * i, 1024 * i);
	cr_expect_eq(frame.moved, 0);
	ota_frame_learn(&frame, 32, 40);
	cr_expect_eq(frame.moved, 1);
	cr_expect_eq(ota_frame_guess(&frame, 16), 24);
	ota_frame_forget(&frame);
	cr_expect_eq(ota_frame_guess(&frame, 32), 32);
	cr_expect_eq(frame.moved, 0);
}

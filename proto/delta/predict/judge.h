#ifndef PROTO_DELTA_PREDICT_JUDGE_H
#define PROTO_DELTA_PREDICT_JUDGE_H

/* Encoder only: compares guesses with the new image, and writes down what is left. */

#include "proto/delta/predict/segment.h"

struct ota_judge {
	struct ota_bytes to; /* borrowed: the new image */
	struct ota_segment_out segment;
};

/** The port of ota_lay that answers from the new image. ctx is a struct ota_judge. */
OTA_CHECKED enum ota_code ota_judge_fix(
	void *ctx, struct ota_guess *guess, struct ota_error *err);

#endif

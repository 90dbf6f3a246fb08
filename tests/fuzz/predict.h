#ifndef TESTS_FUZZ_PREDICT_H
#define TESTS_FUZZ_PREDICT_H

/* The old image that fuzz_predict decodes against and its seeds are made for: code whose
 * calls move, and one function that moved unlike its surroundings. */

#include "tests/unit/predict_kit.h"

static const struct kit_program fuzz_program = {
	.functions = 150, .cut = 40, .moved = 44, .noise = 200, .stray = 58
};

/** Bytes before a stream: where it is cut in two, and how much of the image is in place
 *  already, in units of FUZZ_PREDICT_PLACE_LEN. */
enum { FUZZ_PREDICT_HEAD_LEN = 2, FUZZ_PREDICT_PLACE_LEN = 64 };

#endif

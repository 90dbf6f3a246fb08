/* xdelta3 is written as one translation unit that includes its parts. */
#include "xd3_library.h"

#include "xdelta3.c"

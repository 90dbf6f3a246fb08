#ifndef XD3_LIBRARY_H
#define XD3_LIBRARY_H

/* The one way to include xdelta3: its switches change the layout of its structs, so the
 * library and its callers must agree on them. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZEOF_SIZE_T             __SIZEOF_SIZE_T__
#define SIZEOF_UNSIGNED_INT       __SIZEOF_INT__
#define SIZEOF_UNSIGNED_LONG      __SIZEOF_LONG__
#define SIZEOF_UNSIGNED_LONG_LONG __SIZEOF_LONG_LONG__

/* No program, no files, no debug output: memory to memory only. */
#define XD3_MAIN             0
#define XD3_POSIX            0
#define XD3_STDIO            0
#define XD3_WIN32            0
#define XD3_DEBUG            0
#define EXTERNAL_COMPRESSION 0
#define VCDIFF_TOOLS         0
#define SHELL_TESTS          0

/* No secondary compressors: the delta stays plain for the compressor that follows, and a
 * decoder refuses a delta that asks for one. */
#define SECONDARY_DJW  0
#define SECONDARY_FGK  0
#define SECONDARY_LZMA 0

/* Never read through misaligned pointers, whatever the processor would allow. */
#define HAVE_ALIGNED_ACCESS_REQUIRED 1

#include "xdelta3.h"

#endif

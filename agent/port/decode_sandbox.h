#ifndef AGENT_PORT_DECODE_SANDBOX_H
#define AGENT_PORT_DECODE_SANDBOX_H

/* What is left to a process that decodes: four descriptors, memory, and the end. */

#include "proto/base/error.h"

/** The descriptors; every other one is closed. */
enum {
	DECODE_FD_IN = 0,   /* reads what is to be done, and the patch */
	DECODE_FD_OUT = 1,  /* writes answers */
	DECODE_FD_FROM = 2, /* reads the source image, at any offset */
	DECODE_FD_OVER = 3, /* ... and what stands for some of it */
};

/** Bytes of address space that decoding takes beside the decoder's heap and what the
 *  process had when it began: 1 MiB, and an eighth of the heap for what the allocator
 *  rounds up. tests/integration/test_decode_child.c measures it. */
enum { DECODE_AS_FIXED = 1 << 20, DECODE_AS_SHARE = 8 };

struct decode_limits {
	uint64_t heap_bytes; /* that the decoder may hold */
	uint32_t cpu_s;      /* seconds of processor time */
};

/** Seconds of processor time that a patch may take: a minute, and a second for each
 *  256 KiB of both images, which is far more than the slowest gateway needs; at most a
 *  day. */
uint32_t decode_cpu_s(uint64_t from_bytes, uint64_t to_bytes);

/** Close everything but the four descriptors. OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code decode_sandbox_close(struct ota_error *err);

/**
 * Give up, for good: root (for the user and group 65534, where the right to do so is
 * there), core dumps, being traced, new privileges, address space and processor time
 * beyond the limits, further descriptors, files that grow, outliving the thread that
 * started it; and then every system call but read(IN), write(OUT), pread(FROM), those for
 * memory that cannot be executed, the clock, and the end. Any other one kills the process
 * with SIGSYS.
 *
 * Under AddressSanitizer, which reserves terabytes, address space is not limited.
 *
 * OTA_OK or OTA_E_IO.
 */
OTA_CHECKED enum ota_code decode_sandbox_enter(
	const struct decode_limits *limits, struct ota_error *err);

#endif

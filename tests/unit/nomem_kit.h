#ifndef TESTS_UNIT_NOMEM_KIT_H
#define TESTS_UNIT_NOMEM_KIT_H

/* Allocations that fail on demand, in all that is linked with `nomem` of meson.build. */

#include <stdbool.h>

/** Let the allocation fail that comes after nth others, once. */
void nomem_arm(long nth);

/** Let none fail any more. True if one did since nomem_arm(). */
bool nomem_disarm(void);

#endif

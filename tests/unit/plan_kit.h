#ifndef TESTS_UNIT_PLAN_KIT_H
#define TESTS_UNIT_PLAN_KIT_H

/* Images with executables in them, in two versions, for the tests of predict's encoder.
 */

#include "tests/unit/patch_kit.h"

/** Append an ELF library of AArch64 functions that call each other, with pointers to them
 *  and a .bss. The new version has 5 functions more in the middle, and another .bss. */
void kit_library(struct ota_buf *out, bool is_new);

/** Append a member to a ustar archive. */
void kit_tar_add(struct ota_buf *out, const char *path, const struct ota_buf *content);

/** Append the end of an archive. */
void kit_tar_end(struct ota_buf *out);

/** Archives of the library, whose path names its version, and of a file that moved. */
void kit_archives(struct kit_patch *kit);

/** How many images kit_pair_of() has, and one of them, with its name. */
enum { KIT_IMAGES = 10 };
const char *kit_pair_of(struct kit_patch *kit, unsigned index);

#endif

#ifndef TESTS_UNIT_INSTALL_KIT_H
#define TESTS_UNIT_INSTALL_KIT_H

/* A patch in a real spool and what it is installed into, for the tests of the installer's
 * work and of the media of slots. */

#include "agent/port/install_work.h"

struct install_kit {
	char dir[64]; /* holds everything; borrowed name, made by the test */
	char spool_dir[AGENT_PATH_CAP], state_dir[AGENT_PATH_CAP];
	struct agent_slot_config slot; /* type `file`, below dir, unless changed */
	struct ota_buf to;             /* owned; the new image, noise */
	struct ota_manifest manifest;  /* owned */
	struct install_work work;      /* from slot a to slot b */
	struct ota_error err;          /* of the last install */
};

/** Make an image of len bytes, its full patch, and directories. seed makes it another
 *  image. Slot a gets a little image of its own. */
void install_kit_init(
	struct install_kit *kit, const char *dir, size_t len, uint64_t seed);

/** Take another image of the same length. */
void install_kit_renew(struct install_kit *kit, uint64_t seed);

/** Take a file below dir as the new image. */
void install_kit_take(struct install_kit *kit, const char *name);

/** Release memory. */
void install_kit_fini(struct install_kit *kit);

/** Install in this process. */
enum ota_code install_kit_apply(struct install_kit *kit);

/** Install in a child that the kernel kills when it writes a file beyond len bytes. True
 *  if it was killed so. */
bool install_kit_apply_until(struct install_kit *kit, uint64_t len);

/** True if the slot begins with the new image. */
bool install_kit_is_there(const struct install_kit *kit, unsigned slot);

/** Change one byte of slot b. */
void install_kit_flip(const struct install_kit *kit, uint64_t offset);

/** True for root; else says loudly what is skipped. */
bool install_kit_is_root(const char *what);

/** Attach a loop device to a new file of len bytes below dir; its path to out. */
void install_kit_loop(const struct install_kit *kit, const char *name, uint64_t len,
	char out[static AGENT_PATH_CAP]);

/** Detach it. */
void install_kit_unloop(const char *device);

/** Run a program of the system, asserting that it went well. */
void install_kit_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

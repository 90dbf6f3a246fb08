#ifndef AGENT_PORT_BOOT_VARS_H
#define AGENT_PORT_BOOT_VARS_H

/* What Sluice and a boot loader's script share: six variables in its environment.
 *
 *   ORDER     "A B" or "B A"; the script boots the first slot it may boot
 *   A_LEFT    "0" .. "9": boots left to slot a before it is given up; B_LEFT likewise
 *   A_STATE   "bad", "trial" or "good"; B_STATE likewise
 *   SCRIPT    version of the script that counts, which sets it at every boot
 *
 * The script boots the first slot in ORDER that is not bad and has boots left, and takes
 * one away before it does. If there is none it gives every good slot its boots again: a
 * slot that was proved once is better than none. A bad slot is never booted.
 *
 * A good slot is counted as well, and gets its boots back at every start of the agent: a
 * proved image that rots, so that the agent is not reached any more, gives way to the
 * other slot. A slot on trial without boots left is the one that runs (its last try), one
 * that was not armed yet (second in ORDER), or given up (first in ORDER). */

#include "agent/port/boot_loader.h"
#include "agent/port/boot_running.h"

/* X(NAME, text) */
#define BOOT_VARS(X)          \
	X(ORDER, "ORDER")     \
	X(A_LEFT, "A_LEFT")   \
	X(A_STATE, "A_STATE") \
	X(B_LEFT, "B_LEFT")   \
	X(B_STATE, "B_STATE") \
	X(SCRIPT, "SCRIPT")

#define BOOT_VAR_ENUM(name, text) BOOT_VAR_##name,
enum boot_var { BOOT_VARS(BOOT_VAR_ENUM) BOOT_N_VARS };
#undef BOOT_VAR_ENUM

enum {
	BOOT_VALUE_CAP = 16, /* bytes with the NUL */
	BOOT_LEFT_MAX = 9,   /* one digit: a script without arithmetic counts it down */
	BOOT_GOOD_LEFT = 3,  /* boots of a good slot that never reach the agent */
	BOOT_SCRIPT = 1,     /* version of our scripts */
};

/** The variables as they stand in an environment; "": not set. */
struct boot_text {
	char value[BOOT_N_VARS][BOOT_VALUE_CAP];
};

/** An environment. */
struct boot_store {
	void *ctx;          /* borrowed */
	const char *prefix; /* before each name: "BOOT_" or ""; borrowed */

	/** Read the variables from where the boot loader will. OTA_OK, OTA_E_FORMAT, or a
	 *  code of struct boot_loader. */
	enum ota_code (*load)(void *ctx, struct boot_text *out, struct ota_error *err);

	/** Write all of them durably, in one step that a cut leaves done or not done. */
	enum ota_code (*store)(
		void *ctx, const struct boot_text *text, struct ota_error *err);
};

/** What the variables mean. */
struct boot_vars {
	unsigned first; /* slot in ORDER */
	struct {
		enum slot_state state;
		unsigned left; /* boots */
	} slots[SLOT_COUNT];
	unsigned script; /* version; 0: it never ran */
};

/** The name of a variable, without prefix. */
const char *boot_var_name(enum boot_var var);

/** Parse untrusted text. prefix is for messages. OTA_OK, OTA_E_NOTFOUND for a variable
 *  that is not set (SCRIPT may be), or OTA_E_FORMAT. */
OTA_CHECKED enum ota_code boot_vars_parse(const struct boot_text *text,
	const char *prefix, struct boot_vars *out, struct ota_error *err);

/** The same as text. */
void boot_vars_format(const struct boot_vars *vars, struct boot_text *out);

/** A boot loader that is an environment and a script. Fields are its own. */
struct boot_counter {
	struct boot_store store;
	struct boot_running running;
};

/** The five verbs; borrows counter. Besides the codes of struct boot_loader a change is
 *  OTA_E_CONFLICT if no slot could be booted after it, and set_primary() of a bad slot.
 */
struct boot_loader boot_counter_loader(struct boot_counter *counter);

/** Read and parse. Codes of the store's load() and of boot_vars_parse(). */
OTA_CHECKED enum ota_code boot_counter_load(
	const struct boot_counter *counter, struct boot_vars *out, struct ota_error *err);

#endif

#ifndef AGENT_PORT_BOOT_CUSTOM_H
#define AGENT_PORT_BOOT_CUSTOM_H

/* A boot loader of one's own, behind an executable that is called with a verb:
 *
 *   get-current             answers a or b
 *   get-primary             answers a or b
 *   set-primary a 3         3 tries for a slot on trial
 *   get-state b             answers bad, trial or good
 *   set-state b good
 *
 * An answer is that word and a newline on standard output; exit status 0 means done, and
 * durable. A change is read back with the verb that gets it. */

#include "agent/port/boot_loader.h"
#include "agent/port/config.h"

struct boot_custom {
	const char *command;  /* borrowed */
	uint32_t deadline_ms; /* of each call */
};

/** The one of count words that an answer is. OTA_OK, or OTA_E_FORMAT with the choices. */
OTA_CHECKED enum ota_code boot_custom_answer_parse(struct ota_bytes text,
	const char *const *words, unsigned count, unsigned *out, struct ota_error *err);

/** The five verbs; borrows custom. */
struct boot_loader boot_custom_loader(struct boot_custom *custom);

#endif

#ifndef AGENT_PORT_SLOTS_H
#define AGENT_PORT_SLOTS_H

/* The two slots of a device, of whatever type: what is recorded of them, which one runs,
 * and the five verbs of the core.
 *
 * A medium (slot_medium.h) holds the images; a boot loader (boot_loader.h) chooses which
 * one boots; the slot table says what is in them. Without a boot loader the table plays
 * one: a start with another boot id than the last is a boot.
 *
 * With a boot loader every change is told to it first and recorded then. So at the next
 * start, whatever was cut in between:
 *
 *   boot loader   table          means
 *   bad           trial, good    given up, or about to be written: recorded as bad
 *   trial, good   bad            not recorded yet, so not ours: told to be bad, unless
 *                                it is what runs
 *   trial         good           proved, and not told yet: told to be good
 *   good          trial          told, and not recorded yet: stays on trial, is proved
 *                                again
 *
 * and what runs and what is tried next is what the boot loader says. */

#include "agent/port/boot_loader.h"
#include "agent/port/slot_medium.h"
#include "proto/io/files.h"

/** What to open. */
struct slots_origin {
	const struct agent_slot_config *config; /* borrowed for the life of the slots */
	const char *state_dir;                  /* borrowed for the call */
	const struct boot_loader *boot; /* NULL: none; copied, its ctx is borrowed */
	struct ota_digest boot_id;      /* of this boot, see struct slot_table */
};

struct slots {
	const struct agent_slot_config *config; /* borrowed */
	struct boot_loader boot;                /* get_current NULL: none */
	struct ota_record_file record;
	struct slot_table table;
};

/**
 * Open the slots; take notice of a boot if there was one.
 *
 * The first time ever the medium is provisioned, the image that runs is digested and
 * recorded as good. If the record is lost it is made again in the same way; of the other
 * slot the boot loader, if there is one, knows whether it is good.
 *
 * out  filled on success only; release with slots_fini()
 *
 * Returns OTA_OK; OTA_E_NOTFOUND without an image to begin with; OTA_E_CONFIG for slots
 * that cannot be; OTA_E_IO, OTA_E_NOSPACE, OTA_E_NOMEM, or a code of the boot loader.
 * Calling it again after any failure or cut finishes the job.
 */
OTA_CHECKED enum ota_code slots_open(
	const struct slots_origin *origin, struct slots *out, struct ota_error *err);

/** Release. */
void slots_fini(struct slots *slots);

/** The five verbs; borrows slots. */
struct slot_port slots_port(struct slots *slots);

/** A slot of these. */
struct slot_place slots_place(const struct slots *slots, unsigned slot);

/** What slot_image_open() is to be told of a slot: bytes, 0: the medium knows itself. */
uint64_t slots_image_len(const struct slots *slots, unsigned slot);

#endif

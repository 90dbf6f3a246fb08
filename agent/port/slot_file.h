#ifndef AGENT_PORT_SLOT_FILE_H
#define AGENT_PORT_SLOT_FILE_H

/* The slot back end `file`: an image is a file, and a symbolic link says which one runs.
 *
 *   <dir>/a.img  <dir>/b.img   the slots
 *   <dir>/current              -> a.img or b.img; what applications read
 *   <dir>/state                struct slot_table in a record file
 *
 * There is no boot loader to ask, so this plays one: a start with another boot id than
 * the last is a boot. */

#include "agent/core/slot.h"
#include "agent/port/config.h"
#include "proto/io/files.h"

struct slot_file {
	char dir[AGENT_PATH_CAP];
	struct ota_record_file record;
	struct slot_table table;
};

/**
 * Open the slots, and boot if boot_id is a new one.
 *
 * The first time ever, config->initial is copied to slot a (unless a.img is there
 * already), digested, and recorded as good.
 *
 * boot_id  of this boot, see struct slot_table
 * out      filled on success only; release with slot_file_fini()
 *
 * Returns OTA_OK; OTA_E_NOTFOUND without an image to begin with; OTA_E_IO, OTA_E_NOSPACE
 * or OTA_E_NOMEM. Calling it again after any failure or cut finishes the job.
 */
OTA_CHECKED enum ota_code slot_file_open(const struct agent_slot_config *config,
	const struct ota_digest *boot_id, struct slot_file *out, struct ota_error *err);

/** Release. */
void slot_file_fini(struct slot_file *slots);

/** The five verbs; borrows slots. */
struct slot_port slot_file_port(struct slot_file *slots);

/** Path of a slot's image. */
OTA_CHECKED enum ota_code slot_file_path(const char *dir, unsigned slot,
	char out[static AGENT_PATH_CAP], struct ota_error *err);

#endif

#ifndef AGENT_PORT_SLOT_FILE_H
#define AGENT_PORT_SLOT_FILE_H

/* What slots of types `file` and `directory` share; each function is that of struct
 * slot_medium.
 *
 *   <dir>/a.img  <dir>/b.img   type file: the slots
 *   <dir>/a.tar  <dir>/b.tar   type directory: the slots,
 *   <dir>/a      <dir>/b       ... and each unpacked
 *   <dir>/current              -> a.img or b.img, or a or b: what applications read
 *   <dir>/state                struct slot_table in a record file
 *
 * Beside them NAME.new may stand: begun and not finished, to be removed. */

#include "agent/port/slot_medium.h"

/** `state` in dir, which is made. */
enum ota_code slot_file_record_path(const struct agent_slot_config *config,
	const char *state_dir, char out[static AGENT_PATH_CAP], struct ota_error *err);

/** The file or the archive. */
enum ota_code slot_file_image_path(const struct slot_place *place,
	char out[static AGENT_PATH_CAP], struct ota_error *err);

/** The file or the tree. */
enum ota_code slot_file_use_path(const struct slot_place *place,
	char out[static AGENT_PATH_CAP], struct ota_error *err);

/** What `current` leads to. */
enum ota_code slot_file_find_running(const struct agent_slot_config *config, bool *known,
	unsigned *slot, struct ota_error *err);

/** Only slot a gets the initial image. */
enum ota_code slot_file_provision(const struct slot_place *place, struct ota_error *err);

/** 0: a file knows its length. */
enum ota_code slot_file_find_len(
	const struct slot_place *place, uint64_t *out, struct ota_error *err);

/** Turn `current` by one rename. */
enum ota_code slot_file_point(const struct slot_place *place, struct ota_error *err);

/** Free space, and what the image takes now. */
enum ota_code slot_file_room(
	const struct slot_place *place, uint64_t *out, struct ota_error *err);

/** OTA_E_BUSY if `current` leads to it; room is reserved where it can be. */
enum ota_code slot_file_open_target(
	const struct slot_place *place, uint64_t len, int *out, struct ota_error *err);

#endif

#ifndef AGENT_PORT_SLOT_MEDIUM_H
#define AGENT_PORT_SLOT_MEDIUM_H

/* What a type of slot is made of. A medium keeps nothing of its own between two calls but
 * what is on the disk, so that worker threads may use it beside the loop. */

#include <stdatomic.h>

#include "agent/core/slot.h"
#include "agent/port/config.h"
#include "agent/port/image_file.h"

/** One slot of a device. */
struct slot_place {
	const struct agent_slot_config *config; /* borrowed */
	unsigned slot;                          /* 0 (a) or 1 (b) */
};

/**
 * A type of slot. Every function returns OTA_OK, OTA_E_IO, OTA_E_NOSPACE or OTA_E_NOMEM
 * besides what it names, with a text that names the path.
 */
struct slot_medium {
	/** Where the slot table is recorded, below state_dir or beside the slots. */
	enum ota_code (*record_path)(const struct agent_slot_config *config,
		const char *state_dir, char out[static AGENT_PATH_CAP],
		struct ota_error *err);

	/** The path of the image as its bytes, in messages and to be read. */
	enum ota_code (*image_path)(const struct slot_place *place,
		char out[static AGENT_PATH_CAP], struct ota_error *err);

	/** The path that a hook is told: what is to be run or looked at. */
	enum ota_code (*use_path)(const struct slot_place *place,
		char out[static AGENT_PATH_CAP], struct ota_error *err);

	/** Which slot runs, if the medium can tell without the slot table; *known is
	 * false if it cannot. */
	enum ota_code (*find_running)(const struct agent_slot_config *config, bool *known,
		unsigned *slot, struct ota_error *err);

	/** At the first start ever: put the initial image into a slot that holds none.
	 *  OTA_E_NOTFOUND if there is no image. */
	enum ota_code (*provision)(const struct slot_place *place, struct ota_error *err);

	/** How long the image is, where no record says so; bytes. */
	enum ota_code (*find_len)(
		const struct slot_place *place, uint64_t *out, struct ota_error *err);

	/** Let applications find this slot's image. Never without one meanwhile; mends
	 * what a cut left. */
	enum ota_code (*point)(const struct slot_place *place, struct ota_error *err);

	/** The largest image the slot can take now; bytes. */
	enum ota_code (*room)(
		const struct slot_place *place, uint64_t *out, struct ota_error *err);

	/** Open the slot to write an image of len bytes from its start on; what it holds
	 *  stays. Refuses before anything is written: OTA_E_BUSY for a slot that is in
	 * use, OTA_E_NOSPACE with the numbers, OTA_E_CONFIG for what is no slot. */
	enum ota_code (*open_target)(const struct slot_place *place, uint64_t len,
		int *out, struct ota_error *err);

	/** The image is whole on the medium and was read back: make of it what runs. May
	 *  be repeated after a cut. stop ends it early with OTA_E_CANCELLED. NULL where
	 *  the image itself is what runs. */
	enum ota_code (*settle)(const struct slot_place *place, uint64_t len,
		const atomic_bool *stop, struct ota_error *err);

	bool is_fixed; /* of fixed size: what lies behind an image is not ours */
};

/** The medium of a configuration. */
const struct slot_medium *slot_medium_of(const struct agent_slot_config *config);

/** Open a slot's image to read it: len bytes, 0: as many as the medium says. Close with
 *  image_file_fini(). OTA_E_NOTFOUND if there is none; OTA_E_LIMIT if it is shorter. */
OTA_CHECKED enum ota_code slot_image_open(const struct slot_place *place, uint64_t len,
	struct image_file *out, struct ota_error *err);

extern const struct slot_medium slot_file_medium, slot_dir_medium, slot_block_medium;

#endif

#ifndef PROTO_BASE_SEEDED_H
#define PROTO_BASE_SEEDED_H

/* Bugs that tests/crash plants, one at a time, to see that it finds them. Only builds of
 * tests/crash define SEEDED_BUG; in every other one OTA_SEEDED() is false, and what it
 * guards is gone. */

#include <stdbool.h>

enum ota_seeded_bug {
	OTA_BUG_NONE,
	OTA_BUG_IN_PLACE,        /* one record, overwritten where it stands */
	OTA_BUG_RENAME_UNSYNCED, /* a file gets its name before its bytes are safe */
	OTA_BUG_SLOT_UNSYNCED,   /* an image is recorded before its bytes are safe */
	OTA_BUG_FOLDER_UNSYNCED, /* ... before its name is safe */
	OTA_BUG_RECORD_UNSYNCED, /* a record is acted on before it is safe */
	OTA_BUG_EARLY_SWITCH,    /* the slot is to be booted before it is written */
	OTA_BUG_EARLY_FLOOR,     /* the floor rises before the image has proved itself */
	OTA_BUG_TREE_UNSYNCED,   /* a tree gets its name before its files are safe */
};

#ifdef SEEDED_BUG
#define OTA_SEEDED(bug) ((int)(SEEDED_BUG) == (int)OTA_BUG_##bug)
#else
#define OTA_SEEDED(bug) false
#endif

#endif

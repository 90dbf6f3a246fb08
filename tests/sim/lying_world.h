#ifndef TESTS_SIM_LYING_WORLD_H
#define TESTS_SIM_LYING_WORLD_H

/* The world of one agent whose power fails again and again, on a disk that lies, behind a
 * broker that loses, doubles and reorders documents. Everything follows from one seed. */

#include "tests/sim/lying_disk.h"
#include "tests/sim/world.h"

/* X(NAME, text) mistakes that the port can be made to contain, to prove that they are
 * seen
 */
#define LYING_BUGS(X)                                                        \
	X(NONE, "none")                                                      \
	X(RECORD_UNSYNCED, "the journal is not synced")                      \
	X(ONE_RECORD, "the journal is one record, written in place")         \
	X(TABLE_UNSYNCED, "the slot table is not synced")                    \
	X(SLOT_UNSYNCED, "an image is not synced, and read from the cache")  \
	X(SWITCH_EARLY, "the slot is marked before it is written")           \
	X(FLOOR_EARLY, "the floor rises before the image has proved itself") \
	X(CHUNK_UNSYNCED, "chunks are acknowledged before they are synced")

#define LYING_BUG_ENUM(name, text) LYING_##name,
enum lying_bug { LYING_BUGS(LYING_BUG_ENUM) N_LYING_BUGS };
#undef LYING_BUG_ENUM

struct lying_record {
	unsigned file;
	uint64_t seq;
};

struct lying_world {
	struct world world;
	struct lying_disk disk;
	struct lying_record journal, table_record;
	struct slot_table table;
	enum lying_bug bug;
	unsigned cuts_left;
	bool honest; /* the broker loses nothing any more */
};

/** Text of a bug. */
const char *lying_bug_text(enum lying_bug bug);

/**
 * Live one life: an update that is good or bad, maybe a second one or a revert, with up
 * to four power cuts; then a last order, without cuts.
 *
 * lying  made and released here; large, so not on the stack
 * cuts   raised by the number of cuts that came
 *
 * Returns NULL, or what went wrong: what was booted was not whole, a record was not
 * readable, something acknowledged was lost, or the device did not get to the last order.
 */
const char *lying_live(struct lying_world *lying, uint64_t seed, enum lying_bug bug,
	unsigned long *cuts);

#endif

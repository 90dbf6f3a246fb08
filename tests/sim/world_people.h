#ifndef TESTS_SIM_WORLD_PEOPLE_H
#define TESTS_SIM_WORLD_PEOPLE_H

#include "tests/sim/world.h"

enum {
	WORLD_UTC_S = 1800000000, /* when a world begins */
	WORLD_DAY_S = 86400,
};

/** Make keys, and documents that let the device install image 2. */
void people_init(struct world *world);

/** Sign world->root as what provisioning leaves on the device. */
void people_sign_root(struct world *world);

/** Make the root after world->root, signed, in world->docs. */
void people_next_root(struct world *world);

/** Sign a payload as the role of its type into world->docs[kind]. */
void people_sign(struct world *world, enum ota_topic_kind kind, enum ota_doc_type type,
	struct ota_bytes payload);

#endif

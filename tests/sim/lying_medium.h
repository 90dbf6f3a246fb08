#ifndef TESTS_SIM_LYING_MEDIUM_H
#define TESTS_SIM_LYING_MEDIUM_H

/* What an agent stands on in a lying world: records, images, documents and a spool on its
 * disk, written as the real port writes them, or with a mistake. */

#include "tests/sim/lying_world.h"

/* The spool holds a chunk in each of its first sectors, then what was acknowledged. */
enum { FILE_JOURNAL, FILE_TABLE, FILE_IMAGE, FILE_SPOOL = FILE_IMAGE + 2, FILE_DOC };

/** The lying world of a port's ctx. */
struct lying_world *medium_of(void *ctx);

/** Write the older of two records (in_place: always the first). False: the power is gone.
 */
bool medium_record_write(struct lying_world *lying, struct lying_record *record,
	struct ota_bytes payload, bool in_place, bool synced);

/** Read the newest whole record; false if there is none. */
bool medium_record_read(
	struct lying_world *lying, struct lying_record *record, struct ota_buf *out);

/** Put image 1 into slot 0, durably. */
void medium_provision(struct lying_world *lying);

/** Let the world see what is in the slots. */
void medium_show_slots(struct lying_world *lying);

/** Make a slot table durable, and the one in force. */
enum ota_code medium_table_store(
	struct world *world, const struct slot_table *table, struct ota_error *err);

/* Members of struct world_medium. */
void medium_port(struct agent_port *port);
void medium_fetch(struct world *world);
void medium_purge(struct world *world);
enum ota_code medium_job(struct world *world, struct agent_result *result);

#endif

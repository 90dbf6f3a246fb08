#ifndef AGENT_CORE_UPDATE_H
#define AGENT_CORE_UPDATE_H

/* How a device moves through one update. States are those of proto/wire/documents.h.
 *
 *   IDLE -offer-> OFFERED -done-> FETCHING -done-> VERIFYING -done-> INSTALLING
 *     ^             |                 ^                |                  |
 *     +--- cancel --+                 +--- refetch ----+                done
 *                                                                         v
 *   CONFIRMED <-done- PROVING <-trial- REBOOTING <-----done----------- ARMED
 *       |                |                                              ^
 *       |              fail -> ROLLING_BACK -boot-> FAILED              |
 *       +-------------------------- revert -----------------------------+
 *
 * Until ARMED nothing is switched, and cancel leads back to IDLE.
 *
 * Who cannot go back (the other slot holds nothing, or does not boot) ends in FAILED by
 * RESCUE and stays up where it is: nothing but an image that an order brings boots it. */

#include "proto/base/fsm.h"
#include "proto/wire/documents.h"

/* X(NAME, text)
 *
 * OFFER    an order was admitted
 * DONE     the work of the state is done
 * FAIL     the work of the state cannot be done
 * REFETCH  what the spool holds is not the patch: fetch it again
 * CANCEL   the order was withdrawn or speaks of something else now
 * REVERT   the order says to go back to the other slot
 * RESTART  the process started again within a boot
 * BOOT     the device booted, and not into the slot that is on trial
 * TRIAL    the device booted into the slot that is on trial
 * LEFT     ... into another image than the confirmed one, and nobody here asked for it */
#define UPDATE_EVENTS(X)      \
	X(OFFER, "offer")     \
	X(DONE, "done")       \
	X(FAIL, "fail")       \
	X(REFETCH, "refetch") \
	X(CANCEL, "cancel")   \
	X(REVERT, "revert")   \
	X(RESTART, "restart") \
	X(BOOT, "boot")       \
	X(TRIAL, "trial")     \
	X(LEFT, "left")

#define UPDATE_EVENT_ENUM(name, text) UPDATE_ON_##name,
enum update_event { UPDATE_EVENTS(UPDATE_EVENT_ENUM) N_UPDATE_EVENTS };
#undef UPDATE_EVENT_ENUM

/** The table: from and to are enum ota_update_state, event is enum update_event. */
extern const struct ota_fsm_spec update_fsm;

#endif

#ifndef ORCHESTRATOR_PORT_OPENER_H
#define ORCHESTRATOR_PORT_OPENER_H

/* What devices say, on its way to the core: reports are verified and parsed on a thread
 * of its own, which is most of what they cost. All of it reaches the core in the order it
 * came. Messages that wait here still count as waiting with their link, which takes
 * nothing more from the broker once there are too many (proto/io/mqtt.h). */

#include <uv.h>

#include "orchestrator/core/core.h"
#include "proto/io/mqtt.h"

struct opener_config {
	struct core *core; /* borrowed for its life */
	/** The core, or opening it, refused a message. topic: borrowed for the call. */
	void (*refused)(void *ctx, const char *topic, const struct ota_error *why);
	void *ctx; /* borrowed */
};

/** A message of a device, as its callback has it. */
struct opener_message {
	struct ota_mqtt *link; /* that brought it; keeps it */
	const char *topic, *device;
	struct ota_bytes payload;
};

struct opener;

/** Start it. OTA_OK, OTA_E_NOMEM or OTA_E_IO (no thread). */
OTA_CHECKED enum ota_code opener_new(uv_loop_t *loop, const struct opener_config *config,
	struct opener **out, struct ota_error *err);

/** Take a report from within its callback. One that says again what is known ends here.
 *  OTA_OK; OTA_E_NOTFOUND if nobody knows the device, OTA_E_FORMAT if it is no envelope,
 *  OTA_E_BUSY if too much waits: then it is not kept. */
OTA_CHECKED enum ota_code opener_report(struct opener *opener,
	const struct opener_message *message, struct ota_error *err);

/** Take presence, parsed. OTA_OK, OTA_E_NOMEM or OTA_E_BUSY. */
OTA_CHECKED enum ota_code opener_presence(struct opener *opener,
	const struct opener_message *message, const struct ota_online *online,
	struct ota_error *err);

/** Let go of all that waits, and release; closed runs once libuv holds nothing. */
void opener_close(struct opener *opener, void (*closed)(void *ctx), void *ctx);

#endif

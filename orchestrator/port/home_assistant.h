#ifndef ORCHESTRATOR_PORT_HOME_ASSISTANT_H
#define ORCHESTRATOR_PORT_HOME_ASSISTANT_H

/* Keeps the documents of orchestrator/core/home_assistant.h at the broker, beside all
 * that the fleet lives by and at its own slow pace: it walks over the devices, a few in
 * each turn, and publishes what is not as it said last. Nothing of it is stored: after a
 * start, a connect and a birth message of Home Assistant all is said again. Documents
 * that it finds at the broker and that are of no device any more are taken away.
 *
 * All runs on the loop thread of the process that leads. */

#include <uv.h>

#include "orchestrator/core/home_assistant.h"
#include "orchestrator/port/config.h"
#include "orchestrator/port/ledger.h"
#include "proto/io/mqtt.h"

enum {
	HOME_ASSISTANT_TURN_MS = 250,
	HOME_ASSISTANT_TURN_COUNT = 50, /* devices looked at in a turn */
};

struct home_assistant;

/** config, core and ledger are borrowed. NULL in *out: the configuration says nothing of
 *  Home Assistant. With "enabled: false" what is found at the broker is taken away.
 *  OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code home_assistant_new(uv_loop_t *loop,
	const struct sluiced_config *config, const struct core *core,
	struct ledger *ledger, struct home_assistant **out, struct ota_error *err);

/** The topic and payload of a last will for the link; NULL: none is needed. Borrowed. */
const char *home_assistant_will(const struct home_assistant *home, const char **payload);

/** The link is up; borrowed until home_assistant_down(). home may be NULL from here on.
 */
void home_assistant_up(struct home_assistant *home, struct ota_mqtt *link);

/** The link is down. */
void home_assistant_down(struct home_assistant *home);

/** A message; true if it is of a topic that this asked for. */
bool home_assistant_message(struct home_assistant *home, const char *topic,
	struct ota_bytes payload, bool retained);

/** Say that nobody keeps the documents up to date from now on, while the link is there.
 */
void home_assistant_leave(struct home_assistant *home);

/** Release it, after the link; closed runs once libuv holds nothing. NULL: at once. */
void home_assistant_close(
	struct home_assistant *home, void (*closed)(void *ctx), void *ctx);

#endif

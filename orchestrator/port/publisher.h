#ifndef ORCHESTRATOR_PORT_PUBLISHER_H
#define ORCHESTRATOR_PORT_PUBLISHER_H

/* Brings what the ledger wants retained to the broker, in the order of its sequence.
 *
 * A patch is a barrier: its chunks, then - all of them acknowledged - its manifest, and
 * only after that acknowledgement the rows behind it. So nothing that names a patch is
 * out before the patch is. After each connect everything in force is sent again, for a
 * broker may have lost it. Chunks that devices ask for are sent once for all who asked
 * within a second; so are the blocks of a source, which nobody gets unasked.
 *
 * Before the first row the broker is probed: a retained message of 64 KiB must come back.
 * Nothing is published to a broker that fails. */

#include <uv.h>

#include "orchestrator/port/ledger.h"
#include "proto/io/mqtt.h"
#include "proto/wire/manifest.h"

struct publisher_config {
	const char *fleet;       /* copied */
	const char *patches_dir; /* the cache of patches; copied */
	struct ledger *ledger;   /* borrowed for the publisher's life */
};

struct publisher;

/** A publisher without a link. */
OTA_CHECKED enum ota_code publisher_new(uv_loop_t *loop,
	const struct publisher_config *config, struct publisher **out,
	struct ota_error *err);

/** The link is up. It is borrowed until publisher_down(). */
void publisher_up(struct publisher *publisher, struct ota_mqtt *link);

/** The link is down. */
void publisher_down(struct publisher *publisher);

/** The ledger has rows to publish. May be called from anywhere on the loop thread. */
void publisher_kick(struct publisher *publisher);

/** A message arrived; true if it was one that the publisher asked for: its probe, or what
 *  the broker held before, which is cleared where the ledger does not know its topic. */
bool publisher_message(struct publisher *publisher, const char *topic,
	struct ota_bytes payload, bool retained);

/** A device cannot get chunks of a patch, or needs a block table or blocks of an image to
 *  repair its source. The latter go out only while a patch that names the table does. */
void publisher_need(struct publisher *publisher, const struct ota_need *need);

/** How the broker did in the probe: "waiting", "ok", or what it cannot do. */
const char *publisher_probe_text(const struct publisher *publisher);

/** Publishes that the broker refused since the start. */
uint64_t publisher_denied_count(const struct publisher *publisher);

/** Write down what was acknowledged and release everything; closed runs once libuv holds
 *  nothing. The link must be closed before. NULL: closed runs at once. */
void publisher_close(struct publisher *publisher, void (*closed)(void *ctx), void *ctx);

#endif

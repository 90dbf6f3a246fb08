#ifndef ORCHESTRATOR_PORT_FEED_H
#define ORCHESTRATOR_PORT_FEED_H

/* What open streams are told, in the form of server-sent events: the fleet and every
 * rollout that goes on, of which only the newest state counts, and the audit log, of
 * which nothing is left out. Everything is made once, however many read it; a reader is
 * no more than a place in it, so one that is slow holds nothing but the event that it is
 * at.
 *
 *   event: fleet     data: the answer to GET /status
 *   event: rollout   data: the answer to GET /rollouts/{name}
 *   event: audit     data: an entry of GET /audit; id: its seq */

#include "orchestrator/port/api.h"

enum {
	FEED_REPLAY_MAX = 1000, /* audit entries that a reader who was away is told */
	FEED_SHARE = 20, /* looking takes at most one part in so many of the time */
};

struct feed;

/** A text that several hold. Read only; ends with a blank line. */
struct feed_event {
	unsigned refs;
	size_t len; /* bytes of text */
	char text[];
};

/** Where a reader stands. */
struct feed_place {
	uint64_t version;   /* of the newest state that he was told */
	uint64_t audit_seq; /* of the newest entry */
};

/** An event of that text. NULL: no memory. Give it back with feed_event_drop(). */
struct feed_event *feed_event_new(struct ota_bytes text);

/** One more holds it. */
struct feed_event *feed_event_hold(struct feed_event *event);

/** One less. NULL is allowed. */
void feed_event_drop(struct feed_event *event);

/** A feed of what api answers; api is borrowed, and need not lead before feed_wake().
 *  NULL: no memory. */
struct feed *feed_new(struct api *api);

/** Release it. NULL is allowed. */
void feed_free(struct feed *feed);

/** There are readers again: forget what was known, and look. */
void feed_wake(struct feed *feed);

/** Look what changed. About every second; does nothing more often, or where looking would
 *  take more than its share of the time. */
void feed_look(struct feed *feed);

/** The seq of the last audit entry that a reader knows, by what it sent as Last-Event-ID:
 *  at most newest, and at least FEED_REPLAY_MAX less. NULL and what is no number of an
 *  entry: newest. */
uint64_t feed_known(const char *last_id, uint64_t newest);

/** Where a new reader begins: all that is the case now, and the audit entries after that
 *  of seq last_id, at most FEED_REPLAY_MAX; NULL or no number of an entry: new ones
 *  alone. */
struct feed_place feed_begin(const struct feed *feed, const char *last_id);

/** True if there is something that a reader was not told. */
bool feed_has(const struct feed *feed, const struct feed_place *place);

/** The next event of a reader, whose place moves on; NULL: nothing, or no memory. Give it
 *  back with feed_event_drop(). */
struct feed_event *feed_next(struct feed *feed, struct feed_place *place);

#endif

#ifndef ORCHESTRATOR_PORT_STREAMS_H
#define ORCHESTRATOR_PORT_STREAMS_H

/* Open answers to GET /events. libmicrohttpd holds each suspended while there is nothing
 * to say; once a second those that have something to hear, or heard nothing for a while,
 * are woken up. A reader who is slow misses states that newer ones have replaced, and
 * nothing else; one who takes nothing at all, or is not there any more, is disconnected.
 */

#include <microhttpd.h>

#include "orchestrator/port/api.h"
#include "orchestrator/port/sessions.h"

enum {
	STREAMS_MAX = 512,
	STREAMS_BEAT_MS = 5000,    /* a comment follows after so much silence */
	STREAMS_STUCK_MS = 10000,  /* a reader who takes nothing for so long is gone */
	STREAMS_LIFE_MS = 3600000, /* then a reader has to ask again */
};

struct streams;

/** What a reader was let in by. */
struct streams_reader {
	bool has_session;
	struct ota_digest token;    /* of his session; or, without one: */
	struct ota_digest key_hash; /* as in the file of API keys */
	char key_id[OTA_NAME_CAP];
};

/** All are borrowed. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code streams_new(struct api *api, struct api_keys *keys,
	const struct sessions *sessions, struct streams **out);

/** True if he would be let in now: his session has not ended, his key is in the file. */
bool streams_lets(const struct streams *streams, const struct streams_reader *reader);

/** True if no more can be opened. */
bool streams_is_full(const struct streams *streams);

/** Answer a request with a stream. reader is copied; last_id: of Last-Event-ID, or NULL.
 */
enum MHD_Result streams_open(struct streams *streams, struct MHD_Connection *connection,
	const struct streams_reader *reader, const char *last_id);

/** Look what there is to say, and end the streams of those who would not be let in any
 *  more; at least every second. The daemon has to run afterwards. */
void streams_turn(struct streams *streams);

/** End the streams of those who would not be let in any more, now. */
void streams_weed(struct streams *streams);

/** Let all end; the daemon has to run afterwards, and may then be stopped. */
void streams_end(struct streams *streams);

/** Release it, after the daemon. NULL is allowed. */
void streams_free(struct streams *streams);

#endif

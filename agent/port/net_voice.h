#ifndef AGENT_PORT_NET_VOICE_H
#define AGENT_PORT_NET_VOICE_H

/* What this device says on the bus: presence, its newest report, progress. */

#include "proto/io/mqtt.h"
#include "proto/wire/documents.h"
#include "proto/wire/topics.h"

struct net_voice {
	struct ota_mqtt *link; /* borrowed; set once it exists */
	char online_topic[OTA_TOPIC_CAP], report_topic[OTA_TOPIC_CAP],
		progress_topic[OTA_TOPIC_CAP];
	char online[OTA_ONLINE_CAP], offline[OTA_ONLINE_CAP]; /* presence payloads */
	uint8_t nonce[OTA_NONCE_LEN];
	struct ota_buf report; /* owned; the newest */
	bool unsent;           /* the newest has not been given to the link */
	bool under_way;        /* an older or the same one is not acknowledged */
};

/** Begin with a new nonce; nothing is said yet. */
void net_voice_init(struct net_voice *voice, const char *fleet, const char *device);

/** Release. */
void net_voice_fini(struct net_voice *voice);

/** The link has come up: say that we are here, and the newest report again. */
void net_voice_up(struct net_voice *voice);

/** Say on purpose that we go. done as in ota_mqtt_publish(). OTA_OK, OTA_E_LINK or
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code net_voice_leave(
	struct net_voice *voice, ota_mqtt_done *done, void *ctx);

/** Publish a report, replacing one that was not sent yet. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code net_voice_report(
	struct net_voice *voice, struct ota_bytes report);

/** Publish progress, if there is somebody to hear it. */
void net_voice_progress(struct net_voice *voice, struct ota_bytes progress);

#endif

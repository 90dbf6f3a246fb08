#ifndef TESTS_INTEGRATION_LIGHT_H
#define TESTS_INTEGRATION_LIGHT_H

/* A device without a disk: it connects as a gateway does, verifies each document with the
 * code of the agent, takes the chunks of its patch, and goes through an update in as many
 * signed reports, but installs nothing. So a whole rollout takes less than a second. */

#include "tests/integration/peer.h"
#include "tests/unit/samples.h"

enum { LIGHT_TOPICS_MAX = 64, LIGHT_TEXT_CAP = OTA_TOPIC_CAP + OTA_ERROR_TEXT_CAP };

/** The connection of a device, shared by all the lives it has at once, each in a fleet of
 *  its own. */
struct light_link {
	char id[OTA_NAME_CAP];
	struct ota_mqtt *link; /* owned */
	struct ota_secret_key key;
	unsigned ups, closed;
	struct light *lives; /* borrowed; a list */
};

/** Something that is retained for the device. */
struct light_topic {
	char topic[OTA_TOPIC_CAP];
	struct ota_buf payload; /* owned */
};

/** One life. `= { 0 }` has not begun. */
struct light {
	struct light_link *link; /* borrowed */
	struct light *next;      /* of the same link */
	char fleet[OTA_NAME_CAP];
	struct ota_trust trust;
	struct ota_fresh fresh; /* the newest */
	struct ota_assign assign;
	struct ota_order order;
	struct ota_report report; /* as it stands */
	struct light_topic topics[LIGHT_TOPICS_MAX];
	size_t topic_count;
	/* What was seen in this life. */
	unsigned begins;           /* updates that it took up */
	unsigned refused;          /* documents that it could not accept */
	char text[LIGHT_TEXT_CAP]; /* the last of them */
	struct ota_digest target;  /* image of the update under way */
	char target_version[OTA_VERSION_CAP];
	bool busy; /* a report is under way, or an update */
};

/** Begin to connect; the id is a client of that broker. seed: of its key. */
void light_open(struct light_link *link, const struct broker *broker, const char *id,
	uint8_t seed);

/** Wait until it is connected. */
void light_await_open(struct light_link *link);

/** Begin to leave the broker. */
void light_close(struct light_link *link);

/** Wait until it has left. */
void light_await_close(struct light_link *link);

/** Begin a life in a fleet whose root is signed by the sample keys: it runs the image,
 *  release 1 of "1.0". light is zeroed or ended. */
void light_begin(struct light *light, struct light_link *link,
	const struct ota_root *root, const struct ota_digest *image);

/** Say that it is there, and what it runs. */
void light_report(struct light *light);

/** The JSON to register it with and one label, in out. */
void light_registration(
	const struct light *light, const char *label, struct ota_buf *out);

/** End a life that is not busy, and release everything. */
void light_end(struct light *light);

#endif

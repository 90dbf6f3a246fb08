#ifndef ORCHESTRATOR_CORE_HOME_ASSISTANT_H
#define ORCHESTRATOR_CORE_HOME_ASSISTANT_H

/* What Home Assistant is shown of a device: an `update` entity, found by its MQTT
 * discovery, and a document of its state. Pure: decided from the fleet's state alone.
 * Home Assistant shows; nothing here takes a command. */

#include "orchestrator/core/core.h"

enum {
	HOME_ASSISTANT_PREFIX_CAP = 65,  /* bytes of a topic prefix with the NUL */
	HOME_ASSISTANT_OBJECT_CAP = 280, /* bytes of an object id with the NUL */
	HOME_ASSISTANT_TOPIC_CAP = 512,  /* bytes of a topic with the NUL */
	HOME_ASSISTANT_TEXT_MAX = 255,   /* bytes of any text that it takes */
};

/** Where it stands at the broker. Both prefixes are home_assistant_prefix_ok(). */
struct home_assistant_place {
	const char *fleet;            /* a name; borrowed, as all here */
	const char *discovery_prefix; /* "homeassistant" */
	const char *topic_prefix;     /* "sluice-ha/demo" */
};

/** One device. */
struct home_assistant_device {
	char id[OTA_NAME_CAP], product[OTA_NAME_CAP], hardware[OTA_NAME_CAP];
	char installed[OTA_VERSION_CAP];
	char latest[OTA_VERSION_CAP]; /* of the release that it could have; else installed
				       */
	char notes[OTA_NOTES_CAP];    /* of that release; may be "" */
	bool in_progress;
	bool has_percent;
	unsigned percent; /* 0 .. 100 */
};

enum home_assistant_topic {
	HOME_ASSISTANT_CONFIG, /* PREFIX/update/OBJECT/config */
	HOME_ASSISTANT_STATE,  /* TOPIC_PREFIX/OBJECT/state */
};

/** True for one to eight levels of [A-Za-z0-9_-], at most HOME_ASSISTANT_PREFIX_CAP. */
bool home_assistant_prefix_ok(const char *prefix);

/** The object id of a device: [a-z0-9_-] alone, another for each device of each fleet. */
void home_assistant_object(const char *fleet, const char *device,
	char out[static HOME_ASSISTANT_OBJECT_CAP]);

/** The device of an object id that home_assistant_object() made for this fleet; false for
 *  any other text. out is written on success only. */
bool home_assistant_device_of(
	const char *fleet, const char *object, char out[static OTA_NAME_CAP]);

/** A topic of a device. */
void home_assistant_topic(const struct home_assistant_place *place, const char *device,
	enum home_assistant_topic topic, char out[static HOME_ASSISTANT_TOPIC_CAP]);

/** The topic that says whether anybody keeps the documents up to date: "online" or
 *  "offline". */
void home_assistant_availability(const struct home_assistant_place *place,
	char out[static HOME_ASSISTANT_TOPIC_CAP]);

/** The document of a topic, appended to out. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code home_assistant_document(
	const struct home_assistant_place *place,
	const struct home_assistant_device *device, enum home_assistant_topic topic,
	struct ota_buf *out, struct ota_error *err);

/** The first device after an id ("" from the start) that has reported, of a cohort (""
 *  any); false if there is none. */
bool home_assistant_next(const struct core *core, struct core_now now, const char *cohort,
	const char *after, struct home_assistant_device *out);

#endif

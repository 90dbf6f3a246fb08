#ifndef TESTS_SIM_FLEET_WORLD_H
#define TESTS_SIM_FLEET_WORLD_H

/* The whole world of the orchestrator's core, in memory: the store, the broker, the patch
 * makers, the people with their keys, and devices that verify what they are given and
 * update as scripted. It can restart the core after every call. */

#include "orchestrator/core/core.h"
#include "proto/wire/admit.h"
#include "proto/wire/trust.h"

enum {
	FW_DEVICES_MAX = 200,
	FW_STEP_S = 10,        /* of one fw_step() */
	FW_UTC_S = 1800000000, /* when a world begins */
};

#define FW_FLEET "demo"

/** How a device fares with an update. */
enum fw_script {
	FW_GOOD,
	FW_UNHEALTHY,  /* falls back cleanly */
	FW_BRICK,      /* is never heard of again after the reboot */
	FW_STUCK,      /* its rollback fails */
	FW_NO_ROOM,    /* cannot take it */
	FW_AWAY,       /* never connects */
	FW_NO_REPAIR,  /* cannot repair the image it claims */
	FW_MUTE,       /* connects, reports once, takes no order */
	FW_FLAKY,      /* falls back cleanly once, then all is well */
	FW_STUCK_BACK, /* confirms, and then cannot go back */
	FW_CRAMPED,    /* finds no room while it installs, twice, then all is well */
};

struct fw_device {
	char id[OTA_NAME_CAP];
	enum fw_script script;
	struct ota_secret_key key;
	struct ota_trust trust;
	struct ota_report report; /* as it stands */
	struct ota_digest old;    /* what it ran before */
	char old_version[OTA_VERSION_CAP];
	uint64_t tried_seq;       /* assign it held when it failed */
	char tried[OTA_NAME_CAP]; /* rollout it failed in */
	unsigned failures;
	uint64_t installs; /* times it switched to a new image */
	bool dead;
};

struct fw_row {
	enum core_table table;
	char *key;            /* owned */
	struct ota_buf value; /* owned */
};

struct fw_topic {
	char topic[OTA_TOPIC_CAP];
	struct ota_buf payload; /* owned */
};

/** What a later root says of operators. */
struct fw_operators {
	const struct ota_secret_key *second; /* borrowed; NULL: nothing yet */
	uint32_t threshold, wide;
	uint64_t changes;
};

struct fw_world {
	struct core *core; /* owned */
	struct core_now now;
	struct ota_secret_key keys[OTA_N_ROLES];
	struct fw_operators operators;
	struct ota_buf root; /* owned */
	uint64_t document_seq;
	struct ota_digest catalog_list[8];
	uint32_t catalog_count;

	struct fw_row *rows; /* owned */
	size_t row_count;
	struct fw_topic *topics; /* owned */
	size_t topic_count;
	struct core_patch asked[64]; /* make_patch calls not answered yet */
	unsigned asked_count;
	struct ota_digest on_broker[64]; /* patches */
	unsigned on_broker_count;
	char actions[8192]; /* audit: "action action ..." but for orders and starts */
	bool in_transaction;

	struct fw_device devices[FW_DEVICES_MAX];
	unsigned device_count;

	const char *label; /* one more that devices are registered with; NULL: none */
	bool restarts;     /* the core after every call */
	bool keep_asked;   /* patches are not made */
	unsigned draws;    /* of random bytes */
	unsigned restart_count, order_count, fresh_count;
};

/** A started core of a fleet with cohorts lab, canary and fleet, by label ring. Release
 *  with fw_close(). */
struct fw_world *fw_open(void);

/** Release everything, the world too. */
void fw_close(struct fw_world *w);

/** Throw the core away and load it from the store. */
void fw_restart(struct fw_world *w);

/** Load another core from the store and start it; it is thrown away. */
enum ota_code fw_try_start(struct fw_world *w, struct ota_error *err);

/** Register count devices "<ring>-<n>" that run image "1.0", and let them report. */
void fw_add_devices(
	struct fw_world *w, const char *ring, unsigned count, enum fw_script script);

/** The device of that id. */
struct fw_device *fw_device(struct fw_world *w, const char *id);

/** Sign and hand in a release of a version, its image, and a catalog with it. */
struct ota_digest fw_release(struct fw_world *w, const char *version, uint64_t counter);

/** Hand in a grant. canary: NULL, or a device named in it. */
void fw_grant(struct fw_world *w, const struct ota_digest *release, uint64_t permille,
	const char *canary);

/** Hand in a catalog that does not list any release any more. */
void fw_withdraw(struct fw_world *w);

/** Hand in root 2, with another online key, and show it to all devices. */
void fw_rotate(struct fw_world *w);

/** Hand in the next root, with a second operator and these thresholds, and show it to all
 *  devices. Not beside fw_rotate(). */
void fw_operators(struct fw_world *w, const struct ota_secret_key *second,
	uint32_t threshold, uint32_t wide);

/** Begin a rollout from its JSON; %s in it becomes the release. */
enum ota_code fw_apply(struct fw_world *w, const char *json,
	const struct ota_digest *release, struct ota_error *err);

/** Steer one. */
enum ota_code fw_steer(struct fw_world *w, const char *rollout, const char *verb);

/** Sign a device's report as it stands and hand it in. */
enum ota_code fw_report(struct fw_world *w, struct fw_device *d);

/** Let FW_STEP_S pass: the core ticks, every device makes one move. */
void fw_step(struct fw_world *w);

/** Step until the rollout is in that state; false if it is not within steps. */
bool fw_until(struct fw_world *w, const char *rollout, const char *state, unsigned steps);

/** The state of a rollout: a static text. */
const char *fw_state(struct fw_world *w, const char *rollout);

/** The text or number at "a.b.0.c" of a tree; "" and 0 if there is none. */
const char *fw_text(const cJSON *tree, const char *path);
uint64_t fw_number(const cJSON *tree, const char *path);

/** The rule explain gives for a device: a static text. */
const char *fw_rule(struct fw_world *w, const char *device);

/** Devices that run a version. */
unsigned fw_count_running(const struct fw_world *w, const char *version);

/** What a topic holds; empty if nothing. */
struct ota_bytes fw_topic_payload(struct fw_world *w, const struct ota_topic *topic);

/** The order a cohort is under; false if there is none. */
bool fw_order(struct fw_world *w, const char *cohort, struct ota_order *out);

#endif

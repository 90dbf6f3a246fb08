#ifndef TESTS_SIM_FLEET_DEVICE_H
#define TESTS_SIM_FLEET_DEVICE_H

/* The devices of a fleet world. */

#include "tests/sim/fleet_world.h"

#define FW_FLEET_ID "demo-fleet-id-16"
#define FW_NONCE    "00112233445566778899aabbccddeeff"

/** Seal a payload and sign it with one key; appended to out. */
void fw_seal(enum ota_doc_type type, struct ota_bytes payload,
	const struct ota_secret_key *key, struct ota_buf *out);

/** A device "<ring>-<n>" that runs image "1.0" and trusts the root. */
void fw_device_init(
	const struct fw_world *w, struct fw_device *d, const char *ring, unsigned n);

/** Fill in what a person registers it with. */
void fw_device_registration(const struct fw_device *d, const char *ring, cJSON *tree);

/** Say that it is there (or, once dead, that it is gone), and report. */
void fw_connect(struct fw_world *w, struct fw_device *d);

/** One move of its script. */
void fw_device_move(struct fw_world *w, struct fw_device *d);

#endif

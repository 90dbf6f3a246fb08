#ifndef PROTO_WIRE_ADMIT_H
#define PROTO_WIRE_ADMIT_H

/* The one decision of Sluice: may this device install this release now? The agent asks it
 * before it fetches a byte, the orchestrator asks it to explain a device. The checks
 * stand in the order of DESIGN, each with its own code. */

#include "proto/wire/documents.h"

/** What a device knows of itself. */
struct ota_self {
	const char *device, *product, *hardware; /* borrowed */
	const char *version;       /* running version, for "needs"; may be "" */
	struct ota_digest running; /* image of the running slot; zero: not known */
	uint64_t floor;            /* anti-rollback floor */
	uint64_t counter;          /* of the running release */
	uint32_t local_min;        /* minute of the local day, 0 .. 1439 */
};

/** The documents the decision stands on; each verified and borrowed; NULL: not there. */
struct ota_case {
	const struct ota_fresh *fresh;
	const struct ota_catalog *catalog;
	const struct ota_release *release;
	const struct ota_order *order;
	const struct ota_grant *grant;
	struct ota_digest order_digest, release_digest;
};

/** The bucket of a device: BLAKE2b-256(salt | device id), first 8 bytes as u64le, modulo
 *  1000. */
uint32_t ota_bucket(const uint8_t salt[static OTA_SALT_LEN], const char *device);

/** True if minute lies in the window; a window of equal ends is always open. */
bool ota_window_is_open(const struct ota_window *window, uint32_t minute);

/** True if the device is named among the canaries. */
bool ota_is_canary(
	const char canaries[][OTA_NAME_CAP], uint32_t count, const char *device);

/**
 * Decide.
 *
 * Checked in this order: fresh lists this order (OTA_E_SEQUENCE), catalog allows the
 * release and its counter (UNLISTED), order and release agree on digest, length, hardware
 * and counter (AGREEMENT), product (PRODUCT), hardware (HARDWARE), counter at or above
 * the floor (FLOOR), already running it (CURRENT), needs (PRECURSOR), a grant for it
 * (NOGRANT), order->permille within the grant's (SHARE; canaries of the order must be
 * canaries of the grant), the device's bucket below order->permille or named canary
 * (BUCKET), a patch from the running image or a full one (PRECURSOR), window (WINDOW).
 * patch   filled on OTA_OK with the reference to fetch; may be NULL. A delta from the
 *         running image goes before a full one.
 */
OTA_CHECKED enum ota_code ota_admit(const struct ota_self *self, const struct ota_case *c,
	struct ota_patch_ref *patch, struct ota_error *err);

#endif

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
	uint64_t trusted_utc_s; /* ota_trust_now(): expiry is judged at the decision */
	const struct ota_root *root;
	const struct ota_fresh *fresh;
	const struct ota_catalog *catalog;
	const struct ota_release *release;
	const struct ota_order *order;
	const struct ota_grant *grant;
	/* document digests; that of the catalog held is trust->catalog.digest */
	struct ota_digest order_digest, release_digest, catalog_digest;
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
 * The checks in their order, with the code of each:
 *   ROOTCHAIN  a root is held, and it is the one fresh names or a newer one
 *   EXPIRED    root and fresh are in force
 *   NOROLLOUT  an order is there
 *   SEQUENCE   a fresh is there and lists exactly this order
 *   UNLISTED   a catalog is there and it is the one fresh names (EXPIRED: in force); it
 *              lists the release and does not revoke it
 *   NOTFOUND   the release is there
 *   UNLISTED   its counter is not below the catalog's minimum for the product
 *   AGREEMENT  order and release name the same digest, length, hardware and counter
 *   PRODUCT    the release is for this product
 *   HARDWARE   ... and for this hardware
 *   FLOOR      its counter is not below the device's floor
 *   CURRENT    the device does not run it already
 *   PRECURSOR  if the release needs versions, the device runs one of them
 *   PAUSED     the order says go (ABORTED: it says abort or revert)
 *   NOGRANT    a grant for this release is there and has begun (EXPIRED: in force)
 *   SHARE      the order stays within it: permille and every canary
 *   BUCKET     the device is a canary of the order, or its bucket is below the permille
 *   PRECURSOR  the order has a patch from the running image, or a full one
 *   WINDOW     the window is open
 *
 * patch   filled on OTA_OK with the reference to fetch; may be NULL. A delta from the
 *         running image goes before a full one.
 */
OTA_CHECKED enum ota_code ota_admit(const struct ota_self *self, const struct ota_case *c,
	struct ota_patch_ref *patch, struct ota_error *err);

#endif

#ifndef ORCHESTRATOR_PORT_WEBHOOK_SECRET_H
#define ORCHESTRATOR_PORT_WEBHOOK_SECRET_H

/* What a webhook's messages are signed with, in the form of Standard Webhooks: a file of
 * one line "whsec_BASE64", or two while a secret is being changed; the message carries a
 * signature by each. */

#include "proto/base/bytes.h"

enum {
	WEBHOOK_SECRETS_MAX = 2,
	WEBHOOK_SECRET_LEN_MIN = 32, /* bytes, decoded */
	WEBHOOK_SECRET_LEN_MAX = 64,
	WEBHOOK_ID_CAP = 64,
	WEBHOOK_SIGNATURES_CAP = 128, /* bytes of two with the blank and the NUL */
};

/** `= { 0 }` has none; wipe with webhook_secret_fini(). */
struct webhook_secret {
	struct {
		uint8_t at[WEBHOOK_SECRET_LEN_MAX];
		size_t len;
	} keys[WEBHOOK_SECRETS_MAX];
	size_t count;
};

/** Read a file. OTA_OK; OTA_E_CONFIG, with what to do, for one that others may read, or
 *  that holds something else; or a code of ota_file_read(). */
OTA_CHECKED enum ota_code webhook_secret_read(
	const char *path, struct webhook_secret *out, struct ota_error *err);

/** Wipe it. Accepts a zeroed struct. */
void webhook_secret_fini(struct webhook_secret *secret);

/** What is signed. */
struct webhook_message {
	const char *id;    /* of the event, the same whenever it is sent */
	uint64_t at_utc_s; /* when it is sent */
	struct ota_bytes body;
};

/** The signatures, "v1,BASE64", with a blank between two. */
void webhook_sign(const struct webhook_secret *secret,
	const struct webhook_message *message, char out[static WEBHOOK_SIGNATURES_CAP]);

#endif

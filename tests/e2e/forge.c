/* forge TYPE FLEET_ID OUT PAYLOAD [KEY...]: an envelope that no honest program would
 * make.
 *
 * TYPE is a document type, FLEET_ID 32 hex digits, PAYLOAD a file whose bytes are taken
 * as they are, each KEY a key file that signs in turn, the same one twice if named twice.
 * The end-to-end tests publish what comes out and look at how it is refused. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/context.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { NSIG_LEN = 1 }; /* bytes of the count in front of the signatures */

/* Append one signature by hand: ota_envelope_sign() would replace an earlier one. */
static OTA_CHECKED enum ota_code add_signature(
	struct ota_buf *envelope, const char *key_path, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf alone = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf signed_once = { 0 };
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key key = { 0 };
	struct ota_envelope view;
	enum ota_code rc = key_file_read(key_path, &key, err);

	if (rc == OTA_OK)
		rc = ota_envelope_parse(ota_buf_bytes(envelope), &view, err);
	if (rc == OTA_OK)
		rc = ota_envelope_seal(
			view.type, view.fleet_id, view.payload, &alone, err);
	if (rc == OTA_OK)
		rc = ota_envelope_sign(ota_buf_bytes(&alone), &key, &signed_once, err);
	if (rc == OTA_OK)
		rc = ota_buf_add(envelope, (struct ota_bytes){ signed_once.at + alone.len,
						   signed_once.len - alone.len });
	if (rc == OTA_OK)
		envelope->at[alone.len - NSIG_LEN]++;
	return rc;
}

static OTA_CHECKED enum ota_code forge(int argc, char **argv, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	uint8_t fleet_id[OTA_FLEET_ID_LEN];
	enum ota_doc_type type;
	enum ota_code rc = ota_doc_type_of(argv[1], &type, err);

	if (rc == OTA_OK)
		rc = ota_hex_decode(argv[2], fleet_id, sizeof fleet_id);
	if (rc == OTA_OK)
		rc = ota_file_read(argv[4], OTA_PAYLOAD_LEN_MAX, &payload, err);
	if (rc == OTA_OK)
		rc = ota_envelope_seal(
			type, fleet_id, ota_buf_bytes(&payload), &envelope, err);
	for (int i = 5; rc == OTA_OK && i < argc; i++)
		rc = add_signature(&envelope, argv[i], err);
	if (rc == OTA_OK)
		rc = ota_file_replace(argv[3], ota_buf_bytes(&envelope), 0644, err);
	return rc;
}

int main(int argc, char **argv)
{
	struct ota_error err = { 0 };

	if (argc < 5 || sodium_init() < 0) {
		fprintf(stderr, "usage: forge TYPE FLEET_ID OUT PAYLOAD [KEY...]\n");
		return 1;
	}
	if (forge(argc, argv, &err) != OTA_OK) {
		fprintf(stderr, "forge: %s\n", err.text);
		return 1;
	}
	return 0;
}

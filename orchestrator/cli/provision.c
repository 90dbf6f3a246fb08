#include "orchestrator/cli/provision.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

static OTA_CHECKED enum ota_code write_in_dir(const struct provisioning *p,
	const char *name, struct ota_bytes data, struct ota_error *err)
{
	char path[CONTEXT_PATH_CAP];
	enum ota_code rc = ota_path_join(p->dir, name, path, sizeof path, err);

	return rc == OTA_OK ? ota_file_replace(path, data, 0644, err) : rc;
}

static OTA_CHECKED enum ota_code write_agent_yaml(
	const struct provisioning *p, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	const char *broker = cli_value(call, "broker", "ssl://localhost:8883");
	enum ota_code rc = ota_buf_printf(&text,
		"# Read by 'sluice-agent'. Paths are relative to this file.\n"
		"device: %s\nfleet: %s\nproduct: %s\nhardware: %s\n"
		"root: root.doc\ndevice_key: device.key\nstate_dir: state\nhooks: hooks\n"
		"spool:\n  dir: spool\n  max: 512M\n"
		"slot:\n  type: file\n  dir: slots\nreboot: self\n"
		"broker:\n  url: %s\n",
		p->id, p->context.fleet, cli_value(call, "product", "gateway"),
		cli_value(call, "hardware", "generic"), broker);

	if (rc == OTA_OK && strncmp(broker, "ssl://", 6) == 0)
		rc = ota_buf_printf(&text,
			"  ca: ca.pem\n  cert: %s.pem\n  key: %s.key\n", p->id, p->id);
	if (rc == OTA_OK)
		rc = write_in_dir(p, "agent.yaml", ota_buf_bytes(&text), err);
	return rc;
}

/* The directory that goes onto the device: key, root, configuration. */
static OTA_CHECKED enum ota_code make_directory(
	struct provisioning *p, const struct cli_call *call, struct ota_error *err)
{
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key secret = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf root = { 0 };
	struct ota_public_key key;
	char path[CONTEXT_PATH_CAP];
	enum ota_code rc = ota_dir_make(p->dir, 0755, err);

	if (rc == OTA_OK)
		rc = ota_path_join(p->dir, "device.key", path, sizeof path, err);
	if (rc == OTA_OK)
		rc = key_file_make(path, &secret, err);
	if (rc == OTA_OK)
		rc = ota_file_read(
			p->context.root_path, OTA_ENVELOPE_LEN_MAX, &root, err);
	if (rc == OTA_OK)
		rc = write_in_dir(p, "root.doc", ota_buf_bytes(&root), err);
	if (rc == OTA_OK)
		rc = write_agent_yaml(p, call, err);
	if (rc != OTA_OK)
		return rc;
	key = ota_secret_key_public(&secret);
	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, p->public_hex);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_key(
	struct provisioning *p, const char *path, struct ota_error *err)
{
	OTA_AUTO(ota_secret_key_fini) struct ota_secret_key secret = { 0 };
	struct ota_public_key key;
	enum ota_code rc = key_file_read(path, &secret, err);

	if (rc != OTA_OK)
		return rc;
	key = ota_secret_key_public(&secret);
	ota_hex_encode((struct ota_bytes){ key.at, OTA_PK_LEN }, p->public_hex);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_public(
	struct provisioning *p, const char *hex, struct ota_error *err)
{
	uint8_t key[OTA_PK_LEN];

	if (ota_hex_decode(hex, key, sizeof key) != OTA_OK)
		return ota_fail(err, OTA_E_USAGE, "--public is 64 hex digits");
	memcpy(p->public_hex, hex, sizeof p->public_hex);
	return OTA_OK;
}

enum ota_code provision_check_labels(const struct cli_call *call, struct ota_error *err)
{
	for (size_t i = 0; i < call->value_count; i++) {
		enum ota_code rc = OTA_OK;

		if (strcmp(call->values[i].name, "label") == 0)
			rc = ota_label_check(call->values[i].value, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}

cJSON *provision_labels(const struct cli_call *call)
{
	cJSON *labels = cJSON_CreateArray();

	for (size_t i = 0; i < call->value_count; i++)
		if (strcmp(call->values[i].name, "label") == 0)
			cJSON_AddItemToArray(
				labels, cJSON_CreateString(call->values[i].value));
	return labels;
}

enum ota_code provision(
	const struct cli_call *call, struct provisioning *p, struct ota_error *err)
{
	enum ota_code rc = context_load(call, &p->context, err);

	if (rc == OTA_OK)
		rc = ota_name_copy(call->operands[0], "device", p->id, err);
	if (rc == OTA_OK && snprintf(p->dir, sizeof p->dir, "%s/devices/%s",
				    p->context.dir, p->id) >= (int)sizeof p->dir)
		rc = ota_fail(err, OTA_E_LIMIT, "path of device '%s' is too long", p->id);
	if (rc != OTA_OK)
		return rc;
	if (cli_has(call, "public"))
		return take_public(p, cli_value(call, "public", ""), err);
	if (cli_has(call, "key"))
		return take_key(p, cli_value(call, "key", ""), err);
	p->made = true;
	return make_directory(p, call, err);
}

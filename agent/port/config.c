#include "agent/port/config.h"

#include <inttypes.h>
#include <string.h>

#include "agent/port/config_read.h"
#include "proto/base/own.h"

enum {
	KEEPALIVE_MIN_S = 5,
	KEEPALIVE_MAX_S = 3600,
	KEEPALIVE_S = 30,
	HOOK_DEADLINE_MAX_S = 3600,
	HOOK_DEADLINE_S = 60,
	OUTSTANDING_MAX = 16,
	RATE_MIN = 100, /* a chunk in ten minutes */
};

#define MIB (UINT64_C(1) << 20)

static void read_names(struct config_reading *r, const struct ota_yaml_node *root)
{
	struct agent_config *c = r->out;

	ota_yaml_name(r->doc, config_need(r, root, "device"), "device", c->device);
	ota_yaml_name(r->doc, config_need(r, root, "fleet"), "fleet", c->fleet);
	ota_yaml_name(r->doc, config_need(r, root, "product"), "product", c->product);
	ota_yaml_name(r->doc, config_need(r, root, "hardware"), "hardware", c->hardware);
}

static void check_url(struct config_reading *r, const struct ota_yaml_node *url)
{
	const char *text = r->out->broker.url;
	bool tls = strncmp(text, "ssl://", 6) == 0;

	if (url == NULL || text[0] == '\0')
		return;
	if (!tls && strncmp(text, "tcp://", 6) != 0)
		ota_yaml_error(r->doc, url,
			"'url' must begin with ssl:// or tcp://, like ssl://broker:8883");
	else if (tls && r->out->broker.ca_file[0] == '\0')
		ota_yaml_error(r->doc, url, "an ssl:// 'url' needs 'ca'");
}

static void read_broker(struct config_reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "url", "ca", "cert", "key", "user",
		"password_file", "keepalive", NULL };
	struct agent_broker_config *b = &r->out->broker;
	const struct ota_yaml_node *map =
		config_section(r, config_need(r, root, "broker"), "the broker", keys);
	const struct ota_yaml_node *url = config_need(r, map, "url");

	config_text(r, url, "url", b->url, sizeof b->url);
	config_path(r, config_value(map, "ca"), "ca", b->ca_file);
	config_path(r, config_value(map, "cert"), "cert", b->cert_file);
	config_path(r, config_value(map, "key"), "key", b->key_file);
	config_text(r, config_value(map, "user"), "user", b->user, sizeof b->user);
	config_path(
		r, config_value(map, "password_file"), "password_file", b->password_file);
	b->keepalive_s =
		(uint32_t)ota_yaml_duration_s(r->doc, config_value(map, "keepalive"),
			"keepalive", KEEPALIVE_MAX_S, KEEPALIVE_S);
	if (b->keepalive_s < KEEPALIVE_MIN_S)
		ota_yaml_error(r->doc, config_value(map, "keepalive"),
			"'keepalive' must be at least %ds", KEEPALIVE_MIN_S);
	check_url(r, url);
}

static void read_spool(struct config_reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "dir", "max", NULL };
	const struct ota_yaml_node *map =
		config_section(r, config_need(r, root, "spool"), "the spool", keys);

	config_path(r, config_need(r, map, "dir"), "dir", r->out->spool_dir);
	r->out->spool_max_bytes =
		config_size(r, config_value(map, "max"), "max", MIB, 512 * MIB);
}

/* "self", or the words of a command. */
static void read_reboot(struct config_reading *r, const struct ota_yaml_node *node)
{
	struct agent_config *c = r->out;

	if (node == NULL)
		return;
	if (node->kind == OTA_YAML_SCALAR && strcmp(node->text, "self") == 0)
		return;
	if (node->kind != OTA_YAML_LIST || node->count == 0 ||
		node->count > AGENT_REBOOT_ARGS_MAX) {
		ota_yaml_error(r->doc, node,
			"'reboot' must be self or a list of 1 to %d words, like "
			"[systemctl, reboot]",
			AGENT_REBOOT_ARGS_MAX);
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		config_text(r, node->items[i], "reboot", c->reboot[i], AGENT_PATH_CAP);
	c->reboot_count = (uint32_t)node->count;
}

/* A device that is slow because its owner wants it so is not served badly. */
static void read_rate_min(struct config_reading *r, const struct ota_yaml_node *node)
{
	uint64_t most =
		r->out->rate_bytes_per_s == 0 ? UINT64_MAX : r->out->rate_bytes_per_s / 2;
	uint64_t value = config_size(r, node, "rate_min", 0, RATE_MIN);

	if (node != NULL && value > most)
		ota_yaml_error(r->doc, node,
			"'rate_min' must be at most half of 'rate', that is %" PRIu64,
			most);
	r->out->policy.rules.rate_min = value < most ? value : most;
}

static void read_limits(struct config_reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "decoder_ram", "chunks_outstanding", "rate",
		"rate_min", NULL };
	const struct ota_yaml_node *map =
		config_section(r, config_value(root, "limits"), "limits", keys);

	r->out->decoder_ram_bytes = config_size(
		r, config_value(map, "decoder_ram"), "decoder_ram", MIB, 8 * MIB);
	r->out->chunks_outstanding =
		(uint32_t)ota_yaml_u64(r->doc, config_value(map, "chunks_outstanding"),
			"chunks_outstanding", 1, OUTSTANDING_MAX, OUTSTANDING_MAX);
	r->out->rate_bytes_per_s =
		config_size(r, config_value(map, "rate"), "rate", 0, 0);
	read_rate_min(r, config_value(map, "rate_min"));
}

static void read_deadlines(struct config_reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "hook", NULL };
	const struct ota_yaml_node *map =
		config_section(r, config_value(root, "deadlines"), "deadlines", keys);
	const struct ota_yaml_node *hook = config_value(map, "hook");

	r->out->hook_deadline_s = (uint32_t)ota_yaml_duration_s(
		r->doc, hook, "hook", HOOK_DEADLINE_MAX_S, HOOK_DEADLINE_S);
	if (r->out->hook_deadline_s == 0)
		ota_yaml_error(r->doc, hook, "'hook' must be at least 1s");
}

static void read_log(struct config_reading *r, const struct ota_yaml_node *node)
{
	static const char *const words[] = { "info", "debug", NULL };
	static const enum ota_log_level levels[] = { OTA_LOG_INFO, OTA_LOG_DEBUG };

	r->out->log_level = levels[ota_yaml_choice(r->doc, node, "log", words, 0)];
}

static void read_all(struct config_reading *r)
{
	static const char *const keys[] = { "device", "fleet", "product", "hardware",
		"root", "device_key", "broker", "state_dir", "spool", "user", "hooks",
		"slot", "boot", "policy", "reboot", "limits", "deadlines", "log", NULL };
	const struct ota_yaml_node *root = ota_yaml_root(r->doc);
	struct agent_config *c = r->out;

	if (!ota_yaml_map(r->doc, root, "the agent", keys))
		return;
	read_names(r, root);
	config_path(r, config_need(r, root, "root"), "root", c->root_file);
	config_path(
		r, config_need(r, root, "device_key"), "device_key", c->device_key_file);
	read_broker(r, root);
	config_path(r, config_need(r, root, "state_dir"), "state_dir", c->state_dir);
	read_spool(r, root);
	config_text(r, config_value(root, "user"), "user", c->user, sizeof c->user);
	config_path(r, config_value(root, "hooks"), "hooks", c->hooks_dir);
	config_slot(r, root);
	config_boot(r, config_value(root, "boot"));
	config_policy(r, config_value(root, "policy"));
	read_reboot(r, config_value(root, "reboot"));
	read_limits(r, root);
	read_deadlines(r, root);
	read_log(r, config_value(root, "log"));
}

/* All errors to the buffer, the first line to err. */
static enum ota_code refuse(
	struct ota_yaml *doc, struct ota_buf *errors, struct ota_error *err)
{
	const char *text = ota_yaml_errors(doc);

	if (errors != NULL && ota_buf_add(errors, ota_bytes_of(text)) != OTA_OK)
		return OTA_E_NOMEM;
	return ota_fail(err, OTA_E_CONFIG, "%.*s", (int)strcspn(text, "\n"), text);
}

static void free_doc(struct ota_yaml **doc)
{
	ota_yaml_free(*doc);
}

enum ota_code agent_config_load(const char *path, struct agent_config *out,
	struct ota_buf *errors, struct ota_error *err)
{
	OTA_AUTO(free_doc) struct ota_yaml *doc = NULL;
	struct agent_config config = { 0 };
	struct config_reading r = { .path = path, .out = &config };
	enum ota_code rc = ota_yaml_load(path, &doc);

	if (rc == OTA_E_NOMEM)
		return ota_fail(err, rc, "%s", path);
	r.doc = doc;
	if (rc == OTA_OK)
		read_all(&r);
	if (ota_yaml_error_count(doc) > 0)
		return refuse(doc, errors, err);
	*out = config;
	return OTA_OK;
}

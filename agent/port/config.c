#include "agent/port/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/yaml.h"

enum {
	KEEPALIVE_MIN_S = 5,
	KEEPALIVE_MAX_S = 3600,
	KEEPALIVE_S = 30,
	HOOK_DEADLINE_MAX_S = 3600,
	HOOK_DEADLINE_S = 60,
	OUTSTANDING_MAX = 16,
};

#define MIB          (UINT64_C(1) << 20)
#define SIZE_MAX_VAL (UINT64_C(1) << 50)

/* One file being read. */
struct reading {
	struct ota_yaml *doc;     /* borrowed */
	const char *path;         /* of the file, borrowed */
	struct agent_config *out; /* borrowed */
};

/* The value of a key in a map that may itself be missing. */
static const struct ota_yaml_node *value_of(
	const struct ota_yaml_node *map, const char *key)
{
	return map == NULL ? NULL : ota_yaml_get(map, key);
}

/* As value_of(), but the key must be there if the map is. */
static const struct ota_yaml_node *need(
	struct reading *r, const struct ota_yaml_node *map, const char *key)
{
	return map == NULL ? NULL : ota_yaml_need(r->doc, map, key);
}

static void read_text(struct reading *r, const struct ota_yaml_node *node,
	const char *key, char *out, size_t cap)
{
	const char *text = ota_yaml_text(r->doc, node, key, "");

	if (strlen(text) < cap)
		memcpy(out, text, strlen(text) + 1);
	else
		ota_yaml_error(
			r->doc, node, "'%s' is longer than %zu bytes", key, cap - 1);
}

/* A path; a relative one begins where the file lies. */
static void read_path(struct reading *r, const struct ota_yaml_node *node,
	const char *key, char out[static AGENT_PATH_CAP])
{
	const char *text = ota_yaml_text(r->doc, node, key, "");
	const char *slash = strrchr(r->path, '/');
	size_t dir_len = slash == NULL ? 0 : (size_t)(slash - r->path) + 1;

	if (text[0] == '/')
		dir_len = 0;
	if (text[0] == '\0') {
		if (node != NULL && node->kind == OTA_YAML_SCALAR)
			ota_yaml_error(r->doc, node, "'%s' must not be empty", key);
		return;
	}
	if (dir_len + strlen(text) >= AGENT_PATH_CAP) {
		ota_yaml_error(r->doc, node, "'%s' is longer than %d bytes", key,
			AGENT_PATH_CAP - 1);
		return;
	}
	memcpy(out, r->path, dir_len);
	memcpy(out + dir_len, text, strlen(text) + 1);
}

/* The bytes that a unit stands for; 0: no unit of ours. */
static uint64_t unit_bytes(const char *unit)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} units[] = { { "", 1 }, { "K", UINT64_C(1) << 10 }, { "M", MIB },
		{ "G", UINT64_C(1) << 30 } };

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(unit, units[i].text) == 0)
			return units[i].bytes;
	return 0;
}

/* A size: a whole number, and K, M or G (powers of 1024) or nothing. */
static uint64_t read_size(struct reading *r, const struct ota_yaml_node *node,
	const char *key, uint64_t min, uint64_t fallback)
{
	const char *text = ota_yaml_text(r->doc, node, key, NULL);
	uint64_t value = 0, unit;
	size_t digits;

	if (text == NULL)
		return fallback;
	digits = strspn(text, "0123456789");
	unit = unit_bytes(text + digits);
	for (size_t i = 0; i < digits && value <= SIZE_MAX_VAL; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	if (digits > 0 && unit > 0 && value <= SIZE_MAX_VAL / unit && value * unit >= min)
		return value * unit;
	ota_yaml_error(r->doc, node,
		"'%s' must be a size like 512K, 64M or 1G of at least %" PRIu64 " bytes",
		key, min);
	return fallback;
}

static const struct ota_yaml_node *read_section(struct reading *r,
	const struct ota_yaml_node *node, const char *what, const char *const *keys)
{
	if (node == NULL || !ota_yaml_map(r->doc, node, what, keys))
		return NULL;
	return node;
}

static void read_names(struct reading *r, const struct ota_yaml_node *root)
{
	struct agent_config *c = r->out;

	ota_yaml_name(r->doc, need(r, root, "device"), "device", c->device);
	ota_yaml_name(r->doc, need(r, root, "fleet"), "fleet", c->fleet);
	ota_yaml_name(r->doc, need(r, root, "product"), "product", c->product);
	ota_yaml_name(r->doc, need(r, root, "hardware"), "hardware", c->hardware);
}

static void check_url(struct reading *r, const struct ota_yaml_node *url)
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

static void read_broker(struct reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "url", "ca", "cert", "key", "user",
		"password_file", "keepalive", NULL };
	struct agent_broker_config *b = &r->out->broker;
	const struct ota_yaml_node *map =
		read_section(r, need(r, root, "broker"), "the broker", keys);
	const struct ota_yaml_node *url = need(r, map, "url");

	read_text(r, url, "url", b->url, sizeof b->url);
	read_path(r, value_of(map, "ca"), "ca", b->ca_file);
	read_path(r, value_of(map, "cert"), "cert", b->cert_file);
	read_path(r, value_of(map, "key"), "key", b->key_file);
	read_text(r, value_of(map, "user"), "user", b->user, sizeof b->user);
	read_path(r, value_of(map, "password_file"), "password_file", b->password_file);
	b->keepalive_s = (uint32_t)ota_yaml_duration_s(r->doc, value_of(map, "keepalive"),
		"keepalive", KEEPALIVE_MAX_S, KEEPALIVE_S);
	if (b->keepalive_s < KEEPALIVE_MIN_S)
		ota_yaml_error(r->doc, value_of(map, "keepalive"),
			"'keepalive' must be at least %ds", KEEPALIVE_MIN_S);
	check_url(r, url);
}

static void read_spool(struct reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "dir", "max", NULL };
	const struct ota_yaml_node *map =
		read_section(r, need(r, root, "spool"), "the spool", keys);

	read_path(r, need(r, map, "dir"), "dir", r->out->spool_dir);
	r->out->spool_max_bytes =
		read_size(r, value_of(map, "max"), "max", MIB, 512 * MIB);
}

static void read_slot(struct reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "type", "backend", "dir", "initial",
		"initial_version", "initial_counter", NULL };
	static const char *const types[] = { "file", NULL };
	struct agent_slot_config *s = &r->out->slot;
	const struct ota_yaml_node *map =
		read_section(r, need(r, root, "slot"), "the slot", keys);
	const char *name;

	/* `backend` is how `type` was called first. */
	name = value_of(map, "type") != NULL ? "type" : "backend";
	s->type = (enum agent_slot_type)ota_yaml_choice(
		r->doc, value_of(map, name), name, types, AGENT_SLOT_FILE);
	read_path(r, need(r, map, "dir"), "dir", s->dir);
	read_path(r, value_of(map, "initial"), "initial", s->initial);
	if (value_of(map, "initial_version") != NULL)
		ota_yaml_name(r->doc, value_of(map, "initial_version"), "initial_version",
			s->initial_version);
	s->initial_counter = ota_yaml_u64(r->doc, value_of(map, "initial_counter"),
		"initial_counter", 0, (UINT64_C(1) << 53) - 1, 0);
}

/* "self", or the words of a command. */
static void read_reboot(struct reading *r, const struct ota_yaml_node *node)
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
		read_text(r, node->items[i], "reboot", c->reboot[i], AGENT_PATH_CAP);
	c->reboot_count = (uint32_t)node->count;
}

static void read_limits(struct reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "decoder_ram", "chunks_outstanding", "rate",
		NULL };
	const struct ota_yaml_node *map =
		read_section(r, value_of(root, "limits"), "limits", keys);

	r->out->decoder_ram_bytes =
		read_size(r, value_of(map, "decoder_ram"), "decoder_ram", MIB, 8 * MIB);
	r->out->chunks_outstanding =
		(uint32_t)ota_yaml_u64(r->doc, value_of(map, "chunks_outstanding"),
			"chunks_outstanding", 1, OUTSTANDING_MAX, OUTSTANDING_MAX);
	r->out->rate_bytes_per_s = read_size(r, value_of(map, "rate"), "rate", 0, 0);
}

static void read_deadlines(struct reading *r, const struct ota_yaml_node *root)
{
	static const char *const keys[] = { "hook", NULL };
	const struct ota_yaml_node *map =
		read_section(r, value_of(root, "deadlines"), "deadlines", keys);
	const struct ota_yaml_node *hook = value_of(map, "hook");

	r->out->hook_deadline_s = (uint32_t)ota_yaml_duration_s(
		r->doc, hook, "hook", HOOK_DEADLINE_MAX_S, HOOK_DEADLINE_S);
	if (r->out->hook_deadline_s == 0)
		ota_yaml_error(r->doc, hook, "'hook' must be at least 1s");
}

static void read_log(struct reading *r, const struct ota_yaml_node *node)
{
	static const char *const words[] = { "info", "debug", NULL };
	static const enum ota_log_level levels[] = { OTA_LOG_INFO, OTA_LOG_DEBUG };

	r->out->log_level = levels[ota_yaml_choice(r->doc, node, "log", words, 0)];
}

static void read_all(struct reading *r)
{
	static const char *const keys[] = { "device", "fleet", "product", "hardware",
		"root", "device_key", "broker", "state_dir", "spool", "user", "hooks",
		"slot", "reboot", "limits", "deadlines", "log", NULL };
	const struct ota_yaml_node *root = ota_yaml_root(r->doc);
	struct agent_config *c = r->out;

	if (!ota_yaml_map(r->doc, root, "the agent", keys))
		return;
	read_names(r, root);
	read_path(r, need(r, root, "root"), "root", c->root_file);
	read_path(r, need(r, root, "device_key"), "device_key", c->device_key_file);
	read_broker(r, root);
	read_path(r, need(r, root, "state_dir"), "state_dir", c->state_dir);
	read_spool(r, root);
	read_text(r, value_of(root, "user"), "user", c->user, sizeof c->user);
	read_path(r, value_of(root, "hooks"), "hooks", c->hooks_dir);
	read_slot(r, root);
	read_reboot(r, value_of(root, "reboot"));
	read_limits(r, root);
	read_deadlines(r, root);
	read_log(r, value_of(root, "log"));
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
	struct reading r = { .path = path, .out = &config };
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

#include "orchestrator/port/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/port/config_read.h"
#include "proto/base/own.h"

enum { WORKERS = 1, PORT_MAX = 65535 };

static void free_doc(struct ota_yaml **doc)
{
	ota_yaml_free(*doc);
}

const struct ota_yaml_node *config_value(const struct ota_yaml_node *map, const char *key)
{
	return map ? ota_yaml_get(map, key) : NULL;
}

const struct ota_yaml_node *config_need(
	struct config_read *r, const struct ota_yaml_node *map, const char *key)
{
	return map ? ota_yaml_need(r->doc, map, key) : NULL;
}

const struct ota_yaml_node *config_section(struct config_read *r,
	const struct ota_yaml_node *node, const char *what, const char *const *keys)
{
	return node && ota_yaml_map(r->doc, node, what, keys) ? node : NULL;
}

const char *config_text(struct config_read *r, const struct ota_yaml_node *node,
	const char *key, size_t cap)
{
	const char *text = ota_yaml_text(r->doc, node, key, "");

	if (strlen(text) >= cap) {
		ota_yaml_error(
			r->doc, node, "'%s' is longer than %zu bytes", key, cap - 1);
		return "";
	}
	if (!text[0] && node && node->kind == OTA_YAML_SCALAR)
		ota_yaml_error(r->doc, node, "'%s' must not be empty", key);
	return text;
}

/* A path, put together so that a relative one begins where the file lies. */
static bool set_path(
	const struct config_read *r, const char *text, char out[static CONFIG_PATH_CAP])
{
	const char *slash = strrchr(r->path, '/');
	int dir_len = slash && text[0] != '/' ? (int)(slash - r->path) + 1 : 0;
	int len = snprintf(out, CONFIG_PATH_CAP, "%.*s%s", dir_len, r->path, text);

	return len >= 0 && len < CONFIG_PATH_CAP;
}

void config_path(struct config_read *r, const struct ota_yaml_node *node, const char *key,
	char out[static CONFIG_PATH_CAP])
{
	const char *text = config_text(r, node, key, CONFIG_PATH_CAP);

	if (text[0] && !set_path(r, text, out))
		ota_yaml_error(r->doc, node, "'%s' is too long a path", key);
}

static void join(char out[static CONFIG_PATH_CAP], const char *dir, const char *name)
{
	(void)snprintf(
		out, CONFIG_PATH_CAP, "%.*s/%s", CONFIG_PATH_CAP - 1 - 32, dir, name);
}

/* ---- sections */

/* "sqlite:PATH", or the URL of PostgreSQL, which is libpq's to read and may hold a
 * password: it is not shown. node: where it stands (NULL: the environment). */
static void read_database(
	struct config_read *r, const struct ota_yaml_node *node, const char *url)
{
	static const char sqlite[] = "sqlite:";
	const char *key = node ? "'database'" : "DATABASE_URL";
	const struct ota_yaml_node *at = node ? node : ota_yaml_root(r->doc);
	size_t scheme = strcspn(url, ":");

	if (strncmp(url, "postgresql://", 13) == 0 ||
		strncmp(url, "postgres://", 11) == 0) {
		if (snprintf(r->out->database, CONFIG_PATH_CAP, "%s", url) >=
			CONFIG_PATH_CAP)
			ota_yaml_error(r->doc, at, "%s is too long", key);
	} else if (strncmp(url, sqlite, sizeof(sqlite) - 1) != 0 ||
		   !url[sizeof(sqlite) - 1]) {
		ota_yaml_error(r->doc, at,
			"%s must be sqlite:PATH or postgresql://..., not '%.*s...'", key,
			scheme < 20 ? (int)scheme : 20, url);
	} else if (!set_path(r, url + sizeof(sqlite) - 1, r->out->database)) {
		ota_yaml_error(r->doc, at, "%s is too long a path", key);
	}
}

static void check_url(struct config_read *r, const struct ota_yaml_node *node)
{
	const char *url = r->out->broker.url;
	bool tls = strncmp(url, "ssl://", 6) == 0;

	if (!url[0])
		return;
	if (!tls && strncmp(url, "tcp://", 6) != 0)
		ota_yaml_error(r->doc, node,
			"'url' must begin with ssl:// or tcp://, like ssl://broker:8883");
	else if (tls && !r->out->broker.ca[0])
		ota_yaml_error(r->doc, node, "an ssl:// 'url' needs 'ca'");
}

static void read_broker(struct config_read *r, const struct ota_yaml_node *node)
{
	static const char *const keys[] = { "url", "ca", "cert", "key", "user",
		"password_file", "client_id", NULL };
	const struct ota_yaml_node *map = config_section(r, node, "the broker", keys);
	const struct ota_yaml_node *url = config_need(r, map, "url");
	struct sluiced_config *c = r->out;

	(void)snprintf(c->broker.url, sizeof(c->broker.url), "%s",
		config_text(r, url, "url", sizeof(c->broker.url)));
	config_path(r, config_value(map, "ca"), "ca", c->broker.ca);
	config_path(r, config_value(map, "cert"), "cert", c->broker.cert);
	config_path(r, config_value(map, "key"), "key", c->broker.key);
	config_path(r, config_value(map, "password_file"), "password_file",
		c->broker.password_file);
	if (config_value(map, "user"))
		ota_yaml_name(r->doc, config_value(map, "user"), "user", c->broker.user);
	(void)snprintf(c->broker.client_id, OTA_NAME_CAP, "sluiced");
	if (config_value(map, "client_id"))
		ota_yaml_name(r->doc, config_value(map, "client_id"), "client_id",
			c->broker.client_id);
	if (!c->broker.cert[0] != !c->broker.key[0])
		ota_yaml_error(r->doc, map, "'cert' and 'key' go together");
	check_url(r, url);
}

/* "127.0.0.1:8470" or "[::1]:8470". */
static bool split_listen(struct sluiced_config *c, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	unsigned port = 0;
	size_t digits;

	if (!colon || len >= CONFIG_HOST_CAP)
		return false;
	if (text[0] == '[' && len > 2 && text[len - 1] == ']')
		(void)snprintf(
			c->http.host, CONFIG_HOST_CAP, "%.*s", (int)len - 2, text + 1);
	else
		(void)snprintf(c->http.host, CONFIG_HOST_CAP, "%.*s", (int)len, text);
	digits = strspn(colon + 1, "0123456789");
	if (digits == 0 || digits > 5 || colon[1 + digits])
		return false;
	for (size_t i = 0; i < digits; i++)
		port = port * 10 + (unsigned)(colon[1 + i] - '0');
	c->http.port = (uint16_t)port;
	return port <= PORT_MAX;
}

/* 4, 6, or 0 for what is no numeric address. */
static int address_family(const char *host, bool *loopback)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, host, &v4) == 1) {
		*loopback = ntohl(v4.s_addr) >> 24 == 127;
		return 4;
	}
	if (inet_pton(AF_INET6, host, &v6) != 1)
		return 0;
	*loopback = IN6_IS_ADDR_LOOPBACK(&v6);
	return 6;
}

static void read_http(struct config_read *r, const struct ota_yaml_node *node)
{
	static const char *const keys[] = { "listen", "insecure_plain_http", NULL };
	const struct ota_yaml_node *map = config_section(r, node, "http", keys);
	const struct ota_yaml_node *listen = config_value(map, "listen");
	const char *text = ota_yaml_text(r->doc, listen, "listen", "127.0.0.1:8470");
	bool plain = ota_yaml_bool(r->doc, config_value(map, "insecure_plain_http"),
		"insecure_plain_http", false);
	bool loopback = false;

	if (!split_listen(r->out, text) || !address_family(r->out->http.host, &loopback))
		ota_yaml_error(r->doc, listen,
			"'listen' must be ADDRESS:PORT with a numeric address, like "
			"127.0.0.1:8470");
	else if (!loopback && !plain)
		ota_yaml_error(r->doc, listen,
			"'listen' is not a loopback address, and API keys would cross "
			"the "
			"network in the clear; put a TLS proxy in front, or say "
			"insecure_plain_http: true");
}

static void read_patches(struct config_read *r, const struct ota_yaml_node *node)
{
	static const char *const keys[] = { "workers", "cache", "codec", "level", NULL };
	static const char *const codecs[] = { "predict", "vcdiff", NULL };
	static const enum ota_codec_id ids[] = { OTA_CODEC_PREDICT, OTA_CODEC_VCDIFF };
	const struct ota_yaml_node *map = config_section(r, node, "patches", keys);
	struct sluiced_config *c = r->out;

	c->patches.workers = (uint32_t)ota_yaml_u64(r->doc, config_value(map, "workers"),
		"workers", 1, CONFIG_WORKERS_MAX, WORKERS);
	c->patches.level = (int)ota_yaml_u64(
		r->doc, config_value(map, "level"), "level", 0, CONFIG_LEVEL_MAX, 0);
	c->patches.codec = ids[ota_yaml_choice(
		r->doc, config_value(map, "codec"), "codec", codecs, 0)];
	join(c->patches.dir, c->state_dir, "patches");
	config_path(r, config_value(map, "cache"), "cache", c->patches.dir);
}

static enum ota_log_level read_log(
	struct config_read *r, const struct ota_yaml_node *node)
{
	static const char *const words[] = { "error", "warning", "notice", "info",
		"debug", NULL };
	static const enum ota_log_level levels[] = { OTA_LOG_ERR, OTA_LOG_WARNING,
		OTA_LOG_NOTICE, OTA_LOG_INFO, OTA_LOG_DEBUG };

	return levels[ota_yaml_choice(r->doc, node, "log", words, 3)];
}

static void read_root(struct config_read *r, const char *database_url)
{
	static const char *const keys[] = { "fleet", "state_dir", "root", "online_key",
		"database", "images", "broker", "http", "api_keys", "patches", "webhooks",
		"home_assistant", "log", NULL };
	const struct ota_yaml_node *map =
		config_section(r, ota_yaml_root(r->doc), "sluiced.yaml", keys);
	const struct ota_yaml_node *database = config_value(map, "database");
	struct sluiced_config *c = r->out;

	if (!map)
		return;
	ota_yaml_name(r->doc, config_need(r, map, "fleet"), "fleet", c->fleet);
	config_path(r, config_need(r, map, "state_dir"), "state_dir", c->state_dir);
	config_path(r, config_need(r, map, "root"), "root", c->root);
	config_path(r, config_need(r, map, "online_key"), "online_key", c->online_key);
	config_path(r, config_need(r, map, "api_keys"), "api_keys", c->api_keys);
	join(c->database, c->state_dir, "sluiced.db");
	if (database)
		read_database(r, database,
			config_text(r, database, "database", CONFIG_PATH_CAP));
	if (database_url && database_url[0])
		read_database(r, NULL, database_url);
	join(c->images, c->state_dir, "images");
	config_path(r, config_value(map, "images"), "images", c->images);
	read_broker(r, config_need(r, map, "broker"));
	read_http(r, config_value(map, "http"));
	read_patches(r, config_value(map, "patches"));
	config_webhooks(r, config_value(map, "webhooks"));
	config_home_assistant(r, config_value(map, "home_assistant"));
	c->log = read_log(r, config_value(map, "log"));
}

enum ota_code sluiced_config_load(const char *path, const char *database_url,
	struct sluiced_config *out, struct ota_buf *messages)
{
	OTA_AUTO(free_doc) struct ota_yaml *doc = NULL;
	struct sluiced_config config = { 0 };
	enum ota_code rc = ota_yaml_load(path, &doc);

	if (rc == OTA_OK) {
		struct config_read r = { doc, path, &config };

		read_root(&r, database_url);
	}
	if (!doc)
		return OTA_E_NOMEM;
	if (ota_yaml_error_count(doc) == 0) {
		*out = config;
		return OTA_OK;
	}
	return ota_buf_add(messages, ota_bytes_of(ota_yaml_errors(doc))) == OTA_OK
		       ? OTA_E_CONFIG
		       : OTA_E_NOMEM;
}

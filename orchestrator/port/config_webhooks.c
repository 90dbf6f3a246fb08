/* The list "webhooks" of sluiced.yaml. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/core/webhook_kinds.h"
#include "orchestrator/port/config_read.h"
#include "orchestrator/port/webhook_secret.h"
#include "proto/base/own.h"

enum {
	TIMEOUT_S = 10,
	TIMEOUT_MAX_S = 60,
	KEEP_S = 3 * 86400,
	KEEP_MAX_S = 30 * 86400,
};

static const char *const keys[] = { "name", "url", "secret_file", "ca_file", "events",
	"timeout", "keep", "insecure_plain_http", NULL };

static void free_url(CURLU **url)
{
	curl_url_cleanup(*url);
}

static void free_part(char **part)
{
	curl_free(*part);
}

/* ---- the url */

static bool is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       (strncmp(host, "127.", 4) == 0 &&
		       host[strspn(host, "0123456789.")] == '\0');
}

/* NULL: it is one that we take; else what is wrong with it. It may hold secrets in its
 * path, and is not shown. */
static const char *fault_of(const char *text, bool plain)
{
	OTA_AUTO(free_url) CURLU *url = curl_url();
	OTA_AUTO(free_part) char *scheme = NULL;
	OTA_AUTO(free_part) char *host = NULL;
	OTA_AUTO(free_part) char *fragment = NULL;
	CURLUcode rc;

	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~')
			return "holds a blank, or a byte that is not ASCII";
	if (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
		return "must begin with https://";
	rc = curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
	if (rc == CURLUE_USER_NOT_ALLOWED)
		return "names a user; the signature says who sends, and a secret in a "
		       "URL "
		       "is in every log";
	if (rc != CURLUE_OK ||
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return "is no URL";
	if (curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
		return "has a fragment (#...), which is never sent";
	if (strcmp(scheme, "http") == 0 && !is_loopback(host) && !plain)
		return "is not encrypted, and names of devices would cross the network "
		       "in "
		       "the clear; take https://, or say insecure_plain_http: true";
	return NULL;
}

static void read_url(struct config_read *r, const struct ota_yaml_node *map,
	struct config_webhook *hook)
{
	const struct ota_yaml_node *node = config_need(r, map, "url");
	const char *text = config_text(r, node, "url", sizeof(hook->url));
	bool plain = ota_yaml_bool(r->doc, config_value(map, "insecure_plain_http"),
		"insecure_plain_http", false);
	const char *fault = text[0] ? fault_of(text, plain) : NULL;

	if (fault)
		ota_yaml_error(r->doc, node, "'url' %s", fault);
	(void)snprintf(hook->url, sizeof(hook->url), "%s", text);
}

/* ---- files */

static void read_secret(struct config_read *r, const struct ota_yaml_node *map,
	struct config_webhook *hook)
{
	const struct ota_yaml_node *node = config_need(r, map, "secret_file");
	OTA_AUTO(webhook_secret_fini) struct webhook_secret secret = { 0 };
	struct ota_error err = { 0 };

	config_path(r, node, "secret_file", hook->secret_file);
	if (hook->secret_file[0] &&
		webhook_secret_read(hook->secret_file, &secret, &err) != OTA_OK)
		ota_yaml_error(r->doc, node, "'secret_file' %s", err.text);
}

static void read_ca(struct config_read *r, const struct ota_yaml_node *map,
	struct config_webhook *hook)
{
	const struct ota_yaml_node *node = config_value(map, "ca_file");

	config_path(r, node, "ca_file", hook->ca_file);
	if (hook->ca_file[0] && access(hook->ca_file, R_OK) != 0)
		ota_yaml_error(
			r->doc, node, "'ca_file' %s cannot be read", hook->ca_file);
}

/* ---- events */

static void read_word(struct config_read *r, const struct ota_yaml_node *node,
	struct config_webhook *hook)
{
	const char *word = ota_yaml_text(r->doc, node, "events", ""), *nearest;
	uint64_t set = 0;

	if (!word[0])
		return;
	if (webhook_kinds_of(word, &set)) {
		hook->kinds |= set;
		return;
	}
	nearest = webhook_kinds_nearest(word);
	ota_yaml_error(r->doc, node, "there is no event or group '%.64s'%s%s%s", word,
		nearest ? "; did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
}

static void read_events(struct config_read *r, const struct ota_yaml_node *node,
	struct config_webhook *hook)
{
	if (!node) {
		(void)webhook_kinds_of("default", &hook->kinds);
		return;
	}
	if (node->kind != OTA_YAML_LIST || node->count == 0) {
		ota_yaml_error(
			r->doc, node, "'events' must be a list, like [rollouts, alarms]");
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		read_word(r, node->items[i], hook);
}

/* ---- the list */

static void read_one(struct config_read *r, const struct ota_yaml_node *node)
{
	const struct ota_yaml_node *map = config_section(r, node, "a webhook", keys);
	struct config_webhook *hook = &r->out->webhooks.items[r->out->webhooks.count];
	const struct ota_yaml_node *name = config_need(r, map, "name");

	if (!map)
		return;
	if (name)
		ota_yaml_name(r->doc, name, "name", hook->name);
	for (size_t i = 0; i < r->out->webhooks.count; i++)
		if (hook->name[0] &&
			strcmp(r->out->webhooks.items[i].name, hook->name) == 0)
			ota_yaml_error(r->doc, name, "there is another webhook '%s'",
				hook->name);
	read_url(r, map, hook);
	read_secret(r, map, hook);
	read_ca(r, map, hook);
	read_events(r, config_value(map, "events"), hook);
	hook->timeout_s = (uint32_t)ota_yaml_duration_s(r->doc,
		config_value(map, "timeout"), "timeout", TIMEOUT_MAX_S, TIMEOUT_S);
	if (hook->timeout_s == 0)
		ota_yaml_error(r->doc, config_value(map, "timeout"),
			"'timeout' must be 1s to 60s");
	hook->keep_s = ota_yaml_duration_s(
		r->doc, config_value(map, "keep"), "keep", KEEP_MAX_S, KEEP_S);
	if (hook->keep_s == 0)
		ota_yaml_error(
			r->doc, config_value(map, "keep"), "'keep' must be 1s to 30d");
	r->out->webhooks.count++;
}

void config_webhooks(struct config_read *r, const struct ota_yaml_node *node)
{
	if (!node)
		return;
	if (node->kind != OTA_YAML_LIST) {
		ota_yaml_error(r->doc, node, "'webhooks' must be a list of webhooks");
		return;
	}
	if (node->count > CONFIG_WEBHOOKS_MAX) {
		ota_yaml_error(r->doc, node, "there are more than %d webhooks",
			CONFIG_WEBHOOKS_MAX);
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		read_one(r, node->items[i]);
}

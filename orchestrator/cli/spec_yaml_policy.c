#include "orchestrator/cli/spec_yaml_policy.h"

#include <string.h>

static const char *const quarantine_keys[] = { "failures", "within", "boots", NULL };
static const char *const retry_keys[] = { "soft", "soft_backoff", "excused",
	"excused_backoff", "factor", NULL };

static void read_retry(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct rollout_retry *retry)
{
	if (map == NULL || !ota_yaml_map(doc, map, "the retries", retry_keys))
		return;
	retry->soft = ota_yaml_u64(
		doc, ota_yaml_get(map, "soft"), "soft", 0, SPEC_RETRIES_MAX, retry->soft);
	retry->soft_backoff_s =
		ota_yaml_duration_s(doc, ota_yaml_get(map, "soft_backoff"),
			"soft_backoff", SPEC_DURATION_MAX_S, retry->soft_backoff_s);
	retry->excused = ota_yaml_u64(doc, ota_yaml_get(map, "excused"), "excused", 0,
		SPEC_RETRIES_MAX, retry->excused);
	retry->excused_backoff_s =
		ota_yaml_duration_s(doc, ota_yaml_get(map, "excused_backoff"),
			"excused_backoff", SPEC_DURATION_MAX_S, retry->excused_backoff_s);
	retry->factor = ota_yaml_u64(doc, ota_yaml_get(map, "factor"), "factor", 1,
		SPEC_FACTOR_MAX, retry->factor);
}

/* "wait", or how long a device may be away before the stage goes on without it. */
static void read_offline(struct ota_yaml *doc, const struct ota_yaml_node *node,
	struct rollout_offline *out)
{
	if (node == NULL)
		return;
	out->wait = node->kind == OTA_YAML_SCALAR && strcmp(node->text, "wait") == 0;
	if (!out->wait)
		out->after_s =
			ota_yaml_duration_s(doc, node, "offline", SPEC_DURATION_MAX_S, 0);
}

/* One name or a list of them. */
static void read_supersedes(struct ota_yaml *doc, const struct ota_yaml_node *node,
	struct rollout_precedence *out)
{
	bool list = node != NULL && node->kind == OTA_YAML_LIST;

	if (node == NULL)
		return;
	if (list && node->count > SPEC_SUPERSEDES_MAX) {
		ota_yaml_error(doc, node, "'supersedes' names at most %d rollouts",
			SPEC_SUPERSEDES_MAX);
		return;
	}
	out->count = list ? (uint32_t)node->count : 1;
	for (uint32_t i = 0; i < out->count; i++)
		ota_yaml_name(doc, list ? node->items[i] : node, "supersedes",
			out->supersedes[i]);
}

void spec_yaml_policy(
	struct ota_yaml *doc, const struct ota_yaml_node *root, struct rollout_spec *spec)
{
	read_retry(doc, ota_yaml_get(root, "retry"), &spec->retry);
	read_offline(doc, ota_yaml_get(root, "offline"), &spec->offline);
	spec->precedence.priority = ota_yaml_u64(
		doc, ota_yaml_get(root, "priority"), "priority", 0, SPEC_PRIORITY_MAX, 0);
	read_supersedes(doc, ota_yaml_get(root, "supersedes"), &spec->precedence);
}

void spec_yaml_quarantine(struct ota_yaml *doc, const struct ota_yaml_node *map,
	struct fleet_quarantine *out)
{
	if (map == NULL || !ota_yaml_map(doc, map, "the quarantine", quarantine_keys))
		return;
	out->failures = ota_yaml_u64(doc, ota_yaml_get(map, "failures"), "failures", 0,
		SPEC_STRIKES_MAX, out->failures);
	out->within_s = ota_yaml_duration_s(doc, ota_yaml_get(map, "within"), "within",
		SPEC_DURATION_MAX_S, out->within_s);
	out->boots = ota_yaml_u64(
		doc, ota_yaml_get(map, "boots"), "boots", 0, SPEC_BOOTS_MAX, out->boots);
}

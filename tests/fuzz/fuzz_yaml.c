#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/io/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = { "name", "share", "pause", NULL };

/* Read a node every way there is: none may crash, and each names what it refuses. */
static void read_all(struct ota_yaml *doc, const struct ota_yaml_node *node)
{
	char name[OTA_NAME_CAP];
	size_t slots = node->kind == OTA_YAML_MAP ? 2 * node->count : node->count;

	(void)ota_yaml_map(doc, node, "a thing", words);
	(void)ota_yaml_need(doc, node, "name");
	(void)ota_yaml_u64(doc, node, "k", 1, 1000, 1);
	(void)ota_yaml_bool(doc, node, "k", false);
	(void)ota_yaml_text(doc, node, "k", "");
	(void)ota_yaml_duration_s(doc, node, "k", UINT64_MAX, 0);
	(void)ota_yaml_permille(doc, node, "k", 0);
	(void)ota_yaml_choice(doc, node, "k", words, 0);
	ota_yaml_name(doc, node, "k", name);
	for (size_t i = 0; node->kind != OTA_YAML_SCALAR && i < slots; i++)
		read_all(doc, node->items[i]);
}

/* A document is whole, or it has errors with words. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ota_yaml *doc = NULL;
	enum ota_code rc =
		ota_yaml_parse("fuzz.yaml", (struct ota_bytes){ data, size }, &doc);

	if (rc == OTA_E_NOMEM)
		return 0;
	if ((rc == OTA_OK) != (ota_yaml_error_count(doc) == 0) ||
		(rc == OTA_OK) != (*ota_yaml_errors(doc) == '\0') ||
		(rc == OTA_OK && ota_yaml_root(doc) == NULL))
		abort();
	if (ota_yaml_root(doc) != NULL)
		read_all(doc, ota_yaml_root(doc));
	ota_yaml_free(doc);
	return 0;
}

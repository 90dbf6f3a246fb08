#ifndef PROTO_IO_YAML_DOC_H
#define PROTO_IO_YAML_DOC_H

/* What the three files of the YAML reader share; nobody else includes this. */

#include "proto/io/yaml.h"

struct ota_yaml {
	char *path;                 /* owned */
	struct ota_buf text;        /* owned copy of the source */
	struct ota_yaml_node *root; /* owned; NULL until parsed */
	struct ota_buf errors;      /* owned, formatted */
	size_t error_count;
	size_t node_count;
	bool no_memory; /* something was lost on the way: the document is void */
};

/** Add an error at a line and column from 1, or about the file itself when line is 0. */
void ota_yaml_error_at(
	struct ota_yaml *doc, uint32_t line, uint32_t column, const char *text);

/** Bytes of line number `line` (from 1), without its end; empty if there is none. */
struct ota_bytes ota_yaml_line(const struct ota_yaml *doc, uint32_t line);

/** Build doc->root from doc->text. What is wrong becomes errors of the document. */
void ota_yaml_build(struct ota_yaml *doc);

/** Release a tree. NULL is allowed. */
void ota_yaml_node_free(struct ota_yaml_node *node);

#endif

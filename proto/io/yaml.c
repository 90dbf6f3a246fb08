#include "proto/io/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/yaml_doc.h"

enum {
	TEXT_LEN_MAX = 1024 * 1024, /* bytes of a file */
	ERRORS_MAX = 20,
	SHOWN_LEN_MAX = 200 /* bytes; a longer source line is not repeated */
};

struct ota_bytes ota_yaml_line(const struct ota_yaml *doc, uint32_t line)
{
	struct ota_bytes rest = ota_buf_bytes(&doc->text);

	for (;;) {
		const uint8_t *end =
			rest.len == 0 ? NULL : memchr(rest.at, '\n', rest.len);
		size_t len = end == NULL ? rest.len : (size_t)(end - rest.at);

		if (--line == 0)
			return (struct ota_bytes){ rest.at, len };
		if (end == NULL)
			return (struct ota_bytes){ NULL, 0 };
		rest.at += len + 1;
		rest.len -= len + 1;
	}
}

static bool is_shown(uint8_t b)
{
	return (b >= 0x20 && b != 0x7f) || b == '\t';
}

/* The source line, and a caret below its column; tabs stay tabs so that they line up. */
static OTA_CHECKED enum ota_code show_source(
	struct ota_yaml *doc, uint32_t line, uint32_t column)
{
	struct ota_bytes source = ota_yaml_line(doc, line);
	char shown[SHOWN_LEN_MAX + 1], pad[SHOWN_LEN_MAX + 1];
	size_t used = 0, len = 0;

	if (source.len == 0 || source.len > SHOWN_LEN_MAX)
		return OTA_OK;
	for (size_t i = 0; i < source.len; i++) {
		bool inside = (source.at[i] & 0xc0) == 0x80;

		if (source.at[i] == '\r')
			continue;
		shown[len++] = is_shown(source.at[i]) ? (char)source.at[i] : '?';
		if (!inside && used + 1 < column)
			pad[used++] = source.at[i] == '\t' ? '\t' : ' ';
	}
	while (used + 1 < column && used < SHOWN_LEN_MAX)
		pad[used++] = ' ';
	shown[len] = pad[used] = '\0';
	return ota_buf_printf(&doc->errors, "  %s\n  %s^\n", shown, pad);
}

void ota_yaml_error_at(
	struct ota_yaml *doc, uint32_t line, uint32_t column, const char *text)
{
	enum ota_code rc;

	doc->error_count++;
	if (doc->error_count > ERRORS_MAX + 1)
		return;
	if (doc->error_count == ERRORS_MAX + 1)
		rc = ota_buf_printf(
			&doc->errors, "%s: error: there are more errors\n", doc->path);
	else if (line == 0)
		rc = ota_buf_printf(&doc->errors, "%s: error: %s\n", doc->path, text);
	else
		rc = ota_buf_printf(&doc->errors, "%s:%u:%u: error: %s\n", doc->path,
			line, column, text);
	if (rc == OTA_OK && line > 0 && doc->error_count <= ERRORS_MAX)
		rc = show_source(doc, line, column);
	if (rc != OTA_OK)
		doc->no_memory = true;
}

void ota_yaml_error(
	struct ota_yaml *doc, const struct ota_yaml_node *at, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ota_yaml_error_at(doc, at->line, at->column, text);
}

/* An empty document, or NULL. */
static struct ota_yaml *doc_new(const char *path)
{
	struct ota_yaml *doc = calloc(1, sizeof *doc);

	if (doc == NULL)
		return NULL;
	doc->path = strdup(path);
	if (doc->path == NULL) {
		free(doc);
		return NULL;
	}
	return doc;
}

static void doc_freep(struct ota_yaml **doc)
{
	ota_yaml_free(*doc);
}

/* Hand a finished document over, whatever it is worth. */
static enum ota_code finish(struct ota_yaml **doc, struct ota_yaml **out)
{
	bool good = (*doc)->error_count == 0;

	if ((*doc)->no_memory || ota_buf_text(&(*doc)->errors) == NULL)
		return OTA_E_NOMEM;
	*out = ota_take(doc);
	return good ? OTA_OK : OTA_E_CONFIG;
}

enum ota_code ota_yaml_parse(
	const char *path, struct ota_bytes text, struct ota_yaml **out)
{
	OTA_AUTO(doc_freep) struct ota_yaml *doc = doc_new(path);

	if (doc == NULL)
		return OTA_E_NOMEM;
	if (text.len > TEXT_LEN_MAX)
		ota_yaml_error_at(doc, 0, 0, "longer than 1 MiB");
	else if (ota_buf_add(&doc->text, text) != OTA_OK)
		return OTA_E_NOMEM;
	else
		ota_yaml_build(doc);
	return finish(&doc, out);
}

enum ota_code ota_yaml_load(const char *path, struct ota_yaml **out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	OTA_AUTO(doc_freep) struct ota_yaml *doc = NULL;
	struct ota_error err = { 0 };
	enum ota_code rc = ota_file_read(path, TEXT_LEN_MAX, &text, &err);
	size_t path_len = strlen(path);

	if (rc == OTA_OK)
		return ota_yaml_parse(path, ota_buf_bytes(&text), out);
	doc = doc_new(path);
	if (doc == NULL || rc == OTA_E_NOMEM)
		return OTA_E_NOMEM;
	/* err begins with "PATH: ", as our line does. */
	ota_yaml_error_at(doc, 0, 0,
		strncmp(err.text, path, path_len) == 0 ? err.text + path_len + 2
						       : err.text);
	return finish(&doc, out);
}

const struct ota_yaml_node *ota_yaml_root(const struct ota_yaml *doc)
{
	return doc->root;
}

const char *ota_yaml_errors(struct ota_yaml *doc)
{
	const char *text = ota_buf_text(&doc->errors);

	return text == NULL ? "out of memory\n" : text;
}

size_t ota_yaml_error_count(const struct ota_yaml *doc)
{
	return doc->error_count;
}

void ota_yaml_free(struct ota_yaml *doc)
{
	if (doc == NULL)
		return;
	ota_yaml_node_free(doc->root);
	ota_buf_fini(&doc->text);
	ota_buf_fini(&doc->errors);
	free(doc->path);
	free(doc);
}

#ifndef PROTO_IO_YAML_H
#define PROTO_IO_YAML_H

/* Files people write: YAML through libyaml into a small tree that remembers lines and
 * columns, and a reader of mappings that checks keys, types and ranges. Every error reads
 *
 *   rollout.yaml:4:14: error: 'share' must be a percentage from 0% to 100%, not 'one'
 *     share: one
 *            ^
 *
 * and unknown keys get a "did you mean". Anchors, aliases, tags, multiple documents,
 * duplicate keys and depth over 16 are errors. All errors of a file are collected, up to
 * 20, before it is refused. */

#include "proto/base/bytes.h"
#include "proto/base/names.h"

enum ota_yaml_kind { OTA_YAML_SCALAR, OTA_YAML_LIST, OTA_YAML_MAP };

/** One node; everything is owned by its document. */
struct ota_yaml_node {
	enum ota_yaml_kind kind;
	uint32_t line, column;        /* from 1 */
	char *text;                   /* scalar: NUL-terminated, no NUL inside */
	bool quoted;                  /* scalar */
	struct ota_yaml_node **items; /* list: count; map: 2 * count, key then value */
	size_t count;
};

struct ota_yaml;

/** Parse text of at most 1 MiB. path is for messages only. NULL tree never: an empty file
 *  is an error. OTA_OK, OTA_E_CONFIG (see ota_yaml_errors()), OTA_E_NOMEM. *out is set
 *  unless OTA_E_NOMEM, so that errors can be read; free it. */
OTA_CHECKED enum ota_code ota_yaml_parse(
	const char *path, struct ota_bytes text, struct ota_yaml **out);

/** Read a file and parse it. A file that cannot be read is an error in the same form. */
OTA_CHECKED enum ota_code ota_yaml_load(const char *path, struct ota_yaml **out);

/** The root node; NULL only after a failed parse. */
const struct ota_yaml_node *ota_yaml_root(const struct ota_yaml *doc);

/** All errors so far, formatted as above, one after another; "" if none. */
const char *ota_yaml_errors(struct ota_yaml *doc);

/** The number of errors so far. */
size_t ota_yaml_error_count(const struct ota_yaml *doc);

/** Add an error at a node. */
void ota_yaml_error(struct ota_yaml *doc, const struct ota_yaml_node *at, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

/** Release the document. NULL is allowed. */
void ota_yaml_free(struct ota_yaml *doc);

/** The same for OTA_AUTO(ota_yaml_freep). */
static inline void ota_yaml_freep(struct ota_yaml **doc)
{
	ota_yaml_free(*doc);
	*doc = NULL;
}

/** Check that node is a map whose keys are all in the NULL-terminated list; unknown keys
 *  become errors with "did you mean". what: "a cohort". Returns false if it is no map. */
bool ota_yaml_map(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *what, const char *const *keys);

/** The value of a key, or NULL. */
const struct ota_yaml_node *ota_yaml_get(
	const struct ota_yaml_node *map, const char *key);

/** As ota_yaml_get(), and an error at the map if the key is missing. */
const struct ota_yaml_node *ota_yaml_need(
	struct ota_yaml *doc, const struct ota_yaml_node *map, const char *key);

/* Typed scalars. node may be NULL (then fallback is returned silently); a value that does
 * not fit adds an error and returns fallback. key is for the message. */

/** A whole number in min .. max. */
uint64_t ota_yaml_u64(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, uint64_t min, uint64_t max, uint64_t fallback);

/** true or false. */
bool ota_yaml_bool(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, bool fallback);

/** Any text; borrowed from the document. */
const char *ota_yaml_text(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, const char *fallback);

/** A name (proto/base/names.h); out becomes "" on failure. */
void ota_yaml_name(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, char out[static OTA_NAME_CAP]);

/** A duration: a whole number and one of s, m, h, d ("90s", "4h"); in seconds. */
uint64_t ota_yaml_duration_s(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, uint64_t max_s, uint64_t fallback_s);

/** A share: "12.5%" or "100%"; in permille. */
uint64_t ota_yaml_permille(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, uint64_t fallback);

/** One word of a NULL-terminated list; its index. Errors list the choices. */
size_t ota_yaml_choice(struct ota_yaml *doc, const struct ota_yaml_node *node,
	const char *key, const char *const *words, size_t fallback);

#endif

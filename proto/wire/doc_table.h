#ifndef PROTO_WIRE_DOC_TABLE_H
#define PROTO_WIRE_DOC_TABLE_H

/* How the documents are parsed and encoded: each is a table of its members, and one
 * parser and one encoder walk any table. Private to proto/wire and its tests.
 *
 * A payload holds exactly the members of the table, in its order, without the optional
 * ones that are zero, so there is one text for one content and encode(parse(x)) == x. */

#include "proto/wire/documents.h"

enum ota_doc_kind {
	OTA_DOC_NUMBER, /* uint64_t or uint32_t; min .. max is its range */
	OTA_DOC_BOOL,   /* bool */
	OTA_DOC_NAME,   /* char[OTA_NAME_CAP]; may be "" if min is 0 */
	OTA_DOC_LABEL,  /* char[OTA_LABEL_CAP]: "key=value" */
	OTA_DOC_TEXT,   /* char[max + 1]; min .. max bytes */
	OTA_DOC_HEX,    /* uint8_t[size] */
	OTA_DOC_CHOICE, /* an enum; its text is texts[value] for value up to max */
	OTA_DOC_OBJECT, /* a struct, with the members of a table of its own */
};

/** One member of an object. */
struct ota_doc_member {
	const char *key;
	enum ota_doc_kind kind;
	size_t offset, size; /* of the field, or of entry 0 of a list; bytes */
	uint64_t min, max;
	const char *const *texts;           /* of a choice */
	const struct ota_doc_table *object; /* of an object */
	size_t list_max;                    /* entries; 0: not a list */
	size_t list_min;                    /* entries */
	size_t count_offset;                /* of the list's uint32_t count */
	bool optional; /* of hex and number: absent means zero, never written */
};

struct ota_doc_table {
	const struct ota_doc_member *members;
	size_t count;
};

/** One document. */
struct ota_doc_spec {
	enum ota_doc_type type;
	size_t size; /* bytes of its struct */
	struct ota_doc_table table;
	/** What holds between members; OTA_OK, OTA_E_FORMAT or OTA_E_LIMIT. */
	enum ota_code (*check)(const void *doc, struct ota_error *err);
};

/* Rows of a table. s: struct tag, f: field, n: field with the count of a list. */
/* clang-format off */
#define OTA_ROW_AT(s, f) .offset = offsetof(struct s, f), .size = sizeof(((struct s *)0)->f)
#define OTA_ROW_IN(s, f, n, least)                                                        \
	.offset = offsetof(struct s, f), .size = sizeof(((struct s *)0)->f[0]),           \
	.list_min = (least), .list_max = sizeof(((struct s *)0)->f) /                     \
		sizeof(((struct s *)0)->f[0]), .count_offset = offsetof(struct s, n)

#define OTA_ROW_NUMBER(s, f, text, low, high) \
	{ .key = text, .kind = OTA_DOC_NUMBER, OTA_ROW_AT(s, f), .min = low, .max = high }
#define OTA_ROW_NUMBER_IF_ANY(s, f, text, high) \
	{ .key = text, .kind = OTA_DOC_NUMBER, OTA_ROW_AT(s, f), .min = 1, .max = high, \
	  .optional = true }
#define OTA_ROW_BOOL(s, f, text) { .key = text, .kind = OTA_DOC_BOOL, OTA_ROW_AT(s, f) }
#define OTA_ROW_NAME(s, f, text) \
	{ .key = text, .kind = OTA_DOC_NAME, OTA_ROW_AT(s, f), .min = 1 }
#define OTA_ROW_NAME_OR_NONE(s, f, text) \
	{ .key = text, .kind = OTA_DOC_NAME, OTA_ROW_AT(s, f) }
#define OTA_ROW_TEXT(s, f, text) \
	{ .key = text, .kind = OTA_DOC_TEXT, OTA_ROW_AT(s, f), \
	  .max = sizeof(((struct s *)0)->f) - 1 }
#define OTA_ROW_HEX(s, f, text) { .key = text, .kind = OTA_DOC_HEX, OTA_ROW_AT(s, f) }
#define OTA_ROW_HEX_IF_ANY(s, f, text) \
	{ .key = text, .kind = OTA_DOC_HEX, OTA_ROW_AT(s, f), .optional = true }
#define OTA_ROW_CHOICE(s, f, text, names, count) \
	{ .key = text, .kind = OTA_DOC_CHOICE, OTA_ROW_AT(s, f), .max = (count) - 1, \
	  .texts = names }
#define OTA_ROW_OBJECT(s, f, text, rows) \
	{ .key = text, .kind = OTA_DOC_OBJECT, OTA_ROW_AT(s, f), .object = rows }

#define OTA_ROW_NAMES(s, f, n, text, least) \
	{ .key = text, .kind = OTA_DOC_NAME, OTA_ROW_IN(s, f, n, least), .min = 1 }
#define OTA_ROW_LABELS(s, f, n, text) \
	{ .key = text, .kind = OTA_DOC_LABEL, OTA_ROW_IN(s, f, n, 0) }
#define OTA_ROW_HEXES(s, f, n, text, least) \
	{ .key = text, .kind = OTA_DOC_HEX, OTA_ROW_IN(s, f, n, least) }
#define OTA_ROW_OBJECTS(s, f, n, text, rows) \
	{ .key = text, .kind = OTA_DOC_OBJECT, OTA_ROW_IN(s, f, n, 0), .object = rows }
/* clang-format on */

#define OTA_TABLE_OF(rows)                             \
	{                                              \
		(rows), sizeof(rows) / sizeof(rows)[0] \
	}

/** The eight documents. */
extern const struct ota_doc_spec ota_doc_root, ota_doc_release, ota_doc_catalog,
	ota_doc_grant, ota_doc_fresh, ota_doc_order, ota_doc_assign, ota_doc_report;

/** Parse a payload into out, a struct of spec->size bytes. As documents.h says. */
OTA_CHECKED enum ota_code ota_doc_parse(const struct ota_doc_spec *spec,
	struct ota_bytes payload, void *out, struct ota_error *err);

/** Append the payload of doc, a struct of spec->size bytes. As documents.h says. */
OTA_CHECKED enum ota_code ota_doc_encode(const struct ota_doc_spec *spec, const void *doc,
	struct ota_buf *out, struct ota_error *err);

/** OTA_OK if expires lies after issued, or OTA_E_FORMAT. For checks. */
OTA_CHECKED enum ota_code ota_doc_check_times(
	uint64_t issued_utc_s, uint64_t expires_utc_s, struct ota_error *err);

#endif

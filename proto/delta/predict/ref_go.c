#include "proto/delta/predict/ref_machine.h"

/* What Go's linker writes for its runtime (runtime/symtab.go, 1.18 and later): a table of
 * functions by where they begin, and a record for each. Their fields count from starts of
 * other tables, which are seen at addresses made up for them, see enum ota_go in ref.h.
 */

enum {
	RECORD_LEN = 40, /* bytes before the lists of a record .. */
	LINED_LEN = 44,  /* .. that also says in which line the function begins */
	ENTRY_LEN = 8,   /* bytes of an entry of the table */
	FIELD_NAME = 4,
	FIELD_TABLES = 16, /* three offsets of tables by pc */
	FIELD_TABLE_COUNT = 28,
	FIELD_FILES = 32,
	COUNT_MAX = 64, /* of either list of a record; more is no record */
	FILE_LEN = 4,   /* bytes that an index of files stands for */
};

/* The forms of this file. */
enum {
	FORM_NAME = OTA_FORMS_GO,
	FORM_FILES,
	FORM_TABLE,
	FORM_RECORD,
};

/* A number of units from a table's start. */
static bool put_units(uint8_t *field, int64_t distance, int64_t unit)
{
	if (distance < 0 || distance % unit != 0 || distance / unit > UINT32_MAX)
		return false;
	ota_le32_set(field, (uint32_t)(distance / unit));
	return true;
}

static int64_t read_name(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return OTA_GO_NAMES + (int64_t)ota_le32(field);
}

static bool write_name(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_units(field, ota_minus(target, OTA_GO_NAMES), 1);
}

static int64_t read_files(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return OTA_GO_FILES + (int64_t)ota_le32(field) * FILE_LEN;
}

static bool write_files(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_units(field, ota_minus(target, OTA_GO_FILES), FILE_LEN);
}

static int64_t read_table(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return OTA_GO_TABLES + (int64_t)ota_le32(field);
}

static bool write_table(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_units(field, ota_minus(target, OTA_GO_TABLES), 1);
}

static int64_t read_record(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot, (void)like;
	return OTA_GO_RECORDS + (int64_t)ota_le32(field);
}

static bool write_record(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	return put_units(field, ota_minus(target, OTA_GO_RECORDS), 1);
}

/* clang-format off */
const struct ota_ref_form ota_forms_go[OTA_FAMILY_FORMS] = {
	[FORM_NAME - OTA_FORMS_GO] = { "go name", 4, false, { 0xff, 0xff, 0xff, 0xff },
		read_name, write_name, OTA_SCOPE_OBJECT },
	[FORM_FILES - OTA_FORMS_GO] = { "go files", 4, false, { 0xff, 0xff, 0xff, 0xff },
		read_files, write_files, OTA_SCOPE_OBJECT },
	[FORM_TABLE - OTA_FORMS_GO] = { "go table", 4, false, { 0xff, 0xff, 0xff, 0xff },
		read_table, write_table, OTA_SCOPE_OBJECT },
	[FORM_RECORD - OTA_FORMS_GO] = { "go record", 4, false, { 0xff, 0xff, 0xff, 0xff },
		read_record, write_record, OTA_SCOPE_OBJECT },
};
/* clang-format on */

struct sweep {
	const struct ota_scan *scan; /* borrowed */
	struct ota_refs *refs;       /* borrowed */
	int64_t code, data;          /* addresses that some fields count from */
};

static uint32_t word_at(const struct sweep *sweep, uint32_t at)
{
	return ota_le32(sweep->scan->at + at);
}

static void add(struct sweep *sweep, uint32_t at, unsigned form, int64_t base)
{
	struct ota_spot spot = { ota_plus(sweep->scan->address, at), base };
	struct ota_ref ref = { at, (uint8_t)form, 0, base };

	ref.target = ota_ref_form((uint8_t)form)->read(sweep->scan->at + at, &spot, 0);
	(void)ota_refs_add(sweep->refs, sweep->scan, &ref);
}

/* Where a function begins. False if there is no code. */
static bool add_code(struct sweep *sweep, uint32_t at)
{
	if (!ota_in_text(sweep->scan, ota_plus(sweep->code, word_at(sweep, at))))
		return false;
	add(sweep, at, OTA_WORD_BASE32, sweep->code);
	return true;
}

static void add_tables(struct sweep *sweep, uint32_t at, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, at += 4)
		if (word_at(sweep, at) != 0)
			add(sweep, at, FORM_TABLE, 0);
}

static void add_data(struct sweep *sweep, uint32_t at, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, at += 4)
		if (word_at(sweep, at) >> 31 == 0)
			add(sweep, at, OTA_WORD_BASE32, sweep->data);
}

/* A record: where the function begins, its name, arguments (4), where deferred calls
 * return (4), tables by pc (3 times 4), count of more tables (4), its files (4), the line
 * (4) if records have lines, 3 bytes, count of data (1); then both lists. Its length; 0
 * if there is none. */
static uint32_t step_record(struct sweep *sweep, uint32_t at, uint32_t end)
{
	uint32_t head = (sweep->scan->base & OTA_GO_LINED) != 0 ? LINED_LEN : RECORD_LEN;
	uint32_t tables, data, len;

	if (head > end - at)
		return 0;
	tables = word_at(sweep, at + FIELD_TABLE_COUNT);
	data = sweep->scan->at[at + head - 1];
	if (tables > COUNT_MAX || data > COUNT_MAX)
		return 0;
	len = head + 4 * (tables + data);
	if (len > end - at || !add_code(sweep, at))
		return 0;
	add(sweep, at + FIELD_NAME, FORM_NAME, 0);
	add_tables(sweep, at + FIELD_TABLES, 3);
	if (word_at(sweep, at + FIELD_FILES) >> 31 == 0)
		add(sweep, at + FIELD_FILES, FORM_FILES, 0);
	add_tables(sweep, at + head, tables);
	add_data(sweep, at + head + 4 * tables, data);
	return len;
}

static void scan_records(const struct ota_scan *scan, struct ota_refs *refs)
{
	uint64_t base = (uint64_t)scan->base & ~(uint64_t)OTA_GO_LINED;
	int64_t code = (int64_t)(base & UINT32_MAX);
	struct sweep sweep = { scan, refs, code, code + (int64_t)(base >> 32) };
	uint32_t end = scan->len + scan->after, at = 0, len = 4;

	while (scan->offset == 0 && at < scan->len && end - at >= 4 && len != 0) {
		/* Between records there may be zeros; no function is at 0 but the first.
		 */
		len = word_at(&sweep, at) == 0 ? 4 : step_record(&sweep, at, end);
		at += len;
	}
}

/* Where a function begins, and where its record is. */
static void scan_table(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs, scan->base, 0 };
	uint32_t end = scan->len + scan->after;

	for (uint32_t at = 0; at < scan->len && end - at >= ENTRY_LEN; at += ENTRY_LEN)
		if (add_code(&sweep, at))
			add(&sweep, at + 4, FORM_RECORD, 0);
}

/* Offsets of what programs can ask for by its type. */
static void scan_links(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { scan, refs, 0, scan->base };
	uint32_t end = scan->len + scan->after;

	for (uint32_t at = 0; at < scan->len && end - at >= 4; at += 4)
		add_data(&sweep, at, 1);
}

const struct ota_ref_kind ota_kind_go_records = { 0, 0, scan_records };
const struct ota_ref_kind ota_kind_go_table = { 0, 0, scan_table };
const struct ota_ref_kind ota_kind_go_links = { 0, 0, scan_links };

/* Reads proto/README.md and holds the code to it: examples, tables of members, topics,
 * errors. After a deliberate change of a sample, tests/unit/contract.py rewrites the
 * examples. */

#include <criterion/criterion.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "proto/base/own.h"
#include "proto/wire/doc_table.h"
#include "tests/unit/samples.h"

enum { README_CAP = 262144, ROW_CAP = 512, RANGE_CAP = 256 };

static const char *readme(void)
{
	static char text[README_CAP];
	FILE *file = fopen(SOURCE_ROOT "/proto/README.md", "re");
	size_t len;

	cr_assert_not_null(file);
	len = fread(text, 1, sizeof text - 1, file);
	cr_assert_lt(len, sizeof text - 1);
	text[len] = '\0';
	(void)fclose(file);
	return text;
}

/* What stands in the fenced block ```<head> of the README, to be freed. */
static char *block(const char *head)
{
	char fence[ROW_CAP];
	const char *at, *end;

	(void)snprintf(fence, sizeof fence, "\n```%s\n", head);
	at = strstr(readme(), fence);
	cr_assert_not_null(at, "no block %s", head);
	at += strlen(fence);
	end = strstr(at, "\n```");
	cr_assert_not_null(end, "block %s has no end", head);
	return strndup(at, (size_t)(end - at));
}

/* The bytes of a hex block. */
static struct ota_buf example(const char *kind, const char *name)
{
	char head[ROW_CAP];
	struct ota_buf out = { 0 };
	size_t len = 0;

	(void)snprintf(head, sizeof head, "hex name=%s%s", kind, name);
	ota_autofree char *hex = block(head);

	for (const char *c = hex; *c != '\0'; c++)
		if (!isspace((unsigned char)*c))
			hex[len++] = *c;
	hex[len] = '\0';
	for (size_t i = 0; i < len; i += 2) {
		uint8_t byte;

		cr_assert_eq(
			ota_hex_decode((char[]){ hex[i], hex[i + 1], '\0' }, &byte, 1),
			OTA_OK);
		cr_assert_eq(ota_buf_add_u8(&out, byte), OTA_OK);
	}
	return out;
}

static void expect_same(
	const struct ota_buf *a, const struct ota_buf *b, const char *what)
{
	cr_expect(ota_bytes_equal(ota_buf_bytes(a), ota_buf_bytes(b)), "%s", what);
}

/* The documents */

/* Open an envelope as its reader would: signature, then payload. */
static struct ota_envelope opened(enum ota_doc_type type, const struct ota_buf *bytes)
{
	struct ota_trust trust = sample_trust();
	struct ota_keyset device = {
		.keys = { sample_public(SAMPLE_DEVICE_KEY) }, .count = 1, .threshold = 1
	};
	const struct ota_keyset *keys =
		type == OTA_DOC_REPORT ? &device
				       : &trust.root.roles[ota_doc_role(type)].set;
	struct ota_envelope out;
	struct ota_error err = { 0 };

	cr_assert_eq(ota_envelope_parse(ota_buf_bytes(bytes), &out, &err), OTA_OK, "%s",
		err.text);
	cr_assert_eq(out.type, type);
	cr_assert_eq(ota_envelope_verify(&out, trust.root.fleet_id, keys, &err), OTA_OK,
		"%s", err.text);
	return out;
}

Test(contract, each_envelope_verifies_parses_and_encodes_to_the_same_bytes)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		const char *name = ota_doc_type_text(type);
		const char key[] = { (char)(SAMPLE_ROOT_KEY + ota_doc_role(type)), '\0' };
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("envelope-", name);
		struct ota_envelope envelope = opened(type, &bytes);
		union sample_doc doc;
		struct ota_error err = { 0 };

		cr_assert_eq(sample_parse(type, envelope.payload, &doc, &err), OTA_OK,
			"%s", err.text);
		OTA_AUTO(ota_buf_fini)
		struct ota_buf again = sample_sign(type, &doc, key);

		expect_same(&bytes, &again, name);
	}
}

Test(contract, each_envelope_is_that_of_the_samples)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		const char *name = ota_doc_type_text(type);
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("envelope-", name);
		OTA_AUTO(ota_buf_fini) struct ota_buf ours = sample_envelope(type);

		expect_same(&bytes, &ours, name);
	}
}

Test(contract, each_payload_shown_is_that_of_its_envelope)
{
	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		const char *name = ota_doc_type_text(type);
		OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("envelope-", name);
		struct ota_envelope envelope = opened(type, &bytes);
		char head[ROW_CAP];

		(void)snprintf(head, sizeof head, "json name=payload-%s", name);
		ota_autofree char *shown = block(head);

		cJSON_Minify(shown);
		cr_expect(ota_bytes_equal(ota_bytes_of(shown), envelope.payload), "%s",
			name);
	}
}

Test(contract, the_examples_together_admit_the_device)
{
	struct ota_trust trust = sample_trust();
	OTA_AUTO(ota_buf_fini) struct ota_buf fresh = example("envelope-", "fresh");
	OTA_AUTO(ota_buf_fini) struct ota_buf catalog = example("envelope-", "catalog");
	OTA_AUTO(ota_buf_fini) struct ota_buf release = example("envelope-", "release");
	OTA_AUTO(ota_buf_fini) struct ota_buf order = example("envelope-", "order");
	OTA_AUTO(ota_buf_fini) struct ota_buf grant = example("envelope-", "grant");
	static union sample_doc f, c, r, o, g;
	struct ota_case docs = { SAMPLE_ISSUED, &trust.root, &f.fresh, &c.catalog,
		&r.release, &o.order, &g.grant, .release_digest = { { 0 } } };
	struct ota_self self = { .device = SAMPLE_DEVICE,
		.product = "gateway",
		.hardware = "gw-2",
		.version = "1.3.0",
		.running = sample_digest("image 1.3.0"),
		.local_min = 60 };
	struct ota_error err = { 0 };

	cr_assert_eq(
		ota_trust_fresh(&trust, ota_buf_bytes(&fresh), &f.fresh, &err), OTA_OK);
	cr_assert_eq(ota_trust_catalog(&trust, ota_buf_bytes(&catalog), &f.fresh.catalog,
			     &c.catalog, &err),
		OTA_OK);
	cr_assert_eq(ota_trust_release(&trust, ota_buf_bytes(&release), &r.release,
			     &docs.release_digest, &err),
		OTA_OK);
	cr_assert_eq(ota_trust_order(&trust, ota_buf_bytes(&order), SAMPLE_COHORT,
			     &o.order, &err),
		OTA_OK);
	cr_assert_eq(
		ota_trust_grant(&trust, ota_buf_bytes(&grant), &g.grant, &err), OTA_OK);
	docs.order_digest = trust.order.digest;
	docs.catalog_digest = trust.catalog.digest;
	cr_expect_eq(ota_admit(&self, &docs, NULL, &err), OTA_OK, "%s", err.text);
}

/* What is not signed */

Test(contract, the_manifest_parses_and_encodes_to_the_same_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("", "manifest");
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };

	cr_assert_eq(ota_manifest_parse(ota_buf_bytes(&bytes), &m, NULL), OTA_OK);
	cr_assert_eq(ota_manifest_encode(&m, &again, NULL), OTA_OK);
	expect_same(&bytes, &again, "manifest");
	cr_expect_eq(m.codec, OTA_CODEC_VCDIFF);
	cr_expect_eq(m.chunk_count, 3);
}

Test(contract, the_block_table_parses_encodes_and_is_what_the_manifest_names)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("", "block-table");
	OTA_AUTO(ota_buf_fini) struct ota_buf named = example("", "manifest-2");
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	OTA_AUTO(ota_block_table_fini) struct ota_block_table table = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };
	struct ota_digest digest = ota_digest_of(ota_buf_bytes(&bytes));

	cr_assert_eq(ota_block_table_parse(ota_buf_bytes(&bytes), &table, NULL), OTA_OK);
	cr_assert_eq(ota_block_table_encode(&table, &again, NULL), OTA_OK);
	expect_same(&bytes, &again, "block table");
	cr_expect_eq(table.count, 2);
	cr_assert_eq(ota_manifest_parse(ota_buf_bytes(&named), &m, NULL), OTA_OK);
	cr_expect(ota_digest_equal(&m.blocks, &digest));
	cr_expect(ota_digest_equal(&m.from, &table.image));
}

Test(contract, the_chunk_is_the_last_one_of_the_manifest)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf table = example("", "manifest");
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("", "chunk");
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = { 0 };
	struct ota_bytes data;
	uint32_t index;

	cr_assert_eq(ota_manifest_parse(ota_buf_bytes(&table), &m, NULL), OTA_OK);
	cr_assert_eq(
		ota_chunk_check(&m, ota_buf_bytes(&bytes), &index, &data, NULL), OTA_OK);
	cr_expect_eq(index, 2);
	cr_assert_eq(ota_chunk_encode(index, data, &again), OTA_OK);
	expect_same(&bytes, &again, "chunk");
}

Test(contract, the_need_parses_and_encodes_to_the_same_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("", "need");
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	struct ota_need need;

	cr_assert_eq(ota_need_parse(ota_buf_bytes(&bytes), &need, NULL), OTA_OK);
	cr_expect_eq(need.bitmap.at[0], 5);
	cr_assert_eq(ota_need_encode(&need, &again), OTA_OK);
	expect_same(&bytes, &again, "need");
}

Test(contract, the_presence_parses_and_prints_to_the_same_bytes)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = example("", "online");
	struct ota_online online;
	char again[OTA_ONLINE_CAP];

	cr_assert_eq(ota_online_parse(ota_buf_bytes(&bytes), &online, NULL), OTA_OK);
	ota_online_print(&online, again);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&bytes), ota_bytes_of(again)));
}

Test(contract, each_topic_shown_is_one_and_each_kind_is_shown)
{
	ota_autofree char *text = block("text name=topics");
	unsigned seen = 0;

	for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		struct ota_topic topic;
		struct ota_error err = { 0 };

		cr_expect_eq(ota_topic_parse(SAMPLE_FLEET, line, &topic, &err), OTA_OK,
			"%s: %s", line, err.text);
		seen |= 1u << topic.kind;
	}
	cr_expect_eq(seen, (1u << OTA_N_TOPIC_KINDS) - 1);
}

Test(contract, the_table_of_topics_tells_the_most_bytes_of_each_kind)
{
	const char *at = strstr(readme(), "\n## Topics\n");

	cr_assert_not_null(at);
	at = strstr(at, "\n| ---");
	for (unsigned kind = 0; at != NULL && kind < OTA_N_TOPIC_KINDS; kind++) {
		char column[ROW_CAP];
		const char *cell;

		at = strchr(at + 1, '\n');
		cr_assert_not_null(at);
		(void)snprintf(
			column, sizeof column, "| %zu |\n", ota_topic_payload_max(kind));
		cell = strstr(at, column);
		cr_expect(cell != NULL && cell < strchr(at + 1, '\n'), "row %u: %s", kind,
			column);
	}
}

/* Tables */

/* The README from the heading "### <name>" on. */
static const char *section(const char *name)
{
	char heading[ROW_CAP];
	const char *at;

	(void)snprintf(heading, sizeof heading, "\n### %s\n", name);
	at = strstr(readme(), heading);
	cr_assert_not_null(at, "no heading %s", name);
	return at;
}

static void print_number(uint64_t value, char out[static 32])
{
	if (value == OTA_JSON_NUMBER_MAX)
		(void)snprintf(out, 32, "2^53-1");
	else
		(void)snprintf(out, 32, "%llu", (unsigned long long)value);
}

static const char *const kind_texts[] = { "number", "boolean", "name", "label", "text",
	"hex", "choice", "object" };

/* The third column of one entry. */
static void print_range(const struct ota_doc_member *m, char out[static RANGE_CAP])
{
	char low[32], high[32];
	int used;

	out[0] = '\0';
	print_number(m->min, low);
	print_number(m->max, high);
	if (m->kind == OTA_DOC_NUMBER)
		(void)snprintf(out, RANGE_CAP, "%s .. %s", low, high);
	if (m->kind == OTA_DOC_TEXT)
		(void)snprintf(out, RANGE_CAP, "%s .. %s bytes", low, high);
	if (m->kind == OTA_DOC_HEX)
		(void)snprintf(out, RANGE_CAP, "%zu bytes", m->size);
	if (m->kind == OTA_DOC_NAME && m->min == 0)
		(void)snprintf(out, RANGE_CAP, "may be empty");
	if (m->kind != OTA_DOC_CHOICE)
		return;
	used = snprintf(out, RANGE_CAP, "%s", m->texts[0]);
	for (size_t i = 1; i <= m->max; i++)
		used += snprintf(
			out + used, RANGE_CAP - (size_t)used, ", %s", m->texts[i]);
}

/* "| `key` | type | range |" */
static void print_row(
	const char *prefix, const struct ota_doc_member *m, char out[static ROW_CAP])
{
	const char *kind = kind_texts[m->kind];
	char range[RANGE_CAP];

	print_range(m, range);
	if (m->list_max == 0)
		(void)snprintf(out, ROW_CAP, "| `%s%s` | %s | %s |", prefix, m->key, kind,
			range);
	else
		(void)snprintf(out, ROW_CAP, "| `%s%s` | list of %s | %zu .. %zu%s%s |",
			prefix, m->key, kind, m->list_min, m->list_max,
			range[0] != '\0' ? " of " : "", range);
}

/* Expect the rows of a table in order from *at on, those of inner objects behind theirs.
 */
static void expect_rows(
	const char **at, const char *prefix, const struct ota_doc_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct ota_doc_member *m = &table->members[i];
		char row[ROW_CAP], inner[ROW_CAP];
		const char *next = strstr(*at, "\n| `");

		print_row(prefix, m, row);
		cr_assert_not_null(next, "no row %s", row);
		cr_assert_eq(strncmp(next + 1, row, strlen(row)), 0, "want %s\nhave %.*s",
			row, (int)strcspn(next + 1, "\n"), next + 1);
		*at = next + 1;
		if (m->kind != OTA_DOC_OBJECT)
			continue;
		(void)snprintf(inner, sizeof inner, "%s%s%s.", prefix, m->key,
			m->list_max > 0 ? "[]" : "");
		expect_rows(at, inner, m->object);
	}
}

Test(contract, the_tables_of_members_are_those_of_the_code)
{
	static const struct ota_doc_spec *const specs[] = { &ota_doc_root,
		&ota_doc_release, &ota_doc_catalog, &ota_doc_grant, &ota_doc_fresh,
		&ota_doc_order, &ota_doc_assign, &ota_doc_report };

	for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
		const char *at = section(ota_doc_type_text(specs[i]->type));
		const char *end, *next;

		expect_rows(&at, "", &specs[i]->table);
		next = strstr(at, "\n| `");
		end = strstr(at, "\n##");
		cr_expect(next == NULL || (end != NULL && end < next),
			"%s: a row too many: %.40s", ota_doc_type_text(specs[i]->type),
			next != NULL ? next : "");
	}
}

static const char *remedy_text(enum ota_remedy remedy)
{
	static const char *const texts[] = { "nothing", "retry", "refetch", "reject",
		"ignore" };

	return texts[remedy];
}

#define CODE(name, number, remedy, text) OTA_E_##name,
static const enum ota_code codes[] = { OTA_ERRORS(CODE) };
#undef CODE

Test(contract, the_table_of_errors_is_that_of_the_code)
{
	const char *at = strstr(readme(), "\n## Error numbers\n");

	cr_assert_not_null(at);
	at = strstr(at, "\n| ---");
	for (size_t i = 0; at != NULL && i < sizeof codes / sizeof codes[0]; i++) {
		char row[ROW_CAP];

		at = strchr(at + 1, '\n');
		cr_assert_not_null(at);
		(void)snprintf(row, sizeof row, "| %u | %s | %s | %s |", codes[i],
			ota_code_name(codes[i]), remedy_text(ota_code_remedy(codes[i])),
			ota_code_text(codes[i]));
		cr_expect_eq(strncmp(at + 1, row, strlen(row)), 0, "want %s", row);
	}
	cr_assert_not_null(at);
	at = strchr(at + 1, '\n');
	cr_expect_neq(at[1], '|', "a row too many: %.40s", at + 1);
}

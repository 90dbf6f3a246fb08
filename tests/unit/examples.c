/* Prints the examples of proto/README.md, one "name hex" a line, from the samples.
 * tests/unit/contract.py puts them into the README and into the seeds of the fuzzers. */

#include <stdio.h>
#include <stdlib.h>

#include "proto/base/own.h"
#include "tests/unit/samples.h"

static void print(const char *kind, const char *name, struct ota_bytes bytes)
{
	ota_autofree char *hex = malloc(2 * bytes.len + 1);

	if (hex == NULL)
		abort();
	ota_hex_encode(bytes, hex);
	(void)printf("%s%s %s\n", kind, name, hex);
}

static void print_sample(const char *name, enum ota_code rc, const struct ota_buf *buf)
{
	if (rc != OTA_OK)
		abort();
	print("", name, ota_buf_bytes(buf));
}

int main(void)
{
	OTA_AUTO(ota_manifest_fini) struct ota_manifest m = sample_manifest();
	OTA_AUTO(ota_buf_fini) struct ota_buf manifest = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf repairable = { 0 };
	OTA_AUTO(ota_block_table_fini)
	struct ota_block_table table = sample_block_table();
	OTA_AUTO(ota_buf_fini) struct ota_buf blocks = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf chunk = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf need = { 0 };
	const struct ota_need sample = sample_need();

	for (unsigned type = OTA_DOC_ROOT; type <= OTA_DOC_REPORT; type++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf envelope = sample_envelope(type);

		print("envelope-", ota_doc_type_text(type), ota_buf_bytes(&envelope));
	}
	print_sample("manifest", ota_manifest_encode(&m, &manifest, NULL), &manifest);
	print_sample(
		"block-table", ota_block_table_encode(&table, &blocks, NULL), &blocks);
	m.blocks = ota_digest_of(ota_buf_bytes(&blocks));
	print_sample(
		"manifest-2", ota_manifest_encode(&m, &repairable, NULL), &repairable);
	print_sample("chunk", ota_chunk_encode(2, sample_chunk(2), &chunk), &chunk);
	print_sample("need", ota_need_encode(&sample, &need), &need);
	print("", "online", ota_bytes_of(SAMPLE_ONLINE));
	return 0;
}

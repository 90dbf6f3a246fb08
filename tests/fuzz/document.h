#ifndef TESTS_FUZZ_DOCUMENT_H
#define TESTS_FUZZ_DOCUMENT_H

/* What every fuzzer of a document does: what parses must encode to the same bytes. */

#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/wire/doc_table.h"

static inline int fuzz_document(
	const struct ota_doc_spec *spec, const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf again = { 0 };
	ota_autofree void *doc = calloc(1, spec->size);
	struct ota_bytes in = { data, size };
	struct ota_error err;

	if (doc == NULL || ota_doc_parse(spec, in, doc, &err) != OTA_OK)
		return 0;
	if (ota_doc_encode(spec, doc, &again, &err) != OTA_OK ||
		!ota_bytes_equal(in, ota_buf_bytes(&again)))
		abort();
	return 0;
}

#endif

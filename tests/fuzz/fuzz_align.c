#include <stdlib.h>

#include "proto/base/own.h"
#include "proto/delta/predict/align.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs are in order, in bounds and within [begin, end) of the new bytes. */
static void check(
	const struct ota_runs *runs, struct ota_bytes from, uint64_t begin, uint64_t end)
{
	for (size_t i = 0; i < runs->count; i++) {
		const struct ota_run *run = &runs->at[i];

		if (run->len == 0 || run->to < begin || run->to > end ||
			run->len > end - run->to || run->from > from.len ||
			run->len > from.len - run->from)
			abort();
		begin = run->to + run->len;
	}
}

static void check_match(struct ota_bytes from, struct ota_bytes to)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	size_t half = to.len / 2;
	struct ota_run wanted[] = { { 0, 0, half / 2 }, { half, 0, half } };
	struct ota_runs todo = { wanted, 2, 2 };
	struct ota_runs part = { 0 };

	if (ota_match(from, to, &todo, NULL, &runs) != OTA_OK || runs.count == 0)
		return;
	part.at = runs.at;
	while (part.count < runs.count && runs.at[part.count].to < half / 2)
		part.count++;
	check(&part, from, 0, half / 2);
	part.at += part.count;
	part.count = runs.count - part.count;
	check(&part, from, half, 2 * half);
}

/* The first two bytes say where old ends and new begins; new has the old bytes once more,
 * so that there is something to find. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OTA_AUTO(ota_runs_fini) struct ota_runs runs = { 0 };
	OTA_AUTO(ota_buf_fini) struct ota_buf new = { 0 };
	struct ota_bytes from, to;
	size_t cut;

	if (size < 2)
		return 0;
	cut = (size_t)(data[0] | data[1] << 8) % (size - 1);
	from = (struct ota_bytes){ data + 2, cut };
	to = (struct ota_bytes){ data + 2 + cut, size - 2 - cut };
	if (ota_buf_add(&new, to) != OTA_OK || ota_buf_add(&new, from) != OTA_OK)
		return 0;
	to = ota_buf_bytes(&new);
	if (ota_align(from, to, NULL, &runs) == OTA_OK)
		check(&runs, from, 0, to.len);
	check_match(from, to);
	return 0;
}

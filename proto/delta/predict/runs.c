#include "proto/delta/predict/align.h"

#include <stdlib.h>

enum { RUNS_FIRST_CAP = 64 };

static OTA_CHECKED enum ota_code reserve_one(struct ota_runs *runs)
{
	size_t cap = runs->cap == 0 ? RUNS_FIRST_CAP : 2 * runs->cap;
	struct ota_run *at;

	if (runs->count < runs->cap)
		return OTA_OK;
	if (cap > SIZE_MAX / sizeof *at)
		return OTA_E_NOMEM;
	at = realloc(runs->at, cap * sizeof *at);
	if (at == NULL)
		return OTA_E_NOMEM;
	runs->at = at;
	runs->cap = cap;
	return OTA_OK;
}

enum ota_code ota_runs_add(struct ota_runs *runs, const struct ota_run *run)
{
	struct ota_run *last = runs->count > 0 ? &runs->at[runs->count - 1] : NULL;
	enum ota_code rc;

	if (run->len == 0)
		return OTA_OK;
	if (last != NULL && last->to + last->len == run->to &&
		last->from + last->len == run->from) {
		last->len += run->len;
		return OTA_OK;
	}
	rc = reserve_one(runs);
	if (rc == OTA_OK)
		runs->at[runs->count++] = *run;
	return rc;
}

void ota_runs_fini(struct ota_runs *runs)
{
	free(runs->at);
	*runs = (struct ota_runs){ 0 };
}

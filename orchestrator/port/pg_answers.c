#include "orchestrator/port/pg_ledger.h"

#include "proto/base/own.h"

static void add_digest(struct pg_args *args, const struct ota_digest *digest)
{
	pg_add_bytes(args, (struct ota_bytes){ digest->at, OTA_DIGEST_LEN });
}

static enum ota_code remove_too_many(
	struct ledger *ledger, const struct ledger_answer *answer, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_text(&args, answer->who);
	pg_add_u64(&args, LEDGER_ANSWERS_MAX);
	return pg_ledger_write(ledger, P_CROWD, &args, NULL, err);
}

static enum ota_code remove_old(
	struct ledger *ledger, const struct ledger_answer *answer, struct ota_error *err)
{
	struct pg_args args = { 0 };

	pg_add_u64(&args, ledger_answers_until(answer->at_utc_s));
	pg_add_u64(&args, LEDGER_ANSWERS_AT_ONCE);
	return pg_ledger_write(ledger, P_EXPIRE, &args, NULL, err);
}

static enum ota_code keep(
	struct ledger *ledger, const struct ledger_answer *answer, struct ota_error *err)
{
	struct pg_args args = { 0 };
	enum ota_code rc;

	pg_add_text(&args, answer->who);
	add_digest(&args, &answer->key);
	pg_add_u64(&args, answer->at_utc_s);
	add_digest(&args, &answer->request);
	pg_add_u64(&args, answer->status);
	pg_add_bytes(&args, answer->sealed);
	rc = pg_ledger_write(ledger, P_ANSWER, &args, NULL, err);
	if (rc == OTA_OK)
		rc = remove_too_many(ledger, answer, err);
	return rc == OTA_OK ? remove_old(ledger, answer, err) : rc;
}

static enum ota_code find(struct ledger *ledger, uint64_t after_utc_s,
	struct ledger_answer *inout, struct ota_buf *body, bool *found,
	struct ota_error *err)
{
	OTA_AUTO(pg_clear) PGresult *result = NULL;
	struct pg_args args = { 0 };
	enum ota_code rc;

	pg_add_text(&args, inout->who);
	add_digest(&args, &inout->key);
	pg_add_u64(&args, after_utc_s);
	rc = pg_run(pg_ledger_pg(ledger), P_ANSWERED, &args, &result, err);
	if (rc != OTA_OK)
		return rc;
	if (PQntuples(result) > 0) {
		inout->request = pg_digest(result, 0, 0);
		inout->status = (unsigned)pg_u64(result, 0, 1);
		inout->at_utc_s = pg_u64(result, 0, 2);
		rc = ota_buf_add(body, pg_bytes(result, 0, 3));
	}
	if (rc == OTA_OK)
		*found = PQntuples(result) > 0;
	return rc;
}

const struct ledger_answers pg_answers = { .keep = keep, .find = find };

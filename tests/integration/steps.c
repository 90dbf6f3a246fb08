/* The steps of sluiced (steps.h), counted by standing in for the functions through which
 * it acts upon the ledger and the broker. */
#include "tests/integration/steps.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/port/ledger.h"
#include "proto/base/own.h"
#include "proto/io/mqtt.h"

enum ota_code __real_ledger_begin(struct ledger *ledger, struct ota_error *err);
enum ota_code __wrap_ledger_begin(struct ledger *ledger, struct ota_error *err);
enum ota_code __real_ledger_commit(struct ledger *ledger, struct ota_error *err);
enum ota_code __wrap_ledger_commit(struct ledger *ledger, struct ota_error *err);
enum ota_code __real_ledger_retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err);
enum ota_code __wrap_ledger_retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err);
enum ota_code __real_ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx);
enum ota_code __wrap_ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx);

static long countdown = -1;
static int signal_number, fd = -1;
static const char *wait_for; /* a path, or NULL */
static bool in_transaction;

__attribute__((constructor)) static void arm(void)
{
	const char *path = getenv(STEPS_PATH), *strike = getenv(STEPS_STRIKE);
	char *end = NULL;

	if (!path)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (!strike)
		return;
	wait_for = getenv(STEPS_WAIT);
	countdown = strtol(strike, &end, 10);
	signal_number = *end == ',' ? (int)strtol(end + 1, NULL, 10) : SIGKILL;
}

static void note(char letter)
{
	if (fd >= 0 && write(fd, &letter, 1) != 1)
		abort();
}

static void step(enum step which)
{
	note((char)which);
	if (countdown < 0 || (wait_for && access(wait_for, F_OK) != 0) ||
		--countdown != 0)
		return;
	note(STEP_STRUCK);
	(void)raise(signal_number);
}

/* ---- the ledger */

enum ota_code __wrap_ledger_begin(struct ledger *ledger, struct ota_error *err)
{
	step(STEP_BEGIN);
	in_transaction = true;
	return __real_ledger_begin(ledger, err);
}

enum ota_code __wrap_ledger_commit(struct ledger *ledger, struct ota_error *err)
{
	enum ota_code rc;

	step(STEP_COMMIT);
	rc = __real_ledger_commit(ledger, err);
	in_transaction = false;
	if (rc == OTA_OK)
		step(STEP_COMMITTED);
	return rc;
}

enum ota_code __wrap_ledger_retain(struct ledger *ledger, const char *topic,
	enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err)
{
	bool alone = !in_transaction;
	enum ota_code rc;

	if (alone)
		step(STEP_COMMIT);
	rc = __real_ledger_retain(ledger, topic, kind, payload, err);
	if (alone && rc == OTA_OK)
		step(STEP_COMMITTED);
	return rc;
}

/* ---- the broker */

/* Whom to tell of one publish. */
struct told {
	ota_mqtt_done *done;
	void *ctx;
};

static void landed(void *ctx, enum ota_code code)
{
	struct told told = *(struct told *)ctx;

	free(ctx);
	if (code != OTA_E_LINK)
		step(STEP_ACK);
	if (told.done)
		told.done(told.ctx, code);
}

enum ota_code __wrap_ota_mqtt_publish(struct ota_mqtt *link,
	const struct ota_mqtt_message *message, ota_mqtt_done *done, void *done_ctx)
{
	struct told *told = malloc(sizeof *told);
	enum ota_code rc;

	if (!told)
		return OTA_E_NOMEM;
	*told = (struct told){ done, done_ctx };
	step(STEP_PUBLISH);
	rc = __real_ota_mqtt_publish(link, message, landed, told);
	if (rc != OTA_OK)
		free(told);
	return rc;
}

#include "orchestrator/port/fatal.h"

#include <unistd.h>

#include "proto/io/log.h"

_Noreturn void fatal_exit(const char *event, const struct ota_error *err)
{
	char why[256];

	ota_log(OTA_LOG_ERR, event, "error=%s why=%s", ota_code_name(err->code),
		ota_log_quote(err->text, why));
	_exit(1);
}

_Noreturn void fatal_ledger(const struct ota_error *err)
{
	fatal_exit(err->code == OTA_E_STATE ? "lease.lost" : "ledger.failed", err);
}

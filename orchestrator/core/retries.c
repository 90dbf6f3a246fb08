#include "orchestrator/core/retries.h"

#include "orchestrator/core/publish.h"
#include "orchestrator/core/retry.h"
#include "orchestrator/core/store.h"
#include "orchestrator/core/tree.h"

bool retries_is_left(const struct device *device, const struct attempt *attempt,
	enum failure_class class)
{
	const struct rollout *rollout = attempt->rollout;

	return !rollout->reverted && device->report.state == OTA_UPDATE_FAILED &&
	       attempt->tries < retry_allowed(&rollout->spec.retry, class);
}

void retries_put_off(struct core *core, struct attempt *attempt)
{
	const struct rollout_retry *retry = &attempt->rollout->spec.retry;

	attempt->retry_s =
		core->now.utc_s + retry_backoff_s(retry, attempt->class, attempt->tries);
	attempt->tries++;
	if (attempt->retry_s < attempt->rollout->due_s)
		attempt->rollout->due_s = attempt->retry_s;
}

void retries_ask(struct core *core, struct device *device, struct attempt *attempt)
{
	cJSON *detail = tree_object();

	attempt->retry_s = 0;
	attempt->step = OTA_UPDATE_IDLE;
	attempt->step_s = core->now.utc_s;
	attempt->waiting = false;
	store_attempt(core, device, attempt);
	tree_text(detail, "device", device->id);
	tree_text(detail, "rollout", attempt->rollout->spec.rollout);
	tree_u64(detail, "tries", attempt->tries);
	store_audit(core, "core", "device.retry", detail);
	publish_assign(core, device);
}

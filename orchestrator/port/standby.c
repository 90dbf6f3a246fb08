/* What is answered where another leads. */
#include "orchestrator/port/api.h"

#include "proto/base/own.h"
#include "proto/wire/json.h"

static bool add_text(cJSON *tree, const char *name, const char *text)
{
	char shown[4 * LEDGER_OWNER_CAP];

	ota_escape(text, shown, sizeof(shown));
	return cJSON_AddStringToObject(tree, name, shown) != NULL;
}

/* {"error":{..,"standby":true,"leader":{"owner","address"}}} */
static bool add_leader(cJSON *tree, const struct ledger_leader *leader)
{
	cJSON *error = cJSON_GetObjectItemCaseSensitive(tree, "error"), *of;

	if (!error || !cJSON_AddBoolToObject(error, "standby", true))
		return false;
	if (!leader->owner[0])
		return true;
	of = cJSON_AddObjectToObject(error, "leader");
	return of && add_text(of, "owner", leader->owner) &&
	       add_text(of, "address", leader->address);
}

void api_stand_by(const struct ledger_leader *leader, struct api_reply *reply)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	OTA_AUTO(ota_buf_fini) struct ota_buf body = { 0 };
	struct ota_error text = { 0 };

	if (leader->owner[0])
		(void)ota_fail(&text, OTA_E_BUSY,
			"this sluiced stands by; %s leads, its API is at %s",
			leader->owner, leader->address);
	else
		(void)ota_fail(&text, OTA_E_BUSY,
			"this sluiced stands by; who leads is not known yet");
	api_unavailable(reply, text.text);
	if (ota_json_parse(ota_buf_bytes(&reply->body), false, &tree, NULL) != OTA_OK ||
		!add_leader(tree, leader) || ota_json_print(tree, &body, NULL) != OTA_OK)
		return; /* short of memory: the text alone */
	ota_buf_fini(&reply->body);
	reply->body = body;
	body = (struct ota_buf){ 0 };
}

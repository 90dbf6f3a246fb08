/* Prints the drawing of every state machine, from its table: what stands between "```" in
 * the README files of orchestrator and agent. Usage: machines [NAME] */

#include <stdio.h>
#include <string.h>

#include "agent/core/update.h"
#include "orchestrator/core/attempt_states.h"
#include "orchestrator/core/rollout_states.h"
#include "orchestrator/core/stage_states.h"
#include "orchestrator/core/webhook_states.h"
#include "proto/base/own.h"

int main(int argc, char **argv)
{
	const struct ota_fsm_spec *machines[] = { &rollout_fsm, &stage_fsm, &attempt_fsm,
		&webhook_fsm, &update_fsm };

	for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf drawing = { 0 };

		if (argc > 1 && strcmp(argv[1], machines[i]->name) != 0)
			continue;
		if (ota_fsm_draw(machines[i], &drawing) != OTA_OK)
			return 1;
		(void)printf("%s\n```mermaid\n%.*s```\n", machines[i]->name,
			(int)drawing.len, (const char *)drawing.at);
	}
	return 0;
}

#include "agent/core/update.h"

#define TEXT(name, text) text,
static const char *const state_text[] = { OTA_UPDATE_STATES(TEXT) };
static const char *const event_text[] = { UPDATE_EVENTS(TEXT) };
#undef TEXT

#define ROW(from, event, to)                                           \
	{                                                              \
		OTA_UPDATE_##from, UPDATE_ON_##event, OTA_UPDATE_##to, \
	}
/* clang-format off */
static const struct ota_fsm_row rows[] = {
	/*  from           event    to                why                                   */
	ROW(IDLE,          OFFER,   OFFERED),
	ROW(IDLE,          RESTART, IDLE),
	ROW(IDLE,          BOOT,    IDLE),
	ROW(IDLE,          LEFT,    FAILED),       /* and so it is said                     */
	ROW(IDLE,          TRIAL,   ROLLING_BACK), /* nobody remembers why: not to be trusted */

	ROW(OFFERED,       DONE,    FETCHING),
	ROW(OFFERED,       FAIL,    IDLE),         /* refused before it began               */
	ROW(OFFERED,       CANCEL,  IDLE),
	ROW(OFFERED,       RESTART, OFFERED),
	ROW(OFFERED,       BOOT,    OFFERED),
	ROW(OFFERED,       TRIAL,   ROLLING_BACK),
	ROW(OFFERED,       LEFT,    FAILED),

	ROW(FETCHING,      DONE,    VERIFYING),
	ROW(FETCHING,      FAIL,    FAILED),
	ROW(FETCHING,      CANCEL,  IDLE),
	ROW(FETCHING,      RESTART, FETCHING),     /* resume from the spool's bitmap        */
	ROW(FETCHING,      BOOT,    FETCHING),
	ROW(FETCHING,      TRIAL,   ROLLING_BACK),
	ROW(FETCHING,      LEFT,    FAILED),

	ROW(VERIFYING,     DONE,    INSTALLING),
	ROW(VERIFYING,     REFETCH, FETCHING),
	ROW(VERIFYING,     FAIL,    FAILED),
	ROW(VERIFYING,     CANCEL,  IDLE),
	ROW(VERIFYING,     RESTART, VERIFYING),
	ROW(VERIFYING,     BOOT,    VERIFYING),
	ROW(VERIFYING,     TRIAL,   ROLLING_BACK),
	ROW(VERIFYING,     LEFT,    FAILED),

	ROW(INSTALLING,    DONE,    ARMED),
	ROW(INSTALLING,    FAIL,    FAILED),       /* only the inactive slot was touched    */
	ROW(INSTALLING,    CANCEL,  IDLE),
	ROW(INSTALLING,    RESTART, INSTALLING),   /* written again from its first byte     */
	ROW(INSTALLING,    BOOT,    INSTALLING),
	ROW(INSTALLING,    TRIAL,   ROLLING_BACK),
	ROW(INSTALLING,    LEFT,    FAILED),

	ROW(ARMED,         DONE,    REBOOTING),
	ROW(ARMED,         FAIL,    FAILED),
	ROW(ARMED,         CANCEL,  ROLLING_BACK), /* the cut may have come after the switch */
	ROW(ARMED,         RESTART, ARMED),
	ROW(ARMED,         BOOT,    ARMED),
	ROW(ARMED,         TRIAL,   PROVING),      /* the cut came after the switch         */

	ROW(REBOOTING,     FAIL,    ROLLING_BACK), /* a hook refused: switch back           */
	ROW(REBOOTING,     CANCEL,  ROLLING_BACK),
	ROW(REBOOTING,     RESTART, REBOOTING),
	ROW(REBOOTING,     BOOT,    FAILED),       /* the boot loader fell back             */
	ROW(REBOOTING,     TRIAL,   PROVING),

	ROW(PROVING,       DONE,    CONFIRMED),
	ROW(PROVING,       FAIL,    ROLLING_BACK),
	ROW(PROVING,       CANCEL,  ROLLING_BACK),
	ROW(PROVING,       RESTART, PROVING),
	ROW(PROVING,       BOOT,    FAILED),       /* the boot loader fell back             */
	ROW(PROVING,       TRIAL,   PROVING),      /* the next of its tries                 */

	ROW(CONFIRMED,     OFFER,   OFFERED),
	ROW(CONFIRMED,     CANCEL,  IDLE),         /* another rollout concerns the device   */
	ROW(CONFIRMED,     REVERT,  ARMED),        /* the other slot still holds the old    */
	ROW(CONFIRMED,     RESTART, CONFIRMED),
	ROW(CONFIRMED,     BOOT,    CONFIRMED),
	ROW(CONFIRMED,     TRIAL,   ROLLING_BACK),
	ROW(CONFIRMED,     LEFT,    FAILED),

	ROW(ROLLING_BACK,  DONE,    FAILED),       /* switched back without a boot          */
	ROW(ROLLING_BACK,  RESTART, ROLLING_BACK),
	ROW(ROLLING_BACK,  BOOT,    FAILED),
	ROW(ROLLING_BACK,  TRIAL,   ROLLING_BACK), /* the cut came before the switch back   */

	ROW(FAILED,        OFFER,   OFFERED),
	ROW(FAILED,        CANCEL,  IDLE),
	ROW(FAILED,        RESTART, FAILED),
	ROW(FAILED,        BOOT,    FAILED),
	ROW(FAILED,        TRIAL,   ROLLING_BACK),
	ROW(FAILED,        LEFT,    FAILED),
};
/* clang-format on */
#undef ROW

const struct ota_fsm_spec update_fsm = {
	.name = "update",
	.states = state_text,
	.events = event_text,
	.rows = rows,
	.n_states = OTA_N_UPDATE_STATES,
	.n_events = N_UPDATE_EVENTS,
	.n_rows = sizeof rows / sizeof rows[0],
};

#include "agent/core/slot.h"

#define TEXT(name, text) text,
static const char *const state_text[] = { SLOT_STATES(TEXT) };
#undef TEXT

const char *slot_state_text(enum slot_state state)
{
	return (unsigned)state < N_SLOT_STATES ? state_text[state] : "unknown";
}

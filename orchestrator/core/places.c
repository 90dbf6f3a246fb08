#include "orchestrator/core/places.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/registry.h"
#include "orchestrator/core/tree.h"

/* FNV-1a */
static uint32_t hash_of(const char *text)
{
	uint32_t hash = UINT32_C(2166136261);

	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * UINT32_C(16777619);
	return hash;
}

static uint32_t place_of(struct places *p, const char *name)
{
	uint32_t at = hash_of(name) & p->slot_mask;

	while (p->slots[at] != 0 && strcmp(p->names[p->slots[at] - 1], name) != 0)
		at = (at + 1) & p->slot_mask;
	if (p->slots[at] == 0) {
		p->names[p->name_count++] = name;
		p->slots[at] = p->name_count;
	}
	return p->slots[at] - 1;
}

struct places places_of(const struct core *core, const char *key)
{
	struct places p = { .slot_mask = 1 };

	while (p.slot_mask < 2 * core->device_count)
		p.slot_mask = 2 * p.slot_mask + 1;
	p.names = core_alloc(core->device_count + 1, sizeof *p.names);
	p.of = core_alloc(core->device_count + 1, sizeof *p.of);
	p.slots = core_alloc((size_t)p.slot_mask + 1, sizeof *p.slots);
	for (size_t i = 0; i < core->device_count; i++) {
		const char *name = device_label(core->devices[i], key);

		p.of[i] = name != NULL ? place_of(&p, name) : PACE_NOWHERE;
	}
	return p;
}

void places_fini(struct places *p)
{
	free(p->names);
	free(p->of);
	free(p->slots);
	*p = (struct places){ 0 };
}

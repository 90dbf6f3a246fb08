#include "tests/sim/lying_world.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/lying_medium.h"
#include "tests/sim/world_people.h"

enum {
	CUT_WITHIN_OPS = 48,
	CUTS_MAX = 4,
	STEPS_MAX = 3000,
	BOOTS_MAX = 60,
	MINUTE_MS = 61000,
};

#define TEXT(name, text) text,
static const char *const bug_text[] = { LYING_BUGS(TEXT) };
#undef TEXT

const char *lying_bug_text(enum lying_bug bug)
{
	return bug_text[bug];
}

/* ---- power on */

static void check_floor(struct world *w, const struct journal *j)
{
	const struct slot_table *table = &medium_of(w)->table;

	for (unsigned i = 0; i < SLOT_COUNT; i++)
		world_must(w,
			table->slots[i].state != SLOT_GOOD ||
				j->floor <= table->slots[i].counter,
			"the floor is not above what a slot can boot");
}

/* What the device once said of itself still holds. */
static void check_said(struct world *w, const struct journal *j)
{
	const struct ota_report *said = &w->report;

	world_must(w, j->floor >= said->floor, "the floor never falls");
	world_must(w, j->boot >= said->boot, "boots are counted");
	world_must(w, j->reports_reserved >= said->counter, "report counters only rise");
	world_must(w,
		j->fresh.seq >= said->fresh_seq && j->order_seen.seq >= said->order_seq &&
			j->assign.seq >= said->assign_seq,
		"sequences never fall");
	if (said->state == OTA_UPDATE_CONFIRMED)
		world_must(w,
			ota_digest_equal(&j->confirmed, &said->running) ||
				j->order_seq > said->order_seq ||
				j->state == OTA_UPDATE_CONFIRMED,
			"what was confirmed stays so");
}

static void read_journal(struct world *w)
{
	struct lying_world *l = medium_of(w);
	bool had = w->journal.len > 0;
	struct journal j;

	w->journal_lost = !medium_record_read(l, &l->journal, &w->journal) && had;
	world_must(w, !w->journal_lost, "the journal is readable");
	if (w->journal.len == 0)
		return;
	world_must(w, journal_parse(ota_buf_bytes(&w->journal), &j, NULL) == OTA_OK,
		"the journal is a journal");
	if (w->wrong != NULL)
		return;
	check_floor(w, &j);
	check_said(w, &j);
}

/* The boot loader: its own write may be cut as well. */
static void load_boot(struct world *w, struct lying_world *l)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	const struct ota_digest boot_id = { { (uint8_t)w->boots, 2 } };
	struct slot_table table;

	if (!medium_record_read(l, &l->table_record, &bytes) ||
		slot_table_parse(ota_buf_bytes(&bytes), &table, NULL) != OTA_OK) {
		world_must(w, false, "the slot table is readable");
		return;
	}
	l->table = table;
	if (slot_table_boot(&table, &boot_id) &&
		medium_table_store(w, &table, NULL) != OTA_OK)
		return;
	medium_show_slots(l);
	w->current = table.current;
	w->primary = table.primary;
	world_must(w,
		w->slots[w->current].whole &&
			ota_digest_equal(&w->slots[w->current].content,
				&w->slots[w->current].info.image),
		"what is booted is whole");
	world_must(w, w->boots < BOOTS_MAX, "the boots come to an end");
}

static void boot(struct world *w)
{
	struct lying_world *l = medium_of(w);

	disk_power_on(&l->disk);
	w->cut = false;
	if (l->cuts_left > 0) {
		l->cuts_left--;
		l->disk.ops_left = disk_random(&l->disk, CUT_WITHIN_OPS);
	}
	load_boot(w, l);
	if (!w->cut)
		read_journal(w);
}

static const struct world_medium lying_medium = { medium_port, boot, medium_job,
	medium_fetch, medium_purge };

/* As a factory leaves it: image 1 in slot 0. */
static void provision(struct lying_world *l)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	const struct slot_table table = { .slots = { l->world.slots[0].info } };

	cr_assert_eq(slot_table_encode(&table, &bytes), OTA_OK);
	cr_assert(medium_record_write(
		l, &l->table_record, ota_buf_bytes(&bytes), false, true));
	medium_provision(l);
}

/* ---- what the broker does to documents, and chance to the process */

static void lie(struct lying_world *l)
{
	struct world *w = &l->world;
	unsigned at = w->queued == 0 ? 0 : disk_random(&l->disk, w->queued);
	struct ipc_message doc;

	if (disk_random(&l->disk, 40) == 0 && !w->cut && !w->rebooting) {
		world_restart(w);
		return;
	}
	if (w->queued == 0 || w->queue[at].type != IPC_DOC)
		return;
	doc = w->queue[at];
	switch (disk_random(&l->disk, 12)) {
	case 0:
		memmove(w->queue + at, w->queue + at + 1,
			(--w->queued - at) * sizeof w->queue[0]);
		break;
	case 1:
		if (w->queued < WORLD_QUEUE / 2)
			world_say(w, &doc);
		break;
	case 2:
		w->queue[at] = w->queue[w->queued - 1];
		w->queue[w->queued - 1] = doc;
		break;
	default:
		break;
	}
}

static void live_on(struct lying_world *l)
{
	struct world *w = &l->world;

	for (unsigned steps = 0; w->wrong == NULL; steps++) {
		world_must(w, steps < STEPS_MAX, "the agent comes to rest");
		if (!l->honest)
			lie(l);
		if (!world_step(w))
			return;
	}
}

/* The broker sends everything again, and a minute passes. */
static void reassert(struct lying_world *l)
{
	struct world *w = &l->world;
	struct agent_event timer = { .kind = AGENT_ON_TIMER };

	for (unsigned kind = 0; kind < OTA_N_TOPIC_KINDS; kind++)
		if (kind != OTA_TOPIC_ROOT && w->docs[kind].len > 0)
			world_deliver(w, (enum ota_topic_kind)kind);
	live_on(l);
	if (w->wrong != NULL || agent_wake_ms(&w->agent) > w->now.mono_ms + MINUTE_MS)
		return;
	w->now.mono_ms += MINUTE_MS;
	if (agent_step(&w->agent, &w->now, &timer, NULL) != OTA_OK)
		world_must(w, w->cut, "the agent goes on");
	live_on(l);
}

/* A power cut while nothing happens. */
static void cut_at_rest(struct lying_world *l)
{
	l->world.cut = true;
	live_on(l);
}

static void order_image(struct world *w, uint8_t n, enum ota_order_state state)
{
	world_next(w);
	w->release.image = w->order.image = w->manifest.to = world_image(n);
	w->release.counter = w->release.floor = w->order.counter = n;
	w->order.state = state;
	(void)snprintf(w->order.rollout, sizeof w->order.rollout, "rollout-%u", n);
	world_publish(w);
}

static void settle(struct lying_world *l)
{
	for (unsigned i = 0; i < 3 && l->world.wrong == NULL; i++)
		reassert(l);
}

/* The last order, with the power on and everybody well. */
static void end_well(struct lying_world *l)
{
	struct world *w = &l->world;
	uint8_t last = w->release.image.at[0] == 3 ? 3 : 2;

	if (l->disk.ops_left >= 0)
		cut_at_rest(l);
	l->cuts_left = 0;
	l->disk.ops_left = -1;
	l->honest = true;
	w->hooks[2].answer = OTA_OK;
	if (w->wrong != NULL)
		return;
	order_image(w, last, OTA_ORDER_GO);
	live_on(l);
	settle(l);
	if (w->wrong != NULL)
		return;
	/* After a revert that failed it runs the image already, and says so. */
	world_must(w,
		w->report.state == OTA_UPDATE_CONFIRMED ||
			w->report.wait == OTA_E_CURRENT,
		"it converges");
	world_must(
		w, world_runs(w, last) && w->report.confirmed, "... on what was ordered");
}

static void begin(struct lying_world *l, uint64_t seed, enum lying_bug bug)
{
	struct world *w = &l->world;

	disk_init(&l->disk, seed);
	l->bug = bug;
	l->honest = false;
	l->journal = (struct lying_record){ .file = FILE_JOURNAL };
	l->table_record = (struct lying_record){ .file = FILE_TABLE };
	l->table = (struct slot_table){ 0 };
	world_init(w);
	w->medium = &lying_medium;
	w->medium_ctx = l;
	w->collects = true;
	w->manifest.codec = OTA_CODEC_FULL;
	w->manifest.from = w->order.patches[0].from = (struct ota_digest){ { 0 } };
	w->manifest.from_len = 0;
	provision(l);
	l->cuts_left = 1 + disk_random(&l->disk, CUTS_MAX);
	if (disk_random(&l->disk, 4) == 0)
		w->hooks[2].answer = OTA_E_HOOK; /* an image that is not healthy */
}

const char *lying_live(
	struct lying_world *l, uint64_t seed, enum lying_bug bug, unsigned long *cuts)
{
	struct world *w = &l->world;

	begin(l, seed, bug);
	world_boot(w);
	order_image(w, 2, OTA_ORDER_GO);
	live_on(l);
	settle(l);
	if (w->wrong == NULL && disk_random(&l->disk, 2) == 0) {
		bool more = disk_random(&l->disk, 2) == 0;

		order_image(w, more ? 3 : 2, more ? OTA_ORDER_GO : OTA_ORDER_REVERT);
		live_on(l);
		settle(l);
	}
	if (w->wrong == NULL)
		end_well(l);
	*cuts += w->cuts;
	world_fini(w);
	return w->wrong;
}

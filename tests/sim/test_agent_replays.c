#include <criterion/criterion.h>

#include "proto/base/own.h"
#include "tests/seeds.h"
#include "tests/sim/world.h"

/* Old documents, which were signed once and come again. */

static struct world w;

static void set_up(void)
{
	world_init(&w);
	world_boot(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(agent_replays, .init = set_up, .fini = tear_down);

static void take_copy(enum ota_topic_kind kind, struct ota_buf *out)
{
	cr_assert_eq(ota_buf_add(out, ota_buf_bytes(&w.docs[kind])), OTA_OK);
}

/* The broker delivers such a copy again. */
static void replay(enum ota_topic_kind kind, const struct ota_buf *old)
{
	w.docs[kind].len = 0;
	cr_assert_eq(ota_buf_add(&w.docs[kind], ota_buf_bytes(old)), OTA_OK);
	world_deliver(&w, kind);
}

Test(agent_replays, an_old_order_replayed_is_refused)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf old = { 0 };

	world_publish(&w);
	world_run(&w);
	take_copy(OTA_TOPIC_ORDER, &old);
	world_next(&w);
	world_publish(&w);
	world_run(&w);
	replay(OTA_TOPIC_ORDER, &old);
	world_run(&w);
	cr_expect_eq(w.report.error, OTA_E_SEQUENCE, "%s", w.report.error_text);
	cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "and nothing else changes");
}

/* The highest sequence of a kind that the device has taken. */
static uint64_t seen(enum ota_topic_kind kind)
{
	const struct journal *j = &w.agent.journal;

	if (kind == OTA_TOPIC_ORDER)
		return j->order_seen.seq;
	if (kind == OTA_TOPIC_ASSIGN)
		return j->assign.seq;
	return kind == OTA_TOPIC_CATALOG ? j->catalog.seq : j->fresh.seq;
}

/* Any of the documents that changed with any of some orders, at any moment of an update
 * that a later one began. */
Test(agent_replays, whatever_old_document_comes_the_update_goes_on)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_ORDER, OTA_TOPIC_ASSIGN,
		OTA_TOPIC_CATALOG, OTA_TOPIC_FRESH };
	enum { OLD = 5 };
	struct seeds seeds = seeds_of(100, 20000);

	while (seeds_next(&seeds)) {
		OTA_AUTO(ota_buf_fini) struct ota_buf old = { 0 };
		enum ota_topic_kind kind = kinds[seeds_below(&seeds, 4)];
		uint64_t which = seeds_below(&seeds, OLD), before;

		tear_down();
		set_up();
		for (uint64_t i = 0; i < OLD; i++) {
			w.order.state = OTA_ORDER_ABORT; /* it would do harm */
			world_sign(&w);
			if (i == which)
				take_copy(kind, &old);
			world_next(&w);
		}
		w.order.state = OTA_ORDER_GO;
		world_publish(&w);
		(void)world_run_steps(&w, 8 + (unsigned)seeds_below(&seeds, 60));
		before = seen(kind);
		replay(kind, &old);
		(void)world_run_steps(&w, (unsigned)seeds_below(&seeds, 8));
		cr_expect_geq(seen(kind), before, "%s", seeds_text(&seeds));
		world_publish(&w); /* the broker is told what is true again */
		world_run(&w);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.state, OTA_UPDATE_CONFIRMED, "%s: %s",
			seeds_text(&seeds), w.report.error_text);
		cr_expect(world_runs(&w, 2), "%s", seeds_text(&seeds));
	}
}

Test(agent_replays, a_replay_is_refused_after_a_boot_as_well)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf old = { 0 };

	world_publish(&w);
	world_run(&w);
	cr_assert_eq(ota_buf_add(&old, ota_buf_bytes(&w.docs[OTA_TOPIC_FRESH])), OTA_OK);
	world_next(&w);
	world_publish(&w);
	world_run(&w);
	w.docs[OTA_TOPIC_FRESH].len = 0;
	cr_assert_eq(ota_buf_add(&w.docs[OTA_TOPIC_FRESH], ota_buf_bytes(&old)), OTA_OK);
	world_boot(&w);
	world_pass(&w, 5000);
	cr_expect_eq(w.report.error, OTA_E_SEQUENCE, "%s", w.report.error_text);
}

Test(agent_replays, a_replay_is_refused_although_the_documents_are_lost)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_FRESH, OTA_TOPIC_CATALOG,
		OTA_TOPIC_ASSIGN, OTA_TOPIC_ORDER };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf old = { 0 };
		struct ota_buf *doc = &w.docs[kinds[i]];

		tear_down();
		set_up();
		world_publish(&w);
		world_run(&w);
		cr_assert_eq(ota_buf_add(&old, ota_buf_bytes(doc)), OTA_OK);
		world_next(&w);
		world_publish(&w);
		world_run(&w);
		for (size_t k = 0; k < OTA_N_TOPIC_KINDS; k++)
			w.kept[k].len = 0;
		doc->len = 0;
		cr_assert_eq(ota_buf_add(doc, ota_buf_bytes(&old)), OTA_OK);
		world_boot(&w);
		world_pass(&w, 5000);
		cr_expect_eq(w.report.error, OTA_E_SEQUENCE, "kind %d: %s", (int)kinds[i],
			w.report.error_text);
	}
}

#include "tests/seeds.h"
#include "tests/unit/net_pull_kit.h"

/* What a bad broker and a bad line do to a fetch, by a seed. */

TestSuite(net_harm, .init = set_up, .fini = tear_down, .timeout = 100);

static struct ota_buf wrong;

/* A message that is not that chunk, in one of many ways. */
static struct ota_bytes wrong_chunk(struct seeds *seeds, uint32_t index)
{
	uint64_t way = seeds_below(seeds, 4);
	const struct ota_buf *of = &chunks[way == 0 ? (index + 1) % N : index];

	wrong.len = 0;
	cr_assert_eq(ota_buf_add(&wrong, ota_buf_bytes(of)), OTA_OK);
	if (way == 1)
		wrong.at[seeds_below(seeds, wrong.len)] ^=
			(uint8_t)(1u << seeds_below(seeds, 8));
	if (way == 2)
		wrong.len = 1 + seeds_below(seeds, wrong.len - 1);
	if (way == 3)
		cr_assert_eq(
			ota_buf_add_u8(&wrong, (uint8_t)seeds_below(seeds, 256)), OTA_OK);
	return ota_buf_bytes(&wrong);
}

/* Up to seven of them among the others, at any moment: all of it comes, and nothing that
 * was not the patch is in the spool. */
Test(net_harm, wrong_chunks_in_any_way_are_dropped)
{
	struct seeds seeds = seeds_of(50, 5000);

	while (seeds_next(&seeds)) {
		uint64_t harm = 1 + seeds_below(&seeds, FETCH_WRONG_MAX - 1);

		begin_chunks();
		for (uint32_t i = 0; i < N; i++) {
			uint32_t index = (i + (uint32_t)seeds.seed) % N;

			for (; harm > 0 && seeds_below(&seeds, 4) == 0; harm--)
				net_kit_deliver(&kit, chunk_topic(index),
					wrong_chunk(&seeds, index), true);
			net_kit_deliver(&kit, chunk_topic(index),
				ota_buf_bytes(&chunks[index]), true);
		}
		cr_expect(net_kit_wait(&kit, IPC_FETCHED, 1), "%s: %s",
			seeds_text(&seeds), kit.text);
		cr_expect(is_in_spool(), "%s", seeds_text(&seeds));
		end();
		begin();
	}
	ota_buf_fini(&wrong);
	end();
}

Test(net_harm, eight_wrong_chunks_in_any_way_are_poison)
{
	struct seeds seeds = seeds_of(50, 5000);

	while (seeds_next(&seeds)) {
		begin_chunks();
		for (unsigned i = 0; i < FETCH_WRONG_MAX; i++) {
			uint32_t index = (uint32_t)seeds_below(&seeds, N);

			cr_expect_eq(
				kit.pull.stage, PULL_CHUNKS, "%s", seeds_text(&seeds));
			net_kit_deliver(&kit, chunk_topic(index),
				wrong_chunk(&seeds, index), seeds_below(&seeds, 2) == 0);
		}
		net_kit_turn(&kit);
		expect_failed(OTA_E_POISON, "8 wrong chunks");
		end();
		begin();
	}
	ota_buf_fini(&wrong);
	end();
}

/* The line goes dead with any number of chunks there: nothing comes any more, or what is
 * asked for does not arrive, until the link is given up. It does so a few times. */
Test(net_harm, a_line_that_goes_dead_at_any_moment_costs_no_byte)
{
	struct seeds seeds = seeds_of(50, 5000);

	while (seeds_next(&seeds)) {
		begin_chunks();
		for (uint64_t times = 1 + seeds_below(&seeds, 4); times > 0; times--) {
			uint64_t come = seeds_below(&seeds, N / 4);

			for (uint32_t i = 0; i < N && come > 0; i++)
				if (fetch_is_missing(&kit.pull.fetch, i)) {
					net_kit_deliver(&kit, chunk_topic(i),
						ota_buf_bytes(&chunks[i]), true);
					come--;
				}
			net_kit_link(&kit, false);
			net_kit_turn(&kit);
			net_kit_link(&kit, true);
		}
		kit.is_deaf = false;
		net_kit_link(&kit, true);
		cr_expect(net_kit_wait(&kit, IPC_FETCHED, 1), "%s", seeds_text(&seeds));
		cr_expect_eq(
			kit.heard[IPC_FETCHED].c, PATCH_LEN, "%s", seeds_text(&seeds));
		cr_expect_eq(kit.heard[IPC_FETCHED].d, 0, "%s", seeds_text(&seeds));
		cr_expect(is_in_spool(), "%s", seeds_text(&seeds));
		end();
		begin();
	}
	end();
}

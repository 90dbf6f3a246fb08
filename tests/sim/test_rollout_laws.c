#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/core/survey.h"
#include "proto/base/own.h"
#include "tests/sim/laws_world.h"

/* Ten thousand hostile worlds, each from its seed, and the laws that hold in all of them.
 * SLUICE_SEED=N plays one world alone, SLUICE_NIGHTLY=1 half a million, SLUICE_SAMPLED=1
 * one in ten of either. */

enum {
	WORLDS = 10000,
	WORLDS_NIGHTLY = 500000,
	SAMPLE = 10,
	PARTS = 4,
	STEPS = 240,
	LOOK_STEPS = 16, /* between two looks at the survey */
};

struct faults {
	uint64_t lost, killed, restarted, dropped, doubled, steps;
};

/* For who looks into one world. */
static void show(const struct laws_world *w)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = core_rollout_json(w->core, w->now, "r");
	char *text = cJSON_Print(tree);

	cr_log_warn("%s", text != NULL ? text : "");
	cJSON_free(text);
	for (uint32_t i = 0; i < w->row_count; i++)
		if (w->rows[i].table == CORE_ATTEMPT)
			cr_log_warn("%s", w->rows[i].text);
	for (uint32_t i = 0; i < w->device_count; i++) {
		const struct lw_device *d = &w->devices[i];

		cr_log_warn("%s: fate %d, bucket %u, %s, in state %s, heard of in %s%s",
			d->id, (int)d->fate, d->bucket, d->dead ? "dead" : "alive",
			ota_update_state_text(d->report.state),
			ota_update_state_text(d->heard.state),
			d->heard.online ? ", online" : "");
	}
}

static void play(uint64_t seed, struct faults *sum)
{
	struct laws_world *w = calloc(1, sizeof *w);

	lw_init(w, seed);
	for (int i = 0; i < STEPS && w->wrong[0] == '\0'; i++) {
		lw_step(w);
		if (i % LOOK_STEPS == 0 && !survey_is_true(w->core))
			lw_wrong(w, "survey: it is not what the devices are");
	}
	lw_settle(w);
	if (w->wrong[0] == '\0')
		laws_end(w);
	sum->lost += w->seen.lost;
	sum->killed += w->seen.killed;
	sum->restarted += w->seen.restarted;
	sum->dropped += w->seen.dropped;
	sum->doubled += w->seen.doubled;
	sum->steps += w->seen.steps;
	if (w->wrong[0] != '\0' && getenv("SLUICE_SEED") != NULL)
		show(w);
	if (w->wrong[0] != '\0')
		cr_assert_fail("%s. Again with SLUICE_SEED=%llu", w->wrong,
			(unsigned long long)seed);
	lw_fini(w);
	free(w);
}

static void play_part(uint64_t part)
{
	const char *only = getenv("SLUICE_SEED");
	uint64_t all = getenv("SLUICE_NIGHTLY") != NULL ? WORLDS_NIGHTLY : WORLDS;
	uint64_t worlds = getenv("SLUICE_SAMPLED") != NULL ? all / SAMPLE : all;
	uint64_t least = worlds / PARTS / 4; /* of each fault, altogether */
	struct faults sum = { 0 };
	char text[256];

	if (only != NULL) {
		if (part == 0)
			play(strtoull(only, NULL, 10), &sum);
		return;
	}
	for (uint64_t seed = part; seed < worlds; seed += PARTS)
		play(seed, &sum);
	(void)snprintf(text, sizeof text,
		"%llu transactions lost, %llu restarts after one, %llu others; reports: "
		"%llu lost, %llu doubled; %llu steps of the clock",
		(unsigned long long)sum.lost, (unsigned long long)sum.killed,
		(unsigned long long)sum.restarted, (unsigned long long)sum.dropped,
		(unsigned long long)sum.doubled, (unsigned long long)sum.steps);
	cr_log_info("%s", text);
	cr_assert(sum.lost > least && sum.killed > least && sum.restarted > least, "%s",
		text);
	cr_assert(sum.dropped > least && sum.doubled > least && sum.steps > least / 2,
		"%s", text);
}

Test(rollout_laws, hold_in_the_first_quarter_of_the_worlds)
{
	play_part(0);
}

Test(rollout_laws, hold_in_the_second)
{
	play_part(1);
}

Test(rollout_laws, hold_in_the_third)
{
	play_part(2);
}

Test(rollout_laws, hold_in_the_last)
{
	play_part(3);
}

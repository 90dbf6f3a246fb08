/* The ledger is lost, and an older copy of it takes its place. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/integration/campaign.h"

static struct campaign campaign;
static struct {
	uint64_t fresh, order;
} before[CAMPAIGN_DEVICES];

TestSuite(restore, .init = campaign_ground_init, .fini = campaign_ground_fini,
	.timeout = 200);

/* As a person does it, with the server down. */
static void put_back(const char *copy)
{
	static const char *const ends[] = { "-wal", "-shm" };
	char path[BROKER_PATH_CAP], name[BROKER_PATH_CAP + 8];

	(void)server_path(&campaign.server, "state/sluiced.db", path);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
		(void)unlink(name);
	}
	cr_assert_eq(rename(copy, path), 0);
}

/* Bytes that a device holds of the topics that contain a part. */
static size_t held(const struct light *light, const char *part)
{
	size_t len = 0;

	for (size_t i = 0; i < light->topic_count; i++)
		if (strstr(light->topics[i].topic, part))
			len += light->topics[i].payload.len;
	return len;
}

static bool strays_are_gone(void *ctx)
{
	(void)ctx;
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		if (held(&campaign.lights[i], "/order") > 0 ||
			held(&campaign.lights[i], "/patch/") > 0)
			return false;
	return true;
}

static bool is_ahead(void *ctx)
{
	(void)ctx;
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		if (campaign.lights[i].trust.fresh.seq <= before[i].fresh)
			return false;
	return true;
}

/* Up to the end of a rollout of which the copy knows nothing. */
static void update_and_restore(void)
{
	char copy[BROKER_PATH_CAP];

	campaign_init(&campaign, (struct campaign_strike){ 0 }, NULL);
	campaign_run_to_rollout(&campaign);
	cr_assert_eq(server_backup(&campaign.server,
			     server_path(&campaign.server, "copy", copy)),
		0);
	cr_assert_neq(server_backup(&campaign.server, copy), 0, "it is there already");
	campaign_run(&campaign);
	campaign_judge(&campaign);
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++) {
		before[i].fresh = campaign.lights[i].trust.fresh.seq;
		before[i].order = campaign.lights[i].trust.order.seq;
		cr_expect_gt(held(&campaign.lights[i], "/order"), 0);
	}
	server_kill(&campaign.server);
	put_back(copy);
	server_start(&campaign.server);
}

Test(restore, what_only_the_broker_remembers_is_cleared)
{
	update_and_restore();
	cr_expect(server_wait(strays_are_gone, NULL), "orders, manifest or chunks stay");
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++) {
		cr_expect_gt(held(&campaign.lights[i], "/release/"), 0, "it is known");
		cr_expect_gt(held(&campaign.lights[i], "/assign"), 0, "it is known");
	}
	campaign_fini(&campaign);
}

static unsigned count_jumps(const char *sequence)
{
	OTA_AUTO(ota_json_fini)
	cJSON *page = server_get(&campaign.server, "/audit?limit=1000");
	const cJSON *entry;
	unsigned count = 0;

	cJSON_ArrayForEach(entry, cJSON_GetObjectItem(page, "entries"))
	{
		count += strcmp(server_text(entry, "action"), "sequence.jump") == 0 &&
			 strcmp(server_text(entry, "detail.sequence"), sequence) == 0;
	}
	return count;
}

Test(restore, an_older_copy_catches_up_and_nobody_is_updated_twice)
{
	update_and_restore();
	cr_assert(server_wait(is_ahead, NULL), "devices see nothing newer");
	cr_expect_gt(count_jumps("fresh"), 0);
	cr_expect_geq(count_jumps("order"), 2, "of each cohort");
	campaign_begin_again(&campaign);
	campaign_run(&campaign);
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++) {
		const struct light *light = &campaign.lights[i];

		cr_expect_eq(light->begins, 1, "%s began %u times", light->link->id,
			light->begins);
		cr_expect_str_eq(light->report.version, "2.0");
		cr_expect_gt(light->trust.order.seq, before[i].order);
	}
	campaign_fini(&campaign);
}

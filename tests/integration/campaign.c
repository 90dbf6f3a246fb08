#include "tests/integration/campaign.h"

#include <criterion/criterion.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

enum {
	IMAGE_LEN = 256 << 10,
	CHANGED_AT = 32 << 10,
	CHANGED_LEN = 160 << 10,
	LAB_DEVICES = 2, /* the first ones; the others are in the field */
	RUN_MS = 180 * 1000,
	TURN_MS = 15,
	CALL_MS = 2000,
	AUDIT_MAX = 1000,
	RELEASE_OLD = 1,
	RELEASE_NEW = 2,
};

static const char *const ids[] = { "gw-1", "gw-2", "gw-3", "gw-4", "gw-5", "gw-6" };
/* Under one name, brokers hold one connection: each campaign has a user of its own. */
static const char *const users[CAMPAIGNS_MAX] = { "sluiced-1", "sluiced-2", "sluiced-3",
	"sluiced-4", "sluiced-5", "sluiced-6", "sluiced-7", "sluiced-8" };
static const char *const stages[] = { "canary", "lab", "half", "all" };

static struct server ground; /* never started: has the broker */
static struct light_link links[CAMPAIGN_DEVICES];
static bool taken[CAMPAIGNS_MAX]; /* users */
static uint8_t images[RELEASE_NEW][IMAGE_LEN];

/* ---- what all campaigns share */

/* Noise, so that a patch has about as many chunks as bytes were changed. */
static void fill(uint8_t *out, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		out[i] = (uint8_t)(seed >> 56);
	}
}

/* Any fleet, where the profile allows one. */
static void open_acl(struct broker *broker)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 }, open = { 0 };
	char path[BROKER_PATH_CAP + 8];
	const char *at, *found;

	(void)snprintf(path, sizeof path, "%s/acl", broker->dir);
	cr_assert_eq(ota_file_read(path, 1 << 16, &text, NULL), OTA_OK);
	at = ota_buf_text(&text);
	while ((found = strstr(at, "sluice/1/test")) != NULL) {
		cr_assert_eq(
			ota_buf_printf(&open, "%.*ssluice/1/+", (int)(found - at), at),
			OTA_OK);
		at = found + strlen("sluice/1/test");
	}
	cr_assert_eq(ota_buf_printf(&open, "%s", at), OTA_OK);
	for (unsigned i = 0; i < CAMPAIGNS_MAX; i++)
		cr_assert_eq(
			ota_buf_printf(&open, "\nuser %s\ntopic readwrite sluice/1/+/#\n",
				users[i]),
			OTA_OK);
	cr_assert_eq(ota_file_replace(path, ota_buf_bytes(&open), 0644, NULL), OTA_OK);
	broker_kill(broker);
	broker_restart(broker);
}

void campaign_ground_init(void)
{
	const char *clients[CAMPAIGN_DEVICES + CAMPAIGNS_MAX + 1] = { 0 };

	memcpy(clients, ids, sizeof ids);
	memcpy(clients + CAMPAIGN_DEVICES, users, sizeof users);
	server_init_clients(&ground, clients);
	open_acl(&ground.broker);
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		light_open(&links[i], &ground.broker, ids[i], (uint8_t)(0x20 + i));
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		light_await_open(&links[i]);
	fill(images[0], IMAGE_LEN, 1);
	memcpy(images[1], images[0], IMAGE_LEN);
	fill(images[1] + CHANGED_AT, CHANGED_LEN, 2);
}

void campaign_ground_fini(void)
{
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		light_close(&links[i]);
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		light_await_close(&links[i]);
	server_fini(&ground);
}

static struct ota_digest image_digest(unsigned release)
{
	return ota_digest_of((struct ota_bytes){ images[release - 1], IMAGE_LEN });
}

/* ---- its documents */

static struct ota_release release_of(unsigned counter)
{
	struct ota_release release = { .counter = counter,
		.hardware_count = 1,
		.hardware = { "gw-100" },
		.product = "gateway",
		.image = image_digest(counter),
		.image_len = IMAGE_LEN };

	(void)snprintf(release.version, sizeof release.version, "%u.0", counter);
	return release;
}

static struct ota_digest name_of(unsigned counter)
{
	struct ota_release release = release_of(counter);

	return sample_name(OTA_DOC_RELEASE, &release);
}

/* With a salt that puts two of the four in the field into the lower half. */
static struct ota_grant grant_of(const struct campaign *c)
{
	struct ota_grant grant = { .seq = 1,
		.release = name_of(RELEASE_NEW),
		.max_permille = OTA_PERMILLE_ALL,
		.canaries = { "gw-1" },
		.canary_count = 1,
		.not_before_utc_s = c->issued_utc_s,
		.issued_utc_s = c->issued_utc_s,
		.expires_utc_s = c->issued_utc_s + 86400 };
	unsigned lower;

	do {
		lower = 0;
		grant.salt[0]++;
		for (unsigned i = LAB_DEVICES; i < CAMPAIGN_DEVICES; i++)
			lower += ota_bucket(grant.salt, ids[i]) < OTA_PERMILLE_ALL / 2;
	} while (lower != 2);
	return grant;
}

static struct ota_catalog catalog_of(const struct campaign *c)
{
	return (struct ota_catalog){ .seq = 1,
		.issued_utc_s = c->issued_utc_s,
		.expires_utc_s = c->issued_utc_s + 86400,
		.releases = { name_of(RELEASE_OLD), name_of(RELEASE_NEW) },
		.release_count = 2 };
}

static struct ota_root root_of(const struct campaign *c)
{
	struct ota_root root = server_root();

	memcpy(root.fleet, c->server.fleet, sizeof root.fleet);
	return root;
}

/* ---- the script: what people ask for, one request after the other */

static long ask(const struct campaign *c, const char *method, const char *path,
	struct ota_bytes body)
{
	struct call call = { method, path, "admin", body, NULL };

	return server_call(c->leader, &call, NULL);
}

static long put_fleet(const struct campaign *c)
{
	char body[256];

	(void)snprintf(body, sizeof body,
		"{\"fleet\":\"%s\",\"cohorts\":[{\"name\":\"lab\",\"labels\":{\"ring\":"
		"[\"lab\"]}},{\"name\":\"field\"}]}",
		c->server.fleet);
	return ask(c, "PUT", "/fleet", ota_bytes_of(body));
}

static long add_device(const struct campaign *c, unsigned which)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf body = { 0 };

	light_registration(&c->lights[which],
		which < LAB_DEVICES ? "ring=lab" : "ring=field", &body);
	return ask(c, "POST", "/devices", ota_buf_bytes(&body));
}

static long post_release(const struct campaign *c, unsigned which)
{
	struct ota_release release = release_of(which);

	return server_post(c->leader, OTA_DOC_RELEASE, &release, "\x02");
}

static long post_catalog(const struct campaign *c)
{
	struct ota_catalog catalog = catalog_of(c);

	return server_post(c->leader, OTA_DOC_CATALOG, &catalog, "\x02");
}

static long post_grant(const struct campaign *c)
{
	struct ota_grant grant = grant_of(c);

	return server_post(c->leader, OTA_DOC_GRANT, &grant, "\x03");
}

static long put_image(const struct campaign *c, unsigned which)
{
	struct ota_digest digest = image_digest(which);
	char hex[OTA_DIGEST_HEX_CAP], path[128];

	ota_digest_hex(&digest, hex);
	(void)snprintf(path, sizeof path, "/images/%s", hex);
	return ask(c, "PUT", path, (struct ota_bytes){ images[which - 1], IMAGE_LEN });
}

/* They report once they are registered: sluiced does not listen to strangers. */
static long switch_on(struct campaign *c)
{
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		light_report(&c->lights[i]);
	return 200;
}

/* 200 once all of them have reported. */
static long await_reports(const struct campaign *c)
{
	OTA_AUTO(ota_json_fini) cJSON *page = server_get(c->leader, "/devices");
	char path[32];

	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++) {
		(void)snprintf(path, sizeof path, "devices.%u.version", i);
		if (strcmp(server_text(page, path), "1.0") != 0)
			return 0;
	}
	return 200;
}

static long post_rollout(const struct campaign *c)
{
	struct ota_digest name = name_of(RELEASE_NEW);
	char hex[OTA_DIGEST_HEX_CAP], body[1024];

	ota_digest_hex(&name, hex);
	(void)snprintf(body, sizeof body,
		"{\"rollout\":\"r1\",\"release\":\"%s\",\"stages\":["
		"{\"name\":\"canary\",\"cohort\":\"lab\",\"devices\":[\"gw-1\"],\"soak_"
		"s\":0},"
		"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":0},"
		"{\"name\":\"half\",\"cohort\":\"field\",\"permille\":500,\"soak_s\":0},"
		"{\"name\":\"all\",\"cohort\":\"field\",\"permille\":1000,\"soak_s\":0}]"
		"}",
		hex);
	return ask(c, "POST", "/rollouts", ota_bytes_of(body));
}

/* A store that was away for a while pauses it; people look, and go on. */
static long await_completion(const struct campaign *c)
{
	OTA_AUTO(ota_json_fini) cJSON *rollout = server_get(c->leader, "/rollouts/r1");
	OTA_AUTO(ota_json_fini) cJSON *status = NULL;

	if (strcmp(server_text(rollout, "state"), "paused") == 0) {
		cr_assert_str_eq(server_text(rollout, "reason_name"), "SLOW");
		(void)ask(c, "POST", "/rollouts/r1/resume", ota_bytes_of("{}"));
		return 0;
	}
	if (strcmp(server_text(rollout, "state"), "completed") != 0)
		return 0;
	status = server_get(c->leader, "/status");
	return server_number(status, "outbox") == 0 ? 200 : 0;
}

/* The requests: X(call) */
#define SCRIPT(X)                       \
	X(put_fleet(c))                 \
	X(add_device(c, 0))             \
	X(add_device(c, 1))             \
	X(add_device(c, 2))             \
	X(add_device(c, 3))             \
	X(add_device(c, 4))             \
	X(add_device(c, 5))             \
	X(post_release(c, RELEASE_OLD)) \
	X(post_release(c, RELEASE_NEW)) \
	X(post_catalog(c))              \
	X(post_grant(c))                \
	X(put_image(c, RELEASE_OLD))    \
	X(put_image(c, RELEASE_NEW))    \
	X(switch_on(c))                 \
	X(await_reports(c))             \
	X(post_rollout(c))              \
	X(await_completion(c))

#define SCRIPT_COUNT(call) +1
enum { REQUESTS = 0 SCRIPT(SCRIPT_COUNT) };

/* False once all of it is done. Nobody there, or not ready: asked again. */
static bool ask_next(struct campaign *c)
{
#define SCRIPT_CASE(call) request++ == c->done ? (call):
	unsigned request = 0;
	long status = SCRIPT(SCRIPT_CASE) 0;

	cr_assert(status == 200 || status == 0 || status == 503, "request %u: %ld",
		c->done, status);
	c->done += status == 200;
	return c->done < REQUESTS;
}

enum { ROLLOUT_REQUEST = REQUESTS - 2 };

/* ---- its supervisor */

static void launch(struct campaign *c, struct server *server)
{
	if (c->database[0])
		(void)setenv("DATABASE_URL", c->database, 1);
	server_launch(server);
	(void)unsetenv("DATABASE_URL");
}

static void look_after(struct campaign *c)
{
	int status = 0, found = c->server.pid > 0 ? server_look(&c->server, &status) : 0;

	c->stopped = c->stopped || found == SIGSTOP;
	if (found >= 0)
		return;
	cr_assert(status == 1 || status == 128 + SIGKILL, "%s: sluiced ended with %d",
		c->name, status);
	c->failed += status == 1;
	if (c->once)
		return;
	c->lives++;
	launch(c, &c->server);
}

/* ---- life */

static void arm(const struct campaign *c, struct campaign_strike strike)
{
	char path[BROKER_PATH_CAP], text[32];

	(void)setenv(STEPS_PATH, server_path(&c->server, "steps", path), 1);
	(void)snprintf(text, sizeof text, "%u,%d", strike.step, strike.signal_number);
	if (strike.step > 0)
		(void)setenv(STEPS_STRIKE, text, 1);
}

static void disarm(void)
{
	(void)unsetenv(STEPS_PATH);
	(void)unsetenv(STEPS_STRIKE);
}

void campaign_init(
	struct campaign *campaign, struct campaign_strike strike, const char *database)
{
	static unsigned count;
	struct ota_digest old = image_digest(RELEASE_OLD);
	char fleet[OTA_NAME_CAP];
	struct ota_root root;

	memset(campaign, 0, sizeof *campaign);
	(void)snprintf(
		campaign->name, sizeof campaign->name, "struck at step %u", strike.step);
	(void)snprintf(campaign->database, sizeof campaign->database, "%s",
		database ? database : "");
	(void)snprintf(fleet, sizeof fleet, "campaign-%u", ++count);
	campaign->issued_utc_s = ota_clock_utc_s() - 60;
	campaign->until_ms = ota_clock_mono_ms() + RUN_MS;
	campaign->leader = &campaign->server;
	while (taken[campaign->slot])
		campaign->slot++;
	taken[campaign->slot] = true;
	server_init_fleet(&campaign->server, &ground, fleet, users[campaign->slot]);
	campaign->server.program = SLUICED_STEPS;
	campaign->server.timeout_ms = CALL_MS;
	root = root_of(campaign);
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++)
		light_begin(&campaign->lights[i], &links[i], &root, &old);
	arm(campaign, strike);
	campaign->lives = 1;
	launch(campaign, &campaign->server);
	disarm();
}

void campaign_add_heir(struct campaign *campaign, struct server *heir)
{
	server_init_beside(heir, &campaign->server);
	heir->timeout_ms = CALL_MS;
	launch(campaign, heir);
	campaign->heir = heir;
}

bool campaign_turn(struct campaign *campaign)
{
	cr_assert_lt(ota_clock_mono_ms(), campaign->until_ms,
		"%s: request %u is never answered", campaign->name, campaign->done);
	look_after(campaign);
	if (campaign->heir && (campaign->stopped || campaign->server.pid == 0))
		campaign->leader = campaign->heir;
	return !server_answers(campaign->leader) || ask_next(campaign);
}

void campaign_run(struct campaign *campaign)
{
	while (campaign_turn(campaign))
		(void)peer_turn(TURN_MS);
}

void campaign_run_to_rollout(struct campaign *campaign)
{
	while (campaign->done < ROLLOUT_REQUEST && campaign_turn(campaign))
		(void)peer_turn(TURN_MS);
}

void campaign_begin_again(struct campaign *campaign)
{
	campaign->done = ROLLOUT_REQUEST;
}

const char *campaign_steps(struct campaign *campaign)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char path[BROKER_PATH_CAP];

	if (ota_file_read(server_path(&campaign->server, "steps", path),
		    CAMPAIGN_STEPS_MAX - 1, &text, NULL) == OTA_OK)
		(void)snprintf(campaign->steps, sizeof campaign->steps, "%s",
			text.len ? ota_buf_text(&text) : "");
	return campaign->steps;
}

char campaign_struck(struct campaign *campaign)
{
	const char *steps = campaign_steps(campaign);
	const char *at = strchr(steps, STEP_STRUCK);

	return at && at > steps ? at[-1] : '\0';
}

void campaign_fini(struct campaign *campaign)
{
	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++) {
		while (campaign->lights[i].busy)
			(void)peer_turn(TURN_MS);
		light_end(&campaign->lights[i]);
	}
	server_fini(&campaign->server);
	taken[campaign->slot] = false;
}

/* ---- the laws */

static void judge_devices(const struct campaign *c)
{
	struct ota_digest new = image_digest(RELEASE_NEW);

	for (unsigned i = 0; i < CAMPAIGN_DEVICES; i++) {
		OTA_AUTO(ota_json_fini) cJSON *device = NULL;
		const struct light *light = &c->lights[i];
		char path[64];

		(void)snprintf(path, sizeof path, "/devices/%s", ids[i]);
		device = server_get(c->leader, path);
		cr_expect_eq(light->begins, 1, "%s: %s began %u times", c->name, ids[i],
			light->begins);
		cr_expect_eq(light->refused, 0, "%s: %s refused %u: %s", c->name, ids[i],
			light->refused, light->text);
		cr_expect(ota_digest_equal(&light->report.running, &new),
			"%s: %s was skipped", c->name, ids[i]);
		cr_expect_str_eq(server_text(device, "attempts.0.state"), "confirmed",
			"%s: %s", c->name, ids[i]);
		cr_expect_eq(server_number(device, "attempts.0.tries"), 0, "%s: %s",
			c->name, ids[i]);
		cr_expect_eq(server_number(device, "attempts.1.at"), -1,
			"%s: %s has a second attempt", c->name, ids[i]);
	}
}

/* Entries of an action whose member says a value; NULL: any. */
static unsigned count_entries(
	const cJSON *entries, const char *action, const char *member, const char *value)
{
	const cJSON *entry;
	char path[32];
	unsigned count = 0;

	(void)snprintf(path, sizeof path, "detail.%s", member);
	cJSON_ArrayForEach(entry, entries)
	{
		count += strcmp(server_text(entry, "action"), action) == 0 &&
			 strcmp(server_text(entry, path), value) == 0;
	}
	return count;
}

static void judge_audit(const struct campaign *c)
{
	OTA_AUTO(ota_json_fini) cJSON *verify = server_get(c->leader, "/audit/verify");
	OTA_AUTO(ota_json_fini) cJSON *page = server_get(c->leader, "/audit?limit=1000");
	const cJSON *entries = cJSON_GetObjectItem(page, "entries");

	cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(verify, "ok")), "%s: audit chain",
		c->name);
	cr_assert_lt(cJSON_GetArraySize(entries), AUDIT_MAX);
	for (unsigned i = 0; i < CAMPAIGN_STAGES; i++) {
		cr_expect_eq(
			count_entries(entries, "rollout.granted", "stage", stages[i]), 1,
			"%s: stage %s opened", c->name, stages[i]);
		cr_expect_eq(
			count_entries(entries, "rollout.finished", "stage", stages[i]), 1,
			"%s: stage %s closed", c->name, stages[i]);
	}
	cr_expect_eq(count_entries(entries, "rollout.apply", "rollout", "r1"), 1, "%s",
		c->name);
	cr_expect_eq(count_entries(entries, "device.confirmed", "rollout", "r1"),
		CAMPAIGN_DEVICES, "%s", c->name);
}

static void judge_rollout(const struct campaign *c)
{
	static const double confirmed[] = { 1, 1, 2, 2 };
	OTA_AUTO(ota_json_fini) cJSON *rollout = server_get(c->leader, "/rollouts/r1");
	char path[64];

	for (unsigned i = 0; i < CAMPAIGN_STAGES; i++) {
		(void)snprintf(path, sizeof path, "stages.%u.state", i);
		cr_expect_str_eq(server_text(rollout, path), "passed", "%s: %s", c->name,
			stages[i]);
		(void)snprintf(path, sizeof path, "stages.%u.counts.confirmed", i);
		cr_expect_eq(server_number(rollout, path), confirmed[i],
			"%s: %s confirmed %g", c->name, stages[i],
			server_number(rollout, path));
	}
}

void campaign_judge(struct campaign *campaign)
{
	judge_devices(campaign);
	judge_audit(campaign);
	judge_rollout(campaign);
}

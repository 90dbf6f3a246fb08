#include "tests/unit/api_kit.h"

#include <criterion/criterion.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct api_kit api_kit;
struct api_kit_clock api_kit_clock;

uint64_t __wrap_ota_clock_mono_ms(void);
uint64_t __wrap_ota_clock_utc_s(void);

uint64_t __wrap_ota_clock_mono_ms(void)
{
	api_kit_clock.mono_ms += api_kit_clock.each_ms;
	return api_kit_clock.mono_ms;
}

uint64_t __wrap_ota_clock_utc_s(void)
{
	return api_kit_clock.utc_s;
}

static const char *path_of(const char *name)
{
	static char path[64];

	(void)snprintf(path, sizeof path, "%s/%s", api_kit.dir, name);
	return path;
}

static void must(enum ota_code rc, const struct ota_error *err)
{
	cr_assert_eq(rc, OTA_OK, "%s", err->text);
}

static void open_ledger(void)
{
	const struct ledger_leader self = { "test", "" };
	struct ledger_leader other = { 0 };
	struct ota_error err = { 0 };
	bool leads = false;

	must(ledger_open(path_of("l.db"), &api_kit.ledger, &err), &err);
	must(ledger_lead(api_kit.ledger, &self, &leads, &other, &err), &err);
	cr_assert(leads);
}

static void open_ports(void)
{
	static const struct patches_events events = { 0 };
	struct patches_config patches = { .workers = 1, .codec = OTA_CODEC_PREDICT };
	struct publisher_config publisher = { .fleet = FW_FLEET,
		.ledger = api_kit.ledger };
	struct mqtt_in_config in = { .fleet = FW_FLEET, .core = api_kit.world->core };
	struct ota_error err = { 0 };
	char dir[64];

	(void)snprintf(dir, sizeof dir, "%s", path_of("images"));
	must(images_open(dir, &api_kit.images, &err), &err);
	(void)snprintf(dir, sizeof dir, "%s", path_of("patches"));
	patches.dir = publisher.patches_dir = dir;
	patches.images = api_kit.images;
	must(patches_new(&api_kit.loop, &patches, &events, &api_kit.patches, &err), &err);
	must(publisher_new(&api_kit.loop, &publisher, &api_kit.publisher, &err), &err);
	in.publisher = api_kit.publisher;
	must(mqtt_in_new(&api_kit.loop, &in, &api_kit.in, &err), &err);
}

void api_kit_open(void)
{
	(void)snprintf(api_kit.dir, sizeof api_kit.dir, "/tmp/api-kit.XXXXXX");
	cr_assert_not_null(mkdtemp(api_kit.dir));
	cr_assert_eq(uv_loop_init(&api_kit.loop), 0);
	api_kit.world = fw_open();
	api_kit_clock = (struct api_kit_clock){ 1000000, api_kit.world->now.utc_s, 0 };
	open_ledger();
	open_ports();
	api_kit.api = (struct api){ .core = api_kit.world->core,
		.ledger = api_kit.ledger,
		.images = api_kit.images,
		.patches = api_kit.patches,
		.publisher = api_kit.publisher,
		.broker_url = "tcp://nowhere:1883",
		.in = api_kit.in };
}

static void closed(void *ctx)
{
	(void)ctx;
}

void api_kit_close(void)
{
	static const char *const files[] = { "l.db", "l.db-wal", "l.db-shm" };
	static const char *const dirs[] = { "images", "patches", "" };

	mqtt_in_close(api_kit.in, closed, NULL);
	publisher_close(api_kit.publisher, closed, NULL);
	patches_close(api_kit.patches, closed, NULL);
	(void)uv_run(&api_kit.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&api_kit.loop), 0);
	images_free(api_kit.images);
	ledger_close(api_kit.ledger);
	fw_close(api_kit.world);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		(void)unlink(path_of(files[i]));
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
		(void)rmdir(path_of(dirs[i]));
}

uint64_t api_kit_audit(const char *action)
{
	const struct audit_entry entry = { .at_utc_s = api_kit_clock.utc_s,
		.who = "test",
		.action = action,
		.detail = "{\"of\":1}" };
	struct ota_error err = { 0 };
	struct ota_digest head;
	uint64_t seq;

	must(ledger_audit(api_kit.ledger, &entry, &err), &err);
	ledger_audit_head(api_kit.ledger, &seq, &head);
	return seq;
}

struct ota_digest api_kit_rollout(const char *name)
{
	struct fw_world *w = api_kit.world;
	struct ota_error err = { 0 };
	struct ota_digest release;
	char json[300];

	if (w->device_count == 0) {
		(void)fw_release(w, "1.0", 1);
		fw_add_devices(w, "lab", 2, FW_GOOD);
	}
	release = fw_release(w, "2.0", 2);
	(void)snprintf(json, sizeof json,
		"{\"rollout\":\"%s\",\"stages\":[{\"name\":\"lab\","
		"\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":0}],"
		"\"on_halt\":\"pause\"}",
		name);
	must(fw_apply(w, json, &release, &err), &err);
	return release;
}

void api_kit_sql(const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	cr_assert_eq(sqlite3_open(path_of("l.db"), &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s", why);
	(void)sqlite3_close(db);
}

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/core/home_assistant.h"
#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

static const struct home_assistant_place place = { "demo", "homeassistant",
	"sluice-ha/demo" };

/* ---- names */

static const struct {
	const char *fleet, *device, *object;
} objects[] = {
	{ "demo", "gw-1", "sluice__demo__gw-1" },
	{ "demo", "gw.1", "sluice__demo__gw_d1" },
	{ "demo", "gw_1", "sluice__demo__gw_u1" },
	{ "demo", "gw_d1", "sluice__demo__gw_ud1" },
	{ "a", "b.c", "sluice__a__b_dc" },
	{ "a.b", "c", "sluice__a_db__c" },
};

Test(home_assistant, an_object_id_is_that_of_one_device_alone)
{
	for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
		char object[HOME_ASSISTANT_OBJECT_CAP], device[OTA_NAME_CAP];

		home_assistant_object(objects[i].fleet, objects[i].device, object);
		cr_expect_str_eq(object, objects[i].object);
		cr_assert(home_assistant_device_of(objects[i].fleet, object, device));
		cr_expect_str_eq(device, objects[i].device);
	}
}

Test(home_assistant, the_longest_names_fit)
{
	char name[OTA_NAME_CAP], object[HOME_ASSISTANT_OBJECT_CAP], device[OTA_NAME_CAP];

	memset(name, 'a', sizeof name);
	for (size_t i = 1; i < sizeof name - 2; i++)
		name[i] = '_';
	name[sizeof name - 1] = '\0';
	home_assistant_object(name, name, object);
	cr_assert_lt(strlen(object), sizeof object - 1);
	cr_assert(home_assistant_device_of(name, object, device));
	cr_expect_str_eq(device, name);
}

Test(home_assistant, what_is_no_object_of_ours_names_no_device)
{
	static const char *const others[] = { "", "x", "sluice__", "sluice__demo__",
		"sluice__demo", "sluice__other__gw-1", "sluice__demo__gw+1",
		"sluice__demo__gw/1", "sluice__demo__gw_", "sluice__demo__gw_x1",
		"sluice__demo__gw.1", "sluice__demo__GW", "sluice__demo__..",
		"sluice__demo__"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaa" };
	char device[OTA_NAME_CAP] = "kept";

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		cr_expect_not(home_assistant_device_of("demo", others[i], device), "%s",
			others[i]);
	cr_expect_str_eq(device, "kept");
}

Test(home_assistant, a_prefix_is_levels_of_letters)
{
	static const char *const good[] = { "homeassistant", "a/b/c", "A-9_z",
		"sluice-ha/d" };
	static const char *const bad[] = { "", "/", "a/", "/a", "a//b", "a+", "#", "a/#",
		"$SYS", "a b", "a\n", "\xc3\xa4", "1/2/3/4/5/6/7/8/9",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		cr_expect(home_assistant_prefix_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_expect_not(home_assistant_prefix_ok(bad[i]), "%s", bad[i]);
}

Test(home_assistant, topics_are_where_it_looks_for_them)
{
	char topic[HOME_ASSISTANT_TOPIC_CAP];

	home_assistant_topic(&place, "gw-1", HOME_ASSISTANT_CONFIG, topic);
	cr_expect_str_eq(topic, "homeassistant/update/sluice__demo__gw-1/config");
	home_assistant_topic(&place, "gw-1", HOME_ASSISTANT_STATE, topic);
	cr_expect_str_eq(topic, "sluice-ha/demo/sluice__demo__gw-1/state");
	home_assistant_availability(&place, topic);
	cr_expect_str_eq(topic, "sluice-ha/demo/availability");
}

/* ---- documents */

static const char *document(
	const struct home_assistant_device *device, enum home_assistant_topic topic)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf out = { 0 };
	static char text[4096];

	cr_assert_eq(home_assistant_document(&place, device, topic, &out, NULL), OTA_OK);
	cr_assert_lt(out.len, sizeof text);
	memcpy(text, out.at, out.len);
	text[out.len] = '\0';
	return text;
}

Test(home_assistant, documents_are_in_the_form_of_mqtt_discovery)
{
	const struct home_assistant_device device = { .id = "gw-1",
		.product = "gateway",
		.hardware = "gw-100",
		.installed = "1.0",
		.latest = "2.0",
		.notes = "Fixes \"x\"",
		.in_progress = true,
		.has_percent = true,
		.percent = 42 };

	cr_expect_str_eq(document(&device, HOME_ASSISTANT_CONFIG),
		"{\"name\":\"System image\",\"unique_id\":\"sluice__demo__gw-1\","
		"\"state_topic\":\"sluice-ha/demo/sluice__demo__gw-1/state\","
		"\"origin\":{\"name\":\"Sluice\"},"
		"\"availability_topic\":\"sluice-ha/demo/availability\","
		"\"device_class\":\"firmware\",\"entity_category\":\"diagnostic\","
		"\"device\":{\"identifiers\":[\"sluice__demo__gw-1\"],\"name\":\"gw-1\","
		"\"manufacturer\":\"Sluice\",\"model\":\"gateway\","
		"\"hw_version\":\"gw-100\",\"sw_version\":\"1.0\"}}");
	cr_expect_str_eq(document(&device, HOME_ASSISTANT_STATE),
		"{\"installed_version\":\"1.0\",\"latest_version\":\"2.0\","
		"\"title\":\"gateway\",\"release_summary\":\"Fixes \\\"x\\\"\","
		"\"in_progress\":true,\"update_percentage\":42}");
}

Test(home_assistant, what_is_not_under_way_has_no_percentage)
{
	struct home_assistant_device device = { .id = "gw-1", .has_percent = true };

	cr_expect_not_null(strstr(document(&device, HOME_ASSISTANT_STATE),
		"\"in_progress\":false,\"update_percentage\":null}"));
	device.in_progress = true;
	device.has_percent = false;
	cr_expect_not_null(strstr(document(&device, HOME_ASSISTANT_STATE),
		"\"in_progress\":true,\"update_percentage\":null}"));
}

Test(home_assistant, hostile_texts_stay_texts_and_are_cut_between_characters)
{
	struct home_assistant_device device = { .id = "gw-1",
		.product = "\"},\"command_topic\":\"x",
		.installed = "1\n\t\x01\\" };
	const char *text;

	for (size_t i = 0; i < 400; i++)
		memcpy(device.notes + 2 * i, "\xc3\xa4", 2); /* two bytes each */
	text = document(&device, HOME_ASSISTANT_STATE);
	cr_expect_null(strstr(text, "\"command_topic\":"), "%s", text);
	cr_expect_not_null(strstr(text, "\"1\\n\\t\\u0001\\\\\""), "%s", text);
	text = strstr(text, "\"release_summary\":\"") + 19;
	cr_expect_eq(strcspn(text, "\""), 254u);
	text = document(&device, HOME_ASSISTANT_CONFIG);
	cr_expect_null(strstr(text, "\"command_topic\":"), "%s", text);
}

/* ---- from the fleet's state */

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	fw_add_devices(world, "fleet", 1, FW_GOOD);
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(home_assistant_fleet, .init = open_world, .fini = close_world);

static struct home_assistant_device first(const char *cohort)
{
	struct home_assistant_device device;

	cr_assert(home_assistant_next(world->core, world->now, cohort, "", &device));
	return device;
}

static unsigned count(const char *cohort)
{
	struct home_assistant_device device = { 0 };
	unsigned found = 0;

	while (home_assistant_next(world->core, world->now, cohort, device.id, &device))
		found++;
	return found;
}

Test(home_assistant_fleet, devices_come_in_order_and_by_cohort)
{
	cr_expect_eq(count(""), 3u);
	cr_expect_eq(count("lab"), 2u);
	cr_expect_eq(count("none"), 0u);
}

Test(home_assistant_fleet, who_runs_the_newest_has_no_other)
{
	struct home_assistant_device device = first("lab");

	cr_expect_str_eq(device.installed, "1.0");
	cr_expect_str_eq(device.latest, "1.0");
	cr_expect_not(device.in_progress);
}

Test(home_assistant_fleet, the_newest_release_that_is_allowed_is_the_latest)
{
	(void)fw_release(world, "2.0", 2);
	(void)fw_release(world, "3.0", 3);
	cr_expect_str_eq(first("lab").latest, "3.0");
	fw_withdraw(world);
	cr_expect_str_eq(first("lab").latest, "1.0");
}

Test(home_assistant_fleet, an_update_is_seen_from_its_first_chunk_to_its_end)
{
	struct ota_digest release = fw_release(world, "2.0", 2);
	struct fw_device *d = &world->devices[0];
	struct home_assistant_device device;

	(void)fw_release(world, "3.0", 3);
	d->report.state = OTA_UPDATE_FETCHING;
	d->report.release = release;
	d->report.chunks = 2;
	d->report.chunks_total = 3;
	(void)snprintf(d->report.rollout, sizeof d->report.rollout, "r-1");
	cr_assert_eq(fw_report(world, d), OTA_OK);
	device = first("lab");
	cr_expect(device.in_progress);
	cr_expect(device.has_percent);
	cr_expect_eq(device.percent, 66u);
	cr_expect_str_eq(device.latest, "2.0", "it is on its way to that one");
	d->report.state = OTA_UPDATE_PROVING;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	device = first("lab");
	cr_expect(device.in_progress);
	cr_expect_not(device.has_percent);
	d->report.state = OTA_UPDATE_FAILED;
	cr_assert_eq(fw_report(world, d), OTA_OK);
	cr_expect_not(first("lab").in_progress);
}

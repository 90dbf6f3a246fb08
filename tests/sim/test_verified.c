#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

/* Reports that were verified before they come to the core. */

static struct fw_world *world;
static struct fw_device *device;
static struct ota_digest digest;

static void open_world(void)
{
	world = fw_open();
	fw_add_devices(world, "lab", 1, FW_GOOD);
	device = &world->devices[0];
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(verified, .init = open_world, .fini = close_world);

static struct core_seal seal_of(const char *id)
{
	struct core_seal seal;

	cr_assert_eq(core_seal_of(world->core, id, &seal, NULL), OTA_OK);
	return seal;
}

/* The next report of the device, as if verified with that seal. */
static enum ota_code say(const struct core_seal *seal, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };

	device->report.counter++;
	cr_assert_eq(ota_report_encode(&device->report, &payload, NULL), OTA_OK);
	digest = ota_digest_of(ota_buf_bytes(&payload));
	return core_verified_report(world->core, world->now,
		&(struct core_verified){
			seal, ota_bytes_of("x"), &device->report, &digest },
		err);
}

static uint64_t chunks_known(void)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_device_json(world->core, world->now, device->id);

	return fw_number(tree, "chunks");
}

Test(verified, with_the_key_of_its_device_it_is_taken_and_known_from_then_on)
{
	const struct core_seal seal = seal_of(device->id);

	device->report.chunks = 7;
	cr_expect_eq(say(&seal, NULL), OTA_OK);
	cr_expect_eq(chunks_known(), 7);
	cr_expect(core_has_report(world->core, device->id, &digest));
	cr_expect_not(core_has_report(world->core, "lab-9", &digest));
	digest.at[0] ^= 1;
	cr_expect_not(core_has_report(world->core, device->id, &digest));
}

Test(verified, with_a_key_that_is_not_its_own_any_more_it_is_refused)
{
	struct core_seal seal = seal_of(device->id);
	struct ota_error err = { 0 };

	seal.key.at[31] ^= 1;
	device->report.chunks = 7;
	cr_expect_eq(say(&seal, &err), OTA_E_CONFLICT);
	cr_expect_not_null(strstr(err.text, "not its own any more"), "%s", err.text);
	cr_expect_eq(chunks_known(), 0);
	cr_expect_not(core_has_report(world->core, device->id, &digest));
}

Test(verified, of_another_fleet_it_is_refused)
{
	struct core_seal seal = seal_of(device->id);

	seal.fleet_id[0] ^= 1;
	cr_expect_eq(say(&seal, NULL), OTA_E_CONFLICT);
}

Test(verified, of_nobody_there_is_no_seal)
{
	struct core_seal seal;
	struct ota_error err = { 0 };

	cr_expect_eq(core_seal_of(world->core, "lab-9", &seal, &err), OTA_E_NOTFOUND);
	cr_expect_str_eq(err.text, "device lab-9 is not registered");
}

Test(verified, an_older_one_is_refused_as_ever)
{
	const struct core_seal seal = seal_of(device->id);

	device->report.counter = 5;
	cr_expect_eq(say(&seal, NULL), OTA_OK);
	device->report.counter = 3;
	cr_expect_eq(say(&seal, NULL), OTA_E_SEQUENCE);
}

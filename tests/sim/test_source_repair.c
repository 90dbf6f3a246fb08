/* Devices whose image was written to, and that claim to have been installed with another.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "tests/sim/fleet_device.h"

static struct fw_world *world;

static void open_world(void)
{
	world = fw_open();
}

static void close_world(void)
{
	fw_close(world);
}

TestSuite(source_repair, .init = open_world, .fini = close_world);

/* Releases 1.0 and 2.0, and two devices that run 1.0. */
static struct ota_digest prepare(void)
{
	(void)fw_release(world, "1.0", 1);
	fw_add_devices(world, "lab", 2, FW_GOOD);
	return fw_release(world, "2.0", 2);
}

static void begin(const struct ota_digest *release)
{
	static const char rollout[] =
		"{\"rollout\":\"r-1\",\"stages\":["
		"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":60}]}";
	struct ota_error err = { .text = "" };

	fw_grant(world, release, 1000, NULL);
	cr_assert_eq(fw_apply(world, rollout, release, &err), OTA_OK, "%s", err.text);
}

static void expect_completed(void)
{
	cr_assert(fw_until(world, "r-1", "completed", 100), "%s", fw_state(world, "r-1"));
}

/* lab-1 was installed with 1.0 and written to. */
static struct fw_device *write_to_lab_1(enum fw_script script)
{
	struct fw_device *odd = fw_device(world, "lab-1");

	odd->script = script;
	odd->report.running = ota_digest_of(ota_bytes_of("1.0, written to"));
	odd->report.claims = ota_digest_of(ota_bytes_of("1.0"));
	cr_assert_eq(fw_report(world, odd), OTA_OK);
	return odd;
}

static bool explains(const char *device, const char *part)
{
	OTA_AUTO(ota_json_fini)
	cJSON *tree = core_explain_json(world->core, world->now, device);

	return strstr(fw_text(tree, "detail"), part) != NULL;
}

Test(source_repair, a_device_that_repairs_its_source_needs_no_full_patch)
{
	struct ota_digest release = prepare();
	struct fw_device *odd = write_to_lab_1(FW_GOOD);
	struct ota_order order;

	begin(&release);
	fw_step(world);
	cr_expect(explains("lab-1", "it repairs it as "));
	cr_expect_not(explains("lab-0", "repairs"));
	expect_completed();
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.patch_count, 1);
	cr_expect_not(ota_digest_is_zero(&order.patches[0].from));
	cr_expect_str_eq(odd->report.version, "2.0");
	cr_expect_not(explains("lab-1", "repairs"));
}

Test(source_repair, one_that_cannot_repair_its_source_gets_a_full_patch_once_it_said_so)
{
	struct ota_digest release = prepare();
	struct fw_device *odd = write_to_lab_1(FW_NO_REPAIR);
	struct ota_order order;

	world->keep_asked = true;
	begin(&release);
	cr_expect_eq(world->asked_count, 1, "none but the delta");
	world->keep_asked = false;
	expect_completed();
	cr_expect_str_eq(odd->report.version, "2.0");
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.patch_count, 2);
	cr_expect(ota_digest_is_zero(&order.patches[0].from));
}

Test(source_repair, a_claim_of_an_image_nobody_knows_is_none)
{
	struct ota_digest release = prepare();
	struct fw_device *odd = write_to_lab_1(FW_GOOD);
	struct ota_order order;

	odd->report.claims = ota_digest_of(ota_bytes_of("0.1"));
	cr_assert_eq(fw_report(world, odd), OTA_OK);
	begin(&release);
	expect_completed();
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.patch_count, 2);
	cr_expect_not(explains("lab-1", "repairs"));
}

Test(source_repair, what_a_device_claims_outlives_a_restart)
{
	struct ota_digest release = prepare();
	struct fw_device *odd = write_to_lab_1(FW_NO_REPAIR);
	struct ota_order order;

	world->restarts = true;
	begin(&release);
	expect_completed();
	cr_assert_gt(world->restart_count, 5);
	cr_expect_str_eq(odd->report.version, "2.0");
	cr_assert(fw_order(world, "lab", &order));
	cr_expect_eq(order.patch_count, 2);
}

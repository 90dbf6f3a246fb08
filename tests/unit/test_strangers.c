#include <criterion/criterion.h>

#include <stdio.h>

#include "orchestrator/port/strangers.h"

static struct strangers strangers;

static void note(unsigned number)
{
	char id[OTA_NAME_CAP];

	(void)snprintf(id, sizeof id, "gw-%u", number);
	strangers_note(&strangers, id);
}

Test(strangers, each_is_remembered_once)
{
	note(1);
	note(2);
	note(1);
	cr_expect_eq(strangers.count, 2);
	cr_expect_str_eq(strangers.ids[0], "gw-1");
	cr_expect_str_eq(strangers.ids[1], "gw-2");
}

Test(strangers, the_oldest_make_room)
{
	for (unsigned i = 0; i < STRANGERS_MAX + 2; i++)
		note(i);
	cr_expect_eq(strangers.count, STRANGERS_MAX);
	cr_expect_str_eq(strangers.ids[0], "gw-1024");
	cr_expect_str_eq(strangers.ids[1], "gw-1025");
	cr_expect_str_eq(strangers.ids[2], "gw-2");
}

Test(strangers, those_that_nobody_registered_stay)
{
	struct core *core = core_new(&(struct core_port){ 0 }, "demo");

	for (unsigned i = 0; i < 3; i++)
		note(i);
	cr_assert_not_null(core);
	cr_expect_eq(strangers_met(&strangers, core), 0);
	cr_expect_eq(strangers.count, 3);
	cr_expect_str_eq(strangers.ids[2], "gw-2");
	core_free(core);
}

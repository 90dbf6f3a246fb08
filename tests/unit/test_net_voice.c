#include <criterion/criterion.h>

#include <string.h>

#include "agent/port/net_voice.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/net_kit.h"
#include "tests/unit/temporary.h"

/* What a device says, when the broker refuses it, or is not there, or memory is not. */

static struct net_kit kit;
static struct net_voice voice;

static void set_up(void)
{
	temporary_make();
	net_kit_init(&kit, temporary_dir);
	net_voice_init(&voice, "test", "gw-1");
}

static void tear_down(void)
{
	net_voice_fini(&voice);
	cr_expect(net_kit_fini(&kit));
	temporary_remove();
}

TestSuite(net_voice, .init = set_up, .fini = tear_down);

static void report(const char *text)
{
	cr_assert_eq(net_voice_report(&voice, ota_bytes_of(text)), OTA_OK);
}

static void expect_said(unsigned published, const char *topic, const char *words)
{
	cr_expect_eq(kit.published, published, "%s", words);
	cr_expect_not_null(strstr(kit.said, topic), "%s", kit.said);
	cr_expect_str_eq(kit.words, words);
}

Test(net_voice, one_report_is_under_way_and_the_newest_follows)
{
	report("first");
	expect_said(1, "/gw-1/report", "first");
	report("second");
	report("third");
	cr_expect_eq(kit.published, 1, "the first is not acknowledged");
	net_kit_acknowledge(&kit, OTA_OK);
	expect_said(2, "/gw-1/report", "third");
	net_kit_acknowledge(&kit, OTA_OK);
	cr_expect_eq(kit.published, 2, "nothing is left to say");
}

Test(net_voice, what_is_refused_is_not_said_again)
{
	net_voice_up(&voice);
	expect_said(1, "/gw-1/online", voice.online);
	net_kit_acknowledge(&kit, OTA_E_DENIED);
	report("first");
	net_kit_acknowledge(&kit, OTA_E_DENIED);
	expect_said(2, "/gw-1/report", "first");
	report("second");
	expect_said(3, "/gw-1/report", "second");
}

/* Whether it arrived is not known: presence and report are said again. */
Test(net_voice, what_a_link_took_along_is_said_by_the_next)
{
	report("first");
	kit.up = false;
	net_kit_acknowledge(&kit, OTA_E_LINK);
	report("second");
	cr_expect_eq(kit.published, 1);
	net_voice_up(&voice); /* and it is down again by then */
	cr_expect_eq(kit.published, 1);
	kit.up = true;
	net_voice_up(&voice);
	expect_said(3, "/gw-1/report", "second");
	cr_expect_eq(net_voice_leave(&voice, NULL, NULL), OTA_OK);
	expect_said(4, "/gw-1/online", voice.offline);
}

Test(net_voice, a_report_that_the_link_does_not_take_is_kept_for_later)
{
	kit.refusal = OTA_E_NOMEM;
	report("first");
	cr_expect_eq(kit.published, 0);
	kit.refusal = OTA_OK;
	net_voice_up(&voice);
	expect_said(2, "/gw-1/report", "first");
}

Test(net_voice, without_memory_the_report_before_it_stays)
{
	kit.up = false;
	report("first");
	cr_assert(faults_arm_text("realloc,12,0"));
	cr_expect_eq(net_voice_report(&voice, ota_bytes_of("second")), OTA_E_NOMEM);
	cr_expect(faults_disarm(&(struct faults){ 0 }));
	kit.up = true;
	net_voice_up(&voice);
	expect_said(2, "/gw-1/report", "first");
}

Test(net_voice, progress_is_said_if_somebody_may_hear_it)
{
	static const char long_text[OTA_PROGRESS_LEN_MAX + 1];

	net_voice_progress(&voice, ota_bytes_of("half"));
	expect_said(1, "/progress/gw-1", "half");
	net_voice_progress(&voice,
		(struct ota_bytes){ (const uint8_t *)long_text, sizeof long_text });
	kit.refusal = OTA_E_NOMEM;
	net_voice_progress(&voice, ota_bytes_of("lost"));
	kit.up = false;
	net_voice_progress(&voice, ota_bytes_of("alone"));
	expect_said(1, "/progress/gw-1", "half");
}

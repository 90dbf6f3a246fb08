#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/samples.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define HEX64    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	enum ota_topic_kind kind;
	const char *text;
} topics[] = {
	{ OTA_TOPIC_ROOT, "sluice/1/example/root/1" },
	{ OTA_TOPIC_ROOT, "sluice/1/example/root/9007199254740991" },
	{ OTA_TOPIC_CATALOG, "sluice/1/example/catalog" },
	{ OTA_TOPIC_FRESH, "sluice/1/example/fresh" },
	{ OTA_TOPIC_RELEASE, "sluice/1/example/release/" HEX64 },
	{ OTA_TOPIC_GRANT, "sluice/1/example/grant/" HEX64 },
	{ OTA_TOPIC_ORDER, "sluice/1/example/cohort/lab/order" },
	{ OTA_TOPIC_ASSIGN, "sluice/1/example/device/gw-0001/assign" },
	{ OTA_TOPIC_MANIFEST, "sluice/1/example/patch/" HEX64 "/manifest" },
	{ OTA_TOPIC_CHUNK, "sluice/1/example/patch/" HEX64 "/0/0" },
	{ OTA_TOPIC_CHUNK, "sluice/1/example/patch/" HEX64 "/0/15" },
	{ OTA_TOPIC_CHUNK, "sluice/1/example/patch/" HEX64 "/1/16" },
	{ OTA_TOPIC_CHUNK, "sluice/1/example/patch/" HEX64 "/499/7999" },
	{ OTA_TOPIC_BLOCK_TABLE, "sluice/1/example/blocks/" HEX64 "/table" },
	{ OTA_TOPIC_BLOCK, "sluice/1/example/blocks/" HEX64 "/0/0" },
	{ OTA_TOPIC_BLOCK, "sluice/1/example/blocks/" HEX64 "/237/3799" },
	{ OTA_TOPIC_REPORT, "sluice/1/example/state/49/gw-0001/report" },
	{ OTA_TOPIC_ONLINE, "sluice/1/example/state/49/gw-0001/online" },
	{ OTA_TOPIC_NEED, "sluice/1/example/need/gw-0001" },
	{ OTA_TOPIC_PROGRESS, "sluice/1/example/progress/gw-0001" },
};

Test(topics, print_of_parse_is_the_same_text)
{
	unsigned seen = 0;

	for (size_t i = 0; i < COUNT(topics); i++) {
		char text[OTA_TOPIC_CAP];
		struct ota_topic topic;
		struct ota_error err = { 0 };

		cr_assert_eq(ota_topic_parse("example", topics[i].text, &topic, &err),
			OTA_OK, "%s: %s", topics[i].text, err.text);
		cr_expect_eq(topic.kind, topics[i].kind);
		ota_topic_print("example", &topic, text);
		cr_expect_str_eq(text, topics[i].text);
		seen |= 1u << topic.kind;
	}
	cr_expect_eq(seen, (1u << OTA_N_TOPIC_KINDS) - 1, "every kind has a row");
}

static const struct {
	const char *text;
	enum ota_code code;
} refused[] = {
	/* clang-format off */
	{ "", OTA_E_FORMAT },
	{ "sluice/1/example", OTA_E_FORMAT },
	{ "sluice/1/example/", OTA_E_FORMAT },
	{ "sluice/1/other/catalog", OTA_E_FORMAT },
	{ "sluice/2/example/catalog", OTA_E_FORMAT },
	{ "/sluice/1/example/catalog", OTA_E_FORMAT },
	{ "sluice/1/example/catalog/", OTA_E_FORMAT },
	{ "sluice/1/example/Catalog", OTA_E_FORMAT },
	{ "sluice/1/example//catalog", OTA_E_FORMAT },
	{ "sluice/1/example/a/b/c/d/e", OTA_E_FORMAT },
	{ "sluice/1/example/root/", OTA_E_FORMAT },
	{ "sluice/1/example/root/01", OTA_E_FORMAT },
	{ "sluice/1/example/root/-1", OTA_E_FORMAT },
	{ "sluice/1/example/root/+", OTA_E_FORMAT },
	{ "sluice/1/example/root/0x1", OTA_E_FORMAT },
	{ "sluice/1/example/root/9007199254740992", OTA_E_FORMAT },
	{ "sluice/1/example/root/99999999999999999999999999", OTA_E_FORMAT },
	{ "sluice/1/example/release/" "00", OTA_E_FORMAT },
	{ "sluice/1/example/release/+", OTA_E_FORMAT },
	{ "sluice/1/example/release/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
	  OTA_E_FORMAT },
	{ "sluice/1/example/cohort/+/order", OTA_E_NAME },
	{ "sluice/1/example/cohort/#", OTA_E_FORMAT },
	{ "sluice/1/example/cohort/../order", OTA_E_NAME },
	{ "sluice/1/example/cohort//order", OTA_E_NAME },
	{ "sluice/1/example/cohort/a..b/order", OTA_E_NAME },
	{ "sluice/1/example/cohort/Lab/order", OTA_E_NAME },
	{ "sluice/1/example/device/a/b/assign", OTA_E_FORMAT },
	{ "sluice/1/example/device/#/assign", OTA_E_NAME },
	{ "sluice/1/example/device/gw 1/assign", OTA_E_NAME },
	{ "sluice/1/example/need/+", OTA_E_NAME },
	{ "sluice/1/example/need/#", OTA_E_NAME },
	{ "sluice/1/example/need/..", OTA_E_NAME },
	{ "sluice/1/example/need/.", OTA_E_NAME },
	{ "sluice/1/example/progress/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  OTA_E_NAME },
	{ "sluice/1/example/patch/" HEX64 "/0/16", OTA_E_FORMAT },
	{ "sluice/1/example/patch/" HEX64 "/1/15", OTA_E_FORMAT },
	{ "sluice/1/example/patch/" HEX64 "/00/0", OTA_E_FORMAT },
	{ "sluice/1/example/patch/" HEX64 "/500/8000", OTA_E_FORMAT },
	{ "sluice/1/example/patch/" HEX64 "/+/1", OTA_E_FORMAT },
	{ "sluice/1/example/patch/" HEX64 "/0/4294967296", OTA_E_FORMAT },
	{ "sluice/1/example/patch/" HEX64 "/manifests", OTA_E_FORMAT },
	{ "sluice/1/example/blocks/" HEX64 "/manifest", OTA_E_FORMAT },
	{ "sluice/1/example/blocks/" HEX64 "/0/16", OTA_E_FORMAT },
	{ "sluice/1/example/blocks/" HEX64 "/+/table", OTA_E_FORMAT },
	{ "sluice/1/example/state/44/gw-0001/report", OTA_E_FORMAT },
	{ "sluice/1/example/state/+/gw-0001/report", OTA_E_FORMAT },
	{ "sluice/1/example/state/45/+/report", OTA_E_NAME },
	{ "sluice/1/example/state/49/gw-0001/reports", OTA_E_FORMAT },
	/* clang-format on */
};

Test(topics, what_print_would_not_print_is_refused)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct ota_topic topic = { .root = 77 };
		struct ota_error err = { 0 };

		cr_expect_eq(ota_topic_parse("example", refused[i].text, &topic, &err),
			refused[i].code, "%s: %s", refused[i].text,
			ota_code_name(err.code));
		cr_expect_eq(topic.root, 77, "out touched on failure");
	}
}

Test(topics, a_text_without_end_is_refused)
{
	static char text[4 * OTA_TOPIC_CAP];
	struct ota_topic topic;

	(void)snprintf(text, sizeof text, "sluice/1/example/need/%0900d", 1);
	cr_expect_eq(ota_topic_parse("example", text, &topic, NULL), OTA_E_FORMAT);
}

Test(topics, the_longest_one_fits)
{
	char name[OTA_NAME_CAP], text[OTA_TOPIC_CAP];
	struct ota_topic topic = { .kind = OTA_TOPIC_REPORT }, back;

	memset(name, 'z', sizeof name);
	name[OTA_NAME_LEN_MAX] = '\0';
	memcpy(topic.name, name, sizeof name);
	ota_topic_print(name, &topic, text);
	cr_expect_lt(strlen(text), OTA_TOPIC_CAP - 1);
	cr_expect_eq(ota_topic_parse(name, text, &back, NULL), OTA_OK);
}

Test(topics, none_has_more_than_seven_slashes)
{
	for (unsigned kind = 0; kind < OTA_N_TOPIC_KINDS; kind++) {
		struct ota_topic topic = { .kind = kind, .name = "gw-0001" };
		char text[OTA_TOPIC_CAP];
		size_t slashes = 0;

		ota_topic_print("example", &topic, text);
		for (const char *c = text; *c != '\0'; c++)
			slashes += *c == '/';
		cr_expect_leq(slashes, 7, "%s", text);
	}
}

Test(topics, payloads_are_capped_by_kind)
{
	cr_expect_eq(ota_topic_payload_max(OTA_TOPIC_FRESH), OTA_ENVELOPE_LEN_MAX);
	cr_expect_eq(ota_topic_payload_max(OTA_TOPIC_MANIFEST), OTA_MANIFEST_LEN_MAX);
	cr_expect_eq(ota_topic_payload_max(OTA_TOPIC_CHUNK), 65544);
	cr_expect_eq(ota_topic_payload_max(OTA_TOPIC_ONLINE), 34);
	cr_expect_eq(ota_topic_payload_max(OTA_TOPIC_NEED), 1040);
	for (unsigned kind = 0; kind < OTA_N_TOPIC_KINDS; kind++)
		cr_expect_lt(ota_topic_payload_max(kind), 300000, "max_packet_size");
}

Test(topics, devices_spread_over_the_state_buckets)
{
	unsigned count[OTA_STATE_BUCKETS] = { 0 };

	for (int i = 0; i < 32000; i++) {
		char name[OTA_NAME_CAP];

		(void)snprintf(name, sizeof name, "gw-%05d", i);
		count[ota_state_bucket(name)]++;
	}
	for (size_t i = 0; i < COUNT(count); i++)
		cr_expect(count[i] > 400 && count[i] < 600, "%zu: %u", i, count[i]);
}

Test(topics, a_state_filter_covers_one_bucket)
{
	char filter[OTA_TOPIC_CAP];

	ota_topic_state_filter("example", 63, OTA_TOPIC_REPORT, filter);
	cr_expect_str_eq(filter, "sluice/1/example/state/63/+/report");
	ota_topic_state_filter("example", 0, OTA_TOPIC_ONLINE, filter);
	cr_expect_str_eq(filter, "sluice/1/example/state/0/+/online");
}

Test(online, print_of_parse_is_the_same_text)
{
	static const char *const texts[] = { "1:00112233445566778899aabbccddeeff",
		"0:00112233445566778899aabbccddeeff" };

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct ota_online online;
		char again[OTA_ONLINE_CAP];

		cr_assert_eq(
			ota_online_parse(ota_bytes_of(texts[i]), &online, NULL), OTA_OK);
		cr_expect_eq(online.online, i == 0);
		ota_online_print(&online, again);
		cr_expect_str_eq(again, texts[i]);
	}
}

Test(online, anything_else_is_refused)
{
	static const char *const texts[] = { "", "1",
		"1:", "2:00112233445566778899aabbccddeeff",
		"1:00112233445566778899aabbccddeef",
		"1:00112233445566778899aabbccddeeff0",
		"1:00112233445566778899AABBCCDDEEFF",
		"1 00112233445566778899aabbccddeeff" };

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct ota_online online = { .online = true, .nonce = "kept" };

		cr_expect_eq(ota_online_parse(ota_bytes_of(texts[i]), &online, NULL),
			OTA_E_FORMAT, "%s", texts[i]);
		cr_expect_str_eq(online.nonce, "kept");
	}
}

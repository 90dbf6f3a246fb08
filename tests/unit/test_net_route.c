#include <criterion/criterion.h>

#include <stdio.h>

#include "agent/port/net_route.h"
#include "tests/patch.h"

#define HEX "abababababababababababababababababababababababababababababababab"

static const struct row {
	const char *topic; /* below sluice/1/f/ */
	size_t len;        /* bytes of payload */
	enum ota_code code;
	enum net_route_kind kind;
} rows[] = {
	{ "fresh", 1, OTA_OK, NET_DOCUMENT },
	{ "catalog", OTA_TOPIC_CAP, OTA_OK, NET_DOCUMENT },
	{ "root/7", 1, OTA_OK, NET_DOCUMENT },
	{ "release/" HEX, 1, OTA_OK, NET_DOCUMENT },
	{ "grant/" HEX, 1, OTA_OK, NET_DOCUMENT },
	{ "cohort/lab/order", 1, OTA_OK, NET_DOCUMENT },
	{ "device/gw-1/assign", 1, OTA_OK, NET_DOCUMENT },
	{ "patch/" HEX "/manifest", 1, OTA_OK, NET_MANIFEST },
	{ "patch/" HEX "/manifest", OTA_MANIFEST_LEN_MAX, OTA_OK, NET_MANIFEST },
	{ "patch/" HEX "/2/35", 1, OTA_OK, NET_CHUNK },
	{ "patch/" HEX "/2/35", OTA_CHUNK_LEN + 8, OTA_OK, NET_CHUNK },
	{ "fresh", 0, OTA_OK, NET_NOTHING },
	{ "patch/" HEX "/2/35", 0, OTA_OK, NET_NOTHING },
	{ "device/gw-2/assign", 1, OTA_E_DEVICE, NET_NOTHING },
	{ "need/gw-1", 1, OTA_E_DEVICE, NET_NOTHING },
	{ "progress/gw-1", 1, OTA_E_DEVICE, NET_NOTHING },
	{ "fresh", 65536, OTA_E_LIMIT, NET_NOTHING },
	{ "patch/" HEX "/manifest", OTA_MANIFEST_LEN_MAX + 1, OTA_E_LIMIT, NET_NOTHING },
	{ "patch/" HEX "/2/35", OTA_CHUNK_LEN + 9, OTA_E_LIMIT, NET_NOTHING },
	{ "patch/" HEX "/1/35", 1, OTA_E_FORMAT, NET_NOTHING },
	{ "device/../assign", 1, OTA_E_NAME, NET_NOTHING },
	{ "device/+/assign", 1, OTA_E_NAME, NET_NOTHING },
	{ "../g/fresh", 1, OTA_E_FORMAT, NET_NOTHING },
	{ "", 1, OTA_E_FORMAT, NET_NOTHING },
};

Test(net_route, each_topic_has_one_meaning_and_a_cap)
{
	static uint8_t payload[OTA_MANIFEST_LEN_MAX + 1];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[OTA_TOPIC_CAP];
		struct net_message message = { text, { payload, rows[i].len }, true };
		struct ota_topic topic = { .root = 77 };
		enum net_route_kind kind = NET_NOTHING;

		(void)snprintf(text, sizeof text, "sluice/1/f/%s", rows[i].topic);
		cr_expect_eq(net_route("f", "gw-1", &message, &topic, &kind, NULL),
			rows[i].code, "row %zu: %s", i, rows[i].topic);
		cr_expect_eq(kind, rows[i].kind, "row %zu: %s", i, rows[i].topic);
		cr_expect_eq(topic.root == 77, rows[i].code != OTA_OK,
			"row %zu: out touched", i);
	}
}

Test(net_route, another_fleet_is_not_ours)
{
	struct net_message message = { "sluice/1/g/fresh", { (const uint8_t *)"x", 1 },
		true };
	struct ota_topic topic;
	enum net_route_kind kind;

	cr_expect_neq(net_route("f", "gw-1", &message, &topic, &kind, NULL), OTA_OK);
}

Test(net_route, a_chunk_is_the_one_its_topic_names)
{
	struct test_patch patch;
	struct ota_buf message = { 0 };
	struct ota_bytes data = { 0 };
	struct ota_error err = { 0 };

	test_patch_init(&patch, 10000, 4096, 3);
	cr_assert_eq(ota_chunk_encode(1, test_patch_chunk(&patch, 1), &message), OTA_OK);
	cr_expect_eq(
		net_chunk_check(&patch.table, 2, ota_buf_bytes(&message), &data, &err),
		OTA_E_FORMAT);
	cr_expect_str_eq(err.text, "chunk 1 on the topic of 2");
	cr_expect_null(data.at);
	cr_expect_eq(
		net_chunk_check(&patch.table, 1, ota_buf_bytes(&message), &data, &err),
		OTA_OK);
	cr_expect(ota_bytes_equal(data, test_patch_chunk(&patch, 1)));
	message.at[20] ^= 1;
	cr_expect_eq(
		net_chunk_check(&patch.table, 1, ota_buf_bytes(&message), &data, &err),
		OTA_E_DIGEST);
	ota_buf_fini(&message);
	test_patch_fini(&patch);
}

#include <criterion/criterion.h>

#include <string.h>

#include "agent/core/ipc.h"
#include "proto/base/own.h"
#include "tests/unit/nomem_kit.h"

static struct ipc_message sample(void)
{
	return (struct ipc_message){
		.type = IPC_DOC,
		.code = 5,
		.a = 1,
		.b = UINT64_MAX,
		.c = 0x0102030405060708,
		.d = 4,
		.digest = { { 0xaa, [31] = 0xbb } },
		.name = "cohort-1",
		.payload = ota_bytes_of("body"),
	};
}

static void encode(const struct ipc_message *m, struct ota_buf *out)
{
	cr_assert_eq(ipc_encode(m, out), OTA_OK);
}

Test(ipc, what_is_encoded_is_parsed_again)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct ipc_message in = sample(), out = { 0 };

	encode(&in, &buf);
	cr_expect_eq(buf.len, IPC_HEAD_LEN + 4u);
	cr_assert_eq(ipc_parse(ota_buf_bytes(&buf), &out, NULL), OTA_OK);
	cr_expect_eq(out.type, in.type);
	cr_expect_eq(out.code, in.code);
	cr_expect(out.a == in.a && out.b == in.b && out.c == in.c && out.d == in.d);
	cr_expect_arr_eq(out.digest.at, in.digest.at, OTA_DIGEST_LEN);
	cr_expect_str_eq(out.name, in.name);
	cr_expect(ota_bytes_equal(out.payload, in.payload));
}

Test(ipc, every_type_and_no_other_is_parsed)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct ipc_message m = sample();
	enum ota_code rc;

	encode(&m, &buf);
	for (unsigned type = 0; type < 256; type++) {
		buf.at[0] = (uint8_t)type;
		rc = ipc_parse(ota_buf_bytes(&buf), &m, NULL);
		cr_expect_eq(
			rc, type < N_IPC_TYPES ? OTA_OK : OTA_E_FORMAT, "type %u", type);
	}
}

Test(ipc, a_head_cut_short_is_refused_at_every_length)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct ipc_message m = sample(), out = { .code = 77 };

	encode(&m, &buf);
	for (size_t len = 0; len < IPC_HEAD_LEN; len++)
		cr_expect_eq(ipc_parse((struct ota_bytes){ buf.at, len }, &out, NULL),
			OTA_E_FORMAT, "%zu bytes", len);
	cr_expect_eq(out.code, 77, "out is written on success only");
}

Test(ipc, a_packet_over_the_limit_is_refused_both_ways)
{
	static uint8_t big[IPC_PACKET_LEN_MAX + 1];
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct ipc_message m = sample();
	struct ota_error err;

	cr_expect_eq(
		ipc_parse((struct ota_bytes){ big, sizeof big }, &m, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "packet of 65681 bytes");
	m = sample();
	m.payload = (struct ota_bytes){ big, IPC_PAYLOAD_LEN_MAX + 1 };
	cr_expect_eq(ipc_encode(&m, &buf), OTA_E_LIMIT);
	cr_expect_eq(buf.len, 0);
}

Test(ipc, without_memory_nothing_is_appended)
{
	static const uint8_t body[IPC_PAYLOAD_LEN_MAX];

	for (long nth = 0; nth < 2; nth++) { /* of the head, and of the payload */
		OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
		struct ipc_message m = sample();

		m.payload = (struct ota_bytes){ body, sizeof body };
		nomem_arm(nth);
		cr_expect_eq(ipc_encode(&m, &buf), OTA_E_NOMEM);
		cr_assert(nomem_disarm());
		cr_expect_eq(buf.len, 0);
		encode(&m, &buf);
		cr_expect_eq(buf.len, IPC_PACKET_LEN_MAX);
	}
}

Test(ipc, a_name_that_is_none_is_refused)
{
	static const struct {
		const char *name;
		enum ota_code rc;
	} rows[] = { { "", OTA_OK }, { "a", OTA_OK }, { "a/b", OTA_E_NAME },
		{ "..", OTA_E_NAME }, { "+", OTA_E_NAME }, { "a#", OTA_E_NAME },
		{ "A", OTA_E_NAME } };
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	struct ipc_message m = sample();

	encode(&m, &buf);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memset(buf.at + 72, 0, 72);
		memcpy(buf.at + 72, rows[i].name, strlen(rows[i].name));
		cr_expect_eq(ipc_parse(ota_buf_bytes(&buf), &m, NULL), rows[i].rc,
			"name '%s'", rows[i].name);
	}
	buf.at[72 + 70] = 'x';
	cr_expect_eq(ipc_parse(ota_buf_bytes(&buf), &m, NULL), OTA_E_FORMAT);
}

Test(ipc, types_have_texts)
{
	cr_expect_str_eq(ipc_type_text(IPC_WANT), "want");
	cr_expect_str_eq(ipc_type_text(IPC_FAILED), "failed");
	cr_expect_str_eq(ipc_type_text((enum ipc_type)99), "unknown");
}

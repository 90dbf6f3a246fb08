#include "agent/core/ipc.h"

#include <string.h>

enum { IPC_NAME_FIELD_LEN = 72 }; /* bytes */

#define TEXT(name, text) text,
static const char *const type_text[] = { IPC_TYPES(TEXT) };
#undef TEXT

/* The name field: a name or nothing, padded with NUL to its end. It is the last of the
 * head, and longer than each other field: where any is cut short, this one is. */
static OTA_CHECKED enum ota_code read_name(
	struct ota_reader *r, char out[static OTA_NAME_CAP], struct ota_error *err)
{
	const uint8_t *field = ota_read(r, IPC_NAME_FIELD_LEN);
	char text[IPC_NAME_FIELD_LEN + 1] = { 0 };
	size_t len;

	if (field == NULL)
		return ota_fail(err, OTA_E_FORMAT, "packet ends within its head");
	memcpy(text, field, IPC_NAME_FIELD_LEN);
	len = strlen(text);
	for (size_t i = len; i < IPC_NAME_FIELD_LEN; i++)
		if (text[i] != '\0')
			return ota_fail(err, OTA_E_FORMAT, "name is not padded with NUL");
	if (len == 0) {
		out[0] = '\0';
		return OTA_OK;
	}
	return ota_name_copy(text, "packet", out, err);
}

static void read_numbers(struct ota_reader *r, struct ipc_message *m)
{
	const uint8_t *digest;

	m->a = ota_read_le64(r);
	m->b = ota_read_le64(r);
	m->c = ota_read_le64(r);
	m->d = ota_read_le64(r);
	digest = ota_read(r, OTA_DIGEST_LEN);
	if (digest != NULL)
		memcpy(m->digest.at, digest, OTA_DIGEST_LEN);
}

enum ota_code ipc_parse(
	struct ota_bytes packet, struct ipc_message *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(packet);
	struct ipc_message m = { 0 };
	uint32_t type;
	enum ota_code rc;

	if (packet.len > IPC_PACKET_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "packet of %zu bytes", packet.len);
	type = ota_read_le32(&r);
	m.code = ota_read_le32(&r);
	read_numbers(&r, &m);
	rc = read_name(&r, m.name, err);
	if (rc != OTA_OK)
		return rc;
	if (type >= N_IPC_TYPES)
		return ota_fail(err, OTA_E_FORMAT, "packet type %u", type);
	m.type = (enum ipc_type)type;
	m.payload = (struct ota_bytes){ r.at, r.left };
	*out = m;
	return OTA_OK;
}

/* Write len bytes of value, little endian, and step over them. */
static void put_le(uint8_t **at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

enum ota_code ipc_encode(const struct ipc_message *message, struct ota_buf *out)
{
	uint8_t head[IPC_HEAD_LEN] = { 0 };
	uint8_t *at = head;
	size_t before = out->len;
	enum ota_code rc;

	if (message->payload.len > IPC_PAYLOAD_LEN_MAX)
		return OTA_E_LIMIT;
	put_le(&at, (uint64_t)message->type, 4);
	put_le(&at, message->code, 4);
	put_le(&at, message->a, 8);
	put_le(&at, message->b, 8);
	put_le(&at, message->c, 8);
	put_le(&at, message->d, 8);
	memcpy(at, message->digest.at, OTA_DIGEST_LEN);
	memcpy(at + OTA_DIGEST_LEN, message->name,
		strnlen(message->name, OTA_NAME_LEN_MAX));
	rc = ota_buf_add(out, (struct ota_bytes){ head, sizeof head });
	if (rc == OTA_OK)
		rc = ota_buf_add(out, message->payload);
	if (rc != OTA_OK)
		out->len = before;
	return rc;
}

const char *ipc_type_text(enum ipc_type type)
{
	return (unsigned)type < N_IPC_TYPES ? type_text[type] : "unknown";
}

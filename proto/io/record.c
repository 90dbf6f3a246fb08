#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/base/seeded.h"
#include "proto/io/files.h"

/* offset  bytes  what
 *      0      4  magic "OTR1"
 *      4      8  sequence, little endian; record n lives in slot n mod 2
 *     12      4  length of the payload, little endian, at most 4000
 *     16   4048  payload, then zeros
 *   4064     32  BLAKE2b-256 of all before it
 *
 * A slot of zeros alone was never written. The first record ever is written to both
 * slots, so that afterwards no single damaged slot can look like a new file. */
enum {
	RECORD_LEN = 4096, /* bytes */
	SEQ_AT = 4,
	LENGTH_AT = 12,
	PAYLOAD_AT = 16,
	DIGEST_AT = 4064,
	DIGEST_LEN = 32,
	SLOT_COUNT = 2
};

static const uint8_t MAGIC[] = { 'O', 'T', 'R', '1' };

enum slot_state { SLOT_BLANK, SLOT_DAMAGED, SLOT_VALID };

struct slot {
	enum slot_state state;
	uint64_t seq;
	uint32_t len; /* bytes of payload */
	uint8_t raw[RECORD_LEN];
};

static void put_le(uint8_t *at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static void digest_of(
	const uint8_t raw[static RECORD_LEN], uint8_t out[static DIGEST_LEN])
{
	(void)crypto_generichash(out, DIGEST_LEN, raw, DIGEST_AT, NULL, 0);
}

/* What the raw bytes of slot number i are worth. */
static void judge(struct slot *slot, size_t i)
{
	struct ota_reader r = ota_reader_of((struct ota_bytes){ slot->raw, RECORD_LEN });
	uint8_t digest[DIGEST_LEN];
	const uint8_t *magic = ota_read(&r, sizeof MAGIC);

	slot->seq = ota_read_le64(&r);
	slot->len = ota_read_le32(&r);
	digest_of(slot->raw, digest);
	if (memcmp(magic, MAGIC, sizeof MAGIC) == 0 &&
		slot->len <= OTA_RECORD_PAYLOAD_MAX && slot->seq > 0 &&
		(slot->seq % SLOT_COUNT == i || OTA_SEEDED(IN_PLACE)) &&
		memcmp(digest, slot->raw + DIGEST_AT, DIGEST_LEN) == 0)
		slot->state = SLOT_VALID;
	else
		slot->state =
			sodium_is_zero(slot->raw, RECORD_LEN) ? SLOT_BLANK : SLOT_DAMAGED;
}

/* Give a new or cut-short file its final size, durably: later writes then depend on no
 * metadata of the file system. */
static OTA_CHECKED enum ota_code give_size(
	int fd, const char *path, off_t size, struct ota_error *err)
{
	static const uint8_t zeros[RECORD_LEN * SLOT_COUNT];
	struct ota_bytes rest = { zeros, sizeof zeros - (size_t)size };
	const char *slash = strrchr(path, '/');
	ota_autofree char *dir = NULL;
	enum ota_code rc = ota_fd_write_at(fd, (uint64_t)size, rest, err);

	if (rc == OTA_OK && fsync(fd) < 0)
		rc = ota_fail(err, OTA_E_IO, "%s: fsync: %s", path, strerror(errno));
	if (rc != OTA_OK)
		return rc;
	if (slash == NULL)
		return ota_dir_sync(".", err);
	dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (dir == NULL)
		return ota_fail(err, OTA_E_NOMEM, "%s: out of memory", path);
	return ota_dir_sync(dir, err);
}

static OTA_CHECKED enum ota_code open_sized(
	const char *path, int *out, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	enum ota_code rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ota_fail(err, OTA_E_IO, "%s: open: %s", path, strerror(errno));
	if (st.st_size < RECORD_LEN * SLOT_COUNT) {
		rc = give_size(fd, path, st.st_size, err);
		if (rc != OTA_OK)
			return rc;
	}
	*out = fd;
	fd = -1;
	return OTA_OK;
}

enum ota_code ota_record_open(const char *path, struct ota_record_file *file,
	struct ota_buf *out, struct ota_error *err)
{
	ota_autoclose int fd = -1;
	struct slot slots[SLOT_COUNT];
	const struct slot *newest = NULL;
	size_t damaged = 0;
	enum ota_code rc = open_sized(path, &fd, err);

	for (size_t i = 0; rc == OTA_OK && i < SLOT_COUNT; i++) {
		rc = ota_fd_read_at(fd, i * RECORD_LEN, slots[i].raw, RECORD_LEN, err);
		if (rc != OTA_OK)
			break;
		judge(&slots[i], i);
		damaged += slots[i].state == SLOT_DAMAGED;
		if (slots[i].state == SLOT_VALID &&
			(newest == NULL || slots[i].seq > newest->seq))
			newest = &slots[i];
	}
	if (rc == OTA_OK && newest != NULL)
		rc = ota_buf_add(
			out, (struct ota_bytes){ newest->raw + PAYLOAD_AT, newest->len });
	if (rc != OTA_OK)
		return rc;
	*file = (struct ota_record_file){ .fd = fd,
		.seq = newest == NULL ? 0 : newest->seq,
		.lost = damaged == SLOT_COUNT };
	fd = -1;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code write_slot(
	int fd, uint64_t seq, struct ota_bytes payload, struct ota_error *err)
{
	uint8_t raw[RECORD_LEN] = { 0 };
	uint64_t slot = OTA_SEEDED(IN_PLACE) ? 0 : seq % SLOT_COUNT;
	enum ota_code rc;

	memcpy(raw, MAGIC, sizeof MAGIC);
	put_le(raw + SEQ_AT, seq, 8);
	put_le(raw + LENGTH_AT, payload.len, 4);
	if (payload.len > 0)
		memcpy(raw + PAYLOAD_AT, payload.at, payload.len);
	digest_of(raw, raw + DIGEST_AT);
	rc = ota_fd_write_at(
		fd, slot * RECORD_LEN, (struct ota_bytes){ raw, sizeof raw }, err);
	return rc == OTA_OK && !OTA_SEEDED(RECORD_UNSYNCED) ? ota_fd_sync(fd, err) : rc;
}

enum ota_code ota_record_write(
	struct ota_record_file *file, struct ota_bytes payload, struct ota_error *err)
{
	bool first = file->seq == 0;
	enum ota_code rc;

	if (payload.len > OTA_RECORD_PAYLOAD_MAX)
		return ota_fail(err, OTA_E_LIMIT, "record of %zu bytes", payload.len);
	if (file->fd < 0)
		return ota_fail(err, OTA_E_IO,
			"record file failed before and was not opened again");
	rc = write_slot(file->fd, file->seq + 1, payload, err);
	if (rc == OTA_OK && first)
		rc = write_slot(file->fd, file->seq + 2, payload, err);
	if (rc != OTA_OK) {
		/* After a failed sync the page cache may claim what the disk lacks. */
		ota_record_fini(file);
		return rc;
	}
	file->seq += first ? 2 : 1;
	return OTA_OK;
}

void ota_record_fini(struct ota_record_file *file)
{
	if (file->fd > 0)
		(void)close(file->fd);
	file->fd = -1;
}

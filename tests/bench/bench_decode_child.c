/* What it costs to decode in a process of its own: the same patch, decoded here and there
 * in turn, as key=value on one line.
 *
 *   bench_decode_child AGENT CODEC OLD NEW ROUNDS
 *
 * The new image is counted and dropped; the best of each is told, and the processor time
 * of both processes. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/port/decode_child.h"
#include "agent/port/image_file.h"
#include "proto/base/own.h"
#include "proto/delta/decode.h"
#include "proto/delta/encode.h"

struct bench {
	const char *agent;
	struct image_file from, to;
	struct ota_manifest manifest;
	struct ota_buf patch;
	uint64_t made; /* bytes */
};

struct cost {
	double wall_s, cpu_s;
};

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static enum ota_code swallow(void *ctx, struct ota_bytes data)
{
	*(uint64_t *)ctx += data.len;
	return OTA_OK;
}

static double seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Wall time, and processor time of us and of children that have ended. */
static struct cost now(void)
{
	struct timespec wall;
	struct rusage self, children;

	(void)clock_gettime(CLOCK_MONOTONIC, &wall);
	(void)getrusage(RUSAGE_SELF, &self);
	(void)getrusage(RUSAGE_CHILDREN, &children);
	return (struct cost){ (double)wall.tv_sec + (double)wall.tv_nsec / 1e9,
		seconds_of(self.ru_utime) + seconds_of(self.ru_stime) +
			seconds_of(children.ru_utime) + seconds_of(children.ru_stime) };
}

static enum ota_code encode(struct bench *b, uint8_t codec, struct ota_error *err)
{
	struct ota_source from = image_file_source(&b->from);
	struct ota_source to = image_file_source(&b->to);
	const struct ota_encode_job job = { .codec = codec,
		.from = &from,
		.to = &to,
		.options = { .level = 3, .workers = 2 } };
	const struct ota_sink out = { &b->patch, keep };

	return ota_patch_encode(&job, &out, &b->manifest, err);
}

static struct ota_bytes chunk(const struct bench *b, size_t at)
{
	size_t left = b->patch.len - at;

	return (struct ota_bytes){ b->patch.at + at,
		left < OTA_CHUNK_LEN ? left : OTA_CHUNK_LEN };
}

static enum ota_code decode_here(struct bench *b, struct ota_error *err)
{
	struct ota_source from = image_file_source(&b->from);
	const struct ota_sink out = { &b->made, swallow };
	struct ota_decoder *decoder = NULL;
	enum ota_code rc =
		ota_decoder_new(&b->manifest, &from, &out, UINT64_MAX / 4, &decoder, err);

	for (size_t at = 0; at < b->patch.len && rc == OTA_OK; at += OTA_CHUNK_LEN)
		rc = ota_decoder_feed(decoder, chunk(b, at), err);
	if (rc == OTA_OK)
		rc = ota_decoder_finish(decoder, err);
	ota_decoder_free(decoder);
	return rc;
}

static enum ota_code decode_there(struct bench *b, struct ota_error *err)
{
	const struct decode_job job = { .manifest = &b->manifest,
		.from_fd = b->from.fd,
		.from_len = b->from.len,
		.out = { &b->made, swallow },
		.ram_max = b->manifest.decoder_ram,
		.program = b->agent };
	struct decode_child *child = NULL;
	enum ota_code rc = decode_child_new(&job, &child, err);

	for (size_t at = 0; at < b->patch.len && rc == OTA_OK; at += OTA_CHUNK_LEN)
		rc = decode_child_feed(child, chunk(b, at), err);
	if (rc == OTA_OK)
		rc = decode_child_finish(child, err);
	decode_child_free(child);
	return rc;
}

static enum ota_code time_one(struct bench *b,
	enum ota_code (*decode)(struct bench *, struct ota_error *), struct cost *best,
	struct ota_error *err)
{
	struct cost before = now(), after;
	enum ota_code rc;

	b->made = 0;
	rc = decode(b, err);
	after = now();
	if (rc == OTA_OK && b->made != b->manifest.to_len)
		rc = ota_fail(err, OTA_E_DECODER, "made %" PRIu64 " bytes", b->made);
	after.wall_s -= before.wall_s;
	after.cpu_s -= before.cpu_s;
	if (best->wall_s == 0 || after.wall_s < best->wall_s)
		best->wall_s = after.wall_s;
	if (best->cpu_s == 0 || after.cpu_s < best->cpu_s)
		best->cpu_s = after.cpu_s;
	return rc;
}

int main(int argc, char **argv)
{
	struct bench b = { .agent = argv[1] };
	struct cost here = { 0 }, there = { 0 };
	struct ota_error err = { 0 };
	uint8_t codec = 0;
	enum ota_code rc = argc == 6 ? ota_codec_of(argv[2], &codec, &err) : OTA_E_USAGE;

	if (rc == OTA_OK)
		rc = image_file_open(argv[3], &b.from, &err);
	if (rc == OTA_OK)
		rc = image_file_open(argv[4], &b.to, &err);
	if (rc == OTA_OK)
		rc = encode(&b, codec, &err);
	for (long left = rc == OTA_OK ? strtol(argv[5], NULL, 10) : 0;
		left > 0 && rc == OTA_OK; left--) {
		rc = time_one(&b, decode_here, &here, &err);
		if (rc == OTA_OK)
			rc = time_one(&b, decode_there, &there, &err);
	}
	if (rc != OTA_OK) {
		fprintf(stderr, "bench_decode_child: %s: %s\n", ota_code_text(rc),
			err.text);
		return 1;
	}
	printf("codec=%s to_len=%" PRIu64 " patch_len=%zu here_s=%.3f there_s=%.3f "
	       "ratio=%.3f here_cpu_s=%.3f there_cpu_s=%.3f cpu_ratio=%.3f\n",
		argv[2], b.manifest.to_len, b.patch.len, here.wall_s, there.wall_s,
		there.wall_s / here.wall_s, here.cpu_s, there.cpu_s,
		there.cpu_s / here.cpu_s);
	return 0;
}

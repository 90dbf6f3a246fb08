/* Writes an image into a slot of type `block`, and says how long it took.
 *
 * usage: bench_block_install write IMAGE DEVICE OTHER DIR
 *        bench_block_install install IMAGE DEVICE OTHER DIR AGENT
 *
 * `write` is the slot's part of an install alone: comparing, writing, checkpoints, sync,
 * reading back. `install` is all of it: a full patch of the image in a spool below DIR,
 * and the decoder of the program AGENT. The image is in memory, or in the spool, before
 * the clock starts. */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/port/install_work.h"
#include "agent/port/spool.h"
#include "proto/base/own.h"
#include "proto/delta/encode.h"
#include "proto/io/files.h"

enum { IMAGE_MAX = 1 << 30, FEED_LEN = 1 << 16 };

static struct agent_slot_config slot = { .type = AGENT_SLOT_BLOCK };
static struct install_work work = { .ram_max = 16 << 20 };

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc == OTA_OK)
		return;
	(void)fprintf(stderr, "bench_block_install: %s\n", err->text);
	exit(1);
}

static void say(double seconds, const struct install_count *count, uint64_t len)
{
	(void)printf("seconds=%.4f len=%llu written=%llu skipped=%llu\n", seconds,
		(unsigned long long)len, (unsigned long long)count->written,
		(unsigned long long)count->skipped);
}

static void run_write(struct ota_bytes image, const char *dir)
{
	OTA_AUTO(install_target_fini)
	struct install_target target = { .fd = -1, .mark = { .fd = -1 } };
	const struct install_mark_head head = { .slot = 0, .to_len = image.len };
	const struct slot_place place = { &slot, 0 };
	const struct ota_digest digest = ota_digest_of(image);
	struct ota_error err = { 0 };
	struct ota_sink sink;
	char mark[AGENT_PATH_CAP];
	atomic_bool stop = false;
	double start;

	must(ota_path_join(dir, "mark", mark, sizeof mark, &err), &err);
	must(ota_file_remove(mark, &err), &err);
	start = now_s();
	must(install_target_open(&place, &head, mark, &stop, &target, &err), &err);
	sink = install_target_sink(&target);
	for (size_t at = 0; at < image.len; at += FEED_LEN) {
		size_t left = image.len - at, len = left < FEED_LEN ? left : FEED_LEN;

		must(sink.write(sink.ctx, (struct ota_bytes){ image.at + at, len }),
			&target.error);
	}
	must(install_target_finish(&target, &err), &err);
	must(install_target_read_back(&target, &digest, &err), &err);
	say(now_s() - start, &target.count, image.len);
}

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

/* A full patch of the image, in the spool. */
static void make_patch(struct ota_bytes image, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf patch = { 0 }, bytes = { 0 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct ota_source to = ota_source_of(&image);
	const struct ota_sink sink = { .ctx = &patch, .write = keep };
	const struct ota_encode_job job = {
		.codec = OTA_CODEC_FULL, .to = &to, .options = { .level = 1 }
	};
	char hex[OTA_DIGEST_HEX_CAP], dir[AGENT_PATH_CAP], path[AGENT_PATH_CAP];

	must(ota_patch_encode(&job, &sink, &manifest, err), err);
	must(ota_manifest_encode(&manifest, &bytes, err), err);
	work.patch = ota_digest_of(ota_buf_bytes(&bytes));
	must(spool_manifest_write(
		     work.spool_dir, &work.patch, ota_buf_bytes(&bytes), err),
		err);
	ota_digest_hex(&work.patch, hex);
	must(ota_path_join(work.spool_dir, hex, dir, sizeof dir, err), err);
	must(ota_path_join(dir, SPOOL_DATA, path, sizeof path, err), err);
	must(ota_file_replace(path, ota_buf_bytes(&patch), 0600, err), err);
}

static void run_install(struct ota_bytes image, const char *dir, const char *agent)
{
	struct ota_error err = { 0 };
	char mark[AGENT_PATH_CAP];
	double start;

	work.spool_dir = work.state_dir = dir;
	work.decoder = agent;
	work.from = (struct slot_place){ &slot, 1 };
	work.to = (struct slot_place){ &slot, 0 };
	make_patch(image, &err);
	must(ota_path_join(dir, "install", mark, sizeof mark, &err), &err);
	must(ota_file_remove(mark, &err), &err);
	start = now_s();
	must(install_work_apply(&work, &err), &err);
	say(now_s() - start, &work.count, image.len);
}

int main(int argc, char **argv)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
	struct ota_error err = { 0 };

	if (argc < 6 || (strcmp(argv[1], "install") == 0 && argc != 7)) {
		(void)fprintf(stderr, "usage: bench_block_install write|install IMAGE "
				      "DEVICE OTHER DIR [AGENT]\n");
		return 1;
	}
	must(sodium_init() < 0 ? OTA_E_IO : OTA_OK, &err);
	must(ota_file_read(argv[2], IMAGE_MAX, &image, &err), &err);
	(void)snprintf(slot.devices[0], AGENT_PATH_CAP, "%s", argv[3]);
	(void)snprintf(slot.devices[1], AGENT_PATH_CAP, "%s", argv[4]);
	if (argc == 7)
		run_install(ota_buf_bytes(&image), argv[5], argv[6]);
	else
		run_write(ota_buf_bytes(&image), argv[5]);
	return 0;
}

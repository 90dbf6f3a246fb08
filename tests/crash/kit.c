/* What a device of the crash tests is given, in a folder: three images, the patches
 * between them in a spool, keys, and signed documents that ask for one update after the
 * other.
 *
 * usage: crash_kit DIR KIB      KIB: about as long are the images
 *
 *   old.img new.img next.img
 *   root key key.pub           provisioning; key.pub is the device's public key, 64 hex
 * digits spool/<patch>/             manifest and data, as net leaves them say/update/
 * documents that ask for new.img say/update-again/          the same, ordered anew
 *   say/next/  say/next-again/ ... for next.img
 *   say/revert/                go back to old.img */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/spool_layout.h"
#include "proto/base/own.h"
#include "proto/delta/encode.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "tests/sim/world_people.h"

enum { PATH_CAP = 1024, CHUNK_LEN = 16384, CHANGED_LEN = 50000 };

static const char *top; /* the folder */

static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc == OTA_OK)
		return;
	(void)fprintf(stderr, "crash_kit: %s %s\n", ota_code_name(rc), err->text);
	exit(1);
}

static void make_dir(const char *name)
{
	char path[PATH_CAP];
	struct ota_error err = { 0 };

	(void)snprintf(path, sizeof path, "%s/%s", top, name);
	must(ota_dir_make(path, 0755, &err), &err);
}

static void write_file(const char *dir, const char *name, struct ota_bytes bytes)
{
	char path[PATH_CAP];
	struct ota_error err = { 0 };

	if ((size_t)snprintf(path, sizeof path, "%s/%s%s", top, dir, name) >= sizeof path)
		must(ota_fail(&err, OTA_E_LIMIT, "path of %s", name), &err);
	must(ota_file_replace(path, bytes, 0600, &err), &err);
}

/* ---- images ---- */

static void add(struct ota_buf *out, const void *data, size_t len)
{
	struct ota_error err = { 0 };

	must(ota_buf_add(out, (struct ota_bytes){ data, len }), &err);
}

/* The head of an archive's entry (POSIX ustar). */
static void add_entry(struct ota_buf *out, const char *name, unsigned mode, size_t len)
{
	enum { BLOCK = 512, SUM_AT = 148 };
	char head[BLOCK] = { 0 };
	unsigned sum = 0;

	(void)snprintf(head, 100, "%s", name);
	(void)snprintf(head + 100, 8, "%07o", mode);
	(void)snprintf(head + 108, 8, "%07o", 0U);
	(void)snprintf(head + 116, 8, "%07o", 0U);
	(void)snprintf(head + 124, 12, "%011zo", len);
	(void)snprintf(head + 136, 12, "%011o", 0U);
	memset(head + SUM_AT, ' ', 8);
	head[156] = '0';
	memcpy(head + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (uint8_t)head[i];
	(void)snprintf(head + SUM_AT, 8, "%06o", sum);
	add(out, head, sizeof head);
}

/* An archive with a program and what it reads, for slots of type `directory`. */
static void make_first(size_t len, struct ota_buf *out)
{
	static const char program[512] = "#!/bin/sh\n";
	static const char end[1024] = "";
	uint64_t x = 88172645463325252;

	add_entry(out, "program", 0755, sizeof program);
	add(out, program, sizeof program);
	add_entry(out, "data", 0644, len);
	for (size_t i = 0; i < len / sizeof x; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		add(out, &x, sizeof x);
	}
	add(out, end, sizeof end);
}

/* Another image: some bytes of it are new. */
static void make_from(const struct ota_buf *from, size_t at, struct ota_buf *out)
{
	struct ota_error err = { 0 };

	must(ota_buf_add(out, ota_buf_bytes(from)), &err);
	for (size_t i = at; i < at + CHANGED_LEN; i++)
		out->at[i] = (uint8_t)(out->at[i] * 5 + 1);
}

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

/* The patch between two images as world->manifest; its bytes are added to patch. */
static void make_patch(struct world *w, const struct ota_buf *from_image,
	const struct ota_buf *to_image, struct ota_buf *patch)
{
	struct ota_bytes from = ota_buf_bytes(from_image), to = ota_buf_bytes(to_image);
	struct ota_source from_source = ota_source_of(&from),
			  to_source = ota_source_of(&to);
	const struct ota_encode_job job = { .codec = OTA_CODEC_PREDICT,
		.from = &from_source,
		.to = &to_source,
		.options = { .level = 3, .chunk_len = CHUNK_LEN } };
	const struct ota_sink sink = { .ctx = patch, .write = keep };
	struct ota_error err = { 0 };

	ota_manifest_fini(&w->manifest);
	must(ota_patch_encode(&job, &sink, &w->manifest, &err), &err);
}

/* ---- documents ---- */

static void set_time(struct world *w)
{
	uint64_t now = ota_clock_utc_s();

	w->root.issued_utc_s = now - 10;
	w->root.expires_utc_s = now + WORLD_DAY_S;
	w->catalog.issued_utc_s = w->fresh.issued_utc_s = w->grant.issued_utc_s = now;
	w->grant.not_before_utc_s = now - 10;
	w->catalog.expires_utc_s = w->fresh.expires_utc_s = w->grant.expires_utc_s =
		now + WORLD_DAY_S;
}

/* Sign what world says now, and write it as say/<name>/. */
static void say(struct world *w, const char *name)
{
	static const struct {
		enum ota_topic_kind kind;
		const char *name;
	} docs[] = { { OTA_TOPIC_FRESH, "fresh" }, { OTA_TOPIC_CATALOG, "catalog" },
		{ OTA_TOPIC_ASSIGN, "assign" }, { OTA_TOPIC_ORDER, "order" },
		{ OTA_TOPIC_RELEASE, "release" }, { OTA_TOPIC_GRANT, "grant" } };
	char dir[PATH_CAP];

	world_sign(w);
	(void)snprintf(dir, sizeof dir, "say/%s/", name);
	make_dir(dir);
	for (size_t i = 0; i < sizeof docs / sizeof docs[0]; i++)
		write_file(dir, docs[i].name, ota_buf_bytes(&w->docs[docs[i].kind]));
	world_next(w);
}

/* An update of one image to another: its patch in the spool, its documents said twice. */
static void make_update(struct world *w, const struct ota_buf *from,
	const struct ota_buf *to, const char *name)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf patch = { 0 };
	char hex[OTA_DIGEST_HEX_CAP], dir[PATH_CAP], again[64];

	make_patch(w, from, to, &patch);
	w->release.image = w->order.image = w->manifest.to;
	w->release.image_len = w->order.image_len = w->manifest.to_len;
	w->order.patches[0].from = w->manifest.from;
	say(w, name);
	(void)snprintf(again, sizeof again, "%s-again", name);
	say(w, again);
	ota_digest_hex(&w->order.patches[0].patch, hex);
	(void)snprintf(dir, sizeof dir, "spool/%s/", hex);
	make_dir(dir);
	write_file(dir, SPOOL_MANIFEST, ota_buf_bytes(&w->manifest_bytes));
	write_file(dir, SPOOL_DATA, ota_buf_bytes(&patch));
}

static void make_keys(struct world *w)
{
	struct ota_public_key device = ota_secret_key_public(&w->device_key);
	char hex[2 * OTA_PK_LEN + 1];

	ota_hex_encode((struct ota_bytes){ (uint8_t[32]){ 99 }, 32 }, hex);
	write_file("", "key", ota_bytes_of(hex));
	ota_hex_encode((struct ota_bytes){ device.at, sizeof device.at }, hex);
	write_file("", "key.pub", ota_bytes_of(hex));
	people_sign_root(w);
	write_file("", "root", ota_buf_bytes(&w->root_bytes));
}

static void make_documents(struct world *w, const struct ota_buf images[3])
{
	make_update(w, &images[0], &images[1], "update");
	w->order.state = OTA_ORDER_REVERT;
	say(w, "revert");
	w->order.state = OTA_ORDER_GO;
	memcpy(w->release.version, "3.0", sizeof "3.0");
	memcpy(w->order.rollout, "summer", sizeof "summer");
	w->release.counter = w->release.floor = w->order.counter = 3;
	make_update(w, &images[1], &images[2], "next");
}

int main(int argc, char **argv)
{
	static struct world w;
	struct ota_buf images[3] = { 0 };
	size_t len;

	len = argc == 3 ? strtoul(argv[2], NULL, 10) * 1024 : 0;
	if (len < 4 * CHANGED_LEN) {
		(void)fprintf(stderr, "usage: crash_kit DIR KIB\n");
		return 1;
	}
	top = argv[1];
	make_dir(".");
	make_first(len, &images[0]);
	make_from(&images[0], 2000, &images[1]);
	make_from(&images[1], 100000, &images[2]);
	write_file("", "old.img", ota_buf_bytes(&images[0]));
	write_file("", "new.img", ota_buf_bytes(&images[1]));
	write_file("", "next.img", ota_buf_bytes(&images[2]));
	people_init(&w);
	w.manifest = (struct ota_manifest){ 0 };
	w.order.prove_s = 60;
	set_time(&w);
	make_keys(&w);
	make_documents(&w, images);
	ota_manifest_fini(&w.manifest);
	for (size_t i = 0; i < 3; i++)
		ota_buf_fini(&images[i]);
	return 0;
}

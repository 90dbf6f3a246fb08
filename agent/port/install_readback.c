#include "agent/port/install_readback.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "agent/port/install_mark.h"
#include "proto/base/own.h"

enum {
	HEAD_LEN = 16384, /* bytes of a block that are read once more */
};

struct install_readback {
	struct image_file image; /* owned */
	const atomic_bool *stop; /* borrowed */
	uint8_t *piece;          /* owned; IMAGE_PIECE_LEN bytes */
	struct ota_hasher all;   /* of what was read */
	struct ota_hasher heads; /* of the first bytes of each block of it */
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	uint64_t may; /* bytes from the start that may be read */
	uint64_t at;  /* ... that were read */
	bool ends;    /* it is told to end */
	bool ended;
	struct ota_error error; /* once it has ended; code OTA_OK: all was read */
};

/* ---- its thread ---- */

static size_t at_most(uint64_t left, size_t len)
{
	return left < len ? (size_t)left : len;
}

static OTA_CHECKED enum ota_code read_piece(
	struct install_readback *r, uint64_t at, size_t len, struct ota_error *err)
{
	enum ota_code rc;

	if (atomic_load(r->stop))
		return ota_fail(err, OTA_E_CANCELLED, "told to stop");
	if (!r->image.is_direct)
		(void)posix_fadvise(
			r->image.fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
	rc = image_file_read(&r->image, at, r->piece, len, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "slot");
}

/* Where it may read next, waiting for that; false if it is told to end. */
static bool wait_for_more(struct install_readback *r, uint64_t at, uint64_t *may)
{
	bool ends;

	(void)pthread_mutex_lock(&r->lock);
	r->at = at;
	(void)pthread_cond_broadcast(&r->changed);
	while (r->may == at && !r->ends)
		(void)pthread_cond_wait(&r->changed, &r->lock);
	*may = r->may;
	ends = r->ends;
	(void)pthread_mutex_unlock(&r->lock);
	return !ends;
}

static OTA_CHECKED enum ota_code follow(struct install_readback *r, struct ota_error *err)
{
	uint64_t at = 0, may = 0;

	while (at < r->image.len) {
		size_t len;
		enum ota_code rc;

		if (!wait_for_more(r, at, &may))
			return ota_fail(err, OTA_E_CANCELLED, "slot");
		len = at_most(may - at, IMAGE_PIECE_LEN);
		rc = read_piece(r, at, len, err);
		if (rc != OTA_OK)
			return rc;
		ota_hasher_add(&r->all, (struct ota_bytes){ r->piece, len });
		if (at % INSTALL_BLOCK_LEN == 0)
			ota_hasher_add(&r->heads,
				(struct ota_bytes){ r->piece, at_most(len, HEAD_LEN) });
		at += len;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code look_again(
	struct install_readback *r, struct ota_error *err)
{
	const struct ota_digest before = ota_hasher_result(&r->heads);
	struct ota_digest now;

	ota_hasher_init(&r->heads);
	for (uint64_t at = 0; at < r->image.len; at += INSTALL_BLOCK_LEN) {
		size_t len = at_most(r->image.len - at, HEAD_LEN);
		enum ota_code rc = read_piece(r, at, len, err);

		if (rc != OTA_OK)
			return rc;
		ota_hasher_add(&r->heads, (struct ota_bytes){ r->piece, len });
	}
	now = ota_hasher_result(&r->heads);
	return ota_digest_equal(&before, &now)
		       ? OTA_OK
		       : ota_fail(err, OTA_E_MEDIA, "slot lost what it had read back");
}

static void *run(void *ctx)
{
	struct install_readback *r = ctx;
	struct ota_error err = { 0 };
	enum ota_code rc = follow(r, &err);

	if (rc == OTA_OK)
		rc = look_again(r, &err);
	err.code = rc;
	(void)pthread_mutex_lock(&r->lock);
	r->error = err;
	r->ended = true;
	(void)pthread_cond_broadcast(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- exported ---- */

void install_readback_free(struct install_readback *r)
{
	if (r == NULL)
		return;
	if (r->has_thread) {
		(void)pthread_mutex_lock(&r->lock);
		r->ends = true;
		(void)pthread_cond_broadcast(&r->changed);
		(void)pthread_mutex_unlock(&r->lock);
		(void)pthread_join(r->thread, NULL);
	}
	(void)pthread_mutex_destroy(&r->lock);
	(void)pthread_cond_destroy(&r->changed);
	image_file_fini(&r->image);
	free(r->piece);
	free(r);
}

static void free_it(struct install_readback **r)
{
	install_readback_free(*r);
}

/* The image may be shorter than it will be. */
static OTA_CHECKED enum ota_code open_image(const struct slot_place *place, uint64_t len,
	struct image_file *out, struct ota_error *err)
{
	char path[AGENT_PATH_CAP];
	enum ota_code rc = slot_medium_of(place->config)->image_path(place, path, err);

	if (rc == OTA_OK)
		rc = image_file_open(path, out, err);
	if (rc != OTA_OK)
		return rc;
	out->len = len;
	image_file_bypass_cache(out);
	return OTA_OK;
}

enum ota_code install_readback_new(const struct slot_place *place, uint64_t len,
	const atomic_bool *stop, struct install_readback **out, struct ota_error *err)
{
	OTA_AUTO(free_it) struct install_readback *r = calloc(1, sizeof *r);
	enum ota_code rc;

	if (r == NULL)
		return ota_fail(err, OTA_E_NOMEM, "reading back");
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->changed, NULL);
	r->stop = stop;
	r->piece = image_file_piece();
	if (r->piece == NULL)
		return ota_fail(err, OTA_E_NOMEM, "reading back");
	rc = open_image(place, len, &r->image, err);
	if (rc != OTA_OK)
		return rc;
	ota_hasher_init(&r->all);
	ota_hasher_init(&r->heads);
	if (pthread_create(&r->thread, NULL, run, r) != 0)
		return ota_fail(err, OTA_E_NOMEM, "no thread for reading back");
	r->has_thread = true;
	*out = ota_take(&r);
	return OTA_OK;
}

static void allow(struct install_readback *r, uint64_t synced)
{
	(void)pthread_mutex_lock(&r->lock);
	if (synced > r->may)
		r->may = synced;
	(void)pthread_cond_broadcast(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
}

void install_readback_reach(struct install_readback *r, uint64_t synced)
{
	if (synced < r->image.len)
		allow(r, synced);
}

void install_readback_wait(struct install_readback *r)
{
	(void)pthread_mutex_lock(&r->lock);
	while (!r->ended && (r->may == r->image.len || r->at < r->may))
		(void)pthread_cond_wait(&r->changed, &r->lock);
	(void)pthread_mutex_unlock(&r->lock);
}

enum ota_code install_readback_finish(
	struct install_readback *r, struct ota_digest *out, struct ota_error *err)
{
	allow(r, r->image.len);
	install_readback_wait(r);
	if (r->error.code != OTA_OK)
		return ota_fail(err, r->error.code, "%s", r->error.text);
	*out = ota_hasher_result(&r->all);
	return OTA_OK;
}

#include "agent/port/install_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/base/seeded.h"
#include "proto/io/files.h"

enum {
	WAITING_MAX = 4,    /* blocks that are not marked yet */
	WAITING_SHARE = 16, /* ... and at most this part of the image, but one block */
};

/* Blocks that follow each other. */
struct waiting {
	uint64_t first;
	unsigned count;
	struct ota_digest digests[WAITING_MAX];
};

struct install_check {
	int fd;                            /* borrowed */
	struct install_mark *mark;         /* borrowed */
	struct install_readback *readback; /* borrowed */
	unsigned waiting_max;
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct waiting waiting;
	unsigned under_way; /* blocks being synced */
	bool ends;
	struct ota_error error; /* code OTA_OK: none so far */
};

/* Data first, then the record of it. */
static OTA_CHECKED enum ota_code checkpoint(
	struct install_check *check, const struct waiting *blocks, struct ota_error *err)
{
	enum ota_code rc =
		OTA_SEEDED(SLOT_UNSYNCED) ? OTA_OK : ota_fd_sync(check->fd, err);

	for (unsigned i = 0; rc == OTA_OK && i < blocks->count; i++)
		rc = install_mark_put(
			check->mark, blocks->first + i, &blocks->digests[i], err);
	if (rc == OTA_OK)
		rc = install_mark_sync(check->mark, err);
	if (rc != OTA_OK)
		return rc;
	(void)posix_fadvise(check->fd, (off_t)(blocks->first * INSTALL_BLOCK_LEN),
		(off_t)blocks->count * INSTALL_BLOCK_LEN, POSIX_FADV_DONTNEED);
	install_readback_reach(
		check->readback, (blocks->first + blocks->count) * INSTALL_BLOCK_LEN);
	return OTA_OK;
}

/* All that waits is done at once: where syncs are slow they become fewer. */
static void *run(void *ctx)
{
	struct install_check *check = ctx;

	(void)pthread_mutex_lock(&check->lock);
	while (check->error.code == OTA_OK &&
		!(check->ends && check->waiting.count == 0)) {
		struct waiting blocks = check->waiting;
		struct ota_error err = { 0 };

		if (blocks.count == 0) {
			(void)pthread_cond_wait(&check->changed, &check->lock);
			continue;
		}
		check->waiting.count = 0;
		check->under_way = blocks.count;
		(void)pthread_cond_signal(&check->changed);
		(void)pthread_mutex_unlock(&check->lock);
		err.code = checkpoint(check, &blocks, &err);
		(void)pthread_mutex_lock(&check->lock);
		check->error = err;
		check->under_way = 0;
		(void)pthread_cond_signal(&check->changed);
	}
	(void)pthread_mutex_unlock(&check->lock);
	return NULL;
}

static unsigned waiting_max(uint64_t blocks)
{
	uint64_t share = blocks / WAITING_SHARE;

	if (share < 1)
		return 1;
	return share < WAITING_MAX ? (unsigned)share : WAITING_MAX;
}

enum ota_code install_check_new(int fd, struct install_mark *mark,
	struct install_readback *readback, struct install_check **out,
	struct ota_error *err)
{
	ota_autofree struct install_check *check = calloc(1, sizeof *check);

	if (check == NULL)
		return ota_fail(err, OTA_E_NOMEM, "checkpoints");
	check->fd = fd;
	check->mark = mark;
	check->readback = readback;
	check->waiting_max = waiting_max(install_mark_blocks(mark->head.to_len));
	(void)pthread_mutex_init(&check->lock, NULL);
	(void)pthread_cond_init(&check->changed, NULL);
	if (pthread_create(&check->thread, NULL, run, check) != 0)
		return ota_fail(err, OTA_E_NOMEM, "no thread for checkpoints");
	*out = ota_take(&check);
	return OTA_OK;
}

/* The lock is held. */
static OTA_CHECKED enum ota_code verdict(
	const struct install_check *check, struct ota_error *err)
{
	return check->error.code == OTA_OK
		       ? OTA_OK
		       : ota_fail(err, check->error.code, "%s", check->error.text);
}

enum ota_code install_check_block(struct install_check *check, uint64_t block,
	const struct ota_digest *digest, struct ota_error *err)
{
	struct waiting *waiting = &check->waiting;
	enum ota_code rc;

	(void)pthread_mutex_lock(&check->lock);
	/* What failed is no longer under way: there is room, then, too. */
	while (waiting->count + check->under_way >= check->waiting_max)
		(void)pthread_cond_wait(&check->changed, &check->lock);
	rc = verdict(check, err);
	if (rc == OTA_OK) {
		if (waiting->count == 0)
			waiting->first = block;
		waiting->digests[waiting->count++] = *digest;
		(void)pthread_cond_signal(&check->changed);
	}
	(void)pthread_mutex_unlock(&check->lock);
	return rc;
}

enum ota_code install_check_wait(struct install_check *check, struct ota_error *err)
{
	enum ota_code rc;

	(void)pthread_mutex_lock(&check->lock);
	while (check->waiting.count + check->under_way > 0 && check->error.code == OTA_OK)
		(void)pthread_cond_wait(&check->changed, &check->lock);
	rc = verdict(check, err);
	(void)pthread_mutex_unlock(&check->lock);
	return rc;
}

void install_check_free(struct install_check *check)
{
	if (check == NULL)
		return;
	(void)pthread_mutex_lock(&check->lock);
	check->ends = true;
	(void)pthread_cond_signal(&check->changed);
	(void)pthread_mutex_unlock(&check->lock);
	(void)pthread_join(check->thread, NULL);
	(void)pthread_mutex_destroy(&check->lock);
	(void)pthread_cond_destroy(&check->changed);
	free(check);
}

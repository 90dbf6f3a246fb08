#include <criterion/criterion.h>

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "agent/port/install_check.h"
#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* Threads of an install that are held at a call, and let go once the test's own thread
 * waits for them: what each of them finds is the same in every run. */

#define BLOCK ((uint64_t)INSTALL_BLOCK_LEN)

static struct agent_slot_config config = { .type = AGENT_SLOT_BLOCK };
static const struct slot_place place = { &config, 1 };
static char mark_path[256];
static atomic_bool stop;
static int fd = -1;
static struct install_mark mark = { .fd = -1 };
static struct install_readback *readback;
static struct install_check *check;
static struct ota_error err;

/* ---- holding ---- */

static pthread_t self;       /* the test's */
static atomic_bool holds;    /* calls are held from now on */
static sem_t held, released; /* one is; it may go on */
static sem_t idle;           /* a thread has nothing to do */
static atomic_int sync_error;
static atomic_uint syncs; /* of the slot */

static void hold(void)
{
	if (!atomic_exchange(&holds, false))
		return;
	(void)sem_post(&held);
	(void)sem_wait(&released);
}

enum ota_code __real_ota_fd_sync(int file, struct ota_error *why);
enum ota_code __wrap_ota_fd_sync(int file, struct ota_error *why);
enum ota_code __wrap_ota_fd_sync(int file, struct ota_error *why)
{
	if (file != fd)
		return __real_ota_fd_sync(file, why);
	atomic_fetch_add(&syncs, 1);
	hold();
	if (atomic_load(&sync_error) != 0)
		return ota_fail(why, OTA_E_IO, "no such luck");
	return __real_ota_fd_sync(file, why);
}

enum ota_code __real_image_file_read(const struct image_file *image, uint64_t at,
	uint8_t *piece, size_t len, struct ota_error *why);
enum ota_code __wrap_image_file_read(const struct image_file *image, uint64_t at,
	uint8_t *piece, size_t len, struct ota_error *why);
enum ota_code __wrap_image_file_read(const struct image_file *image, uint64_t at,
	uint8_t *piece, size_t len, struct ota_error *why)
{
	hold();
	return __real_image_file_read(image, at, piece, len, why);
}

/* The lock is held: what is let go here finds that somebody waits. */
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	(void)sem_post(pthread_equal(pthread_self(), self) ? &released : &idle);
	return __real_pthread_cond_wait(cond, lock);
}

int __real_pthread_join(pthread_t thread, void **out);
int __wrap_pthread_join(pthread_t thread, void **out);
int __wrap_pthread_join(pthread_t thread, void **out)
{
	(void)sem_post(&released);
	return __real_pthread_join(thread, out);
}

/* ---- one slot ---- */

static void set_up(void)
{
	temporary_make();
	self = pthread_self();
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&released, 0, 0);
	(void)sem_init(&idle, 0, 0);
	(void)snprintf(
		config.devices[1], sizeof config.devices[1], "%s/b", temporary_dir);
	(void)snprintf(mark_path, sizeof mark_path, "%s/mark", temporary_dir);
	fd = open(config.devices[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
}

static void tear_down(void)
{
	(void)close(fd);
	install_mark_fini(&mark);
	temporary_remove();
}

TestSuite(install_check, .init = set_up, .fini = tear_down, .timeout = 60);

static void start_readback(uint64_t blocks)
{
	const struct install_mark_head head = { .slot = 1, .to_len = blocks * BLOCK };

	cr_assert_eq(ftruncate(fd, (off_t)head.to_len), 0);
	cr_assert_eq(
		install_mark_open(mark_path, &head, &mark, &err), OTA_OK, "%s", err.text);
	cr_assert_eq(install_readback_new(&place, head.to_len, &stop, &readback, &err),
		OTA_OK, "%s", err.text);
	(void)sem_wait(&idle);
}

static void start(uint64_t blocks)
{
	start_readback(blocks);
	cr_assert_eq(install_check_new(fd, &mark, readback, &check, &err), OTA_OK, "%s",
		err.text);
	(void)sem_wait(&idle);
}

static void end(void)
{
	install_check_free(check);
	install_readback_free(readback);
}

static enum ota_code put(uint64_t block)
{
	const struct ota_digest digest = { { (uint8_t)(block + 1) } };

	return install_check_block(check, block, &digest, &err);
}

/* The first block is put, and held while it is synced. */
static void put_first(void)
{
	atomic_store(&holds, true);
	cr_assert_eq(put(0), OTA_OK, "%s", err.text);
	(void)sem_wait(&held);
}

static unsigned marked(void)
{
	unsigned count = 0;

	for (struct ota_digest d = install_mark_get(&mark, 0); d.at[0] == count + 1;
		d = install_mark_get(&mark, count))
		count++;
	return count;
}

/* ---- how many wait ---- */

/* While the first block is synced `more` others are taken; the next one waits for it, and
 * those are then synced at once. */
static void expect_room(uint64_t blocks, unsigned more)
{
	start(blocks);
	put_first();
	for (unsigned i = 1; i <= more; i++)
		cr_expect_eq(put(i), OTA_OK);
	cr_expect_eq(marked(), 0);
	cr_expect_eq(sem_trywait(&released), -1, "nobody had to wait so far");
	cr_expect_eq(put(more + 1), OTA_OK);
	cr_expect_geq(marked(), 1, "it waited");
	cr_expect_eq(install_check_wait(check, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(marked(), more + 2);
	end();
}

Test(install_check, of_a_small_image_no_block_waits)
{
	expect_room(15, 0);
}

Test(install_check, a_sixteenth_of_an_image_may_wait)
{
	expect_room(48, 2);
}

Test(install_check, four_blocks_wait_at_most)
{
	expect_room(1000, 3);
}

/* ---- how it ends ---- */

Test(install_check, what_waits_at_the_end_is_synced_and_marked)
{
	start(64);
	put_first();
	cr_expect_eq(put(1), OTA_OK);
	cr_expect_eq(put(2), OTA_OK);
	end();
	cr_expect_eq(marked(), 3);
	cr_expect_eq(atomic_load(&syncs), 2, "one, and then two at once");
	install_check_free(NULL);
}

Test(install_check, the_last_block_is_waited_for)
{
	start(15);
	put_first();
	cr_expect_eq(install_check_wait(check, &err), OTA_OK, "%s", err.text);
	cr_expect_eq(marked(), 1);
	end();
}

Test(install_check, after_a_sync_that_failed_nothing_is_synced_any_more)
{
	start(64);
	put_first();
	cr_expect_eq(put(1), OTA_OK);
	atomic_store(&sync_error, 1);
	cr_expect_eq(install_check_wait(check, &err), OTA_E_IO);
	cr_expect_str_eq(err.text, "no such luck");
	cr_expect_eq(put(2), OTA_E_IO);
	cr_expect_eq(install_check_wait(check, &err), OTA_E_IO);
	end();
	cr_expect_eq(marked(), 0);
	cr_expect_eq(atomic_load(&syncs), 1);
}

Test(install_check, who_waits_for_room_is_told_of_a_failure)
{
	start(64);
	put_first();
	for (uint64_t i = 1; i < 4; i++)
		cr_expect_eq(put(i), OTA_OK);
	atomic_store(&sync_error, 1);
	cr_expect_eq(put(4), OTA_E_IO);
	end();
	cr_expect_eq(marked(), 0);
}

Test(install_check, a_mark_that_cannot_be_written_is_told)
{
	start(15);
	cr_assert(faults_arm_text("pwrite64,28,0"));
	cr_expect_eq(put(0), OTA_OK);
	cr_expect_eq(install_check_wait(check, &err), OTA_E_NOSPACE);
	cr_expect(faults_fired());
	end();
}

Test(install_check, without_memory_or_a_thread_it_does_not_start)
{
	static const char *const faults[] = { "calloc,12,0", "pthread_create,11,0" };

	start_readback(15);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		cr_assert(faults_arm_text(faults[i]));
		cr_expect_eq(install_check_new(fd, &mark, readback, &check, &err),
			OTA_E_NOMEM);
		cr_expect(faults_fired(), "%s", faults[i]);
		cr_expect_null(check);
	}
	end();
}

/* ---- reading back ---- */

Test(install_check, what_may_be_read_back_is_waited_for)
{
	static const uint8_t zeros[2 * INSTALL_BLOCK_LEN];
	const struct ota_digest wanted =
		ota_digest_of((struct ota_bytes){ zeros, sizeof zeros });
	struct ota_digest found;

	start_readback(2);
	atomic_store(&holds, true);
	install_readback_reach(readback, BLOCK);
	(void)sem_wait(&held);
	install_readback_wait(readback);
	cr_expect_eq(sem_trywait(&idle), 0, "it has nothing left to read");
	while (sem_trywait(&released) == 0)
		continue;
	atomic_store(&holds, true);
	cr_expect_eq(
		install_readback_finish(readback, &found, &err), OTA_OK, "%s", err.text);
	cr_expect(ota_digest_equal(&found, &wanted));
	end();
}

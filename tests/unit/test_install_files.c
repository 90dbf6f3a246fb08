#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/spool_layout.h"
#include "agent/port/install_files.h"
#include "proto/base/own.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

/* What the installer keeps as files, and what it says when it cannot. */

#define SEED "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct agent_config config;
static struct install_files files;
static struct ota_error err;

static void set_path(char out[static AGENT_PATH_CAP], const char *name)
{
	(void)snprintf(out, AGENT_PATH_CAP, "%s/%s", temporary_dir, name);
}

static void write_key(const char *text, mode_t mode)
{
	temporary_write("key", text);
	cr_assert_eq(chmod(config.device_key_file, mode), 0);
}

static void set_up(void)
{
	temporary_in_memory = true;
	temporary_make();
	config = (struct agent_config){ .spool_max_bytes = 1 << 20 };
	set_path(config.root_file, "root");
	set_path(config.device_key_file, "key");
	set_path(config.state_dir, "state");
	set_path(config.spool_dir, "spool");
	set_path(config.slot.dir, "slots");
	cr_assert_eq(ota_dir_make(config.state_dir, 0700, NULL), OTA_OK);
	cr_assert_eq(ota_dir_make(config.spool_dir, 0700, NULL), OTA_OK);
	cr_assert_eq(ota_dir_make(config.slot.dir, 0700, NULL), OTA_OK);
	temporary_write("root", "the root");
	write_key(SEED "\n", 0600);
	files = (struct install_files){ .journal = { .fd = -1 } };
	err = (struct ota_error){ 0 };
}

static void tear_down(void)
{
	install_files_fini(&files);
	temporary_remove();
}

TestSuite(install_files, .init = set_up, .fini = tear_down, .timeout = 60);

static void open_files(void)
{
	cr_assert_eq(install_files_open(&config, &files, &err), OTA_OK, "%s", err.text);
}

static void expect_open_fails(enum ota_code code, const char *text)
{
	struct ota_error why = { 0 };

	cr_expect_eq(install_files_open(&config, &files, &why), code, "%s", why.text);
	cr_expect_not_null(strstr(why.text, text), "%s", why.text);
	cr_expect_eq(files.journal.fd, -1, "out is touched");
}

Test(install_files, what_is_wrong_with_a_key_is_said)
{
	write_key(SEED, 0640);
	expect_open_fails(OTA_E_CONFIG, "key: must be for its owner alone (0600)");
	write_key("", 0600);
	expect_open_fails(OTA_E_CONFIG, "key: must be 64 hex digits");
	write_key("short\n", 0600);
	expect_open_fails(OTA_E_CONFIG, "key: must be 64 hex digits");
	write_key(SEED "00 and more", 0600);
	expect_open_fails(OTA_E_LIMIT, "device_key: ");
	cr_assert_eq(unlink(config.device_key_file), 0);
	expect_open_fails(OTA_E_NOTFOUND, "device_key: ");
}

Test(install_files, a_key_needs_no_line_end)
{
	struct ota_secret_key with, without;
	struct ota_public_key a, b;

	cr_assert_eq(install_files_key(config.device_key_file, &with, &err), OTA_OK);
	write_key(SEED, 0600);
	cr_assert_eq(install_files_key(config.device_key_file, &without, &err), OTA_OK);
	a = ota_secret_key_public(&with);
	b = ota_secret_key_public(&without);
	cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(install_files, a_root_or_a_state_that_cannot_be_read_is_said)
{
	cr_assert_eq(unlink(config.root_file), 0);
	expect_open_fails(OTA_E_NOTFOUND, "root: ");
	temporary_write("root", "the root");
	set_path(config.state_dir, "key/below");
	expect_open_fails(OTA_E_IO, "state_dir: ");
}

/* ---- the journal ---- */

static void expect_journal(const char *text)
{
	struct install_files again = { .journal = { .fd = -1 } };

	cr_assert_eq(install_files_open(&config, &again, &err), OTA_OK, "%s", err.text);
	cr_expect(ota_bytes_equal(ota_buf_bytes(&again.first), ota_bytes_of(text)), "%s",
		text);
	install_files_fini(&again);
}

static enum ota_code store(const char *text)
{
	err = (struct ota_error){ 0 };
	return install_files_store(&files, ota_bytes_of(text), &err);
}

Test(install_files, a_store_that_fails_once_is_done_on_a_new_descriptor)
{
	struct faults walk = { .only = "pwrite64 fdatasync fsync " };

	open_files();
	cr_assert_eq(store("first"), OTA_OK);
	while (faults_next(&walk)) {
		faults_arm(&walk);
		cr_expect_eq(store(faults_text(&walk)), OTA_OK, "%s: %s",
			faults_text(&walk), err.text);
		(void)faults_disarm(&walk);
		expect_journal(faults_text(&walk));
	}
	cr_expect_geq(walk.count, 3);
}

/* As if the medium had become read-only: the old journal stands. */
Test(install_files, a_store_that_fails_twice_is_said_and_the_old_one_stands)
{
	char state[AGENT_PATH_CAP];

	open_files();
	cr_assert_eq(store("the old one"), OTA_OK);
	cr_assert_geq(dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), files.journal.fd), 0);
	(void)snprintf(state, sizeof state, "%s", config.state_dir);
	set_path(config.state_dir, "gone");
	cr_expect_eq(store("the new one"), OTA_E_IO);
	cr_expect_not_null(strstr(err.text, "gone"), "%s", err.text);
	(void)snprintf(config.state_dir, sizeof config.state_dir, "%s", state);
	expect_journal("the old one");
	cr_expect_eq(store("the new one"), OTA_OK, "%s", err.text);
	expect_journal("the new one");
}

/* ---- documents and room ---- */

Test(install_files, each_kind_of_document_has_a_file_of_its_own)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_ROOT, OTA_TOPIC_CATALOG,
		OTA_TOPIC_FRESH, OTA_TOPIC_RELEASE, OTA_TOPIC_GRANT, OTA_TOPIC_ORDER,
		OTA_TOPIC_ASSIGN };
	enum { COUNT = sizeof kinds / sizeof kinds[0] };

	open_files();
	for (uint8_t i = 0; i < COUNT; i++)
		cr_assert_eq(install_files_doc_store(
				     &files, kinds[i], (struct ota_bytes){ &i, 1 }, &err),
			OTA_OK, "%s", err.text);
	for (uint8_t i = 0; i < COUNT; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf found = { 0 };

		cr_assert_eq(
			install_files_doc_load(&files, kinds[i], &found, &err), OTA_OK);
		cr_expect(found.len == 1 && found.at[0] == i, "kind %u", i);
	}
}

static struct agent_room room(enum ota_code code)
{
	static const struct ota_digest patch = { { 7 } };
	struct agent_room found = { 0 };

	err = (struct ota_error){ 0 };
	cr_expect_eq(install_files_room(&files, 1, &patch, &found, &err), code, "%s",
		err.text);
	return found;
}

Test(install_files, room_is_what_the_spool_may_hold_or_what_is_free)
{
	open_files();
	cr_expect_eq(room(OTA_OK).spool, 1 << 20);
	cr_expect_gt(room(OTA_OK).slot, 1 << 20);
	config.spool_max_bytes = UINT64_MAX;
	cr_expect_lt(room(OTA_OK).spool, UINT64_MAX);
	set_path(config.spool_dir, "gone");
	cr_expect_eq(room(OTA_E_IO).slot, 0, "out is touched");
	cr_expect_not_null(strstr(err.text, "room: "), "%s", err.text);
}

/* Bytes that are there already count as room: they are of this patch. */
Test(install_files, what_was_fetched_before_is_room)
{
	static uint8_t data[1 << 20] = { 1 };
	static const struct ota_digest patch = { { 7 } };
	char hex[OTA_DIGEST_HEX_CAP], dir[2 * AGENT_PATH_CAP], path[3 * AGENT_PATH_CAP];
	uint64_t free_bytes;

	open_files();
	config.spool_max_bytes = UINT64_MAX;
	ota_digest_hex(&patch, hex);
	(void)snprintf(dir, sizeof dir, "%s/%s", config.spool_dir, hex);
	(void)snprintf(path, sizeof path, "%s/%s", dir, SPOOL_DATA);
	cr_assert_eq(mkdir(dir, 0700), 0);
	cr_assert_eq(ota_file_replace(
			     path, (struct ota_bytes){ data, sizeof data }, 0600, &err),
		OTA_OK);
	cr_assert_eq(truncate(path, sizeof data), 0);
	cr_assert_eq(ota_disk_free(config.spool_dir, &free_bytes, &err), OTA_OK);
	/* Others write to the same medium meanwhile. */
	cr_expect_gt(room(OTA_OK).spool + sizeof data / 2, free_bytes);
}

/* ---- each call fails once ---- */

static enum ota_code use_all(void)
{
	static const struct ota_digest patch = { { 7 } };
	OTA_AUTO(install_files_fini)
	struct install_files mine = { .journal = { .fd = -1 } };
	OTA_AUTO(ota_buf_fini) struct ota_buf found = { 0 };
	struct agent_room room = { 0 };
	enum ota_code rc;

	err = (struct ota_error){ 0 };
	rc = install_files_open(&config, &mine, &err);
	if (rc == OTA_OK)
		rc = install_files_store(&mine, ota_bytes_of("journal"), &err);
	if (rc == OTA_OK)
		rc = install_files_doc_store(
			&mine, OTA_TOPIC_ORDER, ota_bytes_of("order"), &err);
	if (rc == OTA_OK)
		rc = install_files_doc_load(&mine, OTA_TOPIC_ORDER, &found, &err);
	if (rc == OTA_OK)
		rc = install_files_room(&mine, 1, &patch, &room, &err);
	return rc;
}

Test(install_files, each_call_may_fail_and_is_told)
{
	struct faults walk = { 0 };

	while (faults_next(&walk)) {
		enum ota_code rc;

		faults_arm(&walk);
		rc = use_all();
		(void)faults_disarm(&walk);
		cr_expect(rc == OTA_OK || err.text[0] != '\0', "%s", faults_text(&walk));
		cr_expect_neq(rc, OTA_E_DIGEST, "%s", faults_text(&walk));
		if (rc != OTA_OK)
			cr_expect_eq(use_all(), OTA_OK, "after %s: %s",
				faults_text(&walk), err.text);
		expect_journal("journal");
	}
	cr_expect_geq(walk.count, 30);
}

Test(install_files, room_that_cannot_be_measured_is_told)
{
	static const struct ota_digest patch = { { 7 } };
	struct faults walk = { .only = "ota_path_join statfs64 lstat64 open64 " };

	open_files();
	while (faults_next(&walk)) {
		struct agent_room found = { 0 };
		enum ota_code rc;

		faults_arm(&walk);
		rc = install_files_room(&files, 1, &patch, &found, &err);
		(void)faults_disarm(&walk);
		cr_expect_eq(
			rc == OTA_OK, found.spool == 1 << 20, "%s", faults_text(&walk));
		cr_expect_eq(room(OTA_OK).spool, 1 << 20);
	}
	cr_expect_geq(walk.count, 4);
}

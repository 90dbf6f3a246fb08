#include "agent/port/install_files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/core/spool_layout.h"
#include "agent/port/slot_medium.h"
#include "proto/base/own.h"

enum {
	SEED_LEN = 32,                      /* bytes */
	KEY_FILE_MAX = 2 * SEED_LEN + 2,    /* bytes, with a line end */
	PATH_MAX_LEN = AGENT_PATH_CAP + 80, /* below a configured directory */
};

static void wipe(struct ota_buf *buf)
{
	if (buf->at != NULL)
		explicit_bzero(buf->at, buf->cap);
	ota_buf_fini(buf);
}

enum ota_code install_files_key(
	const char *path, struct ota_secret_key *out, struct ota_error *err)
{
	OTA_AUTO(wipe) struct ota_buf text = { 0 };
	char hex[2 * SEED_LEN + 1] = "";
	uint8_t seed[SEED_LEN];
	struct stat st;
	enum ota_code rc = ota_file_read(path, KEY_FILE_MAX, &text, err);

	if (rc != OTA_OK)
		return rc;
	if (stat(path, &st) != 0 || (st.st_mode & 077) != 0)
		return ota_fail(err, OTA_E_CONFIG,
			"%s: must be for its owner alone (0600)", path);
	if (text.len > 0 && text.at[text.len - 1] == '\n')
		text.len--;
	if (text.len == sizeof hex - 1)
		memcpy(hex, text.at, sizeof hex - 1);
	rc = ota_hex_decode(hex, seed, sizeof seed);
	explicit_bzero(hex, sizeof hex);
	if (rc != OTA_OK)
		return ota_fail(err, OTA_E_CONFIG, "%s: must be 64 hex digits", path);
	*out = ota_secret_key_from_seed(seed);
	explicit_bzero(seed, sizeof seed);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code open_journal(const struct agent_config *config,
	struct ota_record_file *out, struct ota_buf *bytes, struct ota_error *err)
{
	char path[PATH_MAX_LEN];
	enum ota_code rc =
		ota_path_join(config->state_dir, "journal", path, sizeof path, err);

	return rc == OTA_OK ? ota_record_open(path, out, bytes, err) : rc;
}

static OTA_CHECKED enum ota_code make_dirs(
	const struct agent_config *config, struct ota_error *err)
{
	char docs[PATH_MAX_LEN];
	enum ota_code rc =
		ota_path_join(config->state_dir, "docs", docs, sizeof docs, err);

	return rc == OTA_OK ? ota_dir_make(docs, 0700, err) : rc;
}

enum ota_code install_files_open(const struct agent_config *config,
	struct install_files *out, struct ota_error *err)
{
	OTA_AUTO(install_files_fini)
	struct install_files files = { .config = config, .journal = { .fd = -1 } };
	enum ota_code rc = install_files_key(config->device_key_file, &files.key, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "device_key");
	rc = ota_file_read(config->root_file, OTA_ENVELOPE_LEN_MAX, &files.root, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "root");
	rc = make_dirs(config, err);
	if (rc == OTA_OK)
		rc = open_journal(config, &files.journal, &files.first, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "state_dir");
	*out = files;
	files = (struct install_files){ .journal = { .fd = -1 } };
	return OTA_OK;
}

void install_files_fini(struct install_files *files)
{
	ota_record_fini(&files->journal);
	ota_buf_fini(&files->first);
	ota_buf_fini(&files->root);
	ota_secret_key_fini(&files->key);
}

enum ota_code install_files_store(
	struct install_files *files, struct ota_bytes journal, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf newest = { 0 };
	enum ota_code rc = ota_record_write(&files->journal, journal, err);

	if (rc == OTA_OK)
		return rc;
	ota_record_fini(&files->journal);
	rc = open_journal(files->config, &files->journal, &newest, err);
	return rc == OTA_OK ? ota_record_write(&files->journal, journal, err) : rc;
}

/* ---- documents ---- */

static const char *const doc_names[OTA_N_TOPIC_KINDS] = {
	[OTA_TOPIC_ROOT] = "root",
	[OTA_TOPIC_CATALOG] = "catalog",
	[OTA_TOPIC_FRESH] = "fresh",
	[OTA_TOPIC_RELEASE] = "release",
	[OTA_TOPIC_GRANT] = "grant",
	[OTA_TOPIC_ORDER] = "order",
	[OTA_TOPIC_ASSIGN] = "assign",
};

static OTA_CHECKED enum ota_code doc_path(const struct install_files *files,
	enum ota_topic_kind kind, char out[static PATH_MAX_LEN], struct ota_error *err)
{
	char docs[PATH_MAX_LEN];
	enum ota_code rc =
		ota_path_join(files->config->state_dir, "docs", docs, sizeof docs, err);

	return rc == OTA_OK ? ota_path_join(docs, doc_names[kind], out, PATH_MAX_LEN, err)
			    : rc;
}

enum ota_code install_files_doc_load(const struct install_files *files,
	enum ota_topic_kind kind, struct ota_buf *out, struct ota_error *err)
{
	char path[PATH_MAX_LEN];
	enum ota_code rc = doc_path(files, kind, path, err);

	return rc == OTA_OK ? ota_file_read(path, OTA_ENVELOPE_LEN_MAX, out, err) : rc;
}

enum ota_code install_files_doc_store(const struct install_files *files,
	enum ota_topic_kind kind, struct ota_bytes envelope, struct ota_error *err)
{
	char path[PATH_MAX_LEN];
	enum ota_code rc = doc_path(files, kind, path, err);

	return rc == OTA_OK ? ota_file_replace(path, envelope, 0600, err) : rc;
}

/* ---- room ---- */

/* Bytes on the medium that a file takes, 0 if it is not there. */
static uint64_t bytes_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static OTA_CHECKED enum ota_code spool_room(const struct install_files *files,
	const struct ota_digest *patch, uint64_t *out, struct ota_error *err)
{
	const struct agent_config *config = files->config;
	char hex[OTA_DIGEST_HEX_CAP], dir[PATH_MAX_LEN], data[PATH_MAX_LEN];
	uint64_t free_bytes;
	enum ota_code rc;

	ota_digest_hex(patch, hex);
	rc = ota_path_join(config->spool_dir, hex, dir, sizeof dir, err);
	if (rc == OTA_OK)
		rc = ota_path_join(dir, SPOOL_DATA, data, sizeof data, err);
	if (rc == OTA_OK)
		rc = ota_disk_free(config->spool_dir, &free_bytes, err);
	if (rc != OTA_OK)
		return rc;
	free_bytes += bytes_of(data);
	*out = free_bytes < config->spool_max_bytes ? free_bytes
						    : config->spool_max_bytes;
	return OTA_OK;
}

enum ota_code install_files_room(const struct install_files *files, unsigned slot,
	const struct ota_digest *patch, struct agent_room *out, struct ota_error *err)
{
	const struct slot_place place = { &files->config->slot, slot };
	struct agent_room room;
	enum ota_code rc = slot_medium_of(place.config)->room(&place, &room.slot, err);

	if (rc == OTA_OK)
		rc = spool_room(files, patch, &room.spool, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "room");
	*out = room;
	return OTA_OK;
}

#include "agent/port/boot_grub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { ALIGNMENT = 4096, LINE_LEN_MAX = BOOT_GRUB_LEN };

static const char HEAD[] = "# GRUB Environment Block\n";
enum { HEAD_LEN = sizeof HEAD - 1 };

/* ---- the block ---- */

/* A line up to its end; a newline behind a backslash belongs to the value. NULL: it has
 * no end. */
static const uint8_t *line_end(const uint8_t *at, const uint8_t *stop)
{
	for (; at < stop; at++) {
		if (*at == '\n')
			return at;
		if (*at == '\\' && ++at == stop)
			return NULL;
	}
	return NULL;
}

/* Which of our variables a line sets; BOOT_N_VARS: none. */
static enum boot_var line_var(struct ota_bytes line)
{
	for (enum boot_var i = 0; i < BOOT_N_VARS; i++) {
		size_t len = strlen(boot_var_name(i));

		if (line.len > len && line.at[len] == '=' &&
			memcmp(line.at, boot_var_name(i), len) == 0)
			return i;
	}
	return BOOT_N_VARS;
}

/* The lines of a block, one after another. */
struct lines {
	const uint8_t *at, *stop;
};

/* The next line into *out, without its end; *more is false behind the last one. */
static OTA_CHECKED enum ota_code next_line(
	struct lines *lines, bool *more, struct ota_bytes *out, struct ota_error *err)
{
	const uint8_t *at = lines->at, *end;

	*more = false;
	if (at == lines->stop)
		return OTA_OK;
	end = line_end(at, lines->stop);
	if (end == NULL) { /* what fills the block */
		for (; at < lines->stop; at++)
			if (*at != '#')
				return ota_fail(err, OTA_E_FORMAT, "a line without end");
		return OTA_OK;
	}
	*out = (struct ota_bytes){ at, (size_t)(end - at) };
	if (memchr(at, '\0', out->len) != NULL)
		return ota_fail(err, OTA_E_FORMAT, "a NUL in a line");
	if (*at != '#' && memchr(at, '=', out->len) == NULL)
		return ota_fail(err, OTA_E_FORMAT, "a line without '='");
	lines->at = end + 1;
	*more = true;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code lines_of(
	struct ota_bytes block, struct lines *out, struct ota_error *err)
{
	if (block.len != BOOT_GRUB_LEN)
		return ota_fail(
			err, OTA_E_FORMAT, "%zu bytes, not %d", block.len, BOOT_GRUB_LEN);
	if (memcmp(block.at, HEAD, HEAD_LEN) != 0)
		return ota_fail(err, OTA_E_FORMAT, "no environment block of GRUB");
	*out = (struct lines){ block.at + HEAD_LEN, block.at + block.len };
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_value(
	struct ota_bytes line, struct boot_text *out, struct ota_error *err)
{
	enum boot_var var = line_var(line);
	size_t skip;

	if (var == BOOT_N_VARS)
		return OTA_OK;
	skip = strlen(boot_var_name(var)) + 1;
	if (out->value[var][0] != '\0')
		return ota_fail(
			err, OTA_E_FORMAT, "%s stands there twice", boot_var_name(var));
	if (line.len - skip >= BOOT_VALUE_CAP)
		return ota_fail(err, OTA_E_FORMAT, "%s is too long", boot_var_name(var));
	memcpy(out->value[var], line.at + skip, line.len - skip);
	return OTA_OK;
}

enum ota_code boot_grub_parse(
	struct ota_bytes block, struct boot_text *out, struct ota_error *err)
{
	struct boot_text text = { 0 };
	struct ota_bytes line = { 0 };
	struct lines lines;
	bool more = true;
	enum ota_code rc = lines_of(block, &lines, err);

	while (rc == OTA_OK && more) {
		rc = next_line(&lines, &more, &line, err);
		if (rc == OTA_OK && more)
			rc = take_value(line, &text, err);
	}
	if (rc == OTA_OK)
		*out = text;
	return rc;
}

/* ---- a new block ---- */

struct writer {
	uint8_t *out;
	size_t len;
};

static OTA_CHECKED enum ota_code add(
	struct writer *w, const void *bytes, size_t len, struct ota_error *err)
{
	if (len > BOOT_GRUB_LEN - w->len)
		return ota_fail(err, OTA_E_NOSPACE,
			"GRUB's environment block is full; remove variables of others");
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
	return OTA_OK;
}

enum { LINE_CAP = 64 }; /* bytes of a variable of ours, with a NUL */
_Static_assert(
	HEAD_LEN + BOOT_N_VARS * LINE_CAP <= BOOT_GRUB_SECTOR_LEN, "ours fit a sector");

static void add_ours(struct writer *w, const struct boot_text *text)
{
	memcpy(w->out, HEAD, HEAD_LEN);
	w->len = HEAD_LEN;
	for (enum boot_var i = 0; i < BOOT_N_VARS; i++) {
		char line[LINE_CAP];
		int len = snprintf(
			line, sizeof line, "%s=%s\n", boot_var_name(i), text->value[i]);

		if (text->value[i][0] == '\0')
			continue;
		memcpy(w->out + w->len, line, (size_t)len);
		w->len += (size_t)len;
	}
}

static OTA_CHECKED enum ota_code add_others(
	struct writer *w, struct ota_bytes old, struct ota_error *err)
{
	struct ota_bytes line = { 0 };
	struct lines lines;
	bool more = true;
	enum ota_code rc = lines_of(old, &lines, err);

	while (rc == OTA_OK && more) {
		rc = next_line(&lines, &more, &line, err);
		if (rc == OTA_OK && more && line_var(line) == BOOT_N_VARS)
			rc = add(w, line.at, line.len + 1, err);
	}
	return rc;
}

enum ota_code boot_grub_encode(const struct boot_text *text, struct ota_bytes old,
	uint8_t out[static BOOT_GRUB_LEN], struct ota_error *err)
{
	uint8_t block[BOOT_GRUB_LEN];
	struct writer w = { .out = block };
	enum ota_code rc = OTA_OK;

	memset(block, '#', sizeof block);
	add_ours(&w, text);
	if (old.len > 0)
		rc = add_others(&w, old, err);
	if (rc == OTA_OK)
		memcpy(out, block, sizeof block);
	return rc;
}

/* ---- the file ---- */

enum ota_code boot_grub_open(
	const char *path, struct boot_grub *out, struct ota_error *err)
{
	struct boot_grub grub;
	int len = snprintf(grub.paths[1], AGENT_PATH_CAP, "%s.2", path);

	if (len >= AGENT_PATH_CAP)
		return ota_fail(err, OTA_E_LIMIT, "%s: path too long", path);
	(void)snprintf(grub.paths[0], AGENT_PATH_CAP, "%s", path);
	*out = grub;
	return OTA_OK;
}

/* Past the cache where the file system can (not tmpfs). */
static int open_direct(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

enum ota_code boot_grub_read(
	const char *path, uint8_t out[static BOOT_GRUB_LEN], struct ota_error *err)
{
	_Alignas(ALIGNMENT) uint8_t page[ALIGNMENT];
	ota_autoclose int fd = open_direct(path);
	ssize_t got;

	if (fd < 0)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	got = pread(fd, page, sizeof page, 0);
	if (got < 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (got != BOOT_GRUB_LEN)
		return ota_fail(err, OTA_E_FORMAT, "%s: %zd bytes, not %d", path, got,
			BOOT_GRUB_LEN);
	memcpy(out, page, BOOT_GRUB_LEN);
	return OTA_OK;
}

/* In place: the file keeps its length and its sectors. One that is not there is made. */
static OTA_CHECKED enum ota_code overwrite(const char *path,
	const uint8_t block[static BOOT_GRUB_LEN], struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	struct stat st;
	enum ota_code rc;

	if (fd < 0 || fstat(fd, &st) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	rc = ota_fd_write_at(fd, 0, (struct ota_bytes){ block, BOOT_GRUB_LEN }, err);
	if (rc == OTA_OK && st.st_size > BOOT_GRUB_LEN &&
		ftruncate(fd, BOOT_GRUB_LEN) != 0)
		rc = ota_fail(err, OTA_E_IO, "%s", strerror(errno));
	if (rc == OTA_OK && fsync(fd) != 0)
		rc = ota_fail(err, OTA_E_IO, "fsync: %s", strerror(errno));
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "%s", path);
}

static OTA_CHECKED enum ota_code overwrite_and_sync(const char *path,
	const uint8_t block[static BOOT_GRUB_LEN], struct ota_error *err)
{
	char dir[AGENT_PATH_CAP];
	bool is_new = access(path, F_OK) != 0;
	enum ota_code rc = overwrite(path, block, err);

	if (rc != OTA_OK || !is_new)
		return rc;
	(void)snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	return ota_dir_sync(dir, err);
}

/* The block that is valid, the first if both are. */
static OTA_CHECKED enum ota_code read_valid(const struct boot_grub *grub,
	uint8_t block[static BOOT_GRUB_LEN], struct boot_text *out, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (unsigned i = 2; i-- > 0;) {
		/* The complaint that counts is about the first one. */
		const char *path = grub->paths[1 - i];
		struct ota_error *whom = i == 1 ? err : NULL;
		enum ota_code one = boot_grub_read(path, block, whom);

		if (one == OTA_OK)
			one = boot_grub_parse(
				(struct ota_bytes){ block, BOOT_GRUB_LEN }, out, whom);
		if (one == OTA_OK)
			return OTA_OK;
		if (i == 1)
			rc = ota_wrap(err, one, "%s", path);
	}
	return rc;
}

static enum ota_code load(void *ctx, struct boot_text *out, struct ota_error *err)
{
	uint8_t block[BOOT_GRUB_LEN];

	return read_valid(ctx, block, out, err);
}

/* The first one first: as long as it is valid nobody looks at the second one. */
static enum ota_code store(void *ctx, const struct boot_text *text, struct ota_error *err)
{
	const struct boot_grub *grub = ctx;
	uint8_t old[BOOT_GRUB_LEN], block[BOOT_GRUB_LEN];
	struct boot_text now;
	struct ota_bytes old_bytes = { old, 0 };
	enum ota_code rc;

	if (read_valid(grub, old, &now, NULL) == OTA_OK)
		old_bytes.len = sizeof old;
	rc = boot_grub_encode(text, old_bytes, block, err);
	for (unsigned i = 0; rc == OTA_OK && i < 2; i++)
		rc = overwrite_and_sync(grub->paths[i], block, err);
	return rc;
}

static bool is_valid(const char *path, uint8_t block[static BOOT_GRUB_LEN])
{
	struct boot_text text;

	return boot_grub_read(path, block, NULL) == OTA_OK &&
	       boot_grub_parse((struct ota_bytes){ block, BOOT_GRUB_LEN }, &text, NULL) ==
		       OTA_OK;
}

enum ota_code boot_grub_mend(
	const struct boot_grub *grub, bool *mended, struct ota_error *err)
{
	uint8_t blocks[2][BOOT_GRUB_LEN];
	bool valid[2] = { is_valid(grub->paths[0], blocks[0]),
		is_valid(grub->paths[1], blocks[1]) };

	*mended = valid[0] != valid[1];
	if (!*mended)
		return OTA_OK;
	if (valid[0])
		return overwrite_and_sync(grub->paths[1], blocks[0], err);
	return overwrite_and_sync(grub->paths[0], blocks[1], err);
}

struct boot_store boot_grub_store(struct boot_grub *grub)
{
	return (struct boot_store){
		.ctx = grub, .prefix = "", .load = load, .store = store
	};
}

#include "agent/port/boot_uboot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "agent/port/command.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { CONFIG_MAX = 16384, NAME_CAP = 32, FIELDS_MIN = 3, FIELDS_MAX = 5 };

static const char PREFIX[] = "BOOT_";

/* ---- fw_env.config ---- */

/* Fields of a line, parted by blanks; more than FIELDS_MAX are counted only. */
static unsigned split(struct ota_bytes line, struct ota_bytes fields[static FIELDS_MAX])
{
	unsigned count = 0;

	for (size_t at = 0; at < line.len;) {
		size_t begin;

		while (at < line.len && (line.at[at] == ' ' || line.at[at] == '\t'))
			at++;
		for (begin = at;
			at < line.len && line.at[at] != ' ' && line.at[at] != '\t';)
			at++;
		if (at == begin)
			break;
		if (count < FIELDS_MAX)
			fields[count] = (struct ota_bytes){ line.at + begin, at - begin };
		count++;
	}
	return count;
}

static bool is_number(struct ota_bytes field)
{
	size_t at = field.len > 1 && field.at[0] == '-' ? 1 : 0;
	bool hex = field.len > at + 2 && field.at[at] == '0' && field.at[at + 1] == 'x';

	at += hex ? 2 : 0;
	if (field.len - at > 16)
		return false;
	for (; at < field.len; at++)
		if (strchr(hex ? "0123456789abcdefABCDEF" : "0123456789", field.at[at]) ==
				NULL ||
			field.at[at] == '\0')
			return false;
	return true;
}

static OTA_CHECKED enum ota_code take_copy(
	struct ota_bytes line, struct boot_uboot_config *out, struct ota_error *err)
{
	struct ota_bytes fields[FIELDS_MAX];
	unsigned count = split(line, fields);

	if (count == 0 || fields[0].at[0] == '#')
		return OTA_OK;
	if (out->count == BOOT_UBOOT_COPIES_MAX)
		return ota_fail(err, OTA_E_LIMIT, "more than two copies");
	if (count < FIELDS_MIN || count > FIELDS_MAX)
		return ota_fail(err, OTA_E_FORMAT, "%u fields, not 3 to 5", count);
	for (unsigned i = 1; i < count; i++)
		if (!is_number(fields[i]))
			return ota_fail(
				err, OTA_E_FORMAT, "field %u is no number", i + 1);
	if (fields[0].at[0] != '/' || fields[0].len >= AGENT_PATH_CAP ||
		memchr(fields[0].at, '\0', fields[0].len) != NULL)
		return ota_fail(err, OTA_E_FORMAT, "field 1 is no path from the root");
	memcpy(out->paths[out->count], fields[0].at, fields[0].len);
	out->paths[out->count][fields[0].len] = '\0';
	out->count++;
	return OTA_OK;
}

/* The next line of text, without its end; moves text behind it. */
static struct ota_bytes next_line(struct ota_bytes *text)
{
	const uint8_t *end = memchr(text->at, '\n', text->len);
	struct ota_bytes line = { text->at,
		end == NULL ? text->len : (size_t)(end - text->at) };
	size_t used = line.len + (end == NULL ? 0 : 1);

	text->at += used;
	text->len -= used;
	return line;
}

enum ota_code boot_uboot_config_parse(
	struct ota_bytes text, struct boot_uboot_config *out, struct ota_error *err)
{
	struct boot_uboot_config config = { 0 };

	for (unsigned i = 1; text.len > 0; i++) {
		enum ota_code rc = take_copy(next_line(&text), &config, err);

		if (rc != OTA_OK)
			return ota_wrap(err, rc, "line %u", i);
	}
	if (config.count == 0)
		return ota_fail(
			err, OTA_E_FORMAT, "no line says where the environment is");
	*out = config;
	return OTA_OK;
}

enum ota_code boot_uboot_open(const char *config_file, uint32_t deadline_ms,
	struct boot_uboot *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	struct boot_uboot uboot = { .deadline_ms = deadline_ms };
	enum ota_code rc = ota_file_read(config_file, CONFIG_MAX, &text, err);

	if (rc != OTA_OK)
		return rc;
	rc = boot_uboot_config_parse(ota_buf_bytes(&text), &uboot.config, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", config_file);
	(void)snprintf(uboot.config_file, sizeof uboot.config_file, "%s", config_file);
	*out = uboot;
	return OTA_OK;
}

/* ---- the media ---- */

/* Durable, and no longer in the cache of the kernel, so that what is read next is what
 * the boot loader will read. MTD and UBI have no cache. */
static OTA_CHECKED enum ota_code settle(const char *path, struct ota_error *err)
{
	ota_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return OTA_OK;
	if (fsync(fd) != 0)
		return ota_fail(err, OTA_E_IO, "%s: fsync: %s", path, strerror(errno));
	if (S_ISBLK(st.st_mode))
		(void)ioctl(fd, BLKFLSBUF, 0);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return OTA_OK;
}

/* ---- the tools ---- */

enum ota_code boot_uboot_answer_parse(
	struct ota_bytes text, struct boot_text *out, struct ota_error *err)
{
	struct boot_text values = { 0 };

	for (enum boot_var i = 0; i < BOOT_N_VARS; i++) {
		struct ota_bytes line = next_line(&text);
		char name[NAME_CAP];
		size_t name_len = (size_t)snprintf(
			name, sizeof name, "%s%s=", PREFIX, boot_var_name(i));

		if (line.len < name_len || memcmp(line.at, name, name_len) != 0)
			return ota_fail(err, OTA_E_FORMAT, "no line %s", name);
		if (line.len - name_len >= BOOT_VALUE_CAP ||
			memchr(line.at, '\0', line.len) != NULL)
			return ota_fail(err, OTA_E_FORMAT, "%s is too long", name);
		memcpy(values.value[i], line.at + name_len, line.len - name_len);
	}
	if (text.len > 0)
		return ota_fail(err, OTA_E_FORMAT, "more lines than variables");
	*out = values;
	return OTA_OK;
}

static enum ota_code load(void *ctx, struct boot_text *out, struct ota_error *err)
{
	const struct boot_uboot *uboot = ctx;
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	char names[BOOT_N_VARS][NAME_CAP];
	const char *argv[4 + BOOT_N_VARS] = { "fw_printenv", "-c", uboot->config_file };
	const struct command command = { .argv = argv,
		.deadline_ms = uboot->deadline_ms };
	enum ota_code rc;

	for (enum boot_var i = 0; i < BOOT_N_VARS; i++) {
		(void)snprintf(names[i], NAME_CAP, "%s%s", PREFIX, boot_var_name(i));
		argv[3 + i] = names[i];
	}
	rc = command_run(&command, &said, err);
	if (rc != OTA_OK)
		return rc;
	rc = boot_uboot_answer_parse(ota_buf_bytes(&said), out, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "answer of fw_printenv");
}

/* fw_setenv -s takes NAME=VALUE and passes over anything else without a word; so what it
 * did is always read back by the caller. */
static OTA_CHECKED enum ota_code write_script(
	const struct boot_text *text, struct ota_buf *out)
{
	enum ota_code rc = OTA_OK;

	for (enum boot_var i = 0; rc == OTA_OK && i < BOOT_N_VARS; i++)
		if (text->value[i][0] != '\0')
			rc = ota_buf_printf(out, "%s%s=%s\n", PREFIX, boot_var_name(i),
				text->value[i]);
	return rc;
}

static enum ota_code store(void *ctx, const struct boot_text *text, struct ota_error *err)
{
	const struct boot_uboot *uboot = ctx;
	OTA_AUTO(ota_buf_fini) struct ota_buf script = { 0 }, said = { 0 };
	const char *const argv[] = { "fw_setenv", "-c", uboot->config_file, "-s", "-",
		NULL };
	struct command command = { .argv = argv, .deadline_ms = uboot->deadline_ms };
	enum ota_code rc = write_script(text, &script);

	if (rc != OTA_OK)
		return ota_fail(err, rc, "fw_setenv");
	command.input = ota_buf_bytes(&script);
	rc = command_run(&command, &said, err);
	for (unsigned i = 0; rc == OTA_OK && i < uboot->config.count; i++)
		rc = settle(uboot->config.paths[i], err);
	return rc;
}

struct boot_store boot_uboot_store(struct boot_uboot *uboot)
{
	return (struct boot_store){
		.ctx = uboot, .prefix = PREFIX, .load = load, .store = store
	};
}

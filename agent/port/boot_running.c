#include "agent/port/boot_running.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/port/boot_entries.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { CMDLINE_MAX = 65536, EFI_VAR_MAX = 1024, CLAIM_CAP = 160 };

static const char WORD[] = "sluice.slot=";

/* sd-boot's vendor GUID, https://systemd.io/BOOT_LOADER_INTERFACE */
static const char EFI_ENTRY[] =
	"LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

struct boot_running boot_running_of(const char *device_a, const char *device_b)
{
	return (struct boot_running){ .cmdline_file = "/proc/cmdline",
		.root_dir = "/",
		.sys_dir = "/sys/dev/block",
		.devices = { device_a, device_b } };
}

/* ---- the kernel command line ---- */

enum ota_code boot_cmdline_parse(
	struct ota_bytes text, bool *known, unsigned *slot, struct ota_error *err)
{
	const size_t word_len = sizeof WORD - 1;
	unsigned found = SLOT_COUNT;

	for (size_t at = 0, len; at < text.len; at += len + 1) {
		const char *word = (const char *)text.at + at;

		for (len = 0; at + len < text.len && strchr(" \t\n", word[len]) == NULL;)
			len++;
		if (len < word_len || memcmp(word, WORD, word_len) != 0)
			continue;
		if (len != word_len + 1 ||
			(word[word_len] != 'a' && word[word_len] != 'b'))
			return ota_fail(err, OTA_E_FORMAT,
				"%s names no slot; it must be a or b", WORD);
		if (found < SLOT_COUNT && found != (unsigned)(word[word_len] - 'a'))
			return ota_fail(err, OTA_E_CONFLICT, "%sa and %sb", WORD, WORD);
		found = (unsigned)(word[word_len] - 'a');
	}
	*known = found < SLOT_COUNT;
	if (*known)
		*slot = found;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code ask_cmdline(
	const char *path, bool *known, unsigned *slot, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	enum ota_code rc = ota_file_read(path, CMDLINE_MAX, &text, err);

	if (rc == OTA_OK)
		rc = boot_cmdline_parse(ota_buf_bytes(&text), known, slot, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "%s", path);
}

/* ---- the root device ---- */

static bool is_device(const char *path, dev_t device)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == device;
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

/* The device of a link in the directory of those that one lies on. */
static bool read_device(const char *dir, const char *name, dev_t *out)
{
	char path[AGENT_PATH_CAP];
	OTA_AUTO(close_file) FILE *file = NULL;
	unsigned high, low;

	(void)snprintf(path, sizeof path, "%s/%s/dev", dir, name);
	file = fopen(path, "re");
	if (file == NULL || fscanf(file, "%9u:%9u", &high, &low) != 2)
		return false;
	*out = makedev(high, low);
	return true;
}

/* A mapped device lies on others: one of those may be the slot. */
static bool lies_on(const char *sys_dir, dev_t device, const char *path)
{
	char dir[AGENT_PATH_CAP / 2];
	struct dirent *entry;
	bool found = false;
	dev_t below;
	DIR *slaves;

	(void)snprintf(dir, sizeof dir, "%s/%u:%u/slaves", sys_dir, major(device),
		minor(device));
	slaves = opendir(dir);
	if (slaves == NULL)
		return false;
	while (!found && (entry = readdir(slaves)) != NULL)
		found = entry->d_name[0] != '.' &&
			read_device(dir, entry->d_name, &below) && is_device(path, below);
	(void)closedir(slaves);
	return found;
}

static OTA_CHECKED enum ota_code ask_root(const struct boot_running *where, bool *known,
	unsigned *slot, struct ota_error *err)
{
	struct stat root;

	*known = false;
	if (stat(where->root_dir, &root) != 0)
		return ota_fail(
			err, OTA_E_IO, "%s: %s", where->root_dir, strerror(errno));
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		const char *path = where->devices[i];

		if (path == NULL || path[0] == '\0' ||
			(!is_device(path, root.st_dev) &&
				!lies_on(where->sys_dir, root.st_dev, path)))
			continue;
		*known = true;
		*slot = i;
	}
	return OTA_OK;
}

/* ---- systemd-boot ---- */

enum ota_code boot_efi_text_parse(
	struct ota_bytes in, char *out, size_t cap, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	size_t len = 0;

	(void)ota_read_le32(&r);
	if (r.bad || r.left < 2 || r.left % 2 != 0)
		return ota_fail(err, OTA_E_FORMAT, "no UTF-16 text");
	for (; r.left > 2; len++) {
		uint8_t low = ota_read_u8(&r), high = ota_read_u8(&r);

		if (high != 0 || low < 0x20 || low > 0x7e)
			return ota_fail(err, OTA_E_FORMAT, "character %u is not ASCII",
				(unsigned)len);
		if (len + 1 >= cap)
			return ota_fail(
				err, OTA_E_LIMIT, "longer than %zu characters", cap - 1);
		out[len] = (char)low;
	}
	if (ota_read_u8(&r) != 0 || ota_read_u8(&r) != 0)
		return ota_fail(err, OTA_E_FORMAT, "no NUL at its end");
	out[len] = '\0';
	return OTA_OK;
}

static OTA_CHECKED enum ota_code ask_efi(
	const char *dir, bool *known, unsigned *slot, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf bytes = { 0 };
	struct boot_entry entry;
	char path[AGENT_PATH_CAP], name[BOOT_ENTRY_NAME_CAP];
	enum ota_code rc = ota_path_join(dir, EFI_ENTRY, path, sizeof path, err);

	*known = false;
	if (rc == OTA_OK)
		rc = ota_file_read(path, EFI_VAR_MAX, &bytes, err);
	if (rc == OTA_E_NOTFOUND)
		return OTA_OK;
	if (rc == OTA_OK)
		rc = boot_efi_text_parse(ota_buf_bytes(&bytes), name, sizeof name, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", path);
	*known = boot_entry_parse(name, &entry);
	if (*known)
		*slot = entry.slot;
	return OTA_OK;
}

/* ---- together ---- */

/* Who said it first, and what. */
struct claim {
	bool known;
	unsigned slot;
	const char *who;
};

static OTA_CHECKED enum ota_code hear(
	struct claim *first, const struct claim *claim, struct ota_error *err)
{
	if (!claim->known)
		return OTA_OK;
	if (first->known && first->slot != claim->slot)
		return ota_fail(err, OTA_E_CONFLICT,
			"slot %c runs by the %s, but slot %c by the %s",
			"ab"[first->slot], first -> who, "ab"[claim->slot], claim -> who);
	*first = *claim;
	return OTA_OK;
}

enum ota_code boot_running_find(
	const struct boot_running *where, unsigned *out, struct ota_error *err)
{
	struct claim first = { 0 }, cmdline = { .who = "kernel command line" },
		     root = { .who = "root device" },
		     efi = { .who = "entry that systemd-boot booted" };
	enum ota_code rc =
		ask_cmdline(where->cmdline_file, &cmdline.known, &cmdline.slot, err);

	if (rc == OTA_OK)
		rc = ask_root(where, &root.known, &root.slot, err);
	if (rc == OTA_OK && where->efi_dir != NULL)
		rc = ask_efi(where->efi_dir, &efi.known, &efi.slot, err);
	if (rc == OTA_OK)
		rc = hear(&first, &cmdline, err);
	if (rc == OTA_OK)
		rc = hear(&first, &root, err);
	if (rc == OTA_OK)
		rc = hear(&first, &efi, err);
	if (rc != OTA_OK)
		return rc;
	if (!first.known)
		return ota_fail(err, OTA_E_NOTFOUND,
			"which slot runs is not known: %s has no word %sa, and %s is on "
			"no "
			"slot",
			where->cmdline_file, WORD, where->root_dir);
	*out = first.slot;
	return OTA_OK;
}

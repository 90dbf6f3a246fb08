#include "agent/port/boot_entries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum { TEMPLATE_MAX = 16384, ASIDE_MAX = 1000, FOUND_MAX = 16 };

static const char STEM[] = "sluice-";

/* ---- names ---- */

/* A number without leading zeros, up to max; false if there is none. */
static bool read_number(const char **at, unsigned max, unsigned *out)
{
	uint64_t value = 0;
	size_t len = strspn(*at, "0123456789");

	if (len == 0 || len > 9 || (**at == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (uint64_t)((*at)[i] - '0');
	*at += len;
	*out = (unsigned)value;
	return value <= max;
}

static bool read_counter(const char **at, struct boot_entry *entry)
{
	if (**at != '+')
		return true;
	++*at;
	entry->kind = BOOT_ENTRY_COUNTED;
	if (!read_number(at, BOOT_ENTRY_TRIES_MAX, &entry->left))
		return false;
	if (**at != '-')
		return true;
	++*at;
	return read_number(at, BOOT_ENTRY_RANK_MAX, &entry->done);
}

bool boot_entry_parse(const char *name, struct boot_entry *out)
{
	struct boot_entry entry = { .kind = BOOT_ENTRY_PROVED };

	if (strncmp(name, STEM, sizeof STEM - 1) != 0)
		return false;
	name += sizeof STEM - 1;
	if (!read_number(&name, BOOT_ENTRY_RANK_MAX, &entry.rank) || *name++ != '-')
		return false;
	if (*name != 'a' && *name != 'b')
		return false;
	entry.slot = (unsigned)(*name++ - 'a');
	if (strcmp(name, ".off") == 0)
		entry.kind = BOOT_ENTRY_OFF;
	else if (strcmp(name, ".trial") == 0)
		entry.kind = BOOT_ENTRY_WAITING;
	else if (!read_counter(&name, &entry) || strcmp(name, ".conf") != 0)
		return false;
	*out = entry;
	return true;
}

void boot_entry_name(const struct boot_entry *entry, char out[static BOOT_ENTRY_NAME_CAP])
{
	char counter[32] = "";
	const char *end = ".conf";

	if (entry->kind == BOOT_ENTRY_OFF)
		end = ".off";
	if (entry->kind == BOOT_ENTRY_WAITING)
		end = ".trial";
	if (entry->kind == BOOT_ENTRY_COUNTED && entry->done == 0)
		(void)snprintf(counter, sizeof counter, "+%u", entry->left);
	else if (entry->kind == BOOT_ENTRY_COUNTED)
		(void)snprintf(
			counter, sizeof counter, "+%u-%u", entry->left, entry->done);
	(void)snprintf(out, BOOT_ENTRY_NAME_CAP, "%s%u-%c%s%s", STEM, entry->rank,
		"ab"[entry->slot], counter, end);
}

/* ---- meaning ---- */

/* How systemd-boot sees it: 2 boots, 1 boots if nothing else does, 0 is no entry. */
static int weight(const struct boot_entry *entry)
{
	switch (entry->kind) {
	case BOOT_ENTRY_OFF:
	case BOOT_ENTRY_WAITING:
		return 0;
	case BOOT_ENTRY_COUNTED:
		return entry->left > 0 ? 2 : 1;
	case BOOT_ENTRY_PROVED:
		return 2;
	}
	return 0;
}

static bool comes_before(const struct boot_entry *a, const struct boot_entry *b)
{
	if (weight(a) != weight(b))
		return weight(a) > weight(b);
	if (a->rank != b->rank)
		return a->rank > b->rank;
	return a->slot != b->slot ? a->slot > b->slot : a->kind > b->kind;
}

static enum slot_state state_of(const struct boot_entry *entry, bool is_running)
{
	switch (entry->kind) {
	case BOOT_ENTRY_OFF:
		return SLOT_BAD;
	case BOOT_ENTRY_WAITING:
		return SLOT_TRIAL;
	case BOOT_ENTRY_COUNTED:
		return entry->left > 0 || is_running ? SLOT_TRIAL : SLOT_BAD;
	case BOOT_ENTRY_PROVED:
		return SLOT_GOOD;
	}
	return SLOT_BAD;
}

/* ---- the directory ---- */

/* All names of a slot's entry, the best first. */
struct found {
	struct boot_entry entries[FOUND_MAX];
	size_t count;
};

static void add_found(struct found *found, const struct boot_entry *entry)
{
	size_t at = found->count;

	if (found->count == FOUND_MAX)
		return;
	for (; at > 0 && comes_before(entry, &found->entries[at - 1]); at--)
		found->entries[at] = found->entries[at - 1];
	found->entries[at] = *entry;
	found->count++;
}

static OTA_CHECKED enum ota_code look(
	const char *path, unsigned slot, struct found *out, struct ota_error *err)
{
	struct boot_entry entry;
	struct dirent *file;
	DIR *dir = opendir(path);
	int failed;

	*out = (struct found){ 0 };
	if (dir == NULL)
		return ota_fail(err, errno == ENOENT ? OTA_E_NOTFOUND : OTA_E_IO,
			"%s: %s", path, strerror(errno));
	errno = 0;
	while ((file = readdir(dir)) != NULL)
		if (boot_entry_parse(file->d_name, &entry) && entry.slot == slot)
			add_found(out, &entry);
	failed = errno;
	(void)closedir(dir);
	return failed == 0 ? OTA_OK
			   : ota_fail(err, OTA_E_IO, "%s: %s", path, strerror(failed));
}

enum ota_code boot_entries_find(const struct boot_entries *entries, unsigned slot,
	struct boot_entry *out, struct ota_error *err)
{
	struct found found;
	enum ota_code rc = look(entries->dir, slot, &found, err);

	if (rc != OTA_OK)
		return rc;
	if (found.count > 0)
		*out = found.entries[0];
	else /* a cut can take a name away; there is nothing to boot then */
		*out = (struct boot_entry){ .kind = BOOT_ENTRY_OFF, .slot = slot };
	return OTA_OK;
}

static OTA_CHECKED enum ota_code move(
	const char *dir, const char *from, const char *to, struct ota_error *err)
{
	char from_path[AGENT_PATH_CAP], to_path[AGENT_PATH_CAP];
	enum ota_code rc = ota_path_join(dir, from, from_path, sizeof from_path, err);

	if (rc == OTA_OK)
		rc = ota_path_join(dir, to, to_path, sizeof to_path, err);
	if (rc != OTA_OK)
		return rc;
	if (rename(from_path, to_path) != 0)
		return ota_fail(err, errno == ENOSPC ? OTA_E_NOSPACE : OTA_E_IO, "%s: %s",
			to_path, strerror(errno));
	return ota_dir_sync(dir, err);
}

/* Out of the way, never removed: on FAT two names that a cut left may share their bytes,
 * and removing one would free those of the other. */
static OTA_CHECKED enum ota_code put_aside(
	const char *dir, const struct boot_entry *entry, struct ota_error *err)
{
	char name[BOOT_ENTRY_NAME_CAP], aside[BOOT_ENTRY_NAME_CAP], path[AGENT_PATH_CAP];

	boot_entry_name(entry, name);
	for (unsigned i = 0; i < ASIDE_MAX; i++) {
		(void)snprintf(aside, sizeof aside, "sluice-aside.%u", i);
		if (ota_path_join(dir, aside, path, sizeof path, err) != OTA_OK)
			return OTA_E_LIMIT;
		if (access(path, F_OK) != 0)
			return move(dir, name, aside, err);
	}
	return ota_fail(err, OTA_E_LIMIT,
		"%s: %d files sluice-aside.*; check the file system and remove them", dir,
		ASIDE_MAX);
}

/* A new file, whole when it gets its name. FAT knows no modes, so none is set. */
static OTA_CHECKED enum ota_code write_new(
	const char *dir, const char *name, struct ota_bytes text, struct ota_error *err)
{
	char path[AGENT_PATH_CAP];
	ota_autoclose int fd = -1;
	enum ota_code rc = ota_path_join(dir, "sluice.new", path, sizeof path, err);

	if (rc != OTA_OK)
		return rc;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return ota_fail(err, errno == ENOSPC ? OTA_E_NOSPACE : OTA_E_IO, "%s: %s",
			path, strerror(errno));
	rc = ota_fd_write_at(fd, 0, text, err);
	if (rc == OTA_OK)
		rc = ota_fd_sync(fd, err);
	return rc == OTA_OK ? move(dir, "sluice.new", name, err)
			    : ota_wrap(err, rc, "%s", path);
}

/* From sluice-a.template, which provisioning put there and nothing changes. */
static OTA_CHECKED enum ota_code make(
	const char *dir, const struct boot_entry *entry, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char name[BOOT_ENTRY_NAME_CAP], path[AGENT_PATH_CAP];
	enum ota_code rc;

	(void)snprintf(name, sizeof name, "%s%c.template", STEM, "ab"[entry->slot]);
	rc = ota_path_join(dir, name, path, sizeof path, err);
	if (rc == OTA_OK)
		rc = ota_file_read(path, TEMPLATE_MAX, &text, err);
	boot_entry_name(entry, name);
	return rc == OTA_OK ? write_new(dir, name, ota_buf_bytes(&text), err) : rc;
}

static bool is_same(const struct boot_entry *a, const struct boot_entry *b)
{
	return a->kind == b->kind && a->rank == b->rank && a->left == b->left &&
	       a->done == b->done;
}

/* Let a slot have this one name. */
static OTA_CHECKED enum ota_code put(const struct boot_entries *entries,
	const struct boot_entry *entry, struct ota_error *err)
{
	char from[BOOT_ENTRY_NAME_CAP], to[BOOT_ENTRY_NAME_CAP];
	struct found found;
	enum ota_code rc = look(entries->dir, entry->slot, &found, err);

	if (rc == OTA_OK && found.count == 0)
		return make(entries->dir, entry, err);
	for (size_t i = found.count; rc == OTA_OK && i-- > 1;)
		rc = put_aside(entries->dir, &found.entries[i], err);
	if (rc != OTA_OK || is_same(&found.entries[0], entry))
		return rc;
	boot_entry_name(&found.entries[0], from);
	boot_entry_name(entry, to);
	rc = move(entries->dir, from, to, err);
	if (rc == OTA_OK)
		rc = look(entries->dir, entry->slot, &found, err);
	if (rc == OTA_OK && (found.count != 1 || !is_same(&found.entries[0], entry)))
		rc = ota_fail(err, OTA_E_MEDIA, "%s/%s is not there after a rename",
			entries->dir, to);
	return rc;
}

/* ---- the verbs ---- */

static enum ota_code get_current(void *ctx, unsigned *slot, struct ota_error *err)
{
	return boot_running_find(&((struct boot_entries *)ctx)->running, slot, err);
}

static bool is_running(const struct boot_entries *entries, unsigned slot)
{
	unsigned current;

	return boot_running_find(&entries->running, &current, NULL) == OTA_OK &&
	       current == slot;
}

static OTA_CHECKED enum ota_code find_both(const struct boot_entries *entries,
	struct boot_entry out[static SLOT_COUNT], struct ota_error *err)
{
	enum ota_code rc = OTA_OK;

	for (unsigned i = 0; rc == OTA_OK && i < SLOT_COUNT; i++)
		rc = boot_entries_find(entries, i, &out[i], err);
	return rc;
}

static enum ota_code get_primary(void *ctx, unsigned *slot, struct ota_error *err)
{
	struct boot_entry both[SLOT_COUNT];
	enum ota_code rc = find_both(ctx, both, err);

	if (rc != OTA_OK)
		return rc;
	if (weight(&both[0]) + weight(&both[1]) == 0)
		return ota_fail(err, OTA_E_NOTFOUND, "%s holds no entry of a slot",
			((struct boot_entries *)ctx)->dir);
	*slot = comes_before(&both[0], &both[1]) ? 0 : 1;
	return OTA_OK;
}

static enum ota_code set_primary(
	void *ctx, unsigned slot, unsigned tries, struct ota_error *err)
{
	struct boot_entry both[SLOT_COUNT];
	struct boot_entry *entry = &both[slot];
	enum ota_code rc = find_both(ctx, both, err);

	if (rc != OTA_OK)
		return rc;
	if (entry->kind == BOOT_ENTRY_OFF)
		return ota_fail(err, OTA_E_CONFLICT, "slot %c is bad: not to be booted",
			"ab"[slot]);
	if (entry->rank <= both[1 - slot].rank)
		entry->rank = both[1 - slot].rank + 1;
	if (tries < 1 || tries > BOOT_ENTRY_TRIES_MAX ||
		entry->rank > BOOT_ENTRY_RANK_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "%u tries, rank %u", tries, entry->rank);
	if (entry->kind != BOOT_ENTRY_PROVED) {
		entry->kind = BOOT_ENTRY_COUNTED;
		entry->left = tries;
		entry->done = 0;
	}
	return put(ctx, entry, err);
}

static enum ota_code get_state(
	void *ctx, unsigned slot, enum slot_state *out, struct ota_error *err)
{
	struct boot_entry entry;
	enum ota_code rc = boot_entries_find(ctx, slot, &entry, err);

	if (rc == OTA_OK)
		*out = state_of(&entry, is_running(ctx, slot));
	return rc;
}

static enum ota_code set_state(
	void *ctx, unsigned slot, enum slot_state state, struct ota_error *err)
{
	static const enum boot_entry_kind kinds[N_SLOT_STATES] = {
		[SLOT_BAD] = BOOT_ENTRY_OFF,
		[SLOT_TRIAL] = BOOT_ENTRY_WAITING,
		[SLOT_GOOD] = BOOT_ENTRY_PROVED,
	};
	struct boot_entry both[SLOT_COUNT];
	struct boot_entry *entry = &both[slot];
	enum ota_code rc = find_both(ctx, both, err);

	if (rc != OTA_OK)
		return rc;
	if (state == SLOT_TRIAL && state_of(entry, is_running(ctx, slot)) == SLOT_TRIAL)
		return put(ctx, entry, err);
	if (state != SLOT_GOOD && weight(entry) > 0 && weight(&both[1 - slot]) == 0)
		return ota_fail(err, OTA_E_CONFLICT,
			"slot %c stays: slot %c is %s, and one must boot", "ab"[slot],
			"ab"[1 - slot],
			slot_state_text(state_of(&both[1 - slot], false)));
	*entry = (struct boot_entry){
		.kind = kinds[state], .slot = slot, .rank = entry->rank
	};
	return put(ctx, entry, err);
}

struct boot_loader boot_entries_loader(struct boot_entries *entries)
{
	return (struct boot_loader){ .ctx = entries,
		.get_current = get_current,
		.get_primary = get_primary,
		.set_primary = set_primary,
		.get_state = get_state,
		.set_state = set_state };
}

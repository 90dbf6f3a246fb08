#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/port/boot.h"
#include "agent/port/command.h"
#include "agent/port/doctor_checks.h"
#include "agent/port/mounts.h"
#include "agent/port/slot_medium.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

static const char READ_BOOT[] = "provision it as deploy/boot/README.md tells";

/* sd-boot's vendor GUID */
static const char EFI_DEFAULT[] =
	"LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/* ---- the slots ---- */

static void look_at_files(struct doctor *d)
{
	const struct agent_slot_config *slot = &d->config->slot;
	char path[AGENT_PATH_CAP];
	uint64_t room = 0;
	struct stat st;

	if (ota_path_join(slot->dir, "current", path, sizeof path, NULL) == OTA_OK &&
		stat(path, &st) == 0) {
		if (ota_disk_free(slot->dir, &room, NULL) != OTA_OK ||
			room < (uint64_t)st.st_size)
			doctor_say(d, DOCTOR_WARNING, "make room beside the slots",
				"%s has %" PRIu64
				" MiB free, less than the image that runs",
				slot->dir, room >> 20);
		else
			doctor_say(d, DOCTOR_OK, "", "%s leads to an image", path);
		return;
	}
	if (ota_path_join(slot->dir, "a.img", path, sizeof path, NULL) == OTA_OK &&
		access(path, R_OK) == 0)
		doctor_say(d, DOCTOR_OK, "", "%s is the image to begin with", path);
	else if (slot->initial[0] != '\0' && access(slot->initial, R_OK) == 0)
		doctor_say(
			d, DOCTOR_OK, "", "%s is the image to begin with", slot->initial);
	else
		doctor_say(d, DOCTOR_ERROR,
			"put the image that runs there, or name it with `slot.initial`",
			"there is neither %s nor `slot.initial`", path);
}

/* The device of a slot; false if it is none. */
static bool look_at_device(
	struct doctor *d, unsigned slot, struct stat *st, uint64_t *len)
{
	const struct slot_place place = { &d->config->slot, slot };
	const char *path = d->config->slot.devices[slot];
	struct ota_error err = { 0 };

	if (stat(path, st) != 0) {
		doctor_say(d, DOCTOR_ERROR, "correct `slot`, or make the partition",
			"slot %c, %s: %s", "ab"[slot], path, strerror(errno));
		return false;
	}
	if (!S_ISBLK(st->st_mode) && !S_ISREG(st->st_mode)) {
		doctor_say(d, DOCTOR_ERROR, "correct `slot`",
			"slot %c, %s: is no block device", "ab"[slot], path);
		return false;
	}
	if (slot_medium_of(place.config)->room(&place, len, &err) != OTA_OK) {
		doctor_say(d, DOCTOR_ERROR, "run this as root", "slot %c: %s", "ab"[slot],
			err.text);
		return false;
	}
	return true;
}

static void look_at_mount(struct doctor *d, unsigned slot, const struct stat *st)
{
	enum mounts_use use = MOUNTS_FREE;
	struct ota_error err = { 0 };

	if (!S_ISBLK(st->st_mode))
		return;
	if (mounts_find(st->st_rdev, d->world.mounts, &use, &err) != OTA_OK)
		doctor_say(d, DOCTOR_WARNING, "mount /proc", "%s", err.text);
	else if (use == MOUNTS_MOUNTED)
		doctor_say(d, DOCTOR_ERROR, "unmount it, and take it out of fstab",
			"slot %c, %s: is mounted; no update can be written", "ab"[slot],
			d -> config -> slot.devices[slot]);
}

static void look_at_devices(struct doctor *d)
{
	struct stat st[SLOT_COUNT];
	uint64_t len[SLOT_COUNT] = { 0 };
	bool known[SLOT_COUNT], same;

	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		known[i] = look_at_device(d, i, &st[i], &len[i]);
		if (known[i])
			look_at_mount(d, i, &st[i]);
	}
	if (!known[0] || !known[1])
		return;
	same = S_ISBLK(st[0].st_mode)
		       ? st[0].st_rdev == st[1].st_rdev
		       : st[0].st_ino == st[1].st_ino && st[0].st_dev == st[1].st_dev;
	if (same)
		doctor_say(d, DOCTOR_ERROR, "name two partitions",
			"slots a and b are the same device");
	else if (len[0] != len[1])
		doctor_say(d, DOCTOR_WARNING, "make both slots of one size",
			"slot a has %" PRIu64 " bytes, slot b %" PRIu64
			": an image that fits one may not fit the other",
			len[0], len[1]);
	else
		doctor_say(
			d, DOCTOR_OK, "", "two slots of %" PRIu64 " MiB", len[0] >> 20);
}

void doctor_look_at_slots(struct doctor *d)
{
	if (d->config->slot.type == AGENT_SLOT_FILE)
		look_at_files(d);
	else
		look_at_devices(d);
}

/* ---- the boot loader ---- */

static void look_at_tools(struct doctor *d, const struct boot *boot)
{
	static const char *const tools[] = { "fw_printenv", "fw_setenv" };
	struct ota_error err = { 0 };
	char path[AGENT_PATH_CAP];

	for (size_t i = 0; i < 2; i++)
		if (command_find(tools[i], path, sizeof path, &err) != OTA_OK)
			doctor_say(d, DOCTOR_ERROR, "install libubootenv's tools", "%s",
				err.text);
	if (boot->uboot.config.count < 2)
		doctor_say(d, DOCTOR_WARNING,
			"build U-Boot with CONFIG_SYS_REDUNDAND_ENVIRONMENT and give "
			"fw_env.config both places",
			"the environment has one copy: a power cut while it is written "
			"can "
			"lose it");
	else
		doctor_say(d, DOCTOR_OK, "", "the environment has two copies");
}

static void look_at_blocks(struct doctor *d, const struct boot *boot)
{
	struct ota_error err = { 0 };
	struct boot_text text;

	for (size_t i = 0; i < 2; i++) {
		uint8_t block[BOOT_GRUB_LEN];
		const char *path = boot->grub.paths[i];
		enum ota_code rc = boot_grub_read(path, block, &err);

		if (rc == OTA_OK)
			rc = boot_grub_parse(
				(struct ota_bytes){ block, sizeof block }, &text, &err);
		if (rc != OTA_OK)
			doctor_say(d, DOCTOR_WARNING,
				"start the agent: it writes it again from the other one",
				"%s: %s", path, err.text);
	}
}

/* A whole environment, unless it is a file for our variables alone (sluice_env_file). */
static void look_at_bootcmd(struct doctor *d, const struct boot *boot)
{
	const char *const argv[] = { "fw_printenv", "-c", boot->uboot.config_file, "-n",
		"bootcmd", NULL };
	const struct command command = { .argv = argv,
		.deadline_ms = boot->uboot.deadline_ms };
	OTA_AUTO(ota_buf_fini) struct ota_buf said = { 0 };
	struct ota_error err = { 0 };
	struct stat st;

	if (boot->uboot.config.count == 1 &&
		stat(boot->uboot.config.paths[0], &st) == 0 && S_ISREG(st.st_mode))
		return;
	if (command_run(&command, &said, &err) != OTA_OK)
		doctor_say(d, DOCTOR_ERROR, READ_BOOT, "%s", err.text);
	else if (said.len <= 1)
		doctor_say(d, DOCTOR_ERROR,
			"env default -a; saveenv at U-Boot's prompt, then provision "
			"again",
			"U-Boot's environment has no bootcmd: the device stops at "
			"U-Boot's "
			"prompt");
}

/* Does a script count, and which. */
static void look_at_script(struct doctor *d, const struct boot *boot)
{
	struct ota_error err = { 0 };
	struct boot_vars vars;

	if (boot_counter_load(&boot->counter, &vars, &err) != OTA_OK)
		doctor_say(d, DOCTOR_ERROR, READ_BOOT, "%s", err.text);
	else if (vars.script == 0)
		doctor_say(d, DOCTOR_ERROR,
			"install the script from deploy/boot; it says so at its first "
			"boot",
			"%sSCRIPT is not set: no boot script counts tries, so no bad "
			"image "
			"is ever left",
			boot->counter.store.prefix);
	else if (vars.script != BOOT_SCRIPT)
		doctor_say(d, DOCTOR_WARNING, "install the script of this version",
			"the boot script has version %u, not %d", vars.script,
			BOOT_SCRIPT);
	else
		doctor_say(d, DOCTOR_OK, "", "a boot script counts tries");
}

static void look_at_entries(struct doctor *d, const struct boot *boot)
{
	char path[AGENT_PATH_CAP], name[32];

	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		(void)snprintf(name, sizeof name, "sluice-%c.template", "ab"[i]);
		if (ota_path_join(boot->entries.dir, name, path, sizeof path, NULL) ==
				OTA_OK &&
			access(path, R_OK) != 0)
			doctor_say(d, DOCTOR_WARNING, READ_BOOT,
				"%s: %s; an entry that a cut takes away cannot be made "
				"again",
				path, strerror(errno));
	}
	if (ota_path_join(d->world.efi_dir, EFI_DEFAULT, path, sizeof path, NULL) ==
			OTA_OK &&
		access(path, F_OK) == 0)
		doctor_say(d, DOCTOR_ERROR, "bootctl set-default ''",
			"the EFI variable LoaderEntryDefault is set: it goes before the "
			"entry that the agent makes first");
}

static void look_at_command(struct doctor *d)
{
	const char *path = d->config->boot.path;
	struct stat st;

	if (stat(path, &st) != 0 || access(path, X_OK) != 0)
		doctor_say(d, DOCTOR_ERROR, "correct `boot.path`", "%s: %s", path,
			strerror(errno));
	else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		doctor_say(d, DOCTOR_ERROR, "chown root, chmod 755",
			"%s can be written by others than root", path);
}

static void look_at_states(struct doctor *d, unsigned current,
	const enum slot_state states[static SLOT_COUNT])
{
	if (states[current] == SLOT_BAD)
		doctor_say(d, DOCTOR_ERROR,
			"start the agent and see what it reports; then update the device",
			"slot %c runs, and the boot loader holds it for bad",
			"ab"[current]);
	if (states[1 - current] != SLOT_GOOD)
		doctor_say(d, DOCTOR_WARNING,
			"write a proved image to both slots before the device goes out",
			"slot %c is %s: there is nothing to fall back to",
			"ab"[1 - current], slot_state_text(states[1 - current]));
}

/* What it answers. */
static void look_at_answers(struct doctor *d, const struct boot_loader *loader)
{
	enum slot_state states[SLOT_COUNT];
	struct ota_error err = { 0 };
	unsigned current = 0, primary = 0;
	enum ota_code rc = loader->get_current(loader->ctx, &current, &err);

	if (rc != OTA_OK) {
		doctor_say(d, DOCTOR_ERROR,
			"let the boot script put sluice.slot=a or b on the kernel "
			"command "
			"line",
			"%s", err.text);
		return;
	}
	rc = loader->get_primary(loader->ctx, &primary, &err);
	for (unsigned i = 0; rc == OTA_OK && i < SLOT_COUNT; i++)
		rc = loader->get_state(loader->ctx, i, &states[i], &err);
	if (rc != OTA_OK) {
		doctor_say(d, DOCTOR_ERROR, READ_BOOT, "%s", err.text);
		return;
	}
	look_at_states(d, current, states);
	if (primary != current)
		doctor_say(d, DOCTOR_WARNING,
			"nothing, if an update waits for its boot; else see the agent's "
			"log",
			"slot %c runs, the next boot tries %c", "ab"[current],
			"ab"[primary]);
	else
		doctor_say(d, DOCTOR_OK, "", "slot %c runs and is booted next",
			"ab"[current]);
}

static void look_at_loader(struct doctor *d, const struct boot *boot)
{
	switch (boot->type) {
	case AGENT_BOOT_NONE:
		break;
	case AGENT_BOOT_UBOOT:
		look_at_tools(d, boot);
		look_at_bootcmd(d, boot);
		look_at_script(d, boot);
		break;
	case AGENT_BOOT_GRUB:
		look_at_blocks(d, boot);
		look_at_script(d, boot);
		break;
	case AGENT_BOOT_SYSTEMD:
		look_at_entries(d, boot);
		break;
	case AGENT_BOOT_CUSTOM:
		look_at_command(d);
		break;
	}
	look_at_answers(d, &boot->loader);
}

void doctor_look_at_boot(struct doctor *d)
{
	const struct agent_config *c = d->config;
	struct ota_error err = { 0 };
	struct boot boot;

	if (c->boot.type == AGENT_BOOT_NONE && c->slot.type == AGENT_SLOT_BLOCK) {
		doctor_say(d, DOCTOR_ERROR, "name the boot loader with `boot.loader`",
			"the slots are partitions, but no boot loader chooses between "
			"them");
		return;
	}
	if (c->boot.type == AGENT_BOOT_NONE) {
		doctor_say(
			d, DOCTOR_OK, "", "the agent chooses between the files itself");
		return;
	}
	if (boot_open(c, &boot, &err) != OTA_OK) {
		doctor_say(d, DOCTOR_ERROR, READ_BOOT, "%s", err.text);
		return;
	}
	boot.counter.running.cmdline_file = d->world.cmdline;
	boot.entries.running.cmdline_file = d->world.cmdline;
	boot.entries.running.efi_dir = d->world.efi_dir;
	look_at_loader(d, &boot);
}

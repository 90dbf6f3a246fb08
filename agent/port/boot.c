#include "agent/port/boot.h"

#include <string.h>

static const char EFI_DIR[] = "/sys/firmware/efi/efivars";

static enum ota_code open_counter(const struct agent_boot_config *config,
	const struct boot_running *running, struct boot *boot, struct ota_error *err)
{
	enum ota_code rc;

	if (config->type == AGENT_BOOT_UBOOT)
		rc = boot_uboot_open(
			config->path, config->deadline_s * 1000, &boot->uboot, err);
	else
		rc = boot_grub_open(config->path, &boot->grub, err);
	boot->counter.running = *running;
	boot->counter.store = config->type == AGENT_BOOT_UBOOT
				      ? boot_uboot_store(&boot->uboot)
				      : boot_grub_store(&boot->grub);
	boot->loader = boot_counter_loader(&boot->counter);
	return rc;
}

static void open_entries(const struct agent_boot_config *config,
	const struct boot_running *running, struct boot *boot)
{
	memcpy(boot->entries.dir, config->path, sizeof boot->entries.dir);
	boot->entries.running = *running;
	boot->entries.running.efi_dir = EFI_DIR;
	boot->loader = boot_entries_loader(&boot->entries);
}

enum ota_code boot_open(
	const struct agent_config *config, struct boot *out, struct ota_error *err)
{
	const struct agent_boot_config *boot = &config->boot;
	const struct boot_running running =
		boot_running_of(config->slot.devices[0], config->slot.devices[1]);
	enum ota_code rc = OTA_OK;

	*out = (struct boot){ .type = boot->type };
	switch (boot->type) {
	case AGENT_BOOT_NONE:
		break;
	case AGENT_BOOT_UBOOT:
	case AGENT_BOOT_GRUB:
		rc = open_counter(boot, &running, out, err);
		break;
	case AGENT_BOOT_SYSTEMD:
		open_entries(boot, &running, out);
		break;
	case AGENT_BOOT_CUSTOM:
		out->custom = (struct boot_custom){ boot->path, boot->deadline_s * 1000 };
		out->loader = boot_custom_loader(&out->custom);
		break;
	}
	return rc;
}

/* ---- at the start ---- */

static bool is_damage(enum ota_code code)
{
	return code == OTA_E_NOTFOUND || code == OTA_E_FORMAT;
}

/* Both on trial; the one that runs with all its tries, the other one not armed. */
static OTA_CHECKED enum ota_code write_fresh(
	struct boot_counter *counter, struct ota_error *err)
{
	struct boot_vars vars = { 0 };
	struct boot_text text;
	enum ota_code rc = boot_running_find(&counter->running, &vars.first, err);

	vars.slots[0].state = vars.slots[1].state = SLOT_TRIAL;
	vars.slots[vars.first].left = SLOT_TRIES;
	boot_vars_format(&vars, &text);
	if (rc == OTA_OK)
		rc = counter->store.store(counter->store.ctx, &text, err);
	return rc == OTA_OK ? boot_counter_load(counter, &vars, err) : rc;
}

static OTA_CHECKED enum ota_code mend(
	struct boot *boot, const char **mended, struct ota_error *err)
{
	struct ota_error why = { 0 };
	struct boot_vars vars;
	bool copied = false;
	enum ota_code rc = OTA_OK;

	if (boot->type == AGENT_BOOT_GRUB)
		rc = boot_grub_mend(&boot->grub, &copied, err);
	if (rc != OTA_OK)
		return rc;
	if (copied)
		*mended = "a block was damaged or missing";
	rc = boot_counter_load(&boot->counter, &vars, &why);
	if (!is_damage(rc))
		return rc == OTA_OK ? rc : ota_fail(err, rc, "%s", why.text);
	rc = write_fresh(&boot->counter, err);
	if (rc == OTA_OK)
		*mended = "variables were missing or senseless";
	return rc;
}

enum ota_code boot_begin(struct boot *boot, const char **mended, struct ota_error *err)
{
	const struct boot_loader *loader = &boot->loader;
	enum slot_state state = SLOT_BAD;
	unsigned current;
	enum ota_code rc = OTA_OK;

	*mended = NULL;
	if (boot->type == AGENT_BOOT_NONE)
		return OTA_OK;
	if (boot->type == AGENT_BOOT_UBOOT || boot->type == AGENT_BOOT_GRUB)
		rc = mend(boot, mended, err);
	if (rc == OTA_OK)
		rc = loader->get_current(loader->ctx, &current, err);
	if (rc == OTA_OK)
		rc = loader->get_state(loader->ctx, current, &state, err);
	if (rc == OTA_OK && state == SLOT_GOOD)
		rc = loader->set_state(loader->ctx, current, SLOT_GOOD, err);
	return rc == OTA_OK ? rc : ota_wrap(err, rc, "boot loader");
}

#include "agent/port/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proto/base/own.h"

const char MOUNTS_TABLE[] = "/proc/self/mountinfo";

static void close_file(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

/* 36 35 98:0 /mnt1 /mnt2 rw ... : the device is the third field. */
static bool is_of(const char *line, dev_t device)
{
	unsigned major_number, minor_number;

	return sscanf(line, "%*u %*u %u:%u ", &major_number, &minor_number) == 2 &&
	       makedev(major_number, minor_number) == device;
}

static bool is_root(dev_t device)
{
	struct stat st;

	return stat("/", &st) == 0 && st.st_dev == device;
}

enum ota_code mounts_find(
	dev_t device, const char *table, enum mounts_use *out, struct ota_error *err)
{
	OTA_AUTO(close_file) FILE *file = fopen(table, "re");
	ota_autofree char *line = NULL;
	size_t cap = 0;
	bool found = false;

	if (file == NULL)
		return ota_fail(err, OTA_E_IO, "%s: %s", table, strerror(errno));
	while (!found && getline(&line, &cap, file) >= 0)
		found = is_of(line, device);
	if (!found && ferror(file))
		return ota_fail(err, OTA_E_IO, "%s: read failed", table);
	*out = found ? MOUNTS_MOUNTED : MOUNTS_FREE;
	if (is_root(device))
		*out = MOUNTS_ROOT;
	return OTA_OK;
}

#include "orchestrator/port/secret_file.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/io/files.h"

enum ota_code secret_file_read(
	const char *path, size_t max, struct ota_buf *out, struct ota_error *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return ota_fail(err, OTA_E_CONFIG, "%s: %s", path, strerror(errno));
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return ota_fail(err, OTA_E_CONFIG,
			"%s can be read by others; chmod 600 it", path);
	return ota_file_read(path, max, out, err);
}

void secret_wipe(struct ota_buf *secret)
{
	if (secret->cap > 0)
		sodium_memzero(secret->at, secret->cap);
	ota_buf_fini(secret);
}

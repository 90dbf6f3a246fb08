#include "orchestrator/cli/image_advice.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/base/own.h"

/* The file in memory; empty if it cannot be had. */
static struct ota_bytes map(const char *path)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *at;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size <= 0 ||
		(uintmax_t)st.st_size > SIZE_MAX)
		return (struct ota_bytes){ 0 };
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return (struct ota_bytes){ 0 };
	return (struct ota_bytes){ at, (size_t)st.st_size };
}

bool image_advice(const char *path, char out[static OTA_ADVICE_CAP])
{
	struct ota_bytes image = map(path);
	bool is_advised;

	if (image.at == NULL)
		return false;
	is_advised = ota_image_advice(image, out);
	(void)munmap((void *)(uintptr_t)image.at, image.len);
	return is_advised;
}

#include "orchestrator/cli/image_advice.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "orchestrator/cli/output.h"
#include "proto/base/own.h"
#include "proto/delta/predict/members.h"

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

/* "38.2 MB of this image's 38.2 MB are compressed (squashfs, xz)." and what to do. */
static void print(const struct ota_members *members, uint64_t image_len,
	const char *advice, char out[static IMAGE_ADVICE_CAP])
{
	bool is_of_whole = members->packing != OTA_PACKING_NONE;
	char packed[24], image[24];

	(void)snprintf(out, IMAGE_ADVICE_CAP,
		"%s of this image's %s are compressed (%s%s%s). %s",
		output_bytes(members->packed_len, packed), output_bytes(image_len, image),
		members->container, is_of_whole ? ", " : "",
		is_of_whole ? ota_packing_text(members->packing) : "", advice);
}

bool image_advice(const char *path, char out[static IMAGE_ADVICE_CAP])
{
	OTA_AUTO(ota_members_fini) struct ota_members members = { 0 };
	struct ota_bytes image = map(path);
	const char *advice = NULL;

	if (image.at == NULL)
		return false;
	if (ota_members_find(image, &members) == OTA_OK)
		advice = ota_members_advice(&members);
	(void)munmap((void *)(uintptr_t)image.at, image.len);
	if (advice != NULL)
		print(&members, image.len, advice, out);
	return advice != NULL;
}

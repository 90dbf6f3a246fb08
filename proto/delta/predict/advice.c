#include <stdio.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/delta/predict/members.h"

enum { WORTH_A_WORD = 16 }; /* the least part of an image, one in so many bytes */

struct advice {
	const char *container; /* NULL: any */
	bool of_whole;         /* the packing is that of the image or its blocks */
	const char *text;
};

/* The first row that fits. */
static const struct advice advices[] = {
	{ "squashfs", true,
		"The blocks of this squashfs are compressed, so an update sends every "
		"block "
		"that changed by even one byte, whole. Make the image with mksquashfs "
		"-noI "
		"-noD -noF -noX: Sluice compresses its patches itself, and they become "
		"several times smaller." },
	{ "erofs", true,
		"The blocks of this EROFS are compressed, so an update sends every block "
		"that changed by even one byte, whole. Make the image with mkfs.erofs "
		"without -z: Sluice compresses its patches itself, and they become "
		"several "
		"times smaller." },
	{ "cpio", true,
		"A compressed archive lies behind the first one, so an update sends "
		"nearly "
		"all of it behind its first change. Append it uncompressed, for an "
		"initramfs "
		"with CONFIG_INITRAMFS_COMPRESSION_NONE or without the compressing "
		"step: Sluice compresses its patches itself." },
	{ "disk", true,
		"A partition of this image is compressed, so an update sends every "
		"compressed block that changed by even one byte, whole. Make it without "
		"compression (mksquashfs -noI -noD -noF -noX, mkfs.erofs without -z): "
		"Sluice "
		"compresses its patches itself." },
	{ "raw", true,
		"This image is one compressed stream, so an update sends nearly all of "
		"it "
		"behind the first change. Publish it uncompressed (a kernel as Image or "
		"vmlinux, an archive as .tar or .cpio): Sluice compresses its patches "
		"itself." },
	{ NULL, false,
		"Files of this image are compressed (a kernel, an initramfs, modules or "
		"archives), and a compressed file that changes is sent nearly whole. "
		"Install "
		"them uncompressed where the device has the room: Sluice compresses its "
		"patches itself." },
};

const char *ota_members_advice(const struct ota_members *members)
{
	uint64_t rest = members->packed_len;

	for (const struct ota_member *m = members->members;
		m < members->members + members->member_count; m++)
		rest += m->len;
	if (members->packed_len == 0 || members->packed_len < rest / WORTH_A_WORD)
		return NULL;
	for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++) {
		const struct advice *a = &advices[i];

		if (a->of_whole == (members->packing != OTA_PACKING_NONE) &&
			(a->container == NULL ||
				strcmp(a->container, members->container) == 0))
			return a->text;
	}
	return NULL;
}

static double megabytes(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

bool ota_image_advice(struct ota_bytes image, char out[static OTA_ADVICE_CAP])
{
	OTA_AUTO(ota_members_fini) struct ota_members members = { 0 };
	const char *advice = NULL;
	bool is_of_whole;

	out[0] = '\0';
	if (ota_members_find(image, &members) == OTA_OK)
		advice = ota_members_advice(&members);
	if (advice == NULL)
		return false;
	is_of_whole = members.packing != OTA_PACKING_NONE;
	(void)snprintf(out, OTA_ADVICE_CAP,
		"%.1f MB of this image's %.1f MB are compressed (%s%s%s). %s",
		megabytes(members.packed_len), megabytes(image.len), members.container,
		is_of_whole ? ", " : "",
		is_of_whole ? ota_packing_text(members.packing) : "", advice);
	return true;
}

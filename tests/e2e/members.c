/* What an image has inside: container, packing, bytes packed, then for each member its
 * length, the digest of its content and its path.
 * usage: members [--holes] IMAGE */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/base/own.h"
#include "proto/delta/predict/members.h"
#include "proto/wire/digest.h"

static struct ota_bytes map(const char *path)
{
	ota_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *at = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return (struct ota_bytes){ 0 };
	return (struct ota_bytes){ at, (size_t)st.st_size };
}

static void add_zeros(struct ota_hasher *hasher, uint64_t len)
{
	static const uint8_t zeros[4096];

	for (; len > sizeof zeros; len -= sizeof zeros)
		ota_hasher_add(hasher, (struct ota_bytes){ zeros, sizeof zeros });
	ota_hasher_add(hasher, (struct ota_bytes){ zeros, len });
}

static void show(struct ota_bytes image, const struct ota_members *found,
	const struct ota_member *member)
{
	struct ota_hasher hasher;
	struct ota_digest digest;
	char hex[OTA_DIGEST_HEX_CAP];

	ota_hasher_init(&hasher);
	for (uint32_t i = 0; i < member->extent_count; i++) {
		const struct ota_extent *e = &found->extents[member->extent_first + i];

		if (e->offset == OTA_HOLE)
			add_zeros(&hasher, e->len);
		else
			ota_hasher_add(&hasher,
				(struct ota_bytes){ image.at + e->offset, e->len });
	}
	digest = ota_hasher_result(&hasher);
	ota_digest_hex(&digest, hex);
	printf("%llu %s %s\n", (unsigned long long)member->len, hex, member->path);
}

static long now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
	bool holes = argc == 3 && strcmp(argv[1], "--holes") == 0;
	struct ota_bytes image = argc > 1 ? map(argv[argc - 1]) : (struct ota_bytes){ 0 };
	const char *advice;
	long begun = now_us();

	if (image.at == NULL || (holes ? ota_members_find_sparse : ota_members_find)(
					image, &found) != OTA_OK)
		return 1;
	fprintf(stderr, "%ld us\n", now_us() - begun);
	advice = ota_members_advice(&found);
	printf("%s %s %llu %s\n", found.container, ota_packing_text(found.packing),
		(unsigned long long)found.packed_len, advice == NULL ? "-" : advice);
	for (uint32_t i = 0; i < found.member_count; i++)
		show(image, &found, &found.members[i]);
	return 0;
}

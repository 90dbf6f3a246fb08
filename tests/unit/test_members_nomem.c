/* The nth allocation fails, for every n until a run gets through. */

#include <criterion/criterion.h>
#include <stdio.h>

#include "proto/base/own.h"
#include "proto/delta/predict/members.h"
#include "proto/io/files.h"
#include "tests/unit/nomem_kit.h"

static enum ota_code find(struct ota_bytes image, long nth)
{
	OTA_AUTO(ota_members_fini) struct ota_members found = { 0 };
	enum ota_code rc;

	nomem_arm(nth);
	rc = ota_members_find(image, &found);
	(void)nomem_disarm();
	return rc;
}

Test(members_nomem, every_allocation_may_fail)
{
	static const char *const seeds[] = { "ext4", "squashfs-zstd", "erofs", "cpio" };

	for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
		OTA_AUTO(ota_buf_fini) struct ota_buf image = { 0 };
		enum ota_code rc = OTA_E_NOMEM;
		char path[512];
		long nth = 0;

		(void)snprintf(path, sizeof path,
			SOURCE_ROOT "/tests/fuzz/corpus/members/%s", seeds[i]);
		cr_assert(ota_file_read(path, 1 << 20, &image, NULL) == OTA_OK);
		for (; rc == OTA_E_NOMEM && nth < 1000; nth++)
			rc = find(ota_buf_bytes(&image), nth);
		cr_expect_eq(rc, OTA_OK, "%s: %s", seeds[i], ota_code_text(rc));
		cr_expect_gt(nth, 5);
	}
}

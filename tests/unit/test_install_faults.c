#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "proto/io/files.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/install_kit.h"
#include "tests/unit/temporary.h"

/* An install, each call of which fails once: what was not said to have failed is there,
 * and the next install works. */

static struct install_kit kit;

static void begin(size_t image_len)
{
	temporary_in_memory = true;
	temporary_make();
	install_kit_init(&kit, temporary_dir, image_len, 1);
}

static void tear_down(void)
{
	install_kit_fini(&kit);
	temporary_remove();
}

TestSuite(install_faults, .fini = tear_down, .timeout = 110);

/* What a fault may be told as: nobody goes on as if the patch were wrong. */
static bool is_honest(enum ota_code rc)
{
	return rc == OTA_OK || rc == OTA_E_IO || rc == OTA_E_NOMEM ||
	       rc == OTA_E_NOSPACE || rc == OTA_E_NOTFOUND || rc == OTA_E_LIMIT ||
	       rc == OTA_E_MEDIA || rc == OTA_E_DECODER || rc == OTA_E_CONFIG ||
	       rc == OTA_E_BUSY || rc == OTA_E_DIGEST || rc == OTA_E_CANCELLED;
}

static unsigned walk(void (*prepare)(void), const char *only)
{
	struct faults walk = { .only = only };

	while (faults_next(&walk)) {
		enum ota_code rc;

		prepare();
		faults_arm(&walk);
		rc = install_kit_apply(&kit);
		(void)faults_disarm(&walk);
		cr_expect(is_honest(rc), "%s: %s", faults_text(&walk), kit.err.text);
		cr_expect(rc != OTA_OK || install_kit_is_there(&kit, 1), "%s",
			faults_text(&walk));
		if (rc != OTA_OK)
			cr_assert_eq(install_kit_apply(&kit), OTA_OK, "after %s: %s",
				faults_text(&walk), kit.err.text);
		cr_expect(install_kit_is_there(&kit, 1), "%s", faults_text(&walk));
	}
	return walk.count;
}

static void remove_slot_b(void)
{
	install_kit_run("rm -rf %s/slots/b.img %s/state/*", temporary_dir, temporary_dir);
}

Test(install_faults, of_a_new_file)
{
	begin(300000);
	cr_expect_gt(walk(remove_slot_b, NULL), 80);
}

/* Half of it is there, and proved to be. */
static void cut_slot_b(void)
{
	remove_slot_b();
	cr_assert(install_kit_apply_until(&kit, INSTALL_BLOCK_LEN + 4096));
}

Test(install_faults, of_a_file_that_was_begun)
{
	begin(INSTALL_BLOCK_LEN + 12345);
	cr_expect_gt(
		walk(cut_slot_b, "open64 pread64 pwrite64 malloc aligned_alloc "), 15);
}

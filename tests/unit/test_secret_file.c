#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/port/secret_file.h"
#include "orchestrator/port/signer.h"
#include "proto/base/own.h"
#include "tests/unit/samples.h"
#include "tests/unit/temporary.h"

/* Files that nobody else may read: what is in them comes only from such. */

static char path[64];

static void setup(void)
{
	temporary_make();
	(void)snprintf(path, sizeof path, "%s/secret", temporary_dir);
	temporary_write("secret", "hidden");
	cr_assert_eq(chmod(path, 0600), 0);
}

TestSuite(secret_file, .init = setup, .fini = temporary_remove);

Test(secret_file, one_that_is_its_owners_is_read)
{
	OTA_AUTO(secret_wipe) struct ota_buf secret = { 0 };
	struct ota_error err = { 0 };

	cr_assert_eq(secret_file_read(path, 6, &secret, &err), OTA_OK, "%s", err.text);
	cr_expect_str_eq(ota_buf_text(&secret), "hidden");
}

Test(secret_file, one_that_others_may_read_is_refused_by_name)
{
	static const mode_t modes[] = { 0640, 0604, 0620, 0601 };

	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		OTA_AUTO(secret_wipe) struct ota_buf secret = { 0 };
		struct ota_error err = { 0 };

		cr_assert_eq(chmod(path, modes[i]), 0);
		cr_expect_eq(secret_file_read(path, 64, &secret, &err), OTA_E_CONFIG);
		cr_expect_eq(secret.len, 0, "mode %o", (unsigned)modes[i]);
		cr_expect_eq(strncmp(err.text, path, strlen(path)), 0, "%s", err.text);
		cr_expect_not_null(strstr(err.text, "chmod 600"), "%s", err.text);
	}
}

Test(secret_file, one_that_is_not_there_or_too_long_is_refused)
{
	OTA_AUTO(secret_wipe) struct ota_buf secret = { 0 };
	struct ota_error err = { 0 };

	cr_expect_eq(secret_file_read(path, 5, &secret, &err), OTA_E_LIMIT);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(secret_file_read(path, 64, &secret, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "No such file"), "%s", err.text);
}

Test(secret_file, the_online_key_is_one)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf root = sample_envelope(OTA_DOC_ROOT);
	struct signer signer;
	struct ota_error err = { 0 };

	cr_expect_eq(
		signer_open(path, ota_buf_bytes(&root), &signer, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "64 hex digits"), "%s", err.text);
	cr_assert_eq(chmod(path, 0644), 0);
	cr_expect_eq(
		signer_open(path, ota_buf_bytes(&root), &signer, &err), OTA_E_CONFIG);
	cr_expect_not_null(strstr(err.text, "online key: "), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "chmod 600"), "%s", err.text);
}

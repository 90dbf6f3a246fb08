#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "orchestrator/port/assets.h"
#include "proto/base/own.h"
#include "proto/io/files.h"

enum { PAGE_LEN_MAX = 60000 }; /* bytes of all files together, compressed */

/* The program holds other files too, which the dashboard does not load. */
static bool is_of_dashboard(const struct asset *asset)
{
	return strcmp(asset->path, "/") == 0 ||
	       strncmp(asset->path, "/assets/", strlen("/assets/")) == 0;
}

Test(assets, the_page_and_all_it_loads_are_there)
{
	static const char *const paths[] = { "/", "/assets/app.js", "/assets/style.css",
		"/assets/icon.svg" };

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		cr_expect_not_null(asset_find(paths[i]), "%s", paths[i]);
	cr_expect_null(asset_find("/assets/"));
	cr_expect_null(asset_find("/assets/../app.js"));
	cr_expect_null(asset_find("/index.html"));
	cr_expect_null(asset_find(""));
}

Test(assets, a_file_unpacks_to_what_is_in_the_source)
{
	const struct asset *asset = asset_find("/assets/app.js");
	ota_autofree unsigned char *plain = asset_unpack(asset);
	OTA_AUTO(ota_buf_fini) struct ota_buf file = { 0 };

	cr_assert_not_null(plain);
	cr_assert_eq(ota_file_read(SOURCE_ROOT "/orchestrator/web/app.js", 1 << 20, &file,
			     NULL),
		OTA_OK);
	cr_assert_eq(asset->plain_len, file.len);
	cr_expect_arr_eq(plain, file.at, file.len);
}

Test(assets, all_of_it_is_small)
{
	size_t sum = 0;

	for (size_t i = 0; i < asset_count; i++)
		sum += is_of_dashboard(&assets[i]) ? assets[i].len : 0;
	cr_expect_lt(sum, PAGE_LEN_MAX);
}

Test(assets, the_page_names_every_file_and_nothing_else)
{
	ota_autofree unsigned char *plain = asset_unpack(asset_find("/"));
	char *page = (char *)plain;

	cr_assert_not_null(page);
	page[asset_find("/")->plain_len] = '\0';
	for (size_t i = 0; i < asset_count; i++)
		cr_expect_eq(strstr(page, assets[i].path) != NULL,
			is_of_dashboard(&assets[i]), "%s", assets[i].path);
	cr_expect_null(strstr(page, "http://"));
	cr_expect_null(strstr(page, "https://"));
	cr_expect_null(strstr(page, "style="));
	cr_expect_null(strstr(page, "<style"));
	cr_expect_null(strstr(page, "<script>"));
}

Test(assets, gzip_is_for_those_who_take_it)
{
	static const struct {
		const char *accept;
		bool gzip;
	} rows[] = {
		{ NULL, false },
		{ "", false },
		{ "gzip", true },
		{ "gzip, deflate, br", true },
		{ "br,GZIP;q=0.5", true },
		{ "*", true },
		{ "gzip;q=0", false },
		{ "gzip;q=0.0, identity", false },
		{ "identity", false },
		{ "xgzip", false },
		{ "gzipx", false },
		{ ", ,", false },
		{ "deflate;q=1, gzip", true },
		{ "*, gzip;q=0", false },
		{ "gzip;q=0, *", false },
		{ "*;q=0, gzip", true },
		{ "deflate, *;q=0", false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		cr_expect_eq(asset_may_be_gzip(rows[i].accept), rows[i].gzip, "%zu", i);
}

Test(assets, a_file_that_is_known_is_not_sent_again)
{
	const struct asset *asset = asset_find("/");
	char list[128];

	(void)snprintf(list, sizeof list, "\"other\", %s", asset->etag);
	cr_expect(asset_is_known(asset, asset->etag));
	cr_expect(asset_is_known(asset, strchr(asset->etag, '"')), "weak comparison");
	cr_expect(asset_is_known(asset, list));
	cr_expect(asset_is_known(asset, "*"));
	cr_expect_not(asset_is_known(asset, NULL));
	cr_expect_not(asset_is_known(asset, ""));
	cr_expect_not(asset_is_known(asset, asset_find("/assets/app.js")->etag));
}

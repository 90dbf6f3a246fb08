#ifndef TESTS_UNIT_NET_PULL_KIT_H
#define TESTS_UNIT_NET_PULL_KIT_H

/* A patch of N chunks on the broker of net_kit.h, and another one that is not there, for
 * the tests of how net gets a patch. */

#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/patch.h"
#include "tests/unit/net_kit.h"
#include "tests/unit/temporary.h"

enum { CHUNK_LEN = OTA_CHUNK_LEN_MIN, N = 21, PATCH_LEN = (N - 1) * CHUNK_LEN + 100 };

static struct net_kit kit;
static struct test_patch patch, other;
static struct ota_buf chunks[N]; /* as messages */

static inline const struct ota_topic *manifest_topic(const struct ota_digest *digest)
{
	static struct ota_topic topic;

	topic = (struct ota_topic){ .kind = OTA_TOPIC_MANIFEST, .digest = *digest };
	return &topic;
}

static inline const struct ota_topic *chunk_topic(uint32_t index)
{
	static struct ota_topic topic;

	topic = (struct ota_topic){
		.kind = OTA_TOPIC_CHUNK, .digest = patch.digest, .index = index
	};
	return &topic;
}

static inline void publish(void)
{
	for (uint32_t i = 0; i < N; i++)
		net_kit_retain(&kit, chunk_topic(i), ota_buf_bytes(&chunks[i]));
	net_kit_retain(
		&kit, manifest_topic(&patch.digest), ota_buf_bytes(&patch.manifest));
}

static inline void begin(void)
{
	temporary_in_memory = true;
	temporary_make();
	net_kit_init(&kit, temporary_dir);
	publish();
}

static inline void set_up(void)
{
	test_patch_init(&patch, PATCH_LEN, CHUNK_LEN, 1);
	test_patch_init(&other, PATCH_LEN, CHUNK_LEN, 2);
	for (uint32_t i = 0; i < N; i++)
		cr_assert_eq(ota_chunk_encode(i, test_patch_chunk(&patch, i), &chunks[i]),
			OTA_OK);
	begin();
}

static inline void end(void)
{
	cr_expect(net_kit_fini(&kit), "something is left in the loop");
	temporary_remove();
}

static inline void tear_down(void)
{
	for (uint32_t i = 0; i < N; i++)
		ota_buf_fini(&chunks[i]);
	test_patch_fini(&patch);
	test_patch_fini(&other);
}

static inline void ask(enum ipc_type type)
{
	net_kit_ask(&kit, type, IPC_PATCH, &patch.digest);
}

/* Ask for all of the patch; true if all of it came. */
static inline bool fetch(void)
{
	ask(IPC_MANIFEST);
	if (!net_kit_wait(&kit, IPC_SPOOLED, kit.count[IPC_SPOOLED] + 1))
		return false;
	ask(IPC_FETCH);
	return net_kit_wait(&kit, IPC_FETCHED, kit.count[IPC_FETCHED] + 1);
}

static inline void path_of(const char *name, char out[static SPOOL_PATH_CAP])
{
	cr_assert_eq(
		spool_file(kit.config.spool_dir, &patch.digest, name, out, NULL), OTA_OK);
}

static inline bool is_in_spool(void)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf data = { 0 };
	char path[SPOOL_PATH_CAP];

	path_of(SPOOL_DATA, path);
	return ota_file_read(path, PATCH_LEN, &data, NULL) == OTA_OK &&
	       ota_bytes_equal(ota_buf_bytes(&data), ota_buf_bytes(&patch.bytes));
}

static inline void expect_failed(enum ota_code code, const char *text)
{
	cr_expect_eq(kit.heard[IPC_FAILED].code, (uint32_t)code, "%s", kit.text);
	cr_expect(ota_digest_equal(&kit.heard[IPC_FAILED].digest, &patch.digest));
	cr_expect_not_null(strstr(kit.text, text), "no '%s' in '%s'", text, kit.text);
	cr_expect_eq(kit.pull.stage, PULL_NONE);
}

static inline void begin_chunks(void)
{
	ask(IPC_MANIFEST);
	cr_assert(net_kit_wait(&kit, IPC_SPOOLED, 1));
	kit.is_deaf = true;
	ask(IPC_FETCH);
	while (kit.pull.stage != PULL_CHUNKS)
		net_kit_turn(&kit);
}

#endif

#ifndef TESTS_UNIT_NET_PULL_KIT_H
#define TESTS_UNIT_NET_PULL_KIT_H

/* A patch of N chunks on the broker of net_kit.h, and another one that is not there, for
 * the tests of how net gets a patch. */

#include <criterion/criterion.h>

#include <string.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "tests/patch.h"
#include "tests/unit/net_fetch_kit.h"
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

static inline void prepare(void)
{
}

static inline void ask_for(enum ipc_type type, uint64_t allowed)
{
	const struct ipc_message want = {
		.type = type, .code = IPC_PATCH, .digest = patch.digest, .b = allowed
	};

	net_kit_say(&kit, &want);
}

static inline int stage_of_pull(void)
{
	return (int)kit.pull.stage;
}

static const struct net_fetch pull = { .kit = &kit,
	.patch = &patch.digest,
	.file = SPOOL_DATA,
	.none = PULL_NONE,
	.opening = PULL_OPENING,
	.begin = begin,
	.end = end,
	.prepare = prepare,
	.ask = ask_for,
	.stage = stage_of_pull,
	.is_in_spool = is_in_spool };

static inline void ask(enum ipc_type type)
{
	ask_for(type, 0);
}

static inline bool fetch(void)
{
	return net_fetch_all(&pull);
}

static inline void expect_failed(enum ota_code code, const char *text)
{
	net_fetch_expect_failed(&pull, code, text);
	cr_expect(ota_digest_equal(&kit.heard[IPC_FAILED].digest, &patch.digest));
}

static inline void begin_chunks(void)
{
	net_fetch_begin_pieces(&pull, PULL_CHUNKS);
}

#endif

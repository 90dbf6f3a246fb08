/* The agent with a decoder that a patch can break: the length of the image says how. It
 * is linked in place of the real one's first step, so all around it is real. */

#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "proto/base/own.h"
#include "proto/delta/decode.h"
#include "tests/integration/frail_agent.h"

enum ota_code __real_ota_decoder_new(const struct ota_manifest *manifest,
	const struct ota_source *from, const struct ota_sink *out, uint64_t ram_max,
	struct ota_decoder **decoder, struct ota_error *err);
enum ota_code __wrap_ota_decoder_new(const struct ota_manifest *manifest,
	const struct ota_source *from, const struct ota_sink *out, uint64_t ram_max,
	struct ota_decoder **decoder, struct ota_error *err);
enum ota_code __real_ota_decoder_feed(
	struct ota_decoder *decoder, struct ota_bytes data, struct ota_error *err);
enum ota_code __wrap_ota_decoder_feed(
	struct ota_decoder *decoder, struct ota_bytes data, struct ota_error *err);

static uint64_t to_len;

enum ota_code __wrap_ota_decoder_new(const struct ota_manifest *manifest,
	const struct ota_source *from, const struct ota_sink *out, uint64_t ram_max,
	struct ota_decoder **decoder, struct ota_error *err)
{
	to_len = manifest->to_len;
	return __real_ota_decoder_new(manifest, from, out, ram_max, decoder, err);
}

/* As if each block were always there. */
static void use_memory(void)
{
	enum { BLOCK_LEN = 1 << 20 };

	for (;;) {
		volatile char *block = malloc(BLOCK_LEN);

		block[BLOCK_LEN / 2] = 1;
	}
}

enum ota_code __wrap_ota_decoder_feed(
	struct ota_decoder *decoder, struct ota_bytes data, struct ota_error *err)
{
	volatile char *volatile nowhere = NULL;

	if (to_len % FRAIL_STEP == FRAIL_SEGV)
		*nowhere = 1;
	if (to_len % FRAIL_STEP == FRAIL_SYS)
		(void)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	if (to_len % FRAIL_STEP == FRAIL_MEMORY)
		use_memory();
	return __real_ota_decoder_feed(decoder, data, err);
}

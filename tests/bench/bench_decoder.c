/* Figures of one codec over one pair of files, as key=value on one line.
 *
 *   bench_decoder make SEED LEN OLD NEW     write a pair of files: old noise with
 *                                           structure, new with edits, moved blocks and
 *                                           new parts
 *   bench_decoder run CODEC OLD NEW PATCH   write the patch, decode it again, figures
 *   bench_decoder digest OLD NEW            what digests cost: see digest()
 *
 * Heap counted is the decoder's heap; files are read through small buffers. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/base/own.h"
#include "proto/delta/decode.h"
#include "proto/delta/encode.h"

static double clock_s(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double now_s(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

static double cpu_s(void)
{
	return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Bytes that compress to about two thirds, as programs do: symbols of unequal weight, and
 * now and then a piece of what came shortly before. */
static void fill(uint8_t *at, size_t len, uint64_t *state)
{
	for (size_t done = 0; done < len;) {
		uint64_t r = next_random(state);
		size_t back = 100 + (r >> 8) % 30000, n = 8 + (r >> 40) % 56;

		if (r % 64 == 0 && back < done && n <= len - done) {
			for (size_t i = 0; i < n; i++)
				at[done + i] = at[done + i - back];
			done += n;
			continue;
		}
		for (unsigned i = 0; i < 4 && done < len; i++, r >>= 16)
			at[done++] = (uint8_t)(((r & 255) * (r >> 8 & 255)) >> 8);
	}
}

static int write_file(const char *path, const uint8_t *at, size_t len)
{
	FILE *file = fopen(path, "wb");
	int bad;

	if (file == NULL)
		return 1;
	bad = fwrite(at, 1, len, file) != len;
	return (fclose(file) != 0) | bad;
}

/* The new file: per MiB a few small edits; one block in 16 moved from elsewhere; one in
 * 32 made anew. */
static void edit(uint8_t *new, const uint8_t *old, size_t len, uint64_t *state)
{
	enum { BLOCK = 1 << 16 };

	memcpy(new, old, len);
	for (size_t at = 0; at + BLOCK <= len; at += BLOCK) {
		uint64_t r = next_random(state);

		if (r % 16 == 0)
			memcpy(new + at, old + next_random(state) % (len - BLOCK), BLOCK);
		else if (r % 32 == 1)
			fill(new + at, BLOCK, state);
		for (unsigned i = 0; i < (r >> 8) % 4; i++)
			new[at + next_random(state) % BLOCK] ^= 1;
	}
}

static int make(char **argv)
{
	uint64_t state = strtoull(argv[0], NULL, 10);
	size_t len = strtoull(argv[1], NULL, 10);
	ota_autofree uint8_t *old = malloc(len), *new = malloc(len);

	if (old == NULL || new == NULL)
		return 1;
	fill(old, len, &state);
	edit(new, old, len, &state);
	return write_file(argv[2], old, len) | write_file(argv[3], new, len);
}

static enum ota_code fd_read(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
	const int *fd = ctx;

	return pread(*fd, out, len, (off_t)offset) == (ssize_t)len ? OTA_OK : OTA_E_IO;
}

static enum ota_code file_write(void *ctx, struct ota_bytes data)
{
	return fwrite(data.at, 1, data.len, ctx) == data.len ? OTA_OK : OTA_E_IO;
}

static enum ota_code swallow(void *ctx, struct ota_bytes data)
{
	*(uint64_t *)ctx += data.len;
	return OTA_OK;
}

static struct ota_source source_of(const char *path, int *fd)
{
	struct stat st = { 0 };

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) != 0)
		perror(path);
	return (struct ota_source){ fd, (uint64_t)st.st_size, fd_read };
}

static enum ota_code decode(const struct ota_manifest *manifest,
	const struct ota_source *from, const char *patch_path, uint64_t *peak,
	struct ota_error *err)
{
	uint8_t piece[65536];
	uint64_t written = 0;
	struct ota_sink out = { &written, swallow };
	struct ota_decoder *decoder = NULL;
	FILE *patch = fopen(patch_path, "rb");
	enum ota_code rc;
	size_t len;

	if (patch == NULL)
		return OTA_E_IO;
	rc = ota_decoder_new(manifest, from, &out, OTA_DECODER_RAM, &decoder, err);
	while (rc == OTA_OK && (len = fread(piece, 1, sizeof piece, patch)) > 0)
		rc = ota_decoder_feed(decoder, (struct ota_bytes){ piece, len }, err);
	if (rc == OTA_OK)
		rc = ota_decoder_finish(decoder, err);
	if (decoder != NULL)
		*peak = ota_decoder_ram_peak(decoder);
	ota_decoder_free(decoder);
	(void)fclose(patch);
	return rc;
}

static int run(char **argv)
{
	ota_autoclose int from_fd = -1;
	ota_autoclose int to_fd = -1;
	struct ota_source from = source_of(argv[1], &from_fd);
	struct ota_source to = source_of(argv[2], &to_fd);
	struct ota_encode_job job = { .from = &from, .to = &to, .options.workers = 2 };
	OTA_AUTO(ota_manifest_fini) struct ota_manifest manifest = { 0 };
	struct ota_error err = { 0 };
	FILE *patch = fopen(argv[3], "wb");
	struct ota_sink out = { patch, file_write };
	double start = now_s(), encoded_s;
	uint64_t peak = 0;
	enum ota_code rc = ota_codec_of(argv[0], &job.codec, &err);

	if (rc == OTA_OK && patch != NULL)
		rc = ota_patch_encode(&job, &out, &manifest, &err);
	if (patch == NULL || fclose(patch) != 0)
		rc = OTA_E_IO;
	encoded_s = now_s() - start;
	start = now_s();
	if (rc == OTA_OK)
		rc = decode(&manifest, &from, argv[3], &peak, &err);
	if (rc != OTA_OK) {
		fprintf(stderr, "bench_decoder: %s: %s\n", ota_code_text(rc), err.text);
		return 1;
	}
	printf("patch_len=%" PRIu64 " raw_len=%" PRIu64 " decoder_ram=%" PRIu64
	       " heap_peak=%" PRIu64 " encode_s=%.2f decode_s=%.2f to_len=%" PRIu64 "\n",
		manifest.patch_len, manifest.raw_len, manifest.decoder_ram, peak,
		encoded_s, now_s() - start, manifest.to_len);
	return 0;
}

/* What `sluice patch` spends on digests: it reads the old image for its own, and hashes
 * the new one as it makes it. */
static int digest(char **argv)
{
	ota_autoclose int from_fd = -1;
	ota_autoclose int to_fd = -1;
	struct ota_source from = source_of(argv[0], &from_fd);
	struct ota_source to = source_of(argv[1], &to_fd);
	static uint8_t piece[65536];
	struct ota_digest got;
	struct ota_hasher hasher;
	double spent_s = -cpu_s();
	enum ota_code rc =
		ota_source_digest(&from, &(struct ota_progress){ 0 }, &got, NULL);

	spent_s += cpu_s();
	ota_hasher_init(&hasher);
	for (uint64_t at = 0; at < to.len && rc == OTA_OK; at += sizeof piece) {
		uint64_t left = to.len - at;
		struct ota_bytes data = { piece,
			left < sizeof piece ? (size_t)left : sizeof piece };

		rc = fd_read(&to_fd, at, piece, data.len);
		spent_s -= cpu_s();
		ota_hasher_add(&hasher, data);
		spent_s += cpu_s();
	}
	got = ota_hasher_result(&hasher);
	if (rc != OTA_OK) {
		fprintf(stderr, "bench_decoder: %s\n", ota_code_text(rc));
		return 1;
	}
	printf("digest_s=%.4f last=%02x\n", spent_s, got.at[0]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "make") == 0)
		return make(argv + 2);
	if (argc == 6 && strcmp(argv[1], "run") == 0)
		return run(argv + 2);
	if (argc == 4 && strcmp(argv[1], "digest") == 0)
		return digest(argv + 2);
	fputs("usage: bench_decoder make SEED LEN OLD NEW | run CODEC OLD NEW PATCH | "
	      "digest OLD NEW\n",
		stderr);
	return 2;
}

#include "tests/integration/agent_install.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/port/install.h"
#include "proto/base/own.h"
#include "proto/delta/encode.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"
#include "tests/sim/world_people.h"

enum { IMAGE_LEN = 700000, DEADLINE_MS = 30000, QUIET_MS = 1000, PATH_CAP = 512 };

static const char CONFIG[] =
	"device: gw-1\nfleet: demo\nproduct: gateway\nhardware: rev-b\n"
	"root: root\ndevice_key: key\nbroker: {url: 'tcp://127.0.0.1:1'}\n"
	"state_dir: state\nspool: {dir: spool, max: 16M}\nhooks: hooks\n"
	"slot: {dir: slots, initial: first, initial_version: '1.0', initial_counter: 1}\n"
	"deadlines: {hook: 5s}\n";

/* ---- files ---- */

static void path_of(const struct agent_install *in, const char *name, char *out)
{
	(void)snprintf(out, PATH_CAP, "%s/%s", in->dir, name);
}

static void write_file(const struct agent_install *in, const char *name,
	struct ota_bytes bytes, mode_t mode)
{
	char path[PATH_CAP];
	struct ota_error err = { 0 };

	path_of(in, name, path);
	cr_assert_eq(ota_file_replace(path, bytes, mode, &err), OTA_OK, "%s", err.text);
}

static void make_dir(const struct agent_install *in, const char *name)
{
	char path[PATH_CAP];

	path_of(in, name, path);
	cr_assert_eq(ota_dir_make(path, 0755, NULL), OTA_OK);
}

void agent_install_hook(struct agent_install *in, const char *name, const char *body)
{
	char text[1024], path[64];

	(void)snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
	(void)snprintf(path, sizeof path, "hooks/%s", name);
	write_file(in, path, ota_bytes_of(text), 0755);
}

bool agent_install_runs(const struct agent_install *in, const struct ota_buf *image)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf found = { 0 };
	char path[PATH_CAP];

	path_of(in, "slots/current", path);
	return ota_file_read(path, 2 * IMAGE_LEN, &found, NULL) == OTA_OK &&
	       ota_bytes_equal(ota_buf_bytes(&found), ota_buf_bytes(image));
}

/* ---- images, patch, documents ---- */

static void make_images(struct agent_install *in)
{
	uint64_t x = 88172645463325252;

	for (size_t i = 0; i < IMAGE_LEN; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		cr_assert_eq(ota_buf_add_u8(&in->from, (uint8_t)x), OTA_OK);
	}
	cr_assert_eq(ota_buf_add(&in->to, ota_buf_bytes(&in->from)), OTA_OK);
	for (size_t i = 1000; i < 200000; i++)
		in->to.at[i] = (uint8_t)(in->to.at[i] * 5 + 1);
}

static enum ota_code keep(void *ctx, struct ota_bytes data)
{
	return ota_buf_add(ctx, data);
}

static void make_patch(struct agent_install *in)
{
	struct ota_manifest *m = &in->people.manifest;
	struct ota_bytes from = ota_buf_bytes(&in->from), to = ota_buf_bytes(&in->to);
	struct ota_source from_source = ota_source_of(&from),
			  to_source = ota_source_of(&to);
	const struct ota_encode_job job = { .codec = OTA_CODEC_PREDICT,
		.from = &from_source,
		.to = &to_source,
		.options = { .level = 3, .chunk_len = 16384 } };
	const struct ota_sink sink = { .ctx = &in->patch, .write = keep };
	struct ota_error err = { 0 };

	*m = (struct ota_manifest){ 0 };
	in->patch.len = 0;
	cr_assert_eq(ota_patch_encode(&job, &sink, m, &err), OTA_OK, "%s", err.text);
	cr_assert_leq(m->chunk_count, 16);
	cr_assert_geq(m->chunk_count, 3, "enough to have something in the middle");
	memcpy(in->chunks, m->chunks, m->chunk_count * sizeof in->chunks[0]);
	free(m->chunks);
	m->chunks = in->chunks;
}

static void make_documents(struct agent_install *in)
{
	struct world *w = &in->people;
	uint64_t now = ota_clock_utc_s();

	w->root.issued_utc_s = now - 10;
	w->root.expires_utc_s = now + WORLD_DAY_S;
	w->release.image = w->order.image = w->manifest.to;
	w->release.image_len = w->order.image_len = w->manifest.to_len;
	w->order.patches[0].from = w->manifest.from;
	w->order.prove_s = 20;
	w->catalog.issued_utc_s = w->fresh.issued_utc_s = w->grant.issued_utc_s = now;
	w->grant.not_before_utc_s = now - 10;
	w->catalog.expires_utc_s = w->fresh.expires_utc_s = w->grant.expires_utc_s =
		now + WORLD_DAY_S;
	people_sign_root(w);
	world_sign(w);
	in->digest = w->order.patches[0].patch;
}

void agent_install_init(struct agent_install *in)
{
	char seed[2 * 32 + 1];

	*in = (struct agent_install){ .fd = -1, .dir = "/tmp/agent-install.XXXXXX" };
	cr_assert_not_null(mkdtemp(in->dir));
	world_init(&in->people);
	make_images(in);
	make_patch(in);
	make_documents(in);
	make_dir(in, "hooks");
	make_dir(in, "spool");
	ota_hex_encode((struct ota_bytes){ (uint8_t[32]){ 99 }, 32 }, seed);
	write_file(in, "key", ota_bytes_of(seed), 0600);
	write_file(in, "root", ota_buf_bytes(&in->people.root_bytes), 0644);
	write_file(in, "first", ota_buf_bytes(&in->from), 0644);
	write_file(in, "agent.yaml", ota_bytes_of(CONFIG), 0644);
	in->program = AGENT;
	(void)signal(SIGPIPE, SIG_IGN);
}

/* ---- the process ---- */

static void say(struct agent_install *in, const struct ipc_message *message)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf packet = { 0 };

	cr_assert_eq(ipc_encode(message, &packet), OTA_OK);
	(void)send(in->fd, packet.at, packet.len, 0); /* it may be gone: seen by recv */
}

static void say_document(struct agent_install *in, enum ota_topic_kind kind)
{
	say(in, &(struct ipc_message){ .type = IPC_DOC,
			.code = (uint32_t)kind,
			.payload = ota_buf_bytes(&in->people.docs[kind]) });
}

static void say_documents(struct agent_install *in)
{
	static const enum ota_topic_kind kinds[] = { OTA_TOPIC_FRESH, OTA_TOPIC_CATALOG,
		OTA_TOPIC_ASSIGN, OTA_TOPIC_ORDER, OTA_TOPIC_RELEASE, OTA_TOPIC_GRANT };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		say_document(in, kinds[i]);
}

void agent_install_renew(struct agent_install *in, size_t less)
{
	for (size_t i = 1000; i < 200000; i++)
		in->to.at[i] = (uint8_t)(in->to.at[i] * 3 + 1);
	in->to.len = IMAGE_LEN - less;
	make_patch(in);
	world_next(&in->people);
	make_documents(in);
	if (in->pid > 0)
		say_documents(in);
}

static void start(struct agent_install *in)
{
	static const uint8_t nonce[OTA_NONCE_LEN] = { 1 };
	char config[PATH_CAP], boot[16];
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	path_of(in, "agent.yaml", config);
	(void)snprintf(boot, sizeof boot, "boot-%u", in->boot);
	in->pid = fork();
	cr_assert_geq(in->pid, 0);
	if (in->pid == 0) {
		(void)dup2(pair[1], 3);
		if (in->env[0] != '\0')
			(void)putenv(in->env);
		(void)execl(in->program, in->program, "install", "--fd", "3", "--boot",
			boot, "-c", config, (char *)NULL);
		_exit(127);
	}
	(void)close(pair[1]);
	in->env[0] = '\0';
	in->fd = pair[0];
	say(in, &(struct ipc_message){ .type = IPC_HELLO });
	say(in, &(struct ipc_message){
			.type = IPC_UP, .payload = { nonce, sizeof nonce } });
	say_documents(in);
}

static void reap(struct agent_install *in)
{
	(void)close(in->fd);
	in->fd = -1;
	cr_assert_eq(waitpid(in->pid, &in->exit_status, 0), in->pid);
	in->pid = 0;
}

/* What the supervisor does when install ends. */
static void start_again(struct agent_install *in)
{
	reap(in);
	if (WIFEXITED(in->exit_status) &&
		WEXITSTATUS(in->exit_status) == INSTALL_EXIT_REBOOT) {
		in->boot++;
		in->boots++;
	} else {
		in->restarts++;
		cr_assert_leq(in->restarts, in->kills + in->may_fail,
			"ended by itself: status %x", (unsigned)in->exit_status);
		cr_assert(in->may_fail == 0 || WIFEXITED(in->exit_status),
			"died: status %x", (unsigned)in->exit_status);
	}
	start(in);
}

/* ---- net ---- */

static void spool_path(const struct agent_install *in, const char *name, char *out)
{
	char hex[OTA_DIGEST_HEX_CAP];

	ota_digest_hex(&in->digest, hex);
	(void)snprintf(
		out, PATH_CAP, "spool/%s%s%s", hex, name[0] != '\0' ? "/" : "", name);
}

static void spool_manifest(struct agent_install *in)
{
	char path[PATH_CAP];

	spool_path(in, "", path);
	make_dir(in, path);
	spool_path(in, SPOOL_MANIFEST, path);
	write_file(in, path, ota_buf_bytes(&in->people.manifest_bytes), 0644);
}

static void spool_data(struct agent_install *in)
{
	uint8_t *byte = &in->patch.at[in->patch.len / 2];
	uint8_t right = *byte;
	char path[PATH_CAP];

	if (in->damage)
		*byte ^= 1;
	spool_path(in, SPOOL_DATA, path);
	write_file(in, path, ota_buf_bytes(&in->patch), 0644);
	*byte = right;
	in->damage = false;
}

static void take_report(struct agent_install *in, struct ota_bytes envelope)
{
	struct ota_public_key key = ota_secret_key_public(&in->people.device_key);
	uint64_t counter = in->report.counter;
	struct ota_error err = { 0 };

	cr_assert_eq(ota_report_open(envelope, in->people.root.fleet_id, &key, "gw-1",
			     &in->report, &err),
		OTA_OK, "%s", err.text);
	cr_assert_gt(in->report.counter, counter);
	if (!in->kill_in[in->report.state])
		return;
	in->kill_in[in->report.state] = false;
	in->kills++;
	cr_assert_eq(kill(in->pid, SIGKILL), 0);
}

static void answer(struct agent_install *in, const struct ipc_message *m)
{
	struct ipc_message reply = { .type = IPC_SPOOLED, .digest = m->digest };

	if (m->type == IPC_REPORT)
		take_report(in, m->payload);
	if (m->type == IPC_MANIFEST) {
		spool_manifest(in);
		say(in, &reply);
	}
	if (m->type == IPC_FETCH) {
		in->fetches++;
		spool_data(in);
		reply.type = IPC_FETCHED;
		reply.a = reply.b = in->people.manifest.chunk_count;
		reply.c = in->people.manifest.patch_len;
		say(in, &reply);
	}
}

/* One packet, or the end of the process. False if there was none in time. */
static bool hear(struct agent_install *in, int timeout_ms)
{
	static uint8_t packet[IPC_PACKET_LEN_MAX];
	struct pollfd wait = { .fd = in->fd, .events = POLLIN };
	struct ipc_message message;
	ssize_t n;

	if (poll(&wait, 1, timeout_ms) <= 0)
		return false;
	n = recv(in->fd, packet, sizeof packet, 0);
	if (n <= 0) {
		start_again(in);
		return true;
	}
	cr_assert_eq(ipc_parse((struct ota_bytes){ packet, (size_t)n }, &message, NULL),
		OTA_OK);
	answer(in, &message);
	return true;
}

bool agent_install_run(struct agent_install *in, enum ota_update_state state)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;

	if (in->pid == 0)
		start(in);
	while (in->report.counter == 0 || in->report.state != state) {
		uint64_t now_ms = ota_clock_mono_ms();

		if (now_ms >= until_ms || !hear(in, (int)(until_ms - now_ms)))
			return false;
	}
	return true;
}

static bool waits_for_memory(const struct agent_install *in)
{
	return in->report.wait == OTA_E_NOMEM || in->report.error == OTA_E_NOMEM;
}

bool agent_install_run_to_end(struct agent_install *in)
{
	uint64_t until_ms = ota_clock_mono_ms() + DEADLINE_MS;

	if (in->pid == 0)
		start(in);
	while (in->report.state != OTA_UPDATE_CONFIRMED &&
		in->report.state != OTA_UPDATE_FAILED && !waits_for_memory(in)) {
		cr_assert_lt(ota_clock_mono_ms(), until_ms, "it stands in state %s: %s",
			ota_update_state_text(in->report.state), in->report.error_text);
		if (!hear(in, QUIET_MS))
			say_documents(in);
	}
	return in->report.state == OTA_UPDATE_CONFIRMED;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void agent_install_fini(struct agent_install *in)
{
	if (in->pid > 0) {
		(void)kill(in->pid, SIGTERM);
		reap(in);
	}
	(void)nftw(in->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	ota_buf_fini(&in->from);
	ota_buf_fini(&in->to);
	ota_buf_fini(&in->patch);
	world_fini(&in->people);
}

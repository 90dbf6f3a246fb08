#include "tests/unit/net_fetch_kit.h"

#include <criterion/criterion.h>

#include <string.h>
#include <unistd.h>

#include "proto/io/files.h"

bool net_fetch_all(const struct net_fetch *f)
{
	struct net_kit *kit = f->kit;

	f->ask(IPC_MANIFEST, 0);
	if (!net_kit_wait(kit, IPC_SPOOLED, kit->count[IPC_SPOOLED] + 1))
		return false;
	f->ask(IPC_FETCH, 0);
	return net_kit_wait(kit, IPC_FETCHED, kit->count[IPC_FETCHED] + 1);
}

void net_fetch_head(const struct net_fetch *f)
{
	f->ask(IPC_MANIFEST, 0);
	cr_assert(net_kit_wait(f->kit, IPC_SPOOLED, f->kit->count[IPC_SPOOLED] + 1), "%s",
		f->kit->text);
}

void net_fetch_begin_pieces(const struct net_fetch *f, int stage)
{
	net_fetch_head(f);
	f->kit->is_deaf = true;
	f->ask(IPC_FETCH, 0);
	while (f->stage() != stage)
		net_kit_turn(f->kit);
}

void net_fetch_expect_failed(
	const struct net_fetch *f, enum ota_code code, const char *text)
{
	const struct net_kit *kit = f->kit;

	cr_expect_eq(kit->heard[IPC_FAILED].code, (uint32_t)code, "%s", kit->text);
	cr_expect_not_null(strstr(kit->text, text), "no '%s' in '%s'", text, kit->text);
	cr_expect_eq(f->stage(), f->none);
}

static void path_of(
	const struct net_fetch *f, const char *name, char out[static SPOOL_PATH_CAP])
{
	cr_assert_eq(
		spool_file(f->kit->config.spool_dir, f->patch, name, out, NULL), OTA_OK);
}

/* ---- calls that fail ---- */

/* One step of the walk. */
static bool fetch_with(const struct net_fetch *f, struct faults *walk)
{
	const struct net_kit *kit = f->kit;
	bool is_done;

	faults_arm(walk);
	is_done = net_fetch_all(f);
	(void)faults_disarm(walk);
	if (!is_done && !kit->gone) {
		cr_expect_str_neq(kit->text, "", "%s", faults_text(walk));
		cr_expect_neq(kit->heard[IPC_FAILED].code, (uint32_t)OTA_OK);
		f->prepare();
		cr_expect(net_fetch_all(f), "after %s: %s", faults_text(walk), kit->text);
	}
	if (!kit->gone)
		cr_expect(f->is_in_spool(), "after %s", faults_text(walk));
	return is_done;
}

unsigned net_fetch_walk(const struct net_fetch *f)
{
	struct faults walk = { .only = net_kit_calls };
	unsigned failed = 0;

	while (faults_next(&walk)) {
		failed += !fetch_with(f, &walk);
		f->end();
		f->begin();
	}
	cr_log_info("%u faults, %u fetches failed", walk.count, failed);
	return failed;
}

static void fail_to_sync(const struct net_fetch *f)
{
	net_fetch_head(f);
	cr_assert(faults_arm_text("fdatasync,5,0"));
	f->ask(IPC_FETCH, 0);
	cr_expect_not(net_kit_wait(f->kit, IPC_FETCHED, 1));
	cr_expect(faults_disarm(&(struct faults){ 0 }));
	net_fetch_expect_failed(f, OTA_E_IO, "Input/output error");
}

static void fetch_again(const struct net_fetch *f)
{
	f->prepare();
	cr_expect(net_fetch_all(f), "%s", f->kit->text);
	cr_expect(f->is_in_spool());
}

void net_fetch_without_sync(const struct net_fetch *f)
{
	char path[SPOOL_PATH_CAP];

	fail_to_sync(f);
	path_of(f, f->file, path);
	cr_expect_neq(access(path, F_OK), 0, "nobody knows what of it is on the disk");
	fetch_again(f);
}

void net_fetch_without_sync_nor_removal(const struct net_fetch *f)
{
	char path[SPOOL_PATH_CAP];

	path_of(f, "not-ours", path);
	cr_assert_eq(ota_dir_make(path, 0700, NULL), OTA_OK); /* stays: no file */
	fail_to_sync(f);
	cr_assert_eq(rmdir(path), 0);
	fetch_again(f);
}

/* ---- requests ---- */

void net_fetch_twice(const struct net_fetch *f)
{
	struct net_kit *kit = f->kit;

	kit->is_deaf = true;
	f->ask(IPC_MANIFEST, 0);
	cr_expect_eq(kit->subscribed, 1);
	f->ask(IPC_MANIFEST, 0);
	cr_expect_eq(kit->subscribed, 1, "asked already");
	kit->is_deaf = false;
	net_kit_link(kit, true);
	cr_assert(net_kit_wait(kit, IPC_SPOOLED, 1));
	f->ask(IPC_FETCH, 0);
	f->ask(IPC_FETCH, 0);
	cr_assert(net_kit_wait(kit, IPC_FETCHED, 1));
	net_kit_settle(kit);
	cr_expect_eq(kit->count[IPC_FETCHED], 1);
	cr_expect_eq(kit->heard[IPC_FETCHED].d, 0, "each piece came once");
}

/* A thread may be done before it is seen: then it is all done again. */
static void turn_until(const struct net_fetch *f, int stage)
{
	for (;;) {
		if (f->stage() == f->none)
			f->ask(IPC_FETCH, 0);
		if (f->stage() == stage)
			return;
		net_kit_answer(f->kit);
		if (f->stage() == stage)
			return;
		net_kit_turn(f->kit);
	}
}

void net_fetch_stop_at(const struct net_fetch *f, int stage)
{
	const struct net_kit *kit = f->kit;
	unsigned fetched;

	f->ask(IPC_MANIFEST, 0);
	turn_until(f, stage);
	fetched = kit->count[IPC_FETCHED];
	f->ask(IPC_STOP, 0);
	net_kit_settle(f->kit);
	cr_expect_eq(f->stage(), f->none, "stage %d", stage);
	cr_expect_eq(kit->count[IPC_FETCHED], fetched, "stage %d", stage);
	cr_expect_eq(kit->count[IPC_FAILED], 0, "stage %d", stage);
}

unsigned net_fetch_outstanding(const struct net_fetch *f, uint64_t allowed)
{
	unsigned before = f->kit->subscribed;

	f->kit->is_deaf = true;
	f->ask(IPC_FETCH, allowed);
	while (f->stage() == f->opening)
		net_kit_turn(f->kit);
	f->ask(IPC_STOP, 0);
	return f->kit->subscribed - before - 1; /* and the fence */
}

void net_fetch_after_link(const struct net_fetch *f)
{
	struct net_kit *kit = f->kit;

	net_kit_link(kit, false);
	f->ask(IPC_MANIFEST, 0);
	net_kit_turn(kit);
	cr_expect_eq(kit->subscribed, 0);
	net_kit_link(kit, true);
	cr_assert(net_kit_wait(kit, IPC_SPOOLED, 1));
	net_kit_link(kit, false);
	f->ask(IPC_FETCH, 0);
	net_kit_turn(kit);
	net_kit_link(kit, true);
	cr_assert(net_kit_wait(kit, IPC_FETCHED, 1));
	cr_expect(f->is_in_spool());
}

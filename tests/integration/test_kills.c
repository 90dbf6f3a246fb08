/* sluiced is killed at every step of a whole rollout: on SQLite, on PostgreSQL, with
 * PostgreSQL started again below it, and with another sluiced that takes over. By day a
 * sample of the steps, by night (SLUICE_NIGHTLY) all of them. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/port/pg_ledger.h"
#include "proto/io/loop.h"
#include "tests/integration/campaign.h"

enum {
	LANES = CAMPAIGNS_MAX, /* campaigns at once: they mostly wait */
	STEPS_MAX = 1024,
	LATE_MAX = 40, /* steps, by which a run may be shorter than another */
	TURN_MS = 5,
	THAW_MS = PG_RENEW_MS + 500, /* a leader asks again that often */
};

static bool is_night(void)
{
	return getenv("SLUICE_NIGHTLY") != NULL;
}

/* ---- databases of PostgreSQL */

static struct postgres postgres; /* pid 0: not in use */

static void make_database(char url[static POSTGRES_URL_CAP])
{
	static unsigned count;
	char sql[64];

	(void)snprintf(sql, sizeof sql, "CREATE DATABASE campaign_%u", ++count);
	cr_assert(postgres_run(&postgres, sql), "%s", sql);
	(void)snprintf(url, POSTGRES_URL_CAP, "postgresql://sluice@/campaign_%u?host=%s",
		count, postgres.dir);
}

/* As time would, which the test does not wait for. False while somebody holds the row. */
static bool expire_lease(const struct campaign *c)
{
	struct postgres database = { 0 };

	(void)snprintf(database.url, sizeof database.url, "%s", c->database);
	return postgres_run(&database, "SET lock_timeout = '50ms';"
				       "UPDATE sluice.lease SET expires = '-infinity'");
}

static void drop_database(const struct campaign *c)
{
	char sql[128];
	const char *name = strstr(c->database, "campaign_");

	if (!name)
		return;
	(void)snprintf(sql, sizeof sql, "DROP DATABASE %.*s WITH (FORCE)",
		(int)strcspn(name, "?"), name);
	(void)postgres_run(&postgres, sql);
}

/* ---- which steps */

/* The letters of the steps of a campaign that nothing happens to; count them. */
static unsigned undisturbed(char letters[static STEPS_MAX])
{
	static struct campaign campaign;
	char url[POSTGRES_URL_CAP];

	if (postgres.pid)
		make_database(url);
	campaign_init(
		&campaign, (struct campaign_strike){ 0 }, postgres.pid ? url : NULL);
	campaign_run(&campaign);
	(void)snprintf(campaign.name, sizeof campaign.name, "undisturbed");
	campaign_judge(&campaign);
	(void)snprintf(letters, STEPS_MAX, "%s", campaign_steps(&campaign));
	campaign_fini(&campaign);
	drop_database(&campaign);
	return (unsigned)strlen(letters);
}

/* Steps to strike at, of those with one of the letters (NULL: any): by day want of them,
 * spread over the whole. */
static unsigned choose(const char *kinds, unsigned want, unsigned out[static STEPS_MAX])
{
	char letters[STEPS_MAX];
	unsigned count = undisturbed(letters), found = 0, kept = 0;

	for (unsigned i = 0; i < count; i++)
		if (!kinds || strchr(kinds, letters[i]))
			out[found++] = i + 1;
	if (is_night() || want > found)
		want = found;
	for (; kept < want; kept++)
		out[kept] = out[(uint64_t)kept * found / want];
	(void)fprintf(stderr, "# %u of %u steps, of %u in a rollout: %s\n", kept, found,
		count, letters);
	cr_log_info("%u of %u steps, of %u in a rollout", kept, found, count);
	return kept;
}

/* ---- sweeping over them */

struct lane {
	struct campaign campaign;
	struct server heir;
	unsigned step, late; /* step 0: idle */
	bool expired;        /* the lease of the one that was struck */
	uint64_t stopped_ms; /* since when that one stands still; 0: it never did */
	bool thawed;
};

struct sweep {
	int signal_number;
	unsigned lanes;
	bool has_heir;
	void (*turn)(
		struct lane *lane); /* between two turns of a campaign; may be NULL */
	void (*judge)(struct lane *lane); /* beside campaign_judge(); may be NULL */
};

static void begin(struct lane *lane, const struct sweep *sweep, unsigned step)
{
	struct campaign_strike strike = { step, sweep->signal_number };
	char url[POSTGRES_URL_CAP];

	lane->step = step;
	lane->stopped_ms = 0;
	lane->expired = lane->thawed = false;
	if (postgres.pid)
		make_database(url);
	campaign_init(&lane->campaign, strike, postgres.pid ? url : NULL);
	lane->campaign.once = sweep->has_heir;
}

static void end(struct lane *lane, const struct sweep *sweep)
{
	struct campaign *c = &lane->campaign;

	if (sweep->has_heir && c->heir)
		server_fini(&lane->heir);
	campaign_fini(c);
	drop_database(c);
	lane->step = lane->late = 0;
}

/* The heir begins once the other leads, or it would be the leader; or is struck before.
 */
static void add_heir(struct lane *lane, const struct sweep *sweep)
{
	struct campaign *c = &lane->campaign;

	if (sweep->has_heir && !c->heir &&
		(c->done > 0 || c->stopped || c->server.pid == 0))
		campaign_add_heir(c, &lane->heir);
}

/* It is over. A run may have fewer steps than the one that was counted: then it is struck
 * earlier, so that no strike misses. */
static void finish(struct lane *lane, const struct sweep *sweep)
{
	struct campaign *c = &lane->campaign;
	unsigned step = lane->step, late = lane->late;
	char struck = campaign_struck(c);

	campaign_judge(c);
	if (struck && sweep->judge)
		sweep->judge(lane);
	end(lane, sweep);
	if (struck)
		return;
	cr_assert_lt(late, LATE_MAX, "step %u never came", step);
	begin(lane, sweep, step - 1);
	lane->late = late + 1;
}

static bool turn(struct lane *lane, const struct sweep *sweep)
{
	if (lane->step == 0)
		return false;
	add_heir(lane, sweep);
	if (sweep->turn)
		sweep->turn(lane);
	/* struck late, it is woken up when all is over */
	if (!campaign_turn(&lane->campaign) && (!lane->campaign.stopped || lane->thawed))
		finish(lane, sweep);
	return true;
}

static void run_sweep(const struct sweep *sweep, const unsigned *steps, unsigned count)
{
	static struct lane lanes[LANES];
	bool busy = true;

	for (unsigned next = 0; busy; (void)peer_turn(TURN_MS)) {
		busy = next < count;
		for (unsigned i = 0; i < sweep->lanes; i++) {
			if (lanes[i].step == 0 && next < count)
				begin(&lanes[i], sweep, steps[next++]);
			busy = turn(&lanes[i], sweep) || busy;
		}
	}
}

/* ---- SQLite */

TestSuite(kills, .init = campaign_ground_init, .fini = campaign_ground_fini,
	.timeout = 7000);

static void was_killed_once(struct lane *lane)
{
	cr_expect_eq(lane->campaign.lives, 2, "%s: %u lives", lane->campaign.name,
		lane->campaign.lives);
}

Test(kills, at_every_step_with_sqlite)
{
	const struct sweep sweep = {
		.signal_number = SIGKILL, .lanes = LANES, .judge = was_killed_once
	};
	unsigned steps[STEPS_MAX], count = choose(NULL, 24, steps);

	run_sweep(&sweep, steps, count);
}

/* ---- PostgreSQL */

static void start_postgres(void)
{
	postgres_start(&postgres);
	campaign_ground_init();
}

static void stop_postgres(void)
{
	campaign_ground_fini();
	postgres_fini(&postgres);
}

TestSuite(kills_postgres, .init = start_postgres, .fini = stop_postgres, .timeout = 7000);

/* Nobody gave the lease up: it has to run out. */
static void let_lease_expire(struct lane *lane)
{
	const struct campaign *c = &lane->campaign;
	bool died = c->lives > 1 || c->server.pid == 0;

	if (died && !lane->expired)
		lane->expired = expire_lease(c);
}

Test(kills_postgres, at_every_step)
{
	const struct sweep sweep = { .signal_number = SIGKILL,
		.lanes = LANES,
		.turn = let_lease_expire,
		.judge = was_killed_once };
	unsigned steps[STEPS_MAX], count = choose(NULL, 8, steps);

	run_sweep(&sweep, steps, count);
}

static void heir_leads(struct lane *lane)
{
	cr_expect_eq(lane->campaign.lives, 1, "%s", lane->campaign.name);
	cr_expect_eq(lane->campaign.leader, &lane->heir, "%s", lane->campaign.name);
}

Test(kills_postgres, at_every_publish_and_another_takes_over)
{
	const struct sweep sweep = { .signal_number = SIGKILL,
		.lanes = LANES,
		.has_heir = true,
		.turn = let_lease_expire,
		.judge = heir_leads };
	unsigned steps[STEPS_MAX], count = choose("p", 6, steps);

	run_sweep(&sweep, steps, count);
}

/* ---- a leader that freezes, and wakes up when another leads */

static bool leads(const struct server *server)
{
	struct call call = { .method = "GET", .path = "/status", .key = "read" };

	return server_call(server, &call, NULL) == 200;
}

static void freeze(struct lane *lane)
{
	struct campaign *c = &lane->campaign;
	uint64_t now_ms = ota_clock_mono_ms();

	if (!c->stopped || lane->thawed)
		return;
	if (lane->stopped_ms == 0)
		lane->stopped_ms = now_ms;
	if (!lane->expired)
		lane->expired = expire_lease(c);
	else if (now_ms - lane->stopped_ms > THAW_MS && leads(c->heir))
		lane->thawed = kill(c->server.pid, SIGCONT) == 0;
}

/* What it does once it wakes up: it ends, and before that neither publishes nor stores.
 */
static void did_nothing_more(struct lane *lane)
{
	struct campaign *c = &lane->campaign;
	const char *after;
	uint64_t until_ms = ota_clock_mono_ms() + PEER_TIMEOUT_MS;
	int status = 0;

	cr_assert(lane->thawed, "%s: it was never woken up", c->name);
	while (c->server.pid > 0 && ota_clock_mono_ms() < until_ms)
		(void)server_look(&c->server, &status);
	cr_expect(c->failed + (unsigned)(status == 1) == 1, "%s: it ended with %d",
		c->name, status);
	after = strchr(campaign_steps(c), STEP_STRUCK) + 1;
	cr_expect_null(
		strchr(after, STEP_COMMITTED), "%s: it stored: %s", c->name, after);
	cr_expect_null(
		strchr(after, STEP_PUBLISH), "%s: it published: %s", c->name, after);
}

static void sweep_frozen(const char *kinds, unsigned by_day)
{
	const struct sweep sweep = { .signal_number = SIGSTOP,
		.lanes = LANES,
		.has_heir = true,
		.turn = freeze,
		.judge = did_nothing_more };
	unsigned steps[STEPS_MAX], count = choose(kinds, by_day, steps);

	run_sweep(&sweep, steps, count);
}

Test(kills_postgres, a_leader_frozen_at_any_publish_does_nothing_more)
{
	sweep_frozen("p", 6);
}

Test(kills_postgres, a_leader_frozen_at_any_transaction_does_nothing_more)
{
	sweep_frozen("bc", 6);
}

/* ---- PostgreSQL itself starts again */

/* As `pg_ctl restart -m immediate` does it: nothing is finished. */
static void restart_database(struct lane *lane)
{
	struct campaign *c = &lane->campaign;

	if (!c->stopped || lane->thawed)
		return;
	postgres_kill(&postgres);
	postgres_restart(&postgres);
	lane->thawed = kill(c->server.pid, SIGCONT) == 0;
}

static void started_again(struct lane *lane)
{
	cr_expect_eq(lane->campaign.failed, 1, "%s: it failed %u times",
		lane->campaign.name, lane->campaign.failed);
}

static void restart_then_expire(struct lane *lane)
{
	restart_database(lane);
	let_lease_expire(lane);
}

Test(kills_postgres, the_database_starts_again_at_every_step)
{
	const struct sweep sweep = { .signal_number = SIGSTOP,
		.lanes = 1, /* they share it */
		.turn = restart_then_expire,
		.judge = started_again };
	unsigned steps[STEPS_MAX], count = choose("bcdp", 2, steps);

	run_sweep(&sweep, steps, count);
}

#ifndef TESTS_INTEGRATION_CAMPAIGN_H
#define TESTS_INTEGRATION_CAMPAIGN_H

/* A whole rollout, from an empty ledger to the end, over a sluiced that may die at any
 * moment of it: the people who ask it ask again until they are answered, its supervisor
 * starts it again. Two cohorts, four stages, six devices (light.h), one patch of several
 * chunks. Each campaign is a fleet of its own at one broker, so CAMPAIGNS_MAX can
 * go on at once. */

#include "tests/integration/light.h"
#include "tests/integration/server.h"
#include "tests/integration/steps.h"
#include "tests/unit/postgres_kit.h"

enum {
	CAMPAIGNS_MAX = 8,
	CAMPAIGN_DEVICES = 6,
	CAMPAIGN_STAGES = 4,
	CAMPAIGN_STEPS_MAX = 8192
};

struct campaign {
	char name[96];         /* for people: what happens to it */
	struct server server;  /* struck in its first life */
	struct server *leader; /* borrowed; who is asked */
	struct server *heir;   /* borrowed; leads once server has ended; may be NULL */
	struct light lights[CAMPAIGN_DEVICES];
	char database[POSTGRES_URL_CAP]; /* URL; "": a file of its own */
	uint64_t issued_utc_s;           /* of its documents */
	uint64_t until_ms;               /* it has to be over */
	unsigned done;                   /* requests of the script that were answered */
	unsigned lives, failed;          /* of server: starts, ends with status 1 */
	unsigned slot;                   /* whose user of the broker it has */
	bool once;                       /* server is not started again */
	bool stopped;                    /* server stands still, by SIGSTOP */
	char steps[CAMPAIGN_STEPS_MAX];
};

/** A broker, and devices that stay connected to it over all campaigns of the test. */
void campaign_ground_init(void);

/** End all of it. */
void campaign_ground_fini(void);

/** How server is struck in its first life; step 0: not at all. */
struct campaign_strike {
	unsigned step;
	int signal_number;
};

/** Prepare another campaign and start its server. database: NULL, or the URL of an empty
 *  one of PostgreSQL. */
void campaign_init(
	struct campaign *campaign, struct campaign_strike strike, const char *database);

/** Start another sluiced of the same fleet and database, which is then the heir. */
void campaign_add_heir(struct campaign *campaign, struct server *heir);

/** One look at it: ask what is next, start who ended. False once the script is at its
 * end; fails the test if that takes more than three minutes. Turn the loop in between. */
bool campaign_turn(struct campaign *campaign);

/** Go on up to the request that begins the rollout; that is not made yet. */
void campaign_run_to_rollout(struct campaign *campaign);

/** Begin the rollout again: the ledger does not know it any more. */
void campaign_begin_again(struct campaign *campaign);

/** Go through the script to its end. */
void campaign_run(struct campaign *campaign);

/** The letters of the steps of its first life. */
const char *campaign_steps(struct campaign *campaign);

/** What it was struck at: a letter of enum step; 0 if it was not. */
char campaign_struck(struct campaign *campaign);

/** Hold what is there after it to the laws; each breach fails the test. */
void campaign_judge(struct campaign *campaign);

/** End its server and remove its files. */
void campaign_fini(struct campaign *campaign);

#endif

#ifndef TESTS_UNIT_NET_FETCH_KIT_H
#define TESTS_UNIT_NET_FETCH_KIT_H

/* A patch and the blocks that repair a source are fetched by the same steps, and must
 * bear the same: what tests of both do, and see. */

#include "tests/unit/faults_kit.h"
#include "tests/unit/net_kit.h"

/** What is fetched. All is borrowed; a stage is that of net_pull or net_repair. */
struct net_fetch {
	struct net_kit *kit;
	const struct ota_digest *patch;
	const char *file;  /* in the spool, that what comes is written to */
	int none, opening; /* stages: nothing to do; the spool is looked at */

	void (*begin)(void); /* with an empty spool, and a broker that has it */
	void (*end)(void);
	void (*prepare)(void); /* once the spool was emptied */
	/** As install does. allowed: pieces outstanding; 0: it does not say. */
	void (*ask)(enum ipc_type type, uint64_t allowed);
	int (*stage)(void); /* that it is at */
	bool (*is_in_spool)(void);
};

/** Ask for all of it; true if all of it came. */
bool net_fetch_all(const struct net_fetch *f);

/** Ask for what it is, which comes. */
void net_fetch_head(const struct net_fetch *f);

/** ... then for its pieces, of a broker that gives none, until they are waited for. */
void net_fetch_begin_pieces(const struct net_fetch *f, int stage);

/** It FAILED with that code, of which text is a part, and there is nothing to do. */
void net_fetch_expect_failed(
	const struct net_fetch *f, enum ota_code code, const char *text);

/** Let each call of a fetch fail: it is told why, or done all the same, and then done.
 *  Returns how many fetches failed. */
unsigned net_fetch_walk(const struct net_fetch *f);

/** A sync fails on its thread: what was written is removed, and fetched again. */
void net_fetch_without_sync(const struct net_fetch *f);

/** ... or cannot be removed, as something else is there as well. */
void net_fetch_without_sync_nor_removal(const struct net_fetch *f);

/** Each is asked for twice, and done once. */
void net_fetch_twice(const struct net_fetch *f);

/** Stop it at a stage: it says no more. */
void net_fetch_stop_at(const struct net_fetch *f, int stage);

/** How many pieces are asked for at first, after a FETCH that allows so many. The broker
 *  gives none from then on. */
unsigned net_fetch_outstanding(const struct net_fetch *f, uint64_t allowed);

/** There is no link when it is asked for, head and pieces, and then there is. */
void net_fetch_after_link(const struct net_fetch *f);

#endif

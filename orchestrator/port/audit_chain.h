#ifndef ORCHESTRATOR_PORT_AUDIT_CHAIN_H
#define ORCHESTRATOR_PORT_AUDIT_CHAIN_H

/* The hash chain of the audit log: each entry's hash covers the entry and the hash before
 * it, so that an entry changed, removed or slipped in breaks every hash that follows.
 *
 *   hash = BLAKE2b-256("sluice-audit-1\0" | prev[32] | seq u64le | at u64le
 *                      | 3 x (len u64le | bytes): who, action, detail)
 *
 * The first entry has seq 1 and a prev of 32 zero bytes. */

#include "proto/wire/digest.h"

/** One entry; texts are borrowed. */
struct audit_entry {
	uint64_t seq, at_utc_s;
	const char *who, *action, *detail; /* detail: a JSON object's text */
	struct ota_digest prev, hash;
};

/** The hash that entry must carry, from its other members. */
struct ota_digest audit_entry_hash(const struct audit_entry *entry);

/** Walks a chain from its first entry. `= { 0 }` stands before it. */
struct audit_walk {
	uint64_t entries;       /* good ones so far */
	uint64_t broken_at;     /* seq of the first that does not fit; 0: none */
	struct ota_digest head; /* hash of the last good one */
};

/** Take the next entry in the order of seq; false once the chain is broken. */
bool audit_walk_take(struct audit_walk *walk, const struct audit_entry *entry);

#endif

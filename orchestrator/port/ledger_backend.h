#ifndef ORCHESTRATOR_PORT_LEDGER_BACKEND_H
#define ORCHESTRATOR_PORT_LEDGER_BACKEND_H

/* What a database must do to hold the ledger. ledger.c stands in front: it hashes the
 * audit entries and knows the chain's end, so that all back ends keep the same chain. A
 * back end has a struct of its own whose first member is the struct ledger. */

#include "orchestrator/port/ledger.h"

/** Who wants to see rows. */
struct ledger_visit {
	void *ctx;
	enum ota_code (*take)(void *ctx, enum core_table table, const char *key,
		struct ota_bytes value, struct ota_error *err);
};

/** Which audit entries to see, and who wants to. */
struct ledger_audit_visit {
	uint64_t after; /* seq */
	uint32_t limit; /* entries */
	void *ctx;
	ledger_audit_take *take;
};

/** The half of it that is about the broker. Each function does what that of ledger.h with
 *  its name says. */
struct ledger_outbox {
	enum ota_code (*retain)(struct ledger *ledger, const char *topic,
		enum ledger_kind kind, struct ota_bytes payload, struct ota_error *err);
	enum ota_code (*retained_next)(struct ledger *ledger, uint64_t after,
		struct ledger_retained *out, bool *found, struct ota_error *err);
	enum ota_code (*retained_done)(
		struct ledger *ledger, uint64_t seq, struct ota_error *err);
	/** True if topic has a row of that kind; published: and it is out. */
	bool (*holds)(struct ledger *ledger, const char *topic, enum ledger_kind kind,
		bool published);
	uint64_t (*outbox_len)(struct ledger *ledger);
	enum ota_code (*count_patch)(struct ledger *ledger,
		const struct ota_digest *patch, uint64_t bytes, struct ota_error *err);
	enum ota_code (*count_again)(
		struct ledger *ledger, uint64_t bytes, struct ota_error *err);
	enum ota_code (*counts)(struct ledger *ledger, uint64_t *published,
		uint64_t *republished, struct ota_error *err);
};

/** The part about webhooks. Each function does what that of ledger.h with its name says.
 */
struct ledger_webhooks {
	enum ota_code (*put)(struct ledger *ledger, const struct ledger_webhook *webhook,
		struct ota_error *err);
	enum ota_code (*drop)(
		struct ledger *ledger, const char *name, struct ota_error *err);
	enum ota_code (*each)(struct ledger *ledger,
		enum ota_code (*take)(void *ctx, const struct ledger_webhook *webhook,
			struct ota_error *err),
		void *ctx, struct ota_error *err);
};

/** The part about answers, likewise. */
struct ledger_answers {
	enum ota_code (*keep)(struct ledger *ledger, const struct ledger_answer *answer,
		struct ota_error *err);
	/** One that was kept after a time. */
	enum ota_code (*find)(struct ledger *ledger, uint64_t after_utc_s,
		struct ledger_answer *inout, struct ota_buf *body, bool *found,
		struct ota_error *err);
};

/** What was kept before that is too old. */
static inline uint64_t ledger_answers_until(uint64_t now_utc_s)
{
	return now_utc_s > LEDGER_ANSWER_S ? now_utc_s - LEDGER_ANSWER_S : 0;
}

/** A back end. Each function does what that of ledger.h with its name says. */
struct ledger_backend {
	enum ota_code (*lead)(struct ledger *ledger, const struct ledger_leader *self,
		bool *leads, struct ledger_leader *other, struct ota_error *err);
	enum ota_code (*hold)(struct ledger *ledger, struct ota_error *err);
	void (*close)(struct ledger *ledger); /* and release it */
	enum ota_code (*begin)(struct ledger *ledger, struct ota_error *err);
	enum ota_code (*commit)(struct ledger *ledger, struct ota_error *err);
	enum ota_code (*put)(struct ledger *ledger, enum core_table table,
		const char *key, struct ota_bytes value, struct ota_error *err);
	enum ota_code (*put_many)(struct ledger *ledger, enum core_table table,
		const struct ledger_row *rows, size_t count, struct ota_error *err);
	enum ota_code (*drop)(struct ledger *ledger, enum core_table table,
		const char *key, struct ota_error *err);
	/** All rows of one table, by key. */
	enum ota_code (*each_row)(struct ledger *ledger, enum core_table table,
		const struct ledger_visit *visit, struct ota_error *err);
	/** Append an entry that has all its members. */
	enum ota_code (*audit)(struct ledger *ledger, const struct audit_entry *entry,
		struct ota_error *err);
	enum ota_code (*each_audit)(struct ledger *ledger,
		const struct ledger_audit_visit *visit, struct ota_error *err);
	const struct ledger_outbox *outbox;
	const struct ledger_webhooks *webhooks;
	const struct ledger_answers *answers;
};

struct ledger {
	const struct ledger_backend *backend; /* borrowed */
	bool unclean;
	uint64_t audit_seq; /* of the newest entry */
	struct ota_digest audit_head;
};

/** The name of a table as it is stored. */
const char *ledger_table_text(enum core_table table);

/** OTA_E_CONFLICT if the audit chain is broken. */
OTA_CHECKED enum ota_code ledger_check_chain(
	struct ledger *ledger, struct ota_error *err);

#endif

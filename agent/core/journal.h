#ifndef AGENT_CORE_JOURNAL_H
#define AGENT_CORE_JOURNAL_H

/* What the agent must not forget, as bytes of fixed layout. It is written before it is
 * acted on, into a record file that survives any cut (proto/io/files.h).
 *
 *   offset  size  field
 *        0     4  magic            "OTJ1"
 *        4     1  state            enum ota_update_state; one of a later version is
 *                                  read as FAILED by STATELOST, the rest counts
 *        5     1  flags            bit 0: reverting - bit 1: lost - bit 2: repairs;
 *                                  others: passed over
 *        6     2  zero             passed over
 *        8     8  error            u64le, enum ota_code number, 0: none; one of a later
 *                                  version is kept as it is
 *       16    72  rollout          name, NUL-padded, may be empty
 *       88    72  version          name, NUL-padded, may be empty; of the target
 *      160   200  error_text       printable ASCII, NUL-padded
 *      360    32  release          document digest; zero: none
 *      392    32  order            document digest
 *      424    32  image            of the target
 *      456    32  patch            digest of its manifest
 *      488    32  blocked_release  document digest; zero: none
 *      520    32  boot_id
 *      552     8  order_seq        u64le, as all that follow
 *      560     8  image_len        bytes
 *      568     8  counter          of the target
 *      576     8  target_floor     that the target asks for once confirmed
 *      584     8  install_s        deadline
 *      592     8  prove_s          deadline
 *      600     8  proving_since_ms monotonic, of boot_id
 *      608     8  blocked_seq
 *      616     8  boot             boots, ever
 *      624     8  reports_reserved report counters below this may have been used
 *      632     8  floor
 *      640     8  chunks
 *      648     8  chunks_total
 *      656     8  bytes
 *      664     8  refetched
 *      672     8  trusted_utc_s
 *      680   192  seen[4]          fresh, catalog, assign, order; each
 *                                  epoch u64le, seq u64le, digest[32]
 *
 *      872    32  confirmed        image that last proved itself; zero: not known
 *      904    32  counted_patch    digest of the manifest that `counted` is about
 *      936     8  counted          bytes of that patch that `spent` holds already
 *      944     8  spent            bytes received for the rollout, by all its patches
 *      952     8  rescue_boot      the boot whose rescue hook was begun
 *      960     8  vain_boots       into a slot that was given up, while going back
 *
 *      968     8  blocked_assign   sequence of the assign held then; 0: not known
 *
 * A version reads what those before it wrote, which ended at 872 and at 968; what a later
 * version appends is passed over. */

#include "proto/wire/documents.h"
#include "proto/wire/trust.h"

enum {
	JOURNAL_LEN = 976,        /* bytes */
	JOURNAL_LEN_FIRST = 872,  /* bytes, of the first version */
	JOURNAL_LEN_BEFORE = 968, /* bytes, of the version before */
	JOURNAL_LEN_MAX = 4000,   /* bytes, of this or a later version */
	JOURNAL_SEEN = 4,
};

/** What an update leads to. */
struct journal_target {
	struct ota_digest image;
	uint64_t image_len, counter, floor;
	char version[OTA_NAME_CAP]; /* may be "" */
};

/** `= { 0 }` is that of a device that never saw an order. */
struct journal {
	enum ota_update_state state;
	bool reverting; /* the target is what the other slot held before */
	bool lost;      /* an earlier journal could not be read */
	bool repairs;   /* the patch is from what the running slot should hold */
	enum ota_code error;
	char error_text[OTA_ERROR_TEXT_CAP];
	char rollout[OTA_NAME_CAP]; /* that state belongs to, or "" */
	struct ota_digest release, order, patch;
	uint64_t order_seq;
	struct journal_target target;
	uint64_t install_s, prove_s;
	uint64_t proving_since_ms;
	struct ota_digest
		blocked_release; /* not tried again while the order has this sequence */
	uint64_t blocked_seq;    /* ... or, after a failure, a newer one; judge.c */
	struct ota_digest boot_id;
	uint64_t boot, reports_reserved, floor;
	uint64_t chunks, chunks_total, bytes, refetched;
	uint64_t trusted_utc_s;
	struct ota_seen fresh, catalog, assign, order_seen;
	struct ota_digest confirmed;     /* image that last proved itself; zero: none */
	struct ota_digest counted_patch; /* that `counted` is about */
	uint64_t counted;                /* bytes of it that `spent` holds */
	uint64_t spent;                  /* bytes received for the rollout */
	uint64_t rescue_boot;            /* whose rescue hook was begun */
	uint64_t vain_boots;     /* into a slot that was given up, while going back */
	uint64_t blocked_assign; /* a newer assign says to try again; 0: not known */
};

/** Append JOURNAL_LEN bytes to out. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code journal_encode(
	const struct journal *journal, struct ota_buf *out);

/** Parse untrusted bytes. OTA_OK, OTA_E_FORMAT, OTA_E_LIMIT or OTA_E_NAME. */
OTA_CHECKED enum ota_code journal_parse(
	struct ota_bytes in, struct journal *out, struct ota_error *err);

#endif

#ifndef PROTO_BASE_ERROR_H
#define PROTO_BASE_ERROR_H

#include <stdint.h>

/* What can go wrong or hold a device back, as one closed list both ends share.
 *
 * X(NAME, number on the wire, who moves next, text)
 *
 * Numbers are part of the protocol (reports, API, `sluice explain`): append, never reuse.
 * 1..15 local, 16..31 documents and content, 32..47 the decision to install,
 * 48..63 the device, 64..79 why a device waits, 80..95 the rollout,
 * 96..111 a device within its rollout, 112..127 who a device is. */
/* clang-format off */
#define OTA_ERRORS(X)                                                                     \
	X(NOMEM,      1, OTA_RETRY,   "out of memory")                                    \
	X(IO,         2, OTA_RETRY,   "local storage failed")                             \
	X(LINK,       3, OTA_RETRY,   "peer unreachable")                                 \
	X(TIMEOUT,    4, OTA_RETRY,   "no answer in time")                                \
	X(CANCELLED,  5, OTA_NOTHING, "cancelled")                                        \
	X(NOTFOUND,   6, OTA_REJECT,  "not found")                                        \
	X(USAGE,      7, OTA_REJECT,  "wrong usage")                                      \
	X(CONFIG,     8, OTA_REJECT,  "configuration is wrong")                           \
	X(CONFLICT,   9, OTA_REJECT,  "conflicts with what is there")                     \
	X(DENIED,    10, OTA_REJECT,  "not allowed")                                      \
	X(BUSY,      11, OTA_RETRY,   "busy, try again")                                  \
	X(STALE,     12, OTA_REJECT,  "has changed since it was looked at")               \
	X(REUSED,    13, OTA_REJECT,  "Idempotency-Key of another request")               \
	X(FORMAT,    16, OTA_REJECT,  "malformed input")                                  \
	X(LIMIT,     17, OTA_REJECT,  "input over a limit")                               \
	X(DIGEST,    18, OTA_REFETCH, "content does not match its digest")                \
	X(SIGNATURE, 19, OTA_REJECT,  "signature does not verify")                        \
	X(THRESHOLD, 20, OTA_REJECT,  "too few distinct keys of the role signed")         \
	X(DUPKEY,    21, OTA_REJECT,  "duplicate key in a signed payload")                \
	X(EXPIRED,   22, OTA_REJECT,  "document has expired")                             \
	X(SEQUENCE,  23, OTA_REJECT,  "older than what was already accepted")             \
	X(ROOTCHAIN, 24, OTA_REJECT,  "root is not the next one in the chain")            \
	X(FLEET,     25, OTA_REJECT,  "document of another fleet")                        \
	X(DOCTYPE,   26, OTA_REJECT,  "document of another type or version")              \
	X(NAME,      27, OTA_REJECT,  "not a valid name")                                 \
	X(POISON,    28, OTA_REJECT,  "too many wrong chunks from this source")           \
	X(DECODER,   29, OTA_REJECT,  "patch cannot be decoded")                          \
	X(STATE,     32, OTA_IGNORE,  "event not allowed in this state")                  \
	X(DEVICE,    33, OTA_REJECT,  "addressed to another device")                      \
	X(COHORT,    34, OTA_REJECT,  "addressed to another cohort")                      \
	X(AGREEMENT, 35, OTA_REJECT,  "release and order do not agree")                   \
	X(UNLISTED,  36, OTA_REJECT,  "release is revoked or not in the catalog")         \
	X(HARDWARE,  37, OTA_REJECT,  "release is for other hardware")                    \
	X(FLOOR,     38, OTA_REJECT,  "release is below the anti-rollback floor")         \
	X(NOGRANT,   39, OTA_RETRY,   "no operator has granted this release")             \
	X(SHARE,     40, OTA_REJECT,  "order goes beyond the granted share")              \
	X(PRECURSOR, 41, OTA_REJECT,  "no patch applies to the running image")            \
	X(PRODUCT,   42, OTA_REJECT,  "release is for another product")                   \
	X(NOSPACE,   48, OTA_RETRY,   "not enough room for the update")                   \
	X(NORAM,     49, OTA_REJECT,  "patch needs more memory than allowed")             \
	X(MEDIA,     50, OTA_RETRY,   "slot does not hold what was written")              \
	X(HOOK,      51, OTA_RETRY,   "a hook refused the update")                        \
	X(HEALTH,    52, OTA_REJECT,  "the new image did not prove itself")               \
	X(FELLBACK,  53, OTA_REJECT,  "device fell back to the previous image")           \
	X(ROLLBACK,  54, OTA_REJECT,  "rollback failed")                                  \
	X(STATELOST, 55, OTA_REJECT,  "device lost its update state")                     \
	X(REVERTED,  56, OTA_REJECT,  "device left the confirmed image later")            \
	X(SILENT,    57, OTA_REJECT,  "silent past its deadline")                         \
	X(POWER,     58, OTA_RETRY,   "not enough power for the update")                  \
	X(RESCUE,    59, OTA_REJECT,  "runs an unproved image for good")                     \
	X(BUCKET,    64, OTA_NOTHING, "not in the released share yet")                    \
	X(WINDOW,    65, OTA_RETRY,   "update window is closed")                          \
	X(OFFLINE,   66, OTA_RETRY,   "device is offline")                                \
	X(PAUSED,    67, OTA_NOTHING, "rollout is paused")                                \
	X(HALTED,    68, OTA_NOTHING, "rollout is halted")                                \
	X(STAGE,     69, OTA_NOTHING, "the stage of this device has not begun")           \
	X(PREPARING, 70, OTA_NOTHING, "patches are being made")                           \
	X(NOROLLOUT, 71, OTA_NOTHING, "no rollout concerns this device")                  \
	X(CURRENT,   72, OTA_NOTHING, "device already runs the release")                  \
	X(NOCOHORT,  73, OTA_REJECT,  "no cohort selects this device")                    \
	X(ABORTED,   74, OTA_NOTHING, "rollout was aborted")                              \
	X(WORKING,   75, OTA_NOTHING, "update is under way on the device")                \
	X(NOREPORT,  76, OTA_RETRY,   "device has never reported")                        \
	X(METERED,   77, OTA_RETRY,   "the link is metered")                              \
	X(BUDGET,    78, OTA_REJECT,  "over the byte budget of a rollout")                \
	X(LOCKED,    79, OTA_RETRY,   "a lock holds the reboot back")                     \
	X(GATE,      80, OTA_NOTHING, "a gate is not passed yet")                         \
	X(FAILURES,  81, OTA_REJECT,  "too many devices failed")                          \
	X(HARD,      82, OTA_REJECT,  "a device failed hard in a small wave")             \
	X(SUCCESS,   83, OTA_REJECT,  "success share cannot be reached")                  \
	X(NOPATCH,   84, OTA_REJECT,  "a patch could not be made")                        \
	X(PACE,      85, OTA_NOTHING, "enough devices are under way")                     \
	X(SITE,      86, OTA_NOTHING, "enough devices of its site are under way")         \
	X(GROUP,     87, OTA_NOTHING, "nobody of its redundancy group would stay up")     \
	X(FREEZE,    88, OTA_NOTHING, "nothing may begin now")                            \
	X(UNHEARD,   89, OTA_REJECT,  "too few devices of the wave report")               \
	X(UNSTABLE,  90, OTA_REJECT,  "the session with the broker breaks too often")     \
	X(SLOW,      91, OTA_REJECT,  "what is decided takes too long to store")          \
	X(CLOCK,     92, OTA_REJECT,  "the clock of the orchestrator jumped")             \
	X(SLOWLINK,  93, OTA_RETRY,   "the patch comes in too slowly")                         \
	X(APPROVAL,  94, OTA_NOTHING, "the grant needs the signature of another operator")     \
	X(TRYAGAIN,  96, OTA_RETRY,   "it failed, and tries again later")                 \
	X(QUARANTINE,97, OTA_NOTHING, "set aside until an operator releases it")          \
	X(SUPERSEDED,98, OTA_NOTHING, "another rollout took over")                        \
	X(WORSE,     99, OTA_REJECT,  "updated devices fare worse than the others")       \
	X(LATE,     100, OTA_RETRY,   "its stage has passed; it catches up")                 \
	X(PENDING,  112, OTA_NOTHING, "its key waits to be accepted")                     \
	X(SECONDKEY,113, OTA_REJECT,  "another key was presented for this device")
/* clang-format on */

/** Who moves next after a failure. */
enum ota_remedy { OTA_NOTHING, OTA_RETRY, OTA_REFETCH, OTA_REJECT, OTA_IGNORE };

#define OTA_ERROR_ENUM(name, number, remedy, text) OTA_E_##name = (number),
enum ota_code { OTA_OK = 0, OTA_ERRORS(OTA_ERROR_ENUM) };
#undef OTA_ERROR_ENUM

/** A failure told from the outside in: "load manifest: chunk 3: length 0".
 *  Fixed size, so reporting an error never allocates. */
struct ota_error {
	enum ota_code code;
	char text[256]; /* NUL-terminated UTF-8, truncated at the tail */
};

/** Out-parameter rule: code returned, detail in *err. err may be NULL. */
#define OTA_CHECKED __attribute__((warn_unused_result))

/** Start a failure. Returns code, so callers write `return ota_fail(...)`. */
enum ota_code ota_fail(struct ota_error *err, enum ota_code code, const char *fmt, ...)
	__attribute__((nonnull(3), format(printf, 3, 4)));

/** Put context in front of a failure that passes through: "<fmt>: <text>". */
enum ota_code ota_wrap(struct ota_error *err, enum ota_code code, const char *fmt, ...)
	__attribute__((nonnull(3), format(printf, 3, 4)));

/** The text of a code; "unknown" for a number this build does not know. */
const char *ota_code_text(enum ota_code code);

/** The name of a code as in the list ("SIGNATURE"); "OK", or "UNKNOWN" for a number
 *  this build does not know. */
const char *ota_code_name(enum ota_code code);

/** The code with this number on the wire; OTA_E_FORMAT if this build knows none. */
enum ota_code ota_code_of_number(uint64_t number);

/** What the receiver of this code does next; OTA_REJECT for unknown codes. */
enum ota_remedy ota_code_remedy(enum ota_code code);

#endif

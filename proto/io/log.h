#ifndef PROTO_IO_LOG_H
#define PROTO_IO_LOG_H

/* One line per thing that happened, on stderr:
 *
 *   event=update.verified device=d-0042 chunks=310 took_ms=1840
 *
 * with a journald priority prefix ("<6>") when stderr is the journal ($JOURNAL_STREAM)
 * and a UTC time in front otherwise. Untrusted text is escaped. Keys, tokens and
 * signatures are never logged. */

#include "proto/base/bytes.h"

/* Priorities of syslog(3). */
enum ota_log_level {
	OTA_LOG_ERR = 3,
	OTA_LOG_WARNING = 4,
	OTA_LOG_NOTICE = 5,
	OTA_LOG_INFO = 6,
	OTA_LOG_DEBUG = 7
};

/** Nothing above level is written. The default is OTA_LOG_INFO. Call before threads
 * start. */
void ota_log_set_level(enum ota_log_level level);

/** Write one line. event is "noun.verb"; fmt makes "key=value" pairs, values already
 *  escaped with ota_log_quote() where they hold text from outside. Thread-safe. */
void ota_log(enum ota_log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** text as a logfmt value: quoted if needed, escaped, cut at 200 bytes. Returns out. */
const char *ota_log_quote(const char *text, char out[static 256]);

#endif

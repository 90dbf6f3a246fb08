#include "proto/io/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_CAP = 2048, QUOTE_CAP = 256, QUOTE_TEXT_LEN_MAX = 200 };

static enum ota_log_level log_level = OTA_LOG_INFO;
static pthread_once_t asked = PTHREAD_ONCE_INIT;
static bool to_journal;

void ota_log_set_level(enum ota_log_level level)
{
	log_level = level;
}

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream that is the journal.
 * Children inherit the variable, so it counts only if stderr is that very stream. */
static void ask_for_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	to_journal = stream != NULL &&
		     sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
		     st.st_ino == inode;
}

/* "<6>" or "2026-11-22T10:08:01.123Z ". Returns its length. */
static size_t write_prefix(enum ota_log_level level, char *out, size_t cap)
{
	struct timespec now;
	struct tm utc;
	char seconds[24];

	if (to_journal)
		return (size_t)snprintf(out, cap, "<%d>", (int)level);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &utc);
	(void)strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
	return (size_t)snprintf(
		out, cap, "%s.%03ldZ ", seconds, now.tv_nsec / (1000 * 1000));
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

void ota_log(enum ota_log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_CAP];
	size_t used, prefix_len;
	va_list ap;

	if (level > log_level)
		return;
	(void)pthread_once(&asked, ask_for_journal);
	prefix_len = write_prefix(level, line, sizeof line);
	used = prefix_len + (size_t)snprintf(line + prefix_len, sizeof line - prefix_len,
				    "event=%s%s", event, *fmt == '\0' ? "" : " ");
	used = least(used, sizeof line - 2);
	va_start(ap, fmt);
	used += (size_t)vsnprintf(line + used, sizeof line - used, fmt, ap);
	va_end(ap);
	used = least(used, sizeof line - 2);
	for (size_t i = prefix_len; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used] = '\n';
	/* One write, so that lines of threads and processes do not mix. */
	while (write(STDERR_FILENO, line, used + 1) < 0 && errno == EINTR)
		continue;
}

static bool is_plain(const char *text)
{
	if (*text == '\0' || strlen(text) > QUOTE_TEXT_LEN_MAX)
		return false;
	for (; *text != '\0'; text++)
		if (*text <= 0x20 || *text >= 0x7f || strchr("=\"\\", *text) != NULL)
			return false;
	return true;
}

/* One character as it stands between quotes; a NUL follows it. */
static void escape(char c, char out[static 5])
{
	if (c == '"' || c == '\\')
		(void)snprintf(out, 5, "\\%c", c);
	else if (c >= 0x20 && c < 0x7f)
		(void)snprintf(out, 5, "%c", c);
	else
		(void)snprintf(out, 5, "\\x%02x", (unsigned char)c);
}

const char *ota_log_quote(const char *text, char out[static 256])
{
	size_t used = 0;

	if (is_plain(text)) {
		(void)snprintf(out, QUOTE_CAP, "%s", text);
		return out;
	}
	out[used++] = '"';
	for (size_t i = 0; i < QUOTE_TEXT_LEN_MAX && text[i] != '\0'; i++) {
		char piece[5];

		escape(text[i], piece);
		if (used + strlen(piece) + 2 > QUOTE_CAP)
			break;
		memcpy(out + used, piece, strlen(piece));
		used += strlen(piece);
	}
	out[used++] = '"';
	out[used] = '\0';
	return out;
}

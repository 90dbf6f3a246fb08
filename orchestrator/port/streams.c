#include "orchestrator/port/streams.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "orchestrator/port/feed.h"
#include "orchestrator/port/safe_headers.h"
#include "proto/base/own.h"
#include "proto/io/loop.h"

enum {
	BLOCK_LEN = 1024,        /* bytes of buffer of a response, which we do not use */
	PIECE_LEN = 4096,        /* bytes handed over at a time */
	SEND_BUFFER_LEN = 65536, /* bytes that the kernel holds for a reader */
	SILENT_MS = 3000,        /* without a word from the other's kernel: gone */
};

static const char hello[] = ": sluice\nretry: 1000\n\n";
static const char beat[] = ": hb\n\n";

struct stream {
	struct stream *next, **from;
	struct streams *streams; /* borrowed */
	struct streams_reader reader;
	struct MHD_Connection *connection; /* borrowed */
	int fd;                            /* borrowed */
	struct feed_place place;
	struct feed_event *event; /* owned; being sent, from offset on. NULL: none */
	size_t offset;
	uint64_t opened_ms;
	uint64_t told_ms; /* when it was handed something */
	uint64_t took_ms; /* when it had taken all that it was handed */
	bool parked;      /* suspended */
	bool beat_due, ending;
};

struct streams {
	struct api_keys *keys;           /* borrowed */
	const struct sessions *sessions; /* borrowed */
	struct api *api;                 /* borrowed; counts them */
	struct feed *feed;               /* owned */
	struct feed_event *hello, *beat; /* owned */
	struct stream *first;
	size_t count;
};

/* ---- one stream */

/* What it says next; NULL: nothing. */
static struct feed_event *next_event(struct stream *s)
{
	struct feed_event *event = feed_next(s->streams->feed, &s->place);

	if (!event && s->beat_due)
		event = feed_event_hold(s->streams->beat);
	s->beat_due = false;
	return event;
}

static ssize_t park(struct stream *s)
{
	s->parked = true;
	MHD_suspend_connection(s->connection);
	return 0;
}

/* libmicrohttpd has sent what it had. */
static ssize_t give(void *cls, uint64_t pos, char *out, size_t max)
{
	struct stream *s = cls;
	size_t len = max < PIECE_LEN ? max : PIECE_LEN;

	(void)pos;
	s->took_ms = ota_clock_mono_ms();
	if (s->ending)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!s->event)
		s->event = next_event(s);
	if (!s->event)
		return park(s);
	if (len > s->event->len - s->offset)
		len = s->event->len - s->offset;
	memcpy(out, s->event->text + s->offset, len);
	s->offset += len;
	s->told_ms = s->took_ms;
	if (s->offset == s->event->len) {
		feed_event_drop(s->event);
		s->event = NULL;
		s->offset = 0;
	}
	return (ssize_t)len;
}

static void wake(struct stream *s)
{
	if (!s->parked)
		return;
	s->parked = false;
	MHD_resume_connection(s->connection);
}

static void end(struct stream *s)
{
	s->ending = true;
	wake(s);
}

static void forget(void *cls)
{
	struct stream *s = cls;

	*s->from = s->next;
	if (s->next)
		s->next->from = s->from;
	s->streams->api->counts.streams = (unsigned)--s->streams->count;
	feed_event_drop(s->event);
	free(s);
}

/* The kernel shall hold little, and say soon that nobody answers. */
static void tune(int fd)
{
	int len = SEND_BUFFER_LEN, silent_ms = SILENT_MS;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	(void)setsockopt(
		fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof(silent_ms));
}

static struct stream *add(struct streams *streams, struct MHD_Connection *connection,
	const struct streams_reader *reader, const char *last_id)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct stream *s = info ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	if (streams->count == 0)
		feed_wake(streams->feed);
	s->streams = streams;
	s->reader = *reader;
	s->connection = connection;
	s->fd = info->connect_fd;
	s->place = feed_begin(streams->feed, last_id);
	s->event = feed_event_hold(streams->hello);
	s->opened_ms = s->told_ms = s->took_ms = ota_clock_mono_ms();
	s->next = streams->first;
	s->from = &streams->first;
	if (s->next)
		s->next->from = &s->next;
	streams->first = s;
	streams->api->counts.streams = (unsigned)++streams->count;
	tune(s->fd);
	return s;
}

enum MHD_Result streams_open(struct streams *streams, struct MHD_Connection *connection,
	const struct streams_reader *reader, const char *last_id)
{
	struct stream *s = add(streams, connection, reader, last_id);
	struct MHD_Response *response;
	enum MHD_Result queued;

	if (!s)
		return MHD_NO;
	response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, BLOCK_LEN, give, s, forget);
	if (!response) {
		forget(s);
		return MHD_NO;
	}
	(void)MHD_add_response_header(
		response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
	safe_headers_add(response);
	(void)MHD_add_response_header(response, "X-Accel-Buffering", "no");
	queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return queued;
}

/* ---- all of them */

bool streams_lets(const struct streams *streams, const struct streams_reader *reader)
{
	enum api_scope scope;

	if (reader->has_session)
		return sessions_has(streams->sessions, streams->keys, &reader->token,
			ota_clock_mono_ms());
	return api_keys_has(streams->keys, reader->key_id, &reader->key_hash, &scope);
}

void streams_weed(struct streams *streams)
{
	for (struct stream *s = streams->first; s; s = s->next)
		if (!streams_lets(streams, &s->reader))
			end(s);
}

/* Readers who are gone: while a connection is suspended nobody else looks at it. */
static void look_for_the_dead(struct streams *streams)
{
	struct pollfd at[STREAMS_MAX];
	struct stream *of[STREAMS_MAX];
	nfds_t count = 0;

	for (struct stream *s = streams->first; s; s = s->next) {
		at[count] = (struct pollfd){ .fd = s->fd, .events = POLLRDHUP };
		of[count++] = s;
	}
	if (poll(at, count, 0) <= 0)
		return;
	for (nfds_t i = 0; i < count; i++)
		if (at[i].revents != 0) {
			(void)shutdown(of[i]->fd, SHUT_RDWR);
			end(of[i]);
		}
}

static void look_after(struct stream *s, uint64_t now_ms)
{
	if (now_ms - s->opened_ms >= STREAMS_LIFE_MS)
		end(s);
	else if (!s->parked && now_ms - s->took_ms >= STREAMS_STUCK_MS)
		(void)shutdown(s->fd, SHUT_RDWR); /* the daemon sees it close */
	else if (now_ms - s->told_ms >= STREAMS_BEAT_MS)
		s->beat_due = true;
	if (s->beat_due || feed_has(s->streams->feed, &s->place))
		wake(s);
}

void streams_turn(struct streams *streams)
{
	uint64_t now_ms = ota_clock_mono_ms();
	struct ota_error err = { 0 };

	if (streams->count == 0)
		return;
	(void)!api_keys_refresh(streams->keys, &err); /* told at the next request */
	streams_weed(streams);
	look_for_the_dead(streams);
	feed_look(streams->feed);
	for (struct stream *s = streams->first; s; s = s->next)
		look_after(s, now_ms);
}

void streams_end(struct streams *streams)
{
	for (struct stream *s = streams->first; s; s = s->next)
		end(s);
}

bool streams_is_full(const struct streams *streams)
{
	return streams->count >= STREAMS_MAX;
}

enum ota_code streams_new(struct api *api, struct api_keys *keys,
	const struct sessions *sessions, struct streams **out)
{
	struct streams *streams = calloc(1, sizeof(*streams));

	if (!streams)
		return OTA_E_NOMEM;
	streams->api = api;
	streams->keys = keys;
	streams->sessions = sessions;
	streams->feed = feed_new(api);
	streams->hello = feed_event_new(ota_bytes_of(hello));
	streams->beat = feed_event_new(ota_bytes_of(beat));
	if (!streams->feed || !streams->hello || !streams->beat) {
		streams_free(streams);
		return OTA_E_NOMEM;
	}
	*out = streams;
	return OTA_OK;
}

void streams_free(struct streams *streams)
{
	if (!streams)
		return;
	feed_free(streams->feed);
	feed_event_drop(streams->hello);
	feed_event_drop(streams->beat);
	free(streams);
}

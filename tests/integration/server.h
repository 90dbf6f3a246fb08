#ifndef TESTS_INTEGRATION_SERVER_H
#define TESTS_INTEGRATION_SERVER_H

/* A real sluiced as a child of the test, for the sample keys (tests/unit/samples.h) and a
 * fleet "test" of the device "gw-1", against a real broker. */

#include "tests/integration/peer.h"
#include "tests/unit/samples.h"

enum { SERVER_ADDRESS_CAP = 80, SERVER_ETAG_CAP = 80 };

struct server {
	struct broker broker;
	char dir[BROKER_PATH_CAP]; /* configuration, keys and state; removed at the end */
	char address[SERVER_ADDRESS_CAP];
	pid_t pid;  /* 0: not running */
	bool guest; /* the broker is another's */
	/* As server_init() fills them; may be set before server_start(). */
	char fleet[OTA_NAME_CAP];
	char user[OTA_NAME_CAP];     /* of the broker */
	char store[BROKER_PATH_CAP]; /* below which images and patches are kept */
	const char *program;         /* borrowed */
	long timeout_ms;             /* of a call */
};

/** Start a broker, and write everything sluiced wants; does not start it. */
void server_init(struct server *server);

/** As server_init(), with certificates for other clients (NULL-terminated) than "gw-1".
 */
void server_init_clients(struct server *server, const char *const *clients);

/** As server_init(), for another sluiced of the same fleet at the same broker, with the
 * same images and patches. Release it before the first. */
void server_init_beside(struct server *server, const struct server *first);

/** As server_init_beside(), of another fleet and as another user of the broker (a client
 * of it), whom its ACL has to allow that. */
void server_init_fleet(struct server *server, const struct server *first,
	const char *fleet, const char *user);

/** Start sluiced and wait until its API answers. */
void server_start(struct server *server);

/** Start sluiced and return at once. */
void server_launch(struct server *server);

/** True if its API answers, at server->address. False too if it ended. */
bool server_answers(struct server *server);

/** Look without waiting: 0 if it runs, WSTOPSIG of a signal that stopped it since the
 * last look, or -1 if it ended, its exit status (128 + signal) being in *status. */
int server_look(struct server *server, int *status);

/** Wait until it ends by itself; its exit status. */
int server_await(struct server *server);

/** True if its log holds text. */
bool server_logged(const struct server *server, const char *text);

/** kill -9. */
void server_kill(struct server *server);

/** SIGTERM, and wait; its exit status. */
int server_stop(struct server *server);

/** Run `sluiced` with up to two arguments of which the last is the configuration; its
 * exit status. */
int server_run(const struct server *server, const char *verb);

/** Run `sluiced backup` to a file; its exit status. */
int server_backup(const struct server *server, const char *path);

/** End everything and remove the folder. */
void server_fini(struct server *server);

/** Path of a file below dir. Returns out. */
const char *server_path(
	const struct server *server, const char *name, char out[static BROKER_PATH_CAP]);

/** One request. */
struct call {
	const char *method, *path; /* below /api/v1 */
	const char *key;           /* "admin", "reader" ..., NULL: no key */
	struct ota_bytes body;     /* empty: none */
	const char *header;        /* one more line, or NULL */
};

/** Ask; the status, and the answer appended to reply (may be NULL). 0: no answer. */
long server_call(
	const struct server *server, const struct call *call, struct ota_buf *reply);

/** As server_call(), with the header lines of the answer appended to head. */
long server_call_heads(const struct server *server, const struct call *call,
	struct ota_buf *head, struct ota_buf *reply);

/** A header of an answer, cut to cap bytes; "" if it is not there. Returns out. */
const char *server_header(struct ota_buf *head, const char *name, char *out, size_t cap);

/** What one call came to. */
struct outcome {
	long status;   /* 0: no answer */
	bool replayed; /* Idempotency-Replayed */
	char etag[SERVER_ETAG_CAP];
	struct ota_buf body; /* owned; release with outcome_fini() */
};

/** As server_call(). */
struct outcome server_ask(const struct server *server, const struct call *call);

/** Release. */
void outcome_fini(struct outcome *outcome);

/** GET as admin, and the answer as a tree; NULL unless the status is 200. Free it. */
cJSON *server_get(const struct server *server, const char *path);

/** A number or string deep in a tree: "bytes.published", "rollouts.0.state". -1 or "" if
 *  it is not there. */
double server_number(const cJSON *tree, const char *path);

/** As server_number(). */
const char *server_text(const cJSON *tree, const char *path);

/** POST a document of the test fleet, signed by seed-byte keys. The status. */
long server_post(const struct server *server, enum ota_doc_type type, const void *doc,
	const char *keys);

/** The root of the fleet "test": the sample keys, valid now. */
struct ota_root server_root(void);

/** An envelope of the test fleet. Release with ota_buf_fini(). */
struct ota_buf server_sign(enum ota_doc_type type, const void *doc, const char *keys);

/** Turn the loop until look() is true; false after PEER_TIMEOUT_MS. look() is asked about
 *  every 20 ms. */
bool server_wait(bool (*look)(void *ctx), void *ctx);

/* ---- somebody who sees all that is published for everybody */

enum { SEEN_MAX = 4096 };

struct seen {
	char topic[OTA_TOPIC_CAP];
	size_t len; /* of the payload */
	bool retained;
};

struct observer {
	/* Sees each message, with what it holds; may be NULL. Set after observer_open().
	 */
	void (*look)(const char *topic, struct ota_bytes payload);
	struct ota_mqtt *link;
	unsigned ups, closed;
	size_t count;
	struct seen seen[SEEN_MAX]; /* in the order of arrival */
};

/** Connect as gw-1 and subscribe to patch/, cohort/ and fresh. */
void observer_open(struct observer *observer, const struct server *server);

/** Publish as gw-1. */
void observer_publish(struct observer *observer, const struct ota_topic *topic,
	struct ota_bytes payload, bool retain);

/** Disconnect. */
void observer_close(struct observer *observer);

/** Topics seen since `from` whose text contains part. */
size_t observer_count(const struct observer *observer, size_t from, const char *part);

#endif

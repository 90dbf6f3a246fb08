#include "tests/integration/server.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "proto/base/own.h"
#include "proto/io/files.h"
#include "proto/io/loop.h"

#define SECRET "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

enum { LOOK_MS = 20, URL_CAP = 512 };

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "server: %s\n", what);
	exit(1);
}

static void must(enum ota_code rc, const struct ota_error *err)
{
	if (rc != OTA_OK)
		give_up(err->text);
}

const char *server_path(
	const struct server *server, const char *name, char out[static BROKER_PATH_CAP])
{
	(void)snprintf(out, BROKER_PATH_CAP, "%.120s/%s", server->dir, name);
	return out;
}

static void write_file(
	const struct server *server, const char *name, struct ota_bytes bytes)
{
	char path[BROKER_PATH_CAP];
	struct ota_error err = { 0 };

	must(ota_file_replace(server_path(server, name, path), bytes, 0600, &err), &err);
}

/* ---- what sluiced wants */

struct ota_root server_root(void)
{
	struct ota_root root = sample_root();

	(void)snprintf(root.fleet, sizeof root.fleet, "test");
	root.issued_utc_s = ota_clock_utc_s() - 60;
	root.expires_utc_s = root.issued_utc_s + 86400;
	return root;
}

struct ota_buf server_sign(enum ota_doc_type type, const void *doc, const char *keys)
{
	return sample_sign(type, doc, keys);
}

static void write_root(const struct server *server)
{
	struct ota_root root = server_root();
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	char seed[65];

	memcpy(root.fleet, server->fleet, sizeof root.fleet);
	envelope = server_sign(OTA_DOC_ROOT, &root, (char[]){ SAMPLE_ROOT_KEY, 0 });
	write_file(server, "root.doc", ota_buf_bytes(&envelope));
	for (int i = 0; i < 32; i++)
		(void)snprintf(seed + 2 * i, 3, "%02x", (unsigned)SAMPLE_ONLINE_KEY);
	write_file(server, "online.key", ota_bytes_of(seed));
}

static void write_keys(const struct server *server)
{
	static const char *const ids[] = { "admin", "read", "rollout", "enrol" };
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		char key[128], hex[OTA_DIGEST_HEX_CAP];
		struct ota_digest hash;

		(void)snprintf(key, sizeof key, "sluice_%s_" SECRET, ids[i]);
		hash = ota_digest_of(ota_bytes_of(key));
		ota_digest_hex(&hash, hex);
		must(ota_buf_printf(&text, "%s %s %s\n", ids[i], ids[i], hex), NULL);
	}
	write_file(server, "api-keys", ota_buf_bytes(&text));
}

static void write_config(const struct server *server)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char ca[BROKER_PATH_CAP], cert[BROKER_PATH_CAP], key[BROKER_PATH_CAP];

	must(ota_buf_printf(&text,
		     "fleet: %s\nstate_dir: state\nroot: root.doc\n"
		     "online_key: online.key\napi_keys: api-keys\n"
		     "http: {listen: '127.0.0.1:0'}\n"
		     "images: %s/images\npatches: {level: 3, cache: %s/patches}\n"
		     "broker:\n  url: ssl://localhost:%u\n"
		     "  ca: %s\n  cert: %s\n  key: %s\n",
		     server->fleet, server->store, server->store, server->broker.port,
		     broker_file(&server->broker, "ca", ".pem", ca),
		     broker_file(&server->broker, server->user, ".pem", cert),
		     broker_file(&server->broker, server->user, ".key", key)),
		NULL);
	write_file(server, "sluiced.yaml", ota_buf_bytes(&text));
}

/* A folder with all that sluiced wants, but for a broker. */
static struct server new_server(const char *fleet, const char *user)
{
	struct server server = { .dir = "/tmp/sluiced-test.XXXXXX",
		.program = SLUICED,
		.timeout_ms = PEER_TIMEOUT_MS };

	(void)snprintf(server.fleet, sizeof server.fleet, "%s", fleet);
	(void)snprintf(server.user, sizeof server.user, "%s", user);
	if (!mkdtemp(server.dir))
		give_up("mkdtemp");
	(void)snprintf(server.store, sizeof server.store, "%.120s/state", server.dir);
	return server;
}

static void write_all(const struct server *server)
{
	write_root(server);
	write_keys(server);
	write_config(server);
}

void server_init_clients(struct server *server, const char *const *clients)
{
	*server = new_server("test", "sluiced");
	broker_start(&server->broker, "127.0.0.1", clients);
	write_all(server);
}

void server_init(struct server *server)
{
	static const char *const clients[] = { "gw-1", NULL };

	server_init_clients(server, clients);
}

void server_init_fleet(struct server *server, const struct server *first,
	const char *fleet, const char *user)
{
	*server = new_server(fleet, user);
	server->broker = first->broker;
	server->guest = true;
	write_all(server);
}

void server_init_beside(struct server *server, const struct server *first)
{
	*server = new_server(first->fleet, first->user);
	server->broker = first->broker;
	server->guest = true;
	memcpy(server->store, first->store, sizeof server->store);
	write_all(server);
}

/* ---- the process */

static pid_t spawn(const struct server *server, const char *verb, const char *operand)
{
	char config[BROKER_PATH_CAP], log[BROKER_PATH_CAP];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)server_path(server, "sluiced.yaml", config);
	fd = open(server_path(server, "sluiced.log", log), O_WRONLY | O_CREAT | O_APPEND,
		0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(127);
	if (verb)
		(void)execl(server->program, "sluiced", verb, "-c", config, operand,
			(char *)NULL);
	else
		(void)execl(server->program, "sluiced", "-c", config, (char *)NULL);
	_exit(127);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wait_for(pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, 0) != pid)
		give_up("waitpid");
	return status_of(status);
}

int server_run(const struct server *server, const char *verb)
{
	return wait_for(spawn(server, verb, NULL));
}

int server_backup(const struct server *server, const char *path)
{
	return wait_for(spawn(server, "backup", path));
}

static bool read_address(struct server *server)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	char path[BROKER_PATH_CAP];

	if (ota_file_read(server_path(server, "state/http.addr", path),
		    SERVER_ADDRESS_CAP - 1, &text, NULL) != OTA_OK)
		return false;
	(void)snprintf(server->address, sizeof server->address, "%.*s", (int)text.len - 1,
		(const char *)text.at);
	return true;
}

bool server_answers(struct server *server)
{
	struct call call = { .method = "GET", .path = "/healthz" };

	return read_address(server) && server_call(server, &call, NULL) == 200;
}

static bool is_up(void *ctx)
{
	struct server *server = ctx;

	if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
		give_up("sluiced ended; see its log");
	return server_answers(server);
}

void server_launch(struct server *server)
{
	char path[BROKER_PATH_CAP];

	(void)unlink(server_path(server, "state/http.addr", path));
	server->pid = spawn(server, NULL, NULL);
}

void server_start(struct server *server)
{
	server_launch(server);
	if (!server_wait(is_up, server))
		give_up("sluiced does not come up");
}

int server_look(struct server *server, int *status)
{
	int found = 0;

	if (waitpid(server->pid, &found, WNOHANG | WUNTRACED) != server->pid)
		return 0;
	if (WIFSTOPPED(found))
		return WSTOPSIG(found);
	server->pid = 0;
	*status = status_of(found);
	return -1;
}

void server_kill(struct server *server)
{
	if (server->pid <= 0)
		return;
	(void)kill(server->pid, SIGKILL);
	(void)wait_for(server->pid);
	server->pid = 0;
}

int server_stop(struct server *server)
{
	pid_t pid = server->pid;

	server->pid = 0;
	(void)kill(pid, SIGTERM);
	return wait_for(pid);
}

int server_await(struct server *server)
{
	pid_t pid = server->pid;

	server->pid = 0;
	return wait_for(pid);
}

bool server_logged(const struct server *server, const char *text)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf log = { 0 };
	char path[BROKER_PATH_CAP];

	return ota_file_read(server_path(server, "sluiced.log", path), 1 << 24, &log,
		       NULL) == OTA_OK &&
	       strstr(ota_buf_text(&log), text);
}

static int remove_entry(
	const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void server_fini(struct server *server)
{
	server_kill(server);
	if (!server->guest)
		broker_fini(&server->broker);
	(void)nftw(server->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- HTTP */

static size_t take_answer(char *data, size_t size, size_t count, void *ctx)
{
	struct ota_bytes bytes = { (const uint8_t *)data, size * count };

	return !ctx || ota_buf_add(ctx, bytes) == OTA_OK ? size * count : 0;
}

static struct curl_slist *headers_of(const struct call *call)
{
	char line[256];
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	(void)snprintf(
		line, sizeof line, "Authorization: Bearer sluice_%s_" SECRET, call->key);
	if (call->key)
		list = curl_slist_append(list, line);
	if (call->header)
		list = curl_slist_append(list, call->header);
	return list;
}

long server_call_heads(const struct server *server, const struct call *call,
	struct ota_buf *head, struct ota_buf *reply)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = headers_of(call);
	char url[URL_CAP];
	long status = 0;

	(void)snprintf(
		url, sizeof url, "http://%s/api/v1%s", server->address, call->path);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_answer);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, head);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, server->timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (call->body.len > 0) {
		(void)curl_easy_setopt(
			curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.at);
	}
	(void)curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return status;
}

long server_call(
	const struct server *server, const struct call *call, struct ota_buf *reply)
{
	return server_call_heads(server, call, NULL, reply);
}

const char *server_header(struct ota_buf *head, const char *name, char *out, size_t cap)
{
	const char *line = ota_buf_text(head), *value;
	size_t len = strlen(name);

	out[0] = '\0';
	for (; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		value = line + len + 1;
		value += strspn(value, " ");
		(void)snprintf(out, cap, "%.*s", (int)strcspn(value, "\r\n"), value);
	}
	return out;
}

struct outcome server_ask(const struct server *server, const struct call *call)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf head = { 0 };
	struct outcome out = { 0 };
	char word[16];

	out.status = server_call_heads(server, call, &head, &out.body);
	(void)server_header(&head, "ETag", out.etag, sizeof out.etag);
	(void)server_header(&head, "Idempotency-Replayed", word, sizeof word);
	out.replayed = strcmp(word, "true") == 0;
	return out;
}

void outcome_fini(struct outcome *outcome)
{
	ota_buf_fini(&outcome->body);
}

cJSON *server_get(const struct server *server, const char *path)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf reply = { 0 };
	struct call call = { .method = "GET", .path = path, .key = "admin" };
	cJSON *tree = NULL;

	if (server_call(server, &call, &reply) != 200 ||
		ota_json_parse(ota_buf_bytes(&reply), false, &tree, NULL) != OTA_OK)
		return NULL;
	return tree;
}

static const cJSON *find(const cJSON *tree, const char *path)
{
	char name[64];

	while (tree && *path) {
		size_t len = strcspn(path, ".");

		(void)snprintf(name, sizeof name, "%.*s", (int)len, path);
		if (cJSON_IsArray(tree))
			tree = cJSON_GetArrayItem(tree, (int)strtol(name, NULL, 10));
		else
			tree = cJSON_GetObjectItemCaseSensitive(tree, name);
		path += len + (path[len] == '.');
	}
	return tree;
}

double server_number(const cJSON *tree, const char *path)
{
	const cJSON *item = find(tree, path);

	return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

const char *server_text(const cJSON *tree, const char *path)
{
	const cJSON *item = find(tree, path);

	return cJSON_IsString(item) ? item->valuestring : "";
}

long server_post(const struct server *server, enum ota_doc_type type, const void *doc,
	const char *keys)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = server_sign(type, doc, keys);
	struct call call = { "POST", "/documents", "admin", ota_buf_bytes(&envelope),
		NULL };

	return server_call(server, &call, NULL);
}

bool server_wait(bool (*look)(void *ctx), void *ctx)
{
	uint64_t until_ms = ota_clock_mono_ms() + PEER_TIMEOUT_MS;

	while (ota_clock_mono_ms() < until_ms) {
		if (look(ctx))
			return true;
		(void)peer_turn(LOOK_MS);
	}
	return false;
}

/* ---- the observer */

static void on_up(void *ctx)
{
	static const char *const filters[] = { "sluice/1/test/patch/#",
		"sluice/1/test/cohort/+/order", "sluice/1/test/fresh" };
	struct observer *o = ctx;

	o->ups++;
	(void)!ota_mqtt_subscribe(o->link, filters, 3, NULL, NULL);
}

static void on_message(
	void *ctx, const char *topic, struct ota_bytes payload, bool retained)
{
	struct observer *o = ctx;

	if (o->count == SEEN_MAX)
		give_up("the observer saw too much");
	(void)snprintf(o->seen[o->count].topic, OTA_TOPIC_CAP, "%s", topic);
	o->seen[o->count].len = payload.len;
	o->seen[o->count].retained = retained;
	o->count++;
	if (o->look)
		o->look(topic, payload);
}

void observer_open(struct observer *o, const struct server *server)
{
	static const struct ota_mqtt_events events = { .up = on_up,
		.message = on_message };
	struct ota_mqtt_config config = peer_config(&server->broker, "gw-1", "localhost");
	struct ota_error err = { 0 };

	*o = (struct observer){ 0 };
	must(ota_mqtt_new(peer_loop(), &config, &events, o, &o->link, &err), &err);
	if (!peer_wait(&o->ups, 1))
		give_up("the observer does not get in");
}

void observer_publish(struct observer *o, const struct ota_topic *topic,
	struct ota_bytes payload, bool retain)
{
	char text[OTA_TOPIC_CAP];
	struct ota_mqtt_message message = { text, payload, 1, retain };

	ota_topic_print("test", topic, text);
	if (ota_mqtt_publish(o->link, &message, NULL, NULL) != OTA_OK)
		give_up("the observer cannot publish");
}

static void on_closed(void *ctx)
{
	struct observer *o = ctx;

	o->closed++;
}

void observer_close(struct observer *o)
{
	ota_mqtt_close(o->link, on_closed, o);
	(void)peer_wait(&o->closed, 1);
}

size_t observer_count(const struct observer *o, size_t from, const char *part)
{
	size_t count = 0;

	for (size_t i = from; i < o->count; i++)
		count += strstr(o->seen[i].topic, part) != NULL;
	return count;
}

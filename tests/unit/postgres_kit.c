#include "tests/unit/postgres_kit.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <postgresql/libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIN          "/usr/lib/postgresql/15/bin/"
#define DIR_VARIABLE "POSTGRES_KIT_DIR"

enum { READY_S = 60, LOOK_NS = 20 * 1000 * 1000, ARGS_MAX = 24 };

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "postgres: %s\n", what);
	exit(1);
}

/* The server refuses to run as root: root becomes the user of the package, or nobody. */
static const struct passwd *server_user(void)
{
	const struct passwd *user = getpwnam("postgres");

	return user ? user : getpwnam("nobody");
}

static void become_server_user(void)
{
	const struct passwd *user = server_user();

	if (geteuid() != 0)
		return;
	if (!user || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
		setuid(user->pw_uid) != 0)
		_exit(126);
}

static pid_t spawn(const struct postgres *pg, const char *const argv[])
{
	pid_t pid = fork();
	char log[POSTGRES_DIR_CAP + 8], *args[ARGS_MAX] = { 0 };
	int fd;

	if (pid != 0)
		return pid;
	become_server_user();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setpgid(0, 0);
	(void)snprintf(log, sizeof log, "%s/log", pg->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	(void)chdir(pg->dir);
	for (int i = 0; argv[i]; i++)
		args[i] = strdup(argv[i]);
	(void)execv(args[0], args);
	_exit(127);
}

static void make_cluster(const struct postgres *pg)
{
	char data[POSTGRES_DIR_CAP + 8];
	const char *const argv[] = { BIN "initdb", "-D", data, "-U", "sluice", "-A",
		"trust", "-E", "UTF8", "--locale=C", "--no-sync", NULL };
	int status = 0;
	pid_t pid;

	(void)snprintf(data, sizeof data, "%s/data", pg->dir);
	pid = spawn(pg, argv);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("initdb failed");
}

/* False if it ended: after a crash, what the one before shared is in use for a while. */
static bool await_ready(struct postgres *pg)
{
	const struct timespec pause = { 0, LOOK_NS };

	while (PQping(pg->url) != PQPING_OK) {
		if (waitpid(pg->pid, NULL, WNOHANG) == pg->pid)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

static void run_server(struct postgres *pg)
{
	char data[POSTGRES_DIR_CAP + 8], dir[POSTGRES_DIR_CAP];
	const char *const argv[] = { BIN "postgres", "-D", data, "-k", dir, "-c",
		"listen_addresses=", "-c", "logging_collector=off", "-c",
		"max_connections=20", NULL };

	(void)snprintf(data, sizeof data, "%s/data", pg->dir);
	(void)snprintf(dir, sizeof dir, "%s", pg->dir);
	for (time_t until = time(NULL) + READY_S; time(NULL) < until;) {
		pg->pid = spawn(pg, argv);
		if (await_ready(pg))
			return;
	}
	give_up("the server does not come up");
}

static void set_url(struct postgres *pg, const char *database)
{
	(void)snprintf(pg->url, sizeof pg->url, "postgresql://sluice@/%s?host=%s",
		database, pg->dir);
}

bool postgres_is_there(void)
{
	return access(BIN "postgres", X_OK) == 0;
}

void postgres_start(struct postgres *pg)
{
	const struct passwd *user = server_user();

	*pg = (struct postgres){ .dir = "/tmp/postgres.XXXXXX" };
	if (!mkdtemp(pg->dir))
		give_up("mkdtemp");
	if (geteuid() == 0 && (!user || chown(pg->dir, user->pw_uid, user->pw_gid) != 0))
		give_up("no user to run as");
	set_url(pg, "postgres");
	make_cluster(pg);
	run_server(pg);
	(void)setenv(DIR_VARIABLE, pg->dir, 1);
}

/* Only its children know each other by their parent, and they leave its group. */
static void kill_children(pid_t parent)
{
	char path[64];
	FILE *file;
	int child;

	(void)snprintf(
		path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "re");
	(void)kill(parent, SIGSTOP); /* starts none in the place of those that die */
	while (file && fscanf(file, "%d", &child) == 1)
		(void)kill(child, SIGKILL);
	if (file)
		(void)fclose(file);
}

void postgres_kill(struct postgres *pg)
{
	if (pg->pid <= 0)
		return;
	kill_children(pg->pid);
	(void)kill(pg->pid, SIGKILL);
	(void)waitpid(pg->pid, NULL, 0);
	pg->pid = 0;
}

void postgres_restart(struct postgres *pg)
{
	run_server(pg);
}

static int remove_entry(
	const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void postgres_fini(struct postgres *pg)
{
	postgres_kill(pg);
	if (pg->dir[0])
		(void)nftw(pg->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

bool postgres_run(const struct postgres *pg, const char *sql)
{
	PGconn *conn = PQconnectdb(pg->url);
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	PQfinish(conn);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

void postgres_join(struct postgres *pg)
{
	const char *dir = getenv(DIR_VARIABLE);
	char name[32], sql[64];

	if (!dir)
		give_up("was not started");
	*pg = (struct postgres){ 0 };
	(void)snprintf(pg->dir, sizeof pg->dir, "%s", dir);
	set_url(pg, "postgres");
	(void)snprintf(name, sizeof name, "test_%d", (int)getpid());
	(void)snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
	if (!postgres_run(pg, sql))
		give_up("no new database");
	set_url(pg, name);
}

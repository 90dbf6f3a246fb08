/* sluiced: the orchestrator. */
#include <fcntl.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/port/daemon.h"
#include "orchestrator/port/ledger.h"
#include "proto/base/own.h"
#include "proto/io/sandbox.h"

static const char usage[] =
	"usage: sluiced [-c FILE]         run the orchestrator\n"
	"       sluiced check [-c FILE]   read all it would read, change nothing\n"
	"       sluiced backup [-c FILE] OUT\n"
	"                                 copy the ledger to a new file, and check the "
	"copy;\n"
	"                                 sluiced may run meanwhile\n"
	"\n"
	"  -c, --config FILE  configuration (default /etc/sluice/sluiced.yaml)\n"
	"  -h, --help         this text\n"
	"  -V, --version      the version\n"
	"\n"
	"environment: DATABASE_URL (sqlite:PATH or postgresql://...) goes before\n"
	"'database' of the file.\n"
	"exit status: 0 after SIGTERM or SIGINT, or all is well; 1 on any failure.\n";

struct call {
	const char *config;
	bool check;
	const char *backup; /* where to; NULL: none */
};

/* -1: go on; otherwise the exit status. */
static int read_verb(int count, char **words, struct call *call)
{
	bool backup = count > 0 && strcmp(words[0], "backup") == 0;
	int taken;

	call->check = count > 0 && strcmp(words[0], "check") == 0;
	taken = backup ? 2 : call->check;
	if (backup && count < 2) {
		(void)fputs("sluiced: backup needs the file to make\n", stderr);
		return 1;
	}
	if (backup)
		call->backup = words[1];
	if (taken == count)
		return -1;
	(void)fprintf(stderr, "sluiced: unknown argument '%s'; try 'sluiced --help'\n",
		words[taken]);
	return 1;
}

/* -1: go on; otherwise the exit status. */
static int read_call(int argc, char **argv, struct call *call)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		if (option == 'c') {
			call->config = optarg;
		} else if (option == 'h') {
			(void)fputs(usage, stdout);
			return 0;
		} else if (option == 'V') {
			(void)puts("sluiced " SLUICE_VERSION);
			return 0;
		} else {
			(void)fputs("try 'sluiced --help'\n", stderr);
			return 1;
		}
	}
	return read_verb(argc - optind, argv + optind, call);
}

static int fail(const struct ota_error *err)
{
	(void)fprintf(stderr, "sluiced: %s: %s\n", err->text, ota_code_text(err->code));
	return 1;
}

static enum ota_code back_up(const struct call *call, const struct sluiced_config *config,
	struct ota_error *err)
{
	uint64_t entries = 0;
	enum ota_code rc = ledger_backup(config->database, call->backup, &entries, err);

	if (rc == OTA_OK)
		(void)printf("%s: the ledger, whole; %llu audit entries\n", call->backup,
			(unsigned long long)entries);
	return rc;
}

static int run(const struct call *call, const struct sluiced_config *config)
{
	struct ota_error err = { 0 };

	if (call->backup) {
		err.code = back_up(call, config, &err);
	} else if (call->check) {
		err.code = daemon_check(config, &err);
		if (err.code == OTA_OK)
			(void)printf("%s: all is well\n", call->config);
	} else {
		ota_log_set_level(config->log);
		err.code = ota_sandbox_harden(&err);
		if (err.code == OTA_OK)
			err.code = daemon_run(config, &err);
	}
	return err.code == OTA_OK ? 0 : fail(&err);
}

/* Started without standard streams, a socket would become one of them. */
static bool have_streams(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

int main(int argc, char **argv)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf messages = { 0 };
	struct call call = { .config = "/etc/sluice/sluiced.yaml" };
	struct sluiced_config config;
	int status = read_call(argc, argv, &call);

	if (status >= 0)
		return status;
	(void)umask(077);
	if (!have_streams() || sodium_init() < 0)
		return 1;
	if (sluiced_config_load(
		    call.config, getenv("DATABASE_URL"), &config, &messages) != OTA_OK) {
		(void)fputs(
			ota_buf_text(&messages) ? ota_buf_text(&messages) : "", stderr);
		return 1;
	}
	return run(&call, &config);
}

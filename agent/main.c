/* sluice-agent: reads what it is told to be, and is it. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/port/decode_worker.h"
#include "agent/port/doctor.h"
#include "agent/port/install.h"
#include "agent/port/net.h"
#include "agent/port/supervise.h"
#include "proto/base/own.h"

enum { EXIT_OK = 0, EXIT_ERROR = 1, DESCRIPTORS_MIN = 16 };

static const char DEFAULT_CONFIG[] = "/etc/sluice/agent.yaml";

static const char HELP[] =
	"usage: sluice-agent [run] [-c FILE]      be the agent of this device\n"
	"       sluice-agent check [-c FILE]      read the configuration, say what is "
	"wrong\n"
	"       sluice-agent doctor [-c FILE] [--output=json]\n"
	"                                         look at the device, say what is "
	"missing "
	"or\n"
	"                                         dangerous, and what to do; changes "
	"nothing\n"
	"       sluice-agent net --fd N [-c FILE]\n"
	"       sluice-agent install --fd N --boot TEXT [-c FILE]\n"
	"                                         its two halves, as `run` starts them\n"
	"       sluice-agent decode               apply one patch, as `install` starts "
	"it\n"
	"\n"
	"  -c, --config FILE   configuration (/etc/sluice/agent.yaml)\n"
	"      --fd N          descriptor of the socket between the halves\n"
	"      --connect PATH  of net, instead: where install listens (socket unit)\n"
	"      --boot TEXT     names the boot of the device; another text is a new boot\n"
	"      --output FORM   of `doctor`: text or json\n"
	"  -h, --help          this text\n"
	"  -V, --version       version of this program\n"
	"\n"
	"SIGTERM or SIGINT ends it. Exit status: 0 ended as told, 1 error (said on\n"
	"stderr; from `doctor`: there are errors, not only warnings), 4 from `install` "
	"only: start again, as after a reboot.\n";

struct options {
	const char *config_path; /* borrowed from argv */
	const char *boot;        /* borrowed from argv; NULL: not given */
	const char *connect;     /* borrowed from argv; NULL: not given */
	int fd;                  /* -1: not given */
	bool json;               /* of doctor */
	struct agent_config config;
};

static int run_supervisor(const struct options *options)
{
	return supervise_run(options->config_path, &options->config);
}

static int run_check(const struct options *options)
{
	(void)printf("%s: ok\n", options->config_path);
	return EXIT_OK;
}

static int usage(const char *what, const char *detail)
{
	(void)fprintf(
		stderr, "sluice-agent: %s%s\nTry 'sluice-agent --help'.\n", what, detail);
	return EXIT_ERROR;
}

static int run_doctor(const struct options *options)
{
	const struct doctor_world world = doctor_world_here();
	OTA_AUTO(ota_buf_fini) struct ota_buf text = { 0 };
	ota_autofree struct doctor *doctor = calloc(1, sizeof *doctor);
	enum ota_code rc = doctor == NULL ? OTA_E_NOMEM : OTA_OK;

	if (rc == OTA_OK) {
		doctor_examine(&options->config, &world, doctor);
		rc = options->json ? doctor_print_json(doctor, &text)
				   : doctor_print_text(doctor, &text);
	}
	if (rc != OTA_OK)
		return usage("out of memory", "");
	(void)fwrite(text.at, 1, text.len, stdout);
	return doctor_count(doctor, DOCTOR_ERROR) == 0 ? EXIT_OK : EXIT_ERROR;
}

/* The descriptor is for us alone: hooks and other children must not hold it. */
static int take_fd(const struct options *options)
{
	int type = 0;
	socklen_t len = sizeof type;

	if (options->fd < 0)
		return usage("this role needs ", "--fd");
	if (getsockopt(options->fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
		type != SOCK_SEQPACKET)
		return usage("--fd is no socket of the agent", "");
	if (fcntl(options->fd, F_SETFD, FD_CLOEXEC) != 0)
		return usage("--fd: ", strerror(errno));
	return EXIT_OK;
}

/* A socket unit made the socket; install listens there. */
static int run_net_at(const struct options *options)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(options->connect) >= sizeof at.sun_path)
		return usage("--connect: too long: ", options->connect);
	(void)memcpy(at.sun_path, options->connect, strlen(options->connect) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		(void)fprintf(stderr, "sluice-agent: --connect %s: %s\n",
			options->connect, strerror(errno));
		return EXIT_ERROR;
	}
	return net_run(&options->config, fd);
}

static int run_net(const struct options *options)
{
	int rc;

	if (options->connect != NULL)
		return run_net_at(options);
	rc = take_fd(options);
	return rc != EXIT_OK ? rc : net_run(&options->config, options->fd);
}

static int run_install(const struct options *options)
{
	int rc = take_fd(options);

	if (rc != EXIT_OK)
		return rc;
	if (options->boot == NULL)
		return usage("install needs ", "--boot");
	/* net asks for the same once it has become its user. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return usage("prctl: ", strerror(errno));
	return install_run(&options->config, options->fd, options->boot);
}

/* Its descriptors are no terminal: not even standard error is one. */
static int run_decode(const struct options *options)
{
	(void)options;
	if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
		return usage("decode is started by install", "");
	return decode_worker_run();
}

static const char *const role_names[] = { "decode", "run", "check", "doctor", "net",
	"install" };
static int (*const role_runs[])(const struct options *) = { run_decode, run_supervisor,
	run_check, run_doctor, run_net, run_install };

/* The first role has no configuration: it is to know nothing. */
enum { N_ROLES = sizeof role_names / sizeof role_names[0], DECODE = 0 };

static int unknown_role(const char *name)
{
	const char *near = ota_nearest(name, role_names, N_ROLES);
	char text[160], escaped[80];

	ota_escape(name, escaped, sizeof escaped);
	(void)snprintf(text, sizeof text, "'%s'%s%s%s", escaped,
		near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
		near == NULL ? "" : "'?");
	return usage("unknown role ", text);
}

static int parse_fd(const char *text)
{
	char *end = NULL;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || value < 3 || value > 1023)
		return -1;
	return (int)value;
}

static bool is_form(const char *text)
{
	return strcmp(text, "json") == 0 || strcmp(text, "text") == 0;
}

/* Read options up to the role's own word. Returns what getopt said last: -1 at the end,
 * 'h', 'V' or '?'. */
static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "fd", required_argument, NULL, 'f' },
		{ "boot", required_argument, NULL, 'b' },
		{ "output", required_argument, NULL, 'o' },
		{ "connect", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int found;

	while ((found = getopt_long(argc, argv, "c:hV", table, NULL)) != -1) {
		if (found == 'c')
			options->config_path = optarg;
		else if (found == 'f')
			options->fd = parse_fd(optarg);
		else if (found == 'b')
			options->boot = optarg;
		else if (found == 'o' && is_form(optarg))
			options->json = strcmp(optarg, "json") == 0;
		else if (found == 'n')
			options->connect = optarg;
		else
			return found == 'o' ? '?' : found;
	}
	return -1;
}

static int load_config(struct options *options)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf errors = { 0 };
	struct ota_error err = { 0 };
	const char *text;

	if (agent_config_load(options->config_path, &options->config, &errors, &err) ==
		OTA_OK)
		return EXIT_OK;
	text = ota_buf_text(&errors);
	(void)fprintf(stderr, "%s", text != NULL && errors.len > 0 ? text : err.text);
	if (errors.len == 0)
		(void)fputc('\n', stderr);
	return EXIT_ERROR;
}

/* libuv ends the process with SIGABRT when it cannot open a pipe: better be told why. */
static bool has_descriptors(void)
{
	int fds[DESCRIPTORS_MIN], count = 0;
	bool enough;

	while (count < DESCRIPTORS_MIN && (fds[count] = dup(STDERR_FILENO)) >= 0)
		count++;
	enough = count == DESCRIPTORS_MIN;
	while (count > 0)
		(void)close(fds[--count]);
	return enough;
}

static int run_role(const char *name, struct options *options)
{
	for (size_t i = 0; i < N_ROLES; i++) {
		if (strcmp(name, role_names[i]) != 0)
			continue;
		if (i != DECODE && load_config(options) != EXIT_OK)
			return EXIT_ERROR;
		if (i != DECODE && !has_descriptors())
			return usage("fewer than 16 more descriptors may be opened; see ",
				"ulimit -n");
		return role_runs[i](options);
	}
	return unknown_role(name);
}

int main(int argc, char **argv)
{
	static struct options options = { .config_path = DEFAULT_CONFIG, .fd = -1 };
	int found = read_options(argc, argv, &options);

	if (sodium_init() <
		0) /* which also finds the fastest digest for this processor */
		return usage("libsodium does not start", "");
	if (found == 'h') {
		(void)fputs(HELP, stdout);
		return EXIT_OK;
	}
	if (found == 'V') {
		(void)puts("sluice-agent " SLUICE_VERSION);
		return EXIT_OK;
	}
	if (found != -1)
		return usage("wrong option", "");
	if (argc - optind > 1)
		return usage("too many words: ", argv[optind + 1]);
	return run_role(optind < argc ? argv[optind] : "run", &options);
}

#include "proto/io/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void release_filter(scmp_filter_ctx *filter)
{
	if (*filter != NULL)
		seccomp_release(*filter);
}

enum ota_code ota_sandbox_no_network(struct ota_error *err)
{
	__attribute__((cleanup(release_filter))) scmp_filter_ctx filter =
		seccomp_init(SCMP_ACT_ALLOW);
	const uint32_t refuse = SCMP_ACT_ERRNO(EACCES);
	int rc;

	if (filter == NULL)
		return ota_fail(err, OTA_E_IO, "seccomp: no filter");
	rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_rule_add(filter, refuse, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
	if (rc == 0)
		rc = seccomp_rule_add(filter, refuse, SCMP_SYS(socketpair), 1,
			SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
	/* io_uring opens sockets past this filter (IORING_OP_SOCKET). */
	if (rc == 0)
		rc = seccomp_rule_add(filter, refuse, SCMP_SYS(io_uring_setup), 0);
	if (rc == 0)
		rc = seccomp_load(filter);
	if (rc != 0)
		return ota_fail(err, OTA_E_IO, "seccomp: %s", strerror(-rc));
	return OTA_OK;
}

enum ota_code ota_sandbox_become(const char *user, struct ota_error *err)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return OTA_OK;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL && errno == 0)
		return ota_fail(err, OTA_E_NOTFOUND, "no user '%s'", user);
	if (pw == NULL)
		return ota_fail(err, OTA_E_IO, "user '%s': %s", user, strerror(errno));
	if (pw->pw_uid == 0)
		return ota_fail(err, OTA_E_IO, "user '%s' is root", user);
	if (initgroups(user, pw->pw_gid) < 0 ||
		setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
		setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return ota_fail(err, OTA_E_IO, "become '%s': %s", user, strerror(errno));
	if (setresuid(0, 0, 0) == 0)
		return ota_fail(err, OTA_E_IO, "become '%s': root came back", user);
	return OTA_OK;
}

enum ota_code ota_sandbox_harden(struct ota_error *err)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return ota_fail(err, OTA_E_IO, "harden: %s", strerror(errno));
	return OTA_OK;
}

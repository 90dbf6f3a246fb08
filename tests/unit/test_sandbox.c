#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/own.h"
#include "proto/io/sandbox.h"

static int try_socket(int domain)
{
	ota_autoclose int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : 0;
}

Test(sandbox, without_network_only_local_sockets_open)
{
	int pair[2], status;
	pid_t child;

	cr_assert_eq(ota_sandbox_no_network(NULL), OTA_OK);
	cr_expect_eq(try_socket(AF_INET), EACCES);
	cr_expect_eq(try_socket(AF_INET6), EACCES);
	cr_expect_eq(try_socket(AF_NETLINK), EACCES);
	cr_expect_eq(try_socket(AF_UNIX), 0);
	cr_expect_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	cr_expect_eq(syscall(SYS_io_uring_setup, 1, NULL), -1);
	cr_expect_eq(errno, EACCES);
	child = fork();
	if (child == 0)
		_exit(try_socket(AF_INET) == EACCES ? 0 : 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
}

Test(sandbox, a_hardened_process_leaves_no_core_and_gains_no_rights)
{
	struct rlimit core = { 1, 1 };

	cr_assert_eq(ota_sandbox_harden(NULL), OTA_OK);
	cr_assert_eq(getrlimit(RLIMIT_CORE, &core), 0);
	cr_expect_eq(core.rlim_max, 0);
	cr_expect_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	cr_expect_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

Test(sandbox, root_becomes_a_user_for_good_and_a_user_stays_itself)
{
	struct ota_error err = { 0 };
	bool root = geteuid() == 0;
	uid_t before = geteuid();

	cr_expect_eq(ota_sandbox_become("no-such-user-here", &err),
		root ? OTA_E_NOTFOUND : OTA_OK);
	cr_expect_str_eq(err.text, root ? "no user 'no-such-user-here'" : "");
	cr_expect_eq(ota_sandbox_become("root", NULL), root ? OTA_E_IO : OTA_OK);
	cr_expect_eq(ota_sandbox_become("nobody", NULL), OTA_OK);
	cr_expect_eq(geteuid() == before, !root);
	cr_expect(geteuid() != 0 && setuid(0) != 0);
	cr_expect(getegid() != 0);
}

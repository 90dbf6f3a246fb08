#include "agent/port/decode_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "proto/base/own.h"
#include "proto/io/sandbox.h"

/* A sanitizer needs more than the decoder does. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
	FIRST_FD = 4,           /* that is not ours */
	NOBODY = 65534,         /* user and group that own nothing, everywhere */
	MMAP_THRESHOLD = 65536, /* bytes; larger ones are pages of their own */
	CPU_MIN_S = 60,
	CPU_MAX_S = 24 * 3600,
	CPU_GRACE_S = 5, /* from SIGXCPU to SIGKILL */
	CPU_BYTES_PER_S = 256 << 10,
};

uint32_t decode_cpu_s(uint64_t from_bytes, uint64_t to_bytes)
{
	uint64_t s = from_bytes / CPU_BYTES_PER_S + to_bytes / CPU_BYTES_PER_S;

	return s < CPU_MAX_S ? (uint32_t)s + CPU_MIN_S : CPU_MAX_S;
}

static OTA_CHECKED enum ota_code failed(struct ota_error *err, const char *what)
{
	return ota_fail(
		err, OTA_E_IO, "decoder's sandbox: %s: %s", what, strerror(errno));
}

enum ota_code decode_sandbox_close(struct ota_error *err)
{
	if (syscall(SYS_close_range, FIRST_FD, ~0U, 0) == 0)
		return OTA_OK;
	if (errno != ENOSYS)
		return failed(err, "close");
	for (int fd = FIRST_FD, end = getdtablesize(); fd < end; fd++)
		(void)close(fd);
	return OTA_OK;
}

/* Who may not change its user has nothing that a user of files would give away: after the
 * filter no file can be opened. */
static OTA_CHECKED enum ota_code become_nobody(struct ota_error *err)
{
	if (geteuid() != 0)
		return OTA_OK;
	if (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		setresuid(NOBODY, NOBODY, NOBODY) == 0)
		return OTA_OK;
	return errno == EPERM ? OTA_OK : failed(err, "user");
}

/* Bytes of address space now. */
static OTA_CHECKED enum ota_code measure(uint64_t *out, struct ota_error *err)
{
	ota_autoclose int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		return failed(err, "/proc/self/statm");
	*out = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
	return OTA_OK;
}

/* A limit that is lower already stays: only root could raise it. */
static bool limit(int what, uint64_t soft, uint64_t hard)
{
	struct rlimit limits;

	if (getrlimit((__rlimit_resource_t)what, &limits) != 0)
		return false;
	if (limits.rlim_max > hard)
		limits.rlim_max = (rlim_t)hard;
	limits.rlim_cur = limits.rlim_max < soft ? limits.rlim_max : (rlim_t)soft;
	return setrlimit((__rlimit_resource_t)what, &limits) == 0;
}

static OTA_CHECKED enum ota_code limit_all(
	const struct decode_limits *limits, struct ota_error *err)
{
	uint64_t heap = limits->heap_bytes, held = 0;
	enum ota_code rc = measure(&held, err);

	if (rc != OTA_OK)
		return rc;
	held += DECODE_AS_FIXED;
	if (__builtin_add_overflow(heap, heap / DECODE_AS_SHARE, &heap) ||
		__builtin_add_overflow(heap, held, &heap) || heap > RLIM_INFINITY)
		heap = RLIM_INFINITY;
	if (!SANITIZED && !limit(RLIMIT_AS, heap, heap))
		return failed(err, "address space");
	if (!limit(RLIMIT_CPU, limits->cpu_s, (uint64_t)limits->cpu_s + CPU_GRACE_S))
		return failed(err, "processor time");
	if (!limit(RLIMIT_FSIZE, 0, 0) || !limit(RLIMIT_NOFILE, FIRST_FD, FIRST_FD))
		return failed(err, "files");
	/* Changing the user would have cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return failed(err, "death with its parent");
	return OTA_OK;
}

/* A call that is permitted; with a mask, only where one argument and the mask give value.
 */
struct permit {
	int number;
	unsigned argument;
	uint64_t mask, value;
};

enum { ANY = 0 };
#define ALL_BITS 0xffffffffU

/* clang-format off */
static const struct permit permits[] = {
	{ SCMP_SYS(read),    0, ALL_BITS, DECODE_FD_IN },
	{ SCMP_SYS(write),   0, ALL_BITS, DECODE_FD_OUT },
	{ SCMP_SYS(pread64), 0, ALL_BITS, DECODE_FD_FROM },
	{ SCMP_SYS(pread64), 0, ALL_BITS, DECODE_FD_OVER },
	{ SCMP_SYS(munmap), 0, ANY, 0 },
	{ SCMP_SYS(mremap), 0, ANY, 0 },
	{ SCMP_SYS(brk),    0, ANY, 0 },
	{ SCMP_SYS(madvise), 0, ANY, 0 },
	{ SCMP_SYS(futex),  0, ANY, 0 },
	{ SCMP_SYS(futex_time64), 0, ANY, 0 },
	{ SCMP_SYS(clock_gettime), 0, ANY, 0 },
	{ SCMP_SYS(clock_gettime64), 0, ANY, 0 },
	{ SCMP_SYS(restart_syscall), 0, ANY, 0 },
	{ SCMP_SYS(rt_sigreturn), 0, ANY, 0 },
	{ SCMP_SYS(sigreturn),  0, ANY, 0 },
	{ SCMP_SYS(exit_group), 0, ANY, 0 },
};
/* clang-format on */

static int permit(scmp_filter_ctx filter, const struct permit *p)
{
	if (p->number < 0) /* not a call of this processor */
		return 0;
	if (p->mask == ANY)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, p->number, 0);
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, p->number, 1,
		SCMP_CMP(p->argument, SCMP_CMP_MASKED_EQ, p->mask, p->value));
}

/* Memory of its own that can never be executed. */
static int permit_memory(scmp_filter_ctx filter, int number)
{
	if (number < 0)
		return 0;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 2,
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
		SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
}

static void release_filter(scmp_filter_ctx *filter)
{
	if (*filter != NULL)
		seccomp_release(*filter);
}

static OTA_CHECKED enum ota_code forbid_calls(struct ota_error *err)
{
	OTA_AUTO(release_filter)
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = 0;

	if (filter == NULL)
		return ota_fail(err, OTA_E_IO, "decoder's sandbox: no filter");
	for (size_t i = 0; i < sizeof permits / sizeof permits[0] && rc == 0; i++)
		rc = permit(filter, &permits[i]);
	if (rc == 0)
		rc = permit_memory(filter, SCMP_SYS(mmap));
	if (rc == 0)
		rc = permit_memory(filter, SCMP_SYS(mmap2));
	if (rc == 0)
		rc = seccomp_load(filter);
	if (rc != 0)
		return ota_fail(
			err, OTA_E_IO, "decoder's sandbox: seccomp: %s", strerror(-rc));
	return OTA_OK;
}

enum ota_code decode_sandbox_enter(
	const struct decode_limits *limits, struct ota_error *err)
{
	enum ota_code rc = become_nobody(err);

	/* Else the allocator would learn to keep large blocks that were given back. */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	if (rc == OTA_OK)
		rc = limit_all(limits, err);
	if (rc == OTA_OK)
		rc = ota_sandbox_harden(err);
	return rc == OTA_OK ? forbid_calls(err) : rc;
}

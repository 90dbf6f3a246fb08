/* A decoder gone bad: it starts as the real one does, gives up what that gives up, says
 * that it is ready, and then does what the first byte of its patch says. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/decode_wire.h"
#include "agent/port/decode_sandbox.h"

static struct decode_head head;

static void put(const void *bytes, size_t len)
{
	if (write(DECODE_FD_OUT, bytes, len) != (ssize_t)len)
		_exit(9);
}

static void say(enum decode_answer_kind kind, const void *payload, uint32_t len)
{
	const struct decode_answer answer = { kind, len };
	uint8_t bytes[DECODE_ANSWER_LEN];

	decode_answer_encode(&answer, bytes);
	put(bytes, sizeof bytes);
	put(payload, len);
}

static void say_failed(uint32_t code, const char *text)
{
	uint8_t payload[DECODE_PAYLOAD_MAX] = { (uint8_t)code, (uint8_t)(code >> 8) };

	memcpy(payload + 4, text, strlen(text));
	say(DECODE_FAILED, payload, (uint32_t)(4 + strlen(text)));
}

/* What it may not do. Each of these is the end, or else it says that it lived. */
static void trespass(uint8_t how)
{
	char *const none[] = { NULL };

	if (how == 'o')
		(void)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
	if (how == 'n')
		(void)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	if (how == 'u')
		(void)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	if (how == 'e')
		(void)syscall(SYS_execve, "/bin/true", none, none);
	if (how == 'k')
		(void)syscall(SYS_kill, 1, 0);
	if (how == 'f')
		(void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (how == 'x')
		(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (how == 'M')
		(void)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, DECODE_FD_FROM, 0);
	if (how == 'w')
		(void)syscall(SYS_write, DECODE_FD_FROM, "x", 1);
	if (how == 'r')
		(void)syscall(SYS_read, DECODE_FD_FROM, &head, 1);
	if (how == 't')
		(void)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void die(uint8_t how)
{
	volatile char *volatile nowhere = (char *)(uintptr_t)(how == 'S');

	if (how == 'S')
		*nowhere = 1;
	while (how == 'C')
		__asm__ volatile("");
	if (how == '0')
		_exit(0);
	if (how == '7')
		_exit(7);
}

/* Twice what is allowed for the heap, and all that goes beside it. */
static void want_memory(void)
{
	size_t len = (size_t)(2 * head.ram_max) + DECODE_AS_FIXED;
	void *got = mmap(
		NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	say_failed(OTA_E_NOMEM, got == MAP_FAILED ? "refused" : "given");
}

static void speak(uint8_t how)
{
	static const uint8_t zeros[DECODE_DATA_MAX];

	if (how == 'a')
		put("nonsense", 8);
	if (how == 'b')
		put("\x02\0\0\0\xff\xff\xff\xff", 8);
	if (how == 'c')
		say(DECODE_READY, "", 0);
	if (how == 'd')
		say(DECODE_DONE, zeros, DECODE_DONE_LEN);
	if (how == 'g')
		for (uint64_t n = 0; n <= head.manifest.to_len; n += sizeof zeros)
			say(DECODE_DATA, zeros, sizeof zeros);
	if (how == 'h')
		say_failed(0, "all is well");
	if (how == 'i')
		say_failed(OTA_E_DIGEST, "two\nlines \x1b[31m\xff");
	if (how == 'j')
		say_failed(60000, "of a code that is none");
	if (how == 'm')
		want_memory();
}

int main(void)
{
	uint8_t bytes[DECODE_HEAD_LEN], have[DECODE_HAVE_LEN], how = 0;
	struct decode_limits limits = { .cpu_s = 1 };

	if (decode_sandbox_close(NULL) != OTA_OK ||
		read(DECODE_FD_IN, bytes, sizeof bytes) != sizeof bytes ||
		decode_head_parse(
			(struct ota_bytes){ bytes, sizeof bytes }, &head, NULL) != OTA_OK)
		return 8;
	limits.heap_bytes = head.ram_max;
	if (decode_sandbox_enter(&limits, NULL) != OTA_OK)
		return 8;
	say(DECODE_READY, "", 0);
	if (read(DECODE_FD_IN, have, sizeof have) != sizeof have ||
		read(DECODE_FD_IN, &how, 1) != 1)
		_exit(9);
	trespass(how);
	die(how);
	speak(how);
	_exit(6);
}

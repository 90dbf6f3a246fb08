#include "proto/io/mqtt_socket.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);

static atomic_uint send_buffer_len; /* bytes; 0: the kernel's choice */

void ota_socket_want_send_buffer(uint32_t len)
{
	unsigned have = atomic_load(&send_buffer_len);

	while (len > have && !atomic_compare_exchange_weak(&send_buffer_len, &have, len))
		continue;
}

int __wrap_socket(int domain, int type, int protocol)
{
	int fd = __real_socket(domain, type | SOCK_CLOEXEC, protocol);
	unsigned want = atomic_load(&send_buffer_len);
	int on = 1, len = want > INT_MAX ? INT_MAX : (int)want;

	if (fd < 0 || (domain != AF_INET && domain != AF_INET6) ||
		(type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != SOCK_STREAM)
		return fd;
	/* A socket without these still works, only slower. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (len > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof len);
	return fd;
}

#!/bin/sh
# The pure floors ask the world for nothing: no library of theirs refers to a clock, file,
# socket, process, thread, random source or the environment.
# usage: links.sh [BUILD]
set -eu
cd "$(dirname -- "$0")/../.."
build=${1:-build}

impure='time|times|clock|clock_gettime|gettimeofday|localtime(_r)?|gmtime(_r)?|ctime
nanosleep|clock_nanosleep|usleep|sleep|alarm|timer_.*|setitimer|signal|sigaction|raise|kill
socket|socketpair|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?|getaddrinfo
open(at)?(64)?|creat(64)?|f?open(64)?|fdopen|freopen(64)?|opendir|readdir(64)?|stat(64)?
lstat(64)?|fstat(at)?(64)?|unlink(at)?|rename(at)?2?|mkdir(at)?|rmdir|mkstemp(64)?|tmpfile(64)?
read|write|p?(read|write)v?(64)?|f?sync|fdatasync|ioctl|fcntl(64)?|mmap(64)?|pipe2?|poll|select
epoll_.*|eventfd|fork|vfork|exec.*|posix_spawn.*|system|popen|wait(pid|id)?
pthread_.*|thrd_.*|getenv|secure_getenv|setenv|getpid|gethostname
random|srandom|rand|srand|rand_r|[dlm]rand48|getrandom|getentropy|randombytes.*
crypto_(sign|box|kx)_keypair|crypto_.*_keygen|printf|puts|putchar|perror|v?f?printf|fputs|fwrite
__printf_chk|__fprintf_chk|__vfprintf_chk|stdin|stdout|stderr|syslog|exit|_exit'
pattern="^($(printf '%s' "$impure" | tr '\n' '|'))\$"

breaches=0
libraries=0
for library in "$build"/proto/libbase.a "$build"/proto/wire/*.a "$build"/proto/delta/*.a \
	"$build"/agent/core/*.a "$build"/agent/*_core.a \
	"$build"/orchestrator/core/*.a "$build"/orchestrator/*_core.a; do
	[ -f "$library" ] || continue
	libraries=$((libraries + 1))
	found=$(nm --undefined-only --format=posix "$library" | awk '$2 == "U" {print $1}' |
		sort -u | grep -xE "$pattern" || true)
	[ -n "$found" ] || continue
	breaches=$((breaches + 1))
	for symbol in $found; do
		echo "$library: refers to $symbol()"
	done
done
[ "$libraries" -gt 0 ] || {
	echo "links.sh: no library in $build" >&2
	exit 1
}
[ "$breaches" -eq 0 ]

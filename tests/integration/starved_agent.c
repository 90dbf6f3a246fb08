/* The agent with one allocation that fails: STARVE=N,PATH in the environment lets the one
 * fail that comes after N others, and then makes the file PATH. */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long countdown = -1;
static char path[256];

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *at, size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *at, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);

__attribute__((constructor)) static void arm(void)
{
	const char *text = getenv("STARVE");
	char *end = NULL;
	long nth = text == NULL ? -1 : strtol(text, &end, 10);

	if (nth < 0 || *end != ',' || strlen(end + 1) >= sizeof path)
		return;
	memcpy(path, end + 1, strlen(end + 1) + 1);
	atomic_store(&countdown, nth);
}

static bool is_due(void)
{
	if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 0)
		return false;
	(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t len)
{
	return is_due() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len)
{
	return is_due() ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *at, size_t len)
{
	return is_due() ? NULL : __real_realloc(at, len);
}

void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return is_due() ? NULL : __real_aligned_alloc(align, len);
}

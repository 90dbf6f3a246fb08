/* The agent with one call of the system or of a library that fails: FAULT=CALL,ERROR,N
 * in the environment lets the one of that name fail that comes after N others, and
 * FAULT_MARK=PATH names a file that is made if it did. What the calls are called is said
 * in tests/unit/faults_kit.c. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/faults_kit.h"

__attribute__((constructor)) static void arm(void)
{
	const char *text = getenv("FAULT"), *mark = getenv("FAULT_MARK");

	if (text == NULL)
		return;
	if (mark == NULL || !faults_mark_at(mark) || !faults_arm_text(text))
		abort();
	/* What it starts is not to fail. */
	(void)unsetenv("FAULT");
}

/* What counts lines writes its files behind this. */
__attribute__((destructor)) static void disarm(void)
{
	struct faults nothing = { 0 };

	(void)faults_disarm(&nothing);
}

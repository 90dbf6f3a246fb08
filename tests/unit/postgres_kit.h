#ifndef TESTS_UNIT_POSTGRES_KIT_H
#define TESTS_UNIT_POSTGRES_KIT_H

/* A real PostgreSQL for one test: a cluster of its own in a new directory, on a Unix
 * socket there and nothing else, as a user that is not root. */

#include <stdbool.h>
#include <sys/types.h>

enum { POSTGRES_DIR_CAP = 64, POSTGRES_URL_CAP = 256 };

struct postgres {
	char dir[POSTGRES_DIR_CAP];
	char url[POSTGRES_URL_CAP]; /* of its database */
	pid_t pid;
};

/** True if the server's programs are installed. */
bool postgres_is_there(void);

/** Make a cluster and start it; returns once it takes connections, ends the program if it
 *  never does. */
void postgres_start(struct postgres *pg);

/** In another process that has the environment of the one that started it: the same
 *  server, with a new and empty database of this process. */
void postgres_join(struct postgres *pg);

/** Kill the server and all its processes as a crash would. */
void postgres_kill(struct postgres *pg);

/** Start it again on what is on the disk. */
void postgres_restart(struct postgres *pg);

/** Kill it and remove the directory. */
void postgres_fini(struct postgres *pg);

/** Run fixed SQL as somebody else; false if it failed. */
bool postgres_run(const struct postgres *pg, const char *sql);

#endif

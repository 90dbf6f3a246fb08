#ifndef TESTS_UNIT_TEMPORARY_H
#define TESTS_UNIT_TEMPORARY_H

/* A directory of one test, and files in it. */

#include <criterion/criterion.h>

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char temporary_dir[] = "/tmp/sluice-test.XXXXXX";
static bool temporary_in_memory; /* where nothing waits for a disk */

/* May be called again after temporary_remove(). */
static inline void temporary_make(void)
{
	(void)snprintf(temporary_dir, sizeof temporary_dir, "%s/test.XXXXXX",
		temporary_in_memory ? "/dev/shm" : "/tmp");
	cr_assert_not_null(mkdtemp(temporary_dir));
}

static inline int temporary_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void temporary_remove(void)
{
	(void)nftw(temporary_dir, temporary_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Write a text file below the directory. */
static inline void temporary_write(const char *name, const char *text)
{
	char path[512];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s", temporary_dir, name);
	file = fopen(path, "we");
	cr_assert_not_null(file, "%s", path);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
}

#endif

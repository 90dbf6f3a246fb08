/* Run a program and report what it took, as key=value on one line.
 *
 *   measure REPORT PROGRAM [ARG]...
 *
 * The peak of a process counts from the process it was forked from, so what forks here is
 * small. Exit status: that of the program; 127 if it could not be run. */

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static int report(const char *path, const struct rusage *used, double wall_s)
{
	FILE *out = fopen(path, "w");

	if (out == NULL)
		return 1;
	fprintf(out, "cpu_s=%.4f wall_s=%.4f rss_kib=%ld\n",
		seconds(&used->ru_utime) + seconds(&used->ru_stime), wall_s,
		used->ru_maxrss);
	return fclose(out);
}

int main(int argc, char **argv)
{
	struct rusage used = { 0 };
	double start = now_s();
	int status = 0;
	pid_t child;

	if (argc < 3) {
		fputs("usage: measure REPORT PROGRAM [ARG]...\n", stderr);
		return 2;
	}
	child = fork();
	if (child == 0) {
		(void)execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &used) != child) {
		perror("measure");
		return 127;
	}
	if (report(argv[1], &used, now_s() - start) != 0)
		perror(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

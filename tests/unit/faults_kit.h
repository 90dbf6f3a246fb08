#ifndef TESTS_UNIT_FAULTS_KIT_H
#define TESTS_UNIT_FAULTS_KIT_H

/* Calls that fail on demand, in all that is linked with `faults` of meson.build: of the
 * system, of the libraries, and of ota_path_join(). A test walks over all of them with
 * faults_next(): at each step it prepares, arms the fault, calls what is tested, disarms,
 * and sees that it was told, or done nevertheless, and that without a fault it works
 * again.
 *
 * Each call that what is tested makes, of each kind, fails once, and with each error that
 * is told apart somewhere; of those that it makes more than FAULTS_EACH times only some,
 * unless the walk wants them all.
 * The first step of a walk is without a fault and sees which calls are made.
 */

#include <stdbool.h>
#include <stddef.h>

enum { FAULTS_EACH = 6 };

struct faults {
	bool begun;
	size_t row;     /* of the table of calls and errors, plus 1; 0: no fault */
	long nth;       /* how many calls of that kind go well before */
	bool fired;     /* the last one did */
	unsigned count; /* that fired so far */
	/* of a walk over some kinds alone, and not the others: */
	const char *only; /* borrowed; names with a space behind each, NULL: all */
	bool wants_each;  /* and not some of those of one kind */
};

/** Go to the next fault; false when there is none left. */
bool faults_next(struct faults *walk);

/** Let that call fail, once, on whichever thread it is made. */
void faults_arm(const struct faults *walk);

/** Let none fail any more. True if one did since faults_arm(). */
bool faults_disarm(struct faults *walk);

/** Calls that from now on do nothing and give 0, which is success: what takes from a
 *  process more than it can be measured without. Names with a space behind each. */
void faults_pretend(const char *calls);

/** "call, error, nth", for what a failed assertion says; valid until the next call. */
const char *faults_text(const struct faults *walk);

/** Arm one by a text "call,error,nth", as it comes from another process, or several in a
 *  row by "call,error,nth,times"; the error may be one that no walk comes by. False if
 *  there is no such call. */
bool faults_arm_text(const char *text);

/** Arm another one beside it, by such a text; that one stays armed until it failed. */
bool faults_arm_second(const char *text);

/** True if it has. */
bool faults_second_fired(void);

/** True if what faults_arm_text() armed has failed. */
bool faults_fired(void);

/** Let run() happen just before the nth call of that name from now on (from 0), once:
 * what others do in that moment. */
void faults_before(const char *call, long nth, void (*run)(void));

/** Make that empty file in the moment that a call fails, for who watches from another
 *  process. False if the path is too long. */
bool faults_mark_at(const char *path);

#endif

#ifndef TESTS_INTEGRATION_STEPS_H
#define TESTS_INTEGRATION_STEPS_H

/* sluiced_steps is sluiced that counts its steps and can be struck at one of them. A step
 * is anything that another process could tell whether it was done: a transaction of the
 * ledger, a publish, its acknowledgement.
 *
 * SLUICED_STEPS=PATH in the environment appends a letter to the file PATH at each step,
 * and SLUICED_STRIKE=N,SIGNAL raises the signal at the N-th, once STEP_STRUCK is in the
 * file. SLUICED_WAIT=PATH: no step counts for that before the file PATH is there. */

#define STEPS_WAIT   "SLUICED_WAIT"
#define STEPS_PATH   "SLUICED_STEPS"
#define STEPS_STRIKE "SLUICED_STRIKE"

/* X(NAME, letter, when) */
#define STEPS(X)                                                                \
	X(BEGIN, 'b', "before a transaction begins")                            \
	X(COMMIT, 'c', "before it is committed, or a write on its own is done") \
	X(COMMITTED, 'd', "once it is")                                         \
	X(PUBLISH, 'p', "before a message is handed to the MQTT library")       \
	X(ACK, 'a', "once the broker has acknowledged one, before that is known")

#define STEP_ENUM(name, letter, when) STEP_##name = (letter),
enum step { STEPS(STEP_ENUM) STEP_STRUCK = '!' };
#undef STEP_ENUM

#endif

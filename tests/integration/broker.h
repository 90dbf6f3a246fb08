#ifndef TESTS_INTEGRATION_BROKER_H
#define TESTS_INTEGRATION_BROKER_H

/* A real Mosquitto with the profile of deploy/mosquitto, TLS and ACL, on a free port of
 * the loopback, as a child of the test. It dies with the test, even if that crashes. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { BROKER_PATH_CAP = 256 };

struct broker {
	char dir[BROKER_PATH_CAP]; /* everything of this broker; removed at the end */
	char address[32];
	uint16_t port;
	pid_t pid; /* 0: not running */
};

/** Make a folder, certificates for "sluiced" and the NULL-terminated clients, and a
 *  profile for the fleet "test"; start it at address and wait until it accepts. Exits the
 *  test with a sentence on stderr if that cannot be done. */
void broker_start(struct broker *broker, const char *address, const char *const *clients);

/** kill -9, and wait until it is gone. */
void broker_kill(struct broker *broker);

/** Start again after broker_kill(), on the same port. */
void broker_restart(struct broker *broker);

/** SIGSTOP or SIGCONT. */
void broker_signal(const struct broker *broker, int signal_number);

/** "DIR/certs/NAME" with a suffix such as ".pem". Returns out. */
const char *broker_file(const struct broker *broker, const char *name, const char *suffix,
	char out[static BROKER_PATH_CAP]);

/** True if the broker has written a log line that holds text. */
bool broker_said(const struct broker *broker, const char *text);

/** Kill and remove the folder. */
void broker_fini(struct broker *broker);

#endif

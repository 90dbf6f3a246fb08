#ifndef PROTO_IO_NOTIFY_H
#define PROTO_IO_NOTIFY_H

/* What a service tells systemd, without libsystemd: each word is one datagram to the
 * socket that $NOTIFY_SOCKET names. Without that variable nothing is said, and without
 * $WATCHDOG_USEC nothing wakes for it. */

#include <stdbool.h>
#include <uv.h>

/** `= { 0 }`; does not move between begin and end. */
struct ota_notify {
	uv_timer_t
		timer; /* of the watchdog, if has_timer; does not keep the loop alive */
	bool has_timer;
	char address[108]; /* as $NOTIFY_SOCKET says it; "": nobody asks */
};

/** Say that the service is up, and that it lives at half of the watchdog's time from now
 *  on, from the loop. The variables are taken out of the environment: they are not for
 *  children. A word that cannot be delivered is lost. */
void ota_notify_begin(struct ota_notify *notify, uv_loop_t *loop);

/** Say that the service ends, and begin to close the timer: the loop has to turn once
 *  more. Does nothing without a begin, and the second time. */
void ota_notify_end(struct ota_notify *notify);

#endif

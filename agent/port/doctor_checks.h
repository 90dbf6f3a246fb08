#ifndef AGENT_PORT_DOCTOR_CHECKS_H
#define AGENT_PORT_DOCTOR_CHECKS_H

/* What the checks of the doctor share; nobody else includes this. */

#include "agent/port/doctor.h"

/** Add a finding of the check that looks. advice is borrowed; beyond
 *  DOCTOR_FINDINGS_MAX findings are dropped. */
void doctor_say(struct doctor *doctor, enum doctor_level level, const char *advice,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** doctor_device.c: the signed root is there, verifies, and is that of the fleet. */
void doctor_look_at_root(struct doctor *d);

/** The device key is one, and for its owner alone. */
void doctor_look_at_key(struct doctor *d);

/** The clock says a time that can be. */
void doctor_look_at_clock(struct doctor *d);

/** As much memory is free as the decoder may take. */
void doctor_look_at_memory(struct doctor *d);

/** There is a watchdog. */
void doctor_look_at_watchdog(struct doctor *d);

/** The network process becomes a user that exists and is not root. */
void doctor_look_at_user(struct doctor *d);

/** What reboots the device does so, and can be run. */
void doctor_look_at_reboot(struct doctor *d);

/** doctor_places.c: state is kept on a medium, with room. */
void doctor_look_at_state(struct doctor *d);

/** The spool has the room that is promised. */
void doctor_look_at_spool(struct doctor *d);

/** doctor_ext4.c: the file system of a directory that is there, named by a key of the
 *  configuration, survives a power cut. Only says what is odd, and nothing of others than
 *  ext4. */
void doctor_look_at_ext4(struct doctor *d, const char *key, const char *dir);

/** doctor_places.c: hooks can be run by root, and written by nobody else. */
void doctor_look_at_hooks(struct doctor *d);

/** doctor_slots.c: two slots, distinct, not mounted, of one size. */
void doctor_look_at_slots(struct doctor *d);

/** The boot loader answers, agrees with what runs, and counts. */
void doctor_look_at_boot(struct doctor *d);

/** doctor_broker.c: certificates fit, the name resolves, the port answers. */
void doctor_look_at_broker(struct doctor *d);

#endif

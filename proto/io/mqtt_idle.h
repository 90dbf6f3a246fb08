#ifndef PROTO_IO_MQTT_IDLE_H
#define PROTO_IO_MQTT_IDLE_H

/* Paho C 1.3.12 wakes its two threads every second for as long as there is a handle, to
 * look for work: some 290 system calls a minute on a link on which nothing happens. Here
 * they are let sleep until the next keepalive is due, while every session of the process
 * is connected, has nothing under way, and had nothing for SETTLE_MS (mqtt_idle.c).
 * Whatever begins wakes both at once. In all doubt they keep Paho's own pace: with a
 * second session, before the first ping, with an unfinished write, behind a keepalive.
 *
 * For this a few calls of Paho's are led here by the linker (meson.build): its poll(),
 * the waiting and signalling of its sending thread, and the function that sends a ping.
 *
 * All functions are for any thread, except where it says so. Internal to proto/io. */

#include <stdint.h>

/** A session begins; one thing is under way until ota_idle_connected(). Ends with
 *  ota_idle_session_end(). */
void ota_idle_session_begin(uint32_t keepalive_s);

/** The session's handle is released, and nothing of it is under way any more. */
void ota_idle_session_end(void);

/** The session is connected: what began with it is done. Called on Paho's receiving
 *  thread, which is known by this from now on. */
void ota_idle_connected(void);

/** Something is under way: Paho's threads go at their own pace until it is done. */
void ota_idle_busy(void);

/** One of the things that were under way is done. */
void ota_idle_done(void);

#endif

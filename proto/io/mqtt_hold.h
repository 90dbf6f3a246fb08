#ifndef PROTO_IO_MQTT_HOLD_H
#define PROTO_IO_MQTT_HOLD_H

/* How much of what Paho received waits to be handled. At the bound its receiving thread
 * does not read on (mqtt_idle.c), until a quarter is handled: so nothing more is
 * acknowledged, and the broker keeps what comes in its queue for us. Of the process, as
 * that thread is: a link that is behind holds back the others. Internal to proto/io. */

#include <stdbool.h>
#include <stddef.h>

enum {
	OTA_HOLD_LEN_MAX = 16 * 1024 * 1024, /* bytes; a packet may go beyond it */
	OTA_HOLD_COST = 2048, /* bytes of each message, for what is made of it */
};

/** A message of len bytes was received. Any thread. */
void ota_hold_add(size_t len);

/** It was handled, or dropped. Any thread. */
void ota_hold_release(size_t len);

/** Bytes that wait, with what each message costs beside itself. Any thread. */
size_t ota_hold_len(void);

/** Wait for timeout_ms at most while there is no room. True if there is. */
bool ota_hold_wait(int timeout_ms);

#endif

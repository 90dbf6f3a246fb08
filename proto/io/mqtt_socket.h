#ifndef PROTO_IO_MQTT_SOCKET_H
#define PROTO_IO_MQTT_SOCKET_H

#include <stdint.h>

/* Every program that links io has its socket() calls, Paho's among them, pass through
 * __wrap_socket(): TCP sockets get TCP_NODELAY, which Paho C 1.3.12 never sets (a pulling
 * agent needs 3.6 s instead of 0.06 s for 10 MiB without it), and O_CLOEXEC, so that
 * hooks and decoders do not inherit the broker's connection. */

/** From now on TCP sockets get at least len bytes of SO_SNDBUF, in the whole process:
 *  Paho does not say for which of its links it makes a socket. 0 changes nothing. */
void ota_socket_want_send_buffer(uint32_t len);

#endif

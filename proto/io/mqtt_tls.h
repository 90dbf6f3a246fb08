#ifndef PROTO_IO_MQTT_TLS_H
#define PROTO_IO_MQTT_TLS_H

#include "proto/io/mqtt.h"

/** Check that the CA, certificate and key files of a link can be read, parsed and fit
 *  together, so that a mistake is named once at start instead of "TLS failure" for ever.
 *  OTA_OK, OTA_E_CONFIG or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tls_check(
	const struct ota_mqtt_config *config, struct ota_error *err);

#endif

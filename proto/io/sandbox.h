#ifndef PROTO_IO_SANDBOX_H
#define PROTO_IO_SANDBOX_H

#include "proto/base/error.h"

/** From now on this process and its children can open no socket but AF_UNIX ones
 *  (seccomp, no privilege needed). OTA_OK or OTA_E_IO. */
OTA_CHECKED enum ota_code ota_sandbox_no_network(struct ota_error *err);

/** Give up root for a user and its group, supplementary groups included. A process that
 * is not root is left as it is. OTA_OK, OTA_E_NOTFOUND or OTA_E_IO. */
OTA_CHECKED enum ota_code ota_sandbox_become(const char *user, struct ota_error *err);

/** No core dumps, no new privileges, not traceable by other processes of the user. */
OTA_CHECKED enum ota_code ota_sandbox_harden(struct ota_error *err);

#endif

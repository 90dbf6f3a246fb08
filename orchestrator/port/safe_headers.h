#ifndef ORCHESTRATOR_PORT_SAFE_HEADERS_H
#define ORCHESTRATOR_PORT_SAFE_HEADERS_H

/* What every answer of the API tells browsers, and whoever keeps answers: this is data,
 * for whom it was sent to, and for nobody else. Pages have their own (assets.h). */

#include <microhttpd.h>

/** Add them to an answer. */
void safe_headers_add(struct MHD_Response *response);

#endif

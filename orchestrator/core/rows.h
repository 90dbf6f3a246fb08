#ifndef ORCHESTRATOR_CORE_ROWS_H
#define ORCHESTRATOR_CORE_ROWS_H

/* Reading back what store.h wrote. */

#include "orchestrator/core/state.h"

/** Turn all loose rows into records, in the order of their tables, and forget them.
 *
 * Returns OTA_OK, or the code of the first damaged row, which err names. */
OTA_CHECKED enum ota_code rows_apply(struct core *core, struct ota_error *err);

#endif

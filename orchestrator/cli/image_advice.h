#ifndef ORCHESTRATOR_CLI_IMAGE_ADVICE_H
#define ORCHESTRATOR_CLI_IMAGE_ADVICE_H

/* A word about images whose content is compressed: their updates are several times larger
 * than they need be, and only who builds the image can change that. */

#include "proto/delta/predict/members.h"

/** What is packed in the image at path, how many bytes, and which option of the image's
 *  maker would shrink updates. False if there is nothing to say, or it cannot be read. */
bool image_advice(const char *path, char out[static OTA_ADVICE_CAP]);

#endif

#ifndef AGENT_PORT_DECODE_WORKER_H
#define AGENT_PORT_DECODE_WORKER_H

/**
 * Be the process that decodes one patch: role `decode`, started by decode_child.h with
 * the descriptors of decode_sandbox.h, speaking agent/core/decode_wire.h. Before the
 * first byte of a patch is read, all that is not needed to decode it is given up.
 *
 * Returns the exit code: 0 after an answer DONE or FAILED, 1 if there was nobody to
 * answer.
 */
int decode_worker_run(void);

#endif

#ifndef ORCHESTRATOR_CLI_OFFERS_H
#define ORCHESTRATOR_CLI_OFFERS_H

/**
 * `sluice __complete WORD...`, for shells: print what may stand in place of the last
 * word, as complete.h says it, with names of devices and rollouts asked of the server.
 * Whatever fails, less is offered and nothing is said.
 *
 * argv  the name of the program, then the words; moved about
 */
void offers_print(int argc, char **argv);

#endif

#ifndef ORCHESTRATOR_CLI_COMMAND_H
#define ORCHESTRATOR_CLI_COMMAND_H

/* What every verb of `sluice` is made of: a row of a table with its options and its
 * function. The same rows are the parser, --help and the did-you-mean. */

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/error.h"

/* Exit codes of the programs (also in the man pages). */
enum cli_exit {
	CLI_OK = 0,
	CLI_ERROR = 1,
	CLI_NOTHING = 2, /* nothing to do, or not found */
	CLI_STOPPED = 3, /* status: the rollout stands and is not completed */
};

enum {
	CLI_OPTIONS_MAX = 24, /* options of one verb, those of all verbs included */
	CLI_VALUES_MAX = 64,  /* option values of one call */
	CLI_OPERANDS_MAX = 16,
};

/** One option. A list of them ends with a row whose name is NULL. */
struct cli_option {
	const char *name;    /* without the dashes */
	char letter;         /* one-letter form, or 0 */
	const char *metavar; /* NULL: a flag */
	const char *help;    /* one line */
};

struct cli_value {
	const char *name;  /* of the option, from its row */
	const char *value; /* borrowed from argv; "" for a flag */
};

/** A parsed call. */
struct cli_call {
	const struct cli_command *command; /* borrowed */
	struct cli_value values[CLI_VALUES_MAX];
	size_t value_count;
	const char *operands[CLI_OPERANDS_MAX]; /* borrowed from argv */
	size_t operand_count;
	bool json; /* --output=json */
};

/** One verb, which may be of two words ("device list"). */
struct cli_command {
	const char *name;
	const char *operands; /* "DEVICE", "OLD NEW"; shown in the usage */
	size_t operand_min, operand_max;
	const char *summary;              /* one line */
	const struct cli_option *options; /* own ones; NULL: none */
	/** Do it. Prints its result; on failure fills err and returns its code.
	 * *exit_code is CLI_OK beforehand and counts when OTA_OK is returned. */
	enum ota_code (*run)(
		const struct cli_call *call, int *exit_code, struct ota_error *err);
};

/** What every verb takes beside its own options. */
extern const struct cli_option cli_common_options[];

/** The value of an option (the last one given), or fallback. */
const char *cli_value(
	const struct cli_call *call, const char *name, const char *fallback);

/** True if a flag or an option was given. */
bool cli_has(const struct cli_call *call, const char *name);

/** The value of an option that must be given. OTA_OK or OTA_E_USAGE. */
OTA_CHECKED enum ota_code cli_need(const struct cli_call *call, const char *name,
	const char **out, struct ota_error *err);

/** An unsigned whole number option. OTA_OK (fallback if absent) or OTA_E_USAGE. */
OTA_CHECKED enum ota_code cli_number(const struct cli_call *call, const char *name,
	unsigned long long fallback, unsigned long long *out, struct ota_error *err);

/**
 * Find the verb in argv and parse its options and operands.
 *
 * commands  ends with a row whose name is NULL
 *
 * Returns OTA_OK, or OTA_E_USAGE with what is wrong and "did you mean"; --help sets
 * call->command and the value "help".
 */
OTA_CHECKED enum ota_code cli_parse(const struct cli_command *commands, int argc,
	char **argv, struct cli_call *call, struct ota_error *err);

/** Print the list of verbs, or the usage of one, on stdout. */
void cli_print_help(const struct cli_command *commands, const struct cli_command *one);

#endif

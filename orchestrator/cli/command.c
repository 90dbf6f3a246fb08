#include "orchestrator/cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/names.h"

enum { NAMES_MAX = 64, WORDS_CAP = 2 * OTA_NAME_CAP, LETTERS_CAP = 3 * CLI_OPTIONS_MAX };

const struct cli_option cli_common_options[] = {
	{ "dir", 'd', "DIR",
		"the fleet's directory, made by 'sluice init' (or $SLUICE_DIR)" },
	{ "server", 's', "URL", "the orchestrator, instead of the one in sluice.yaml" },
	{ "retry", 0, "SECONDS",
		"how long to ask again where no answer comes (15; 0: not at all)" },
	{ "output", 'O', "text|json", "how to print the result" },
	{ "help", 'h', NULL, "print this" },
	{ 0 },
};

/* The options of a verb in the form of getopt_long, with their rows beside them. */
struct option_set {
	struct option longs[CLI_OPTIONS_MAX + 1];
	const struct cli_option *rows[CLI_OPTIONS_MAX];
	char letters[LETTERS_CAP];
	size_t count;
};

static void add_options(struct option_set *set, const struct cli_option *rows)
{
	for (; rows != NULL && rows->name != NULL && set->count < CLI_OPTIONS_MAX;
		rows++) {
		size_t used = strlen(set->letters);

		set->longs[set->count] = (struct option){
			.name = rows->name,
			.has_arg =
				rows->metavar != NULL ? required_argument : no_argument,
		};
		set->rows[set->count++] = rows;
		if (rows->letter == 0)
			continue;
		set->letters[used++] = rows->letter;
		if (rows->metavar != NULL)
			set->letters[used++] = ':';
		set->letters[used] = '\0';
	}
}

static const struct cli_option *row_of_letter(const struct option_set *set, int letter)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->rows[i]->letter == letter)
			return set->rows[i];
	return NULL;
}

static enum ota_code unknown_option(
	const struct option_set *set, const char *text, struct ota_error *err)
{
	const char *names[CLI_OPTIONS_MAX], *near;
	size_t bare = strspn(text, "-");

	for (size_t i = 0; i < set->count; i++)
		names[i] = set->rows[i]->name;
	near = bare == 2 ? ota_nearest(text + bare, names, set->count) : NULL;
	if (near != NULL)
		return ota_fail(err, OTA_E_USAGE,
			"unknown option '%s'; did you mean '--%s'?", text, near);
	return ota_fail(err, OTA_E_USAGE, "unknown option '%s'; see --help", text);
}

static OTA_CHECKED enum ota_code keep_value(struct cli_call *call,
	const struct cli_option *row, const char *value, struct ota_error *err)
{
	if (call->value_count == CLI_VALUES_MAX)
		return ota_fail(err, OTA_E_USAGE, "more than %d options", CLI_VALUES_MAX);
	call->values[call->value_count++] =
		(struct cli_value){ row->name, value != NULL ? value : "" };
	return OTA_OK;
}

static OTA_CHECKED enum ota_code parse_options(struct option_set *set, int argc,
	char **argv, struct cli_call *call, struct ota_error *err)
{
	int got, at;

	opterr = 0;
	optind = 0;
	while ((got = getopt_long(argc, argv, set->letters, set->longs, &at)) != -1) {
		const struct cli_option *row =
			got == 0 ? set->rows[at] : row_of_letter(set, got);
		enum ota_code rc;

		if (got == ':')
			return ota_fail(err, OTA_E_USAGE, "option '%s' needs a value",
				argv[optind - 1]);
		if (row == NULL)
			return unknown_option(set, argv[optind - 1], err);
		rc = keep_value(call, row, optarg, err);
		if (rc != OTA_OK)
			return rc;
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code keep_operands(
	struct cli_call *call, int argc, char **argv, struct ota_error *err)
{
	const struct cli_command *c = call->command;

	for (int i = optind; i < argc && call->operand_count < CLI_OPERANDS_MAX; i++)
		call->operands[call->operand_count++] = argv[i];
	if (cli_has(call, "help"))
		return OTA_OK;
	if (call->operand_count < c->operand_min)
		return ota_fail(
			err, OTA_E_USAGE, "sluice %s needs %s", c->name, c->operands);
	if (call->operand_count > c->operand_max)
		return ota_fail(err, OTA_E_USAGE, "sluice %s: '%s' is one word too many",
			c->name, call->operands[c->operand_max]);
	return OTA_OK;
}

/* The verb at argv[1], or at argv[1] argv[2]; words tells how many it took. */
static const struct cli_command *find_command(
	const struct cli_command *commands, int argc, char **argv, int *words)
{
	char two[WORDS_CAP] = "";

	if (argc > 2)
		(void)snprintf(two, sizeof two, "%s %s", argv[1], argv[2]);
	for (const struct cli_command *c = commands; c->name != NULL; c++) {
		*words = strcmp(c->name, two) == 0 ? 2 : 1;
		if (*words == 2 || strcmp(c->name, argv[1]) == 0)
			return c;
	}
	return NULL;
}

static enum ota_code unknown_command(
	const struct cli_command *commands, int argc, char **argv, struct ota_error *err)
{
	const char *names[NAMES_MAX], *near;
	char two[WORDS_CAP];
	size_t count = 0;

	for (const struct cli_command *c = commands; c->name != NULL && count < NAMES_MAX;
		c++)
		names[count++] = c->name;
	(void)snprintf(two, sizeof two, "%s %s", argv[1], argc > 2 ? argv[2] : "");
	near = ota_nearest(two, names, count);
	if (near == NULL)
		near = ota_nearest(argv[1], names, count);
	if (near != NULL)
		return ota_fail(err, OTA_E_USAGE,
			"unknown command '%s'; did you mean '%s'?", argv[1], near);
	return ota_fail(
		err, OTA_E_USAGE, "unknown command '%s'; see sluice --help", argv[1]);
}

static OTA_CHECKED enum ota_code check_output(
	struct cli_call *call, struct ota_error *err)
{
	const char *form = cli_value(call, "output", "text");

	call->json = strcmp(form, "json") == 0;
	if (!call->json && strcmp(form, "text") != 0)
		return ota_fail(
			err, OTA_E_USAGE, "--output is text or json, not '%s'", form);
	return OTA_OK;
}

/* How many words an option in front of the verb takes: 0 if it is none of ours. */
static int leading_words(const char *word)
{
	size_t bare = strspn(word, "-");

	for (const struct cli_option *o = cli_common_options; o->name != NULL && bare > 0;
		o++) {
		size_t len = strlen(o->name);

		if (bare == 1 && word[1] == o->letter)
			return word[2] == '\0' && o->metavar != NULL ? 2 : 1;
		if (bare == 2 && strncmp(word + 2, o->name, len) == 0) {
			if (word[2 + len] == '=')
				return 1;
			if (word[2 + len] == '\0')
				return o->metavar != NULL ? 2 : 1;
		}
	}
	return 0;
}

/* `sluice --dir D status` is `sluice status --dir D`: put such options behind the rest.
 */
static void put_options_last(int argc, char **argv)
{
	int words, moved = 0;

	while (moved < argc - 1 && (words = leading_words(argv[1])) > 0) {
		for (int i = 0; i < words && moved < argc - 1; i++, moved++) {
			char *first = argv[1];

			memmove(&argv[1], &argv[2], (size_t)(argc - 2) * sizeof *argv);
			argv[argc - 1] = first;
		}
	}
}

enum ota_code cli_parse(const struct cli_command *commands, int argc, char **argv,
	struct cli_call *call, struct ota_error *err)
{
	/* The leading ':' makes getopt tell a missing value from an unknown option. */
	struct option_set set = { .letters = ":" };
	enum ota_code rc;
	int words;

	put_options_last(argc, argv);
	call->command = find_command(commands, argc, argv, &words);
	if (call->command == NULL)
		return unknown_command(commands, argc, argv, err);
	add_options(&set, cli_common_options);
	add_options(&set, call->command->options);
	rc = parse_options(&set, argc - words, argv + words, call, err);
	if (rc == OTA_OK)
		rc = keep_operands(call, argc - words, argv + words, err);
	if (rc == OTA_OK)
		rc = check_output(call, err);
	return rc;
}

const char *cli_value(const struct cli_call *call, const char *name, const char *fallback)
{
	for (size_t i = call->value_count; i > 0; i--)
		if (strcmp(call->values[i - 1].name, name) == 0)
			return call->values[i - 1].value;
	return fallback;
}

bool cli_has(const struct cli_call *call, const char *name)
{
	return cli_value(call, name, NULL) != NULL;
}

enum ota_code cli_need(const struct cli_call *call, const char *name, const char **out,
	struct ota_error *err)
{
	const char *value = cli_value(call, name, NULL);

	if (value == NULL)
		return ota_fail(err, OTA_E_USAGE, "sluice %s needs --%s",
			call->command->name, name);
	*out = value;
	return OTA_OK;
}

enum ota_code cli_number(const struct cli_call *call, const char *name,
	unsigned long long fallback, unsigned long long *out, struct ota_error *err)
{
	const char *text = cli_value(call, name, NULL);
	char *end;
	unsigned long long value;

	if (text == NULL) {
		*out = fallback;
		return OTA_OK;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		return ota_fail(
			err, OTA_E_USAGE, "--%s is a whole number, not '%s'", name, text);
	*out = value;
	return OTA_OK;
}

static void print_options(const struct cli_option *rows)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		char left[64];

		(void)snprintf(left, sizeof left, "--%s%s%s", rows->name,
			rows->metavar != NULL ? "=" : "",
			rows->metavar != NULL ? rows->metavar : "");
		if (rows->letter != 0)
			printf("  -%c, %-22s %s\n", rows->letter, left, rows->help);
		else
			printf("      %-22s %s\n", left, rows->help);
	}
}

void cli_print_help(const struct cli_command *commands, const struct cli_command *one)
{
	if (one != NULL) {
		printf("usage: sluice %s [options]%s%s\n\n%s\n\noptions:\n", one->name,
			one->operands[0] != '\0' ? " " : "", one->operands, one->summary);
		print_options(one->options);
		print_options(cli_common_options);
		return;
	}
	printf("usage: sluice COMMAND [options] [operands]\n\n"
	       "Keeps fleets of Linux gateways up to date over MQTT.\n\ncommands:\n");
	for (; commands->name != NULL; commands++)
		printf("  %-16s %-18s %s\n", commands->name, commands->operands,
			commands->summary);
	printf("\n'sluice COMMAND --help' tells more. Options of every command:\n");
	print_options(cli_common_options);
}

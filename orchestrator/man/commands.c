/* Prints a page in scdoc's language with the verbs and options of `sluice` filled in,
 * from the table that is also the parser. usage: man_commands PAGE.scd.in */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/commands.h"

/* Text that scdoc takes as it is. */
static void print_plain(const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("\\*_#[]|.<>~+", *text) != NULL)
			(void)putchar('\\');
		(void)putchar(*text);
	}
}

static void print_options(const struct cli_option *rows, const char *indent)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		(void)printf("%s", indent);
		if (rows->letter != 0)
			(void)printf("*-%c*, ", rows->letter);
		(void)printf("*--%s*", rows->name);
		if (rows->metavar != NULL) {
			(void)fputs("=_", stdout);
			print_plain(rows->metavar);
			(void)putchar('_');
		}
		(void)printf("\n%s\t", indent);
		print_plain(rows->help);
		(void)fputs("\n\n", stdout);
	}
}

static void print_commands(void)
{
	for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
		(void)printf("*%s* ", c->name);
		print_plain(c->operands);
		(void)fputs("\n\t", stdout);
		print_plain(c->summary);
		(void)fputs("\n\n", stdout);
		print_options(c->options, "\t");
	}
}

int main(int argc, char **argv)
{
	char line[512];
	FILE *page = argc == 2 ? fopen(argv[1], "r") : NULL;

	if (page == NULL) {
		(void)fputs("usage: man_commands PAGE.scd.in\n", stderr);
		return 1;
	}
	while (fgets(line, sizeof line, page) != NULL) {
		if (strcmp(line, "@COMMANDS@\n") == 0)
			print_commands();
		else if (strcmp(line, "@OPTIONS@\n") == 0)
			print_options(cli_common_options, "");
		else
			(void)fputs(line, stdout);
	}
	return fclose(page) == 0 && fflush(stdout) == 0 ? 0 : 1;
}

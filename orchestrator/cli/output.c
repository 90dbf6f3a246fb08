#include "orchestrator/cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/names.h"
#include "proto/io/loop.h"

enum {
	CELL_CAP = 256,
	BAR_WIDTH = 30,
	BAR_AFTER_MS = 1000, /* work that is shorter shows nothing */
	BAR_EVERY_MS = 100,
};

struct table {
	size_t columns, rows, used; /* used: cells of the last row */
	size_t width[TABLE_COLUMNS_MAX];
	char **cells; /* owned, (rows + 1) * columns */
};

static char *cell_at(const struct table *t, size_t row, size_t column)
{
	return t->cells[row * t->columns + column];
}

static void set_cell(struct table *t, const char *text)
{
	size_t len = strlen(text);
	char *copy = strdup(text);

	if (copy == NULL || t->used == t->columns) {
		free(copy);
		return;
	}
	if (len > t->width[t->used])
		t->width[t->used] = len;
	t->cells[t->rows * t->columns + t->used++] = copy;
}

void table_row(struct table *t)
{
	size_t count = t->columns * (t->rows + 2);
	char **cells = realloc(t->cells, count * sizeof *cells);

	if (cells == NULL)
		return;
	memset(cells + count - t->columns, 0, t->columns * sizeof *cells);
	t->cells = cells;
	t->rows++;
	t->used = 0;
}

struct table *table_new(const char *const *headings)
{
	struct table *t = calloc(1, sizeof *t);

	if (t == NULL)
		abort();
	while (headings[t->columns] != NULL)
		t->columns++;
	t->cells = calloc(t->columns, sizeof *t->cells);
	if (t->cells == NULL)
		abort();
	for (size_t i = 0; i < t->columns; i++)
		set_cell(t, headings[i]);
	return t;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char raw[CELL_CAP], safe[CELL_CAP];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof raw, fmt, ap);
	va_end(ap);
	ota_escape(raw, safe, sizeof safe);
	set_cell(t, safe);
}

void table_print(struct table *t)
{
	for (size_t row = 0; row <= t->rows; row++) {
		for (size_t column = 0; column < t->columns; column++) {
			const char *text = cell_at(t, row, column);
			bool last = column + 1 == t->columns;

			printf("%-*s%s", last ? 0 : (int)t->width[column],
				text != NULL ? text : "", last ? "\n" : "  ");
		}
	}
	for (size_t i = 0; i < (t->rows + 1) * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void output_json(const cJSON *tree)
{
	char *text = cJSON_Print(tree);

	if (text != NULL)
		puts(text);
	cJSON_free(text);
}

const char *output_bytes(uint64_t bytes, char out[static 24])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
		value /= 1000;
		unit++;
	}
	(void)snprintf(out, 24, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return out;
}

const char *output_duration(uint64_t seconds, char out[static 32])
{
	unsigned long long s = seconds;

	if (s < 120)
		(void)snprintf(out, 32, "%llu s", s);
	else if (s < 7200)
		(void)snprintf(out, 32, "%llu min %llu s", s / 60, s % 60);
	else if (s < 172800)
		(void)snprintf(out, 32, "%llu h %llu min", s / 3600, s / 60 % 60);
	else
		(void)snprintf(out, 32, "%llu d %llu h", s / 86400, s / 3600 % 24);
	return out;
}

const char *output_time(uint64_t utc_s, char out[static 32])
{
	time_t t = (time_t)utc_s;
	struct tm tm;

	if (utc_s == 0 || gmtime_r(&t, &tm) == NULL)
		(void)snprintf(out, 32, "never");
	else
		(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

void progress_begin(struct progress_bar *bar, const char *what)
{
	*bar = (struct progress_bar){ .what = what, .started_ms = ota_clock_mono_ms() };
}

static void draw_bar(const struct progress_bar *bar, double share)
{
	char blocks[BAR_WIDTH + 1];

	for (int i = 0; i < BAR_WIDTH; i++)
		blocks[i] = i < (int)(share * BAR_WIDTH) ? '#' : '.';
	blocks[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r%s [%s] %3.0f %%", bar->what, blocks, share * 100);
}

bool progress_tick(void *ctx, uint64_t done, uint64_t total)
{
	struct progress_bar *bar = ctx;
	uint64_t now_ms = ota_clock_mono_ms();
	double share = total == 0 ? 1 : (double)done / (double)total;

	if (now_ms - bar->started_ms < BAR_AFTER_MS ||
		now_ms - bar->drawn_ms < BAR_EVERY_MS)
		return true;
	bar->drawn_ms = now_ms;
	if (isatty(STDERR_FILENO)) {
		draw_bar(bar, share);
		bar->shown = true;
	} else if ((unsigned)(share * 10) > bar->tenth) {
		bar->tenth = (unsigned)(share * 10);
		fprintf(stderr, "%s %u %%\n", bar->what, bar->tenth * 10);
	}
	return true;
}

void progress_end(struct progress_bar *bar)
{
	if (bar->shown)
		fprintf(stderr, "\r\033[K");
	bar->shown = false;
}

#!/usr/bin/env python3
"""The linter finds each breach that is planted here, and nothing in clean code."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import house  # noqa: E402

CLEAN_HEADER = '''#ifndef PROTO_WIRE_CLEAN_H
#define PROTO_WIRE_CLEAN_H

#include <stdint.h>

#include "proto/base/error.h"

/** How many. */
enum { OTA_CLEAN_MAX = 3 };

/** A thing. */
struct ota_clean {
	/** Called once. */
	int (*call)(void *ctx, uint32_t a, uint32_t b);
};

/** Parse it. OTA_OK. */
OTA_CHECKED enum ota_code ota_clean_parse(const char *text, uint32_t a, uint32_t b, int c,
	int d, struct ota_error *err);

/** Print it. */
void ota_clean_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
'''
CLEAN_SOURCE = '''#include "proto/wire/clean.h"

#include <string.h>

static const int table[] = { 1, 2, 3 };

/* Issues of style, "open(" in a string, a colour like #a0b1c2. */
static int walk(const struct ota_clean *self, int n)
{
	for (int i = 0; i < n; i++) {
		if (i == table[0]) {
			while (self->open(i)) {
				n--;
			}
		}
	}
	return self->time(n) + (int)strlen("open(x); /* printf(y) */");
}
'''


def function(lines=1, parameters='void', body=''):
    return f'int f({parameters})\n{{\n' + '\tg();\n' * lines + body + '\treturn 0;\n}\n'


NESTED = ('\tif (a) {\n\t\tfor (;;) {\n\t\t\twhile (b) {\n\t\t\t\tif (c) {\n'
          '\t\t\t\t\td();\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n')

# path, text, what the linter must say of it
BREACHES = [
    ('proto/base/a.c', '#include "proto/wire/json.h"\n', 'proto/base may not include'),
    ('proto/wire/a.c', '#include "proto/delta/codec.h"\n', 'proto/wire may not include'),
    ('proto/io/a.c', '#include "proto/wire/json.h"\n', 'proto/io may not include'),
    ('agent/core/a.c', '#include "proto/io/loop.h"\n', 'agent/core may not include'),
    ('agent/port/a.c', '#include "orchestrator/core/fleet.h"\n', 'agent may not include'),
    ('orchestrator/port/a.c', '#include "agent/core/core.h"\n', 'orchestrator may not include'),
    ('orchestrator/core/a.c', '#include "orchestrator/port/store.h"\n', 'may not include'),
    ('agent/port/a.c', '#include "slots.h"\n', 'not spelled from the root'),
    ('agent/core/a.c', '#include <pthread.h>\n', '<pthread.h> in a pure folder'),
    ('proto/wire/a.c', '#include <sys/socket.h>\n', '<sys/socket.h> in a pure folder'),
    ('proto/base/a.c', function(body='\tlong t = time(NULL);\n'), 'time() in a pure folder'),
    ('proto/delta/a.c', function(body='\tprintf("x");\n'), 'printf() in a pure folder'),
    ('agent/core/a.c', function(body='\tgetenv("HOME");\n'), 'getenv() in a pure folder'),
    ('agent/core/a.c', 'static int calls;\n', 'a global that changes'),
    ('agent/core/a.c', function(body='\tstatic int calls = 0;\n'), 'a global that changes'),
    ('agent/port/a.c', function(lines=60), 'function of 61 lines'),
    ('agent/port/a.c', function(parameters='int a, int b, int c, int d, int e, int f'),
     '6 parameters'),
    ('agent/port/a.c', function(body=NESTED), 'nested 4 deep'),
    ('agent/port/a.c', 'int x;\n' * 601, '601 lines'),
    ('agent/port/a.c', '/* ' + 'x' * 88 + ' */\n', 'columns'),
    ('agent/port/a.c', function(body='\tstrcpy(a, b);\n'), 'strcpy is banned'),
    ('agent/port/a.c', function(body='\tsprintf(a, "%d", b);\n'), 'sprintf is banned'),
    ('agent/port/a.c', function(body='\tgoto out;\n'), 'goto is banned'),
    ('tests/unit/a.c', function(body='\tsleep(1);\n'), 'sleep is banned'),
    ('orchestrator/port/a.c', 'const char *s = "SELECT a FROM b WHERE c = \'%s\'";\n',
     'SQL built from a format'),
    ('orchestrator/port/a.c', 'const char *s = "INSERT INTO t VALUES (%d)";\n',
     'SQL built from a format'),
    ('agent/port/a.c', '/* TO' + 'DO later */\n', 'finish it'),
    ('agent/port/a.c', '/* see issue 12 */\n', 'an issue number'),
    ('agent/port/a.c', '/* see #12 */\n', 'an issue number'),
    ('agent/port/a.c', '/* ota_clean_print(x); */\n', 'code in a comment'),
    ('agent/port/a.c', 'typedef struct { int a; } b;\n', 'a typedef hides'),
    ('proto/wire/a.h', '\nint ota_bare(int a);\n', 'ota_bare() has no comment'),
    ('agent/core/a.h', '\nenum ota_code bare(int a,\n\tint b);\n', 'bare() has no comment'),
    ('proto/wire/a.h', '/** Do. */\nint bare(int a);\n', 'bare() is not called ota_*'),
    ('proto/wire/a.h', '/** Do. */\nuint8_t ota_x(void);\n', 'does not compile alone'),
]


def lint(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return [f'{path}:{line}: {what}' for path, line, what in house.check_tree(root)]


class House(unittest.TestCase):
    def test_every_planted_breach_is_found(self):
        for path, text, what in BREACHES:
            with self.subTest(what=what, path=path):
                found = lint({path: text})
                self.assertTrue(any(what in breach for breach in found), found)

    def test_clean_code_has_no_breach(self):
        error = '#define OTA_CHECKED\nenum ota_code { OTA_OK };\nstruct ota_error { int a; };\n'
        self.assertEqual([], lint({'proto/base/error.h': error,
                                   'proto/wire/clean.h': CLEAN_HEADER,
                                   'proto/wire/clean.c': CLEAN_SOURCE}))

    def test_a_breach_is_reported_with_its_line(self):
        found = lint({'agent/port/a.c': 'int a;\n\n' + function(body='\tstrcpy(a, b);\n')})
        self.assertEqual(['agent/port/a.c:6: strcpy is banned'], found)


if __name__ == '__main__':
    unittest.main()

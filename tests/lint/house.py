#!/usr/bin/env python3
"""House rules that a reader should not have to check: who includes whom, how long, deep and
wide a function is, that what a header offers is documented, and what nobody calls.
usage: house.py [ROOT]   prints one line per breach; exit status 1 if there is any"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys

MAY_INCLUDE = {  # folder -> folders it may include; the longest matching key wins
    'proto/base': ['proto/base'],
    'proto/wire': ['proto/base', 'proto/wire'],
    'proto/delta': ['proto/base', 'proto/wire', 'proto/delta'],
    'proto/io': ['proto/base', 'proto/io'],
    'agent/core': ['proto/base', 'proto/wire', 'proto/delta', 'agent/core'],
    'agent': ['proto', 'agent'],
    'orchestrator/core': ['proto/base', 'proto/wire', 'proto/delta', 'orchestrator/core'],
    'orchestrator/sim': ['proto/base', 'proto/wire', 'orchestrator/core', 'orchestrator/sim'],
    'orchestrator': ['proto', 'orchestrator'],
    'tests': ['proto', 'agent', 'orchestrator', 'tests'],
}
PURE = ('proto/base', 'proto/wire', 'proto/delta', 'agent/core', 'orchestrator/core')
PURE_HEADERS_BANNED = {'time.h', 'pthread.h', 'threads.h', 'fcntl.h', 'signal.h', 'poll.h',
                       'syslog.h', 'dirent.h', 'netdb.h', 'uv.h', 'MQTTAsync.h', 'sqlite3.h',
                       'microhttpd.h', 'curl/curl.h', 'yaml.h'}
CODE_LIMITS = {'lines': 60, 'parameters': 5, 'depth': 3}
FILE_LINES, COLUMNS = 600, 90
# Parameter lists of others: a library's callbacks, a call of the C library stood in for.
DICTATED = re.compile(r'void \*cls, struct MHD_Connection \*|^ssize_t copy_file_range\(', re.M)

BANNED = re.compile(r'\b(strcpy|strcat|stpcpy|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets'
                    r'|alloca|rand|srand|sleep|usleep|goto)\b(?=\s*\(|\s+\w+;)')
IMPURE = re.compile(r'(?<!->)(?<!\.)\b(time|clock|clock_gettime|gettimeofday|open|openat|fopen'
                    r'|socket|connect|fork|pthread_create|thrd_create|printf|fprintf|puts|getenv'
                    r'|getrandom|randombytes_buf|crypto_sign_keypair|exit|abort|raise)\s*\(')
SQL = re.compile(r'"[^"]*\b(SELECT\b.*\bFROM|INSERT\s+INTO|UPDATE\b.*\bSET|DELETE\s+FROM'
                 r'|VALUES|WHERE)\b[^"]*%[-0-9.*lzj]*[sducx]')
UNFINISHED = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b')
ISSUE = re.compile(r'((?<!upstream )\b[Ii]ssue\s+#?\d+|(?<![\w&"\'(<])#\d+\b)')
CONTROL = re.compile(r'\b(if|for|while|switch|do|else)\b')


def key_for(path):
    return max((k for k in MAY_INCLUDE if path.startswith(k + '/')), key=len, default=None)


def blank(match):
    return re.sub(r'[^\n]', ' ', match[0])


def without_comments(text):
    """The code alone, on the lines where it was."""
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*',
                  lambda m: blank(m) if m[0].startswith('/') else m[0], text, flags=re.S)


def without_strings(code):
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  lambda m: m[0][0] + ' ' * (len(m[0]) - 2) + m[0][0], code)


def parameters(text):
    """How many parameters a parameter list has. Where errors go (an ota_error, or the YAML
    document that gathers them) and the dots of a printf-like function are free."""
    parts, depth, part = [], 0, ''
    for c in text:
        depth += (c in '([{') - (c in ')]}')
        if c == ',' and depth == 0:
            parts.append(part)
            part = ''
        else:
            part += c
    parts = [p.strip() for p in parts + [part] if p.strip() not in ('', 'void', '...')]
    return sum(not re.match(r'struct ota_(error|yaml) \*\w*$', p) for p in parts)


def last_parentheses(text):
    """What stands in the last balanced (...) of a text, or None."""
    end = text.rfind(')')
    depth = 0
    for i in range(end, -1, -1):
        depth += (text[i] == ')') - (text[i] == '(')
        if depth == 0 and i < end:
            return text[i + 1:end]
    return None


def functions(code):
    """Yield (head, first line, body) of each function: a '{' and a '}' in column 0."""
    for m in re.finditer(r'^\{\n(.*?)^\}$', code, re.M | re.S):
        head = re.split(r'[;}]|^#[^\n]*$', code[:m.start()], flags=re.M)[-1]
        yield head, code[:m.start()].count('\n') + 1, m[1]


def depth(body):
    """The deepest nesting of braces that belong to if, for, while, switch, do."""
    deepest, stack, statement = 0, [], ''
    for c in body:
        if c == '{':
            stack.append(bool(CONTROL.search(statement)))
            deepest = max(deepest, sum(stack))
            statement = ''
        elif c == '}':
            if stack:
                stack.pop()
            statement = ''
        else:
            statement = '' if c == ';' and statement.count('(') == statement.count(')') \
                else statement + c
    return deepest


def check_functions(code):
    for head, line, body in functions(code):
        lines = body.count('\n')
        if lines > CODE_LIMITS['lines']:
            yield line, f'function of {lines} lines, limit {CODE_LIMITS["lines"]}'
        count = parameters(last_parentheses(head) or '')
        if count > CODE_LIMITS['parameters'] and not DICTATED.search(head):
            yield line, f'{count} parameters, limit {CODE_LIMITS["parameters"]}'
        if depth(body) > CODE_LIMITS['depth']:
            yield line, f'nested {depth(body)} deep, limit {CODE_LIMITS["depth"]}'


def check_includes(path, key, lines):
    for n, line in enumerate(lines, 1):
        if m := re.match(r'#\s*include "([^"]+)"', line):
            if '/' not in m[1]:
                yield n, f'"{m[1]}" is not spelled from the root'
            elif not any(m[1].startswith(folder + '/') for folder in MAY_INCLUDE[key]):
                yield n, f'{key} may not include {m[1]}'
        m = re.match(r'#\s*include <([^>]+)>', line)
        if m and key in PURE:
            if m[1] in PURE_HEADERS_BANNED or m[1].startswith('sys/'):
                yield n, f'<{m[1]}> in a pure folder'


def check_calls(key, code):
    for n, line in enumerate(without_strings(code).splitlines(), 1):
        if m := BANNED.search(line):
            yield n, f'{m[1]} is banned'
        if key in PURE and (m := IMPURE.search(line)):
            yield n, f'{m[1]}() in a pure folder'
        if key in PURE and re.match(r'\t?static (?!.*\bconst\b)[^()]*(=.*|;)$', line):
            yield n, 'a global that changes in a pure folder'
        if re.match(r'typedef\s+(struct|enum|union)\b', line):
            yield n, 'a typedef hides a struct, enum or union'


def check_text(text, code):
    table = False  # tables are fenced off from clang-format and may be wide
    for n, line in enumerate(text.splitlines(), 1):
        table = (table or 'clang-format off' in line) and 'clang-format on' not in line
        if m := UNFINISHED.search(line):
            yield n, f'{m[1]}: finish it or leave it out'
        width = len(line.expandtabs(8))
        if width > COLUMNS and not table:
            yield n, f'{width} columns, limit {COLUMNS}'
    comments = ''.join(a if b == ' ' else '\n' if a == '\n' else ' '
                       for a, b in zip(text, code))
    for n, line in enumerate(comments.splitlines(), 1):
        if ISSUE.search(line):
            yield n, 'an issue number; say what it was about'
        if re.search(r';\s*(\*/)?\s*$', line) and re.search(r'\w\(.*\);|\breturn\b.*;|\w+ = .*;', line):
            yield n, 'code in a comment'
    for n, line in enumerate(code.splitlines(), 1):
        if SQL.search(line):
            yield n, 'SQL built from a format; bind the value'


def check_header(path, text, code):
    """Each prototype stands under a comment, and in proto/ it is called ota_*."""
    plain = without_strings(code)
    for m in re.finditer(r'^(?=[A-Za-z_])(?!typedef|static)'
                         r'([^;{}#]*?\b(\w+)\(([^;{}]*)\)[^;{}()]*'
                         r'(?:__attribute__\(\(.*?\)\)\)?)?);', plain, re.M):
        n = text[:m.start()].count('\n') + 1
        above = text[:m.start()].rstrip(' \t')
        name = re.search(r'\b(?!OTA_\w+|__attribute__)(\w+)\s*\(', m[1])
        name = name[1] if name else m[2]
        if m[1].startswith(name + '('):
            continue  # a macro, no prototype
        if not above.endswith('*/\n'):
            yield n, f'{name}() has no comment'
        if path.startswith('proto/') and not name.startswith('ota_'):
            yield n, f'{name}() is not called ota_*'


def check_file(path, text):
    key = key_for(path)
    if key is None:
        return
    code = without_comments(text)
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        yield 1, f'{len(lines)} lines, limit {FILE_LINES}'
    yield from check_includes(path, key, code.splitlines())
    yield from check_functions(without_strings(code))
    yield from check_calls(key, code)
    yield from check_text(text, code)
    if path.endswith('.h') and key != 'tests':
        yield from check_header(path, text, code)


def compiles_alone(root, header):
    """What the compiler says of a header that nothing was included before."""
    foreign = [f'-I{folder}' for folder in root.glob('subprojects/*-*/')]
    done = subprocess.run(['gcc', '-fsyntax-only', '-std=gnu17', '-D_GNU_SOURCE', '-Wall', '-I.',
                           *foreign, '-include', header, '-x', 'c', '/dev/null'],
                          cwd=root, capture_output=True, text=True)
    return [] if done.returncode == 0 else [(1, 'does not compile alone: ' + next(
        (line for line in done.stderr.splitlines() if 'error' in line), done.stderr[:200]))]


def sources(root):
    for folder in ('proto', 'agent', 'orchestrator', 'tests'):
        yield from sorted((root / folder).rglob('*.[ch]'))


def check_tree(root):
    """Every breach below root as (path, line, what)."""
    paths = [f.relative_to(root).as_posix() for f in sources(root)]
    for path in paths:
        for line, what in check_file(path, (root / path).read_text()):
            yield path, line, what
    headers = [p for p in paths if p.endswith('.h')]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, found in zip(headers, pool.map(lambda h: compiles_alone(root, h), headers)):
            for line, what in found:
                yield path, line, what


def main():
    here = pathlib.Path(__file__).resolve().parents[2]
    breaches = list(check_tree(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here))
    for path, line, what in breaches:
        print(f'{path}:{line}: {what}')
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())

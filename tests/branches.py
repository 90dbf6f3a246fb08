"""Every branch of what decides over an install is taken by unit and sim tests, but for those
that tests/README.md lists with a reason."""
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
DECIDES = ('proto/wire/trust.c', 'agent/core/hold.c', 'agent/core/journal.c',
           'agent/core/judge.c', 'agent/core/policy.c', 'agent/core/slot.c',
           'agent/core/work.c')


def excluded(readme):
    """{(file, text of the line): branches never taken} of the table in tests/README.md."""
    rows = re.findall(r'^\| `([^`]+\.c)` \| `([^`]+)` \| (\d+) \|', readme, re.M)
    return {(file, line): int(count) for file, line, count in rows}


def never_taken(report):
    """The same of a JSON report of gcovr."""
    found = {}
    for file in report['files']:
        lines = (ROOT / file['file']).read_text().split('\n')
        for line in file['lines']:
            missed = sum(b['count'] == 0 for b in line.get('branches') or [])
            if missed and file['file'] in DECIDES:
                key = file['file'], lines[line['line_number'] - 1].strip()
                found[key] = found.get(key, 0) + missed
    return found


def compare(report, readme):
    """What is wrong, as lines of text: branches never taken that are not listed, rows of the
    list that are not needed, files that the report does not have."""
    listed, found = excluded(readme), never_taken(report)
    seen = {file['file'] for file in report['files']}
    return ([f'{file}: not measured' for file in DECIDES if file not in seen] +
            [f'{file}: {count} branches never taken: {line}'
             for (file, line), count in sorted(found.items())
             if count > listed.get((file, line), 0)] +
            [f'{file}: listed, but taken: {line}'
             for (file, line), count in sorted(listed.items())
             if found.get((file, line), 0) < count])


def check(json_file):
    """True if a report holds; says what is wrong otherwise."""
    wrong = compare(json.loads(pathlib.Path(json_file).read_text()),
                    (ROOT / 'tests/README.md').read_text())
    for text in wrong:
        print(f'  {text}', flush=True)
    return not wrong

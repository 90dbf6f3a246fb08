"""Every branch of what decides over an install is taken by tests, but for those that
tests/README.md lists with a reason; of the rest of the agent most are."""
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
DECIDES = ('proto/wire/trust.c', 'agent/core/decode_wire.c', 'agent/core/hold.c',
           'agent/core/ipc.c', 'agent/core/journal.c', 'agent/core/judge.c', 'agent/core/overlay.c',
           'agent/core/policy.c', 'agent/core/slot.c', 'agent/core/work.c',
           'agent/port/block_spool.c', 'agent/port/boot.c',
           'agent/port/boot_custom.c', 'agent/port/boot_entries.c',
           'agent/port/boot_grub.c', 'agent/port/boot_running.c',
           'agent/port/boot_uboot.c', 'agent/port/boot_vars.c',
           'agent/port/decode_child.c',
           'agent/port/decode_sandbox.c', 'agent/port/decode_worker.c',
           'agent/port/install.c', 'agent/port/install_check.c',
           'agent/port/install_decode.c',
           'agent/port/install_files.c', 'agent/port/install_hooks.c',
           'agent/port/install_mark.c', 'agent/port/install_patch.c',
           'agent/port/install_policy.c', 'agent/port/install_readback.c',
           'agent/port/install_source.c',
           'agent/port/install_hook.c', 'agent/port/install_jobs.c',
           'agent/port/install_link.c', 'agent/port/mounts.c',
           'agent/port/slot_block.c', 'agent/port/slot_dir.c',
           'agent/port/slot_file.c', 'agent/port/slot_medium.c',
           'agent/port/slots.c', 'agent/port/spool.c', 'agent/port/tree.c',
           'agent/port/tree_unpack.c', 'agent/port/image_file.c',
           'agent/port/install_target.c', 'agent/port/install_work.c')
NOT_ROOT = 'not root: '
REST = 'agent/'
REST_PERCENT = 90  # of the branches of all other files of the agent together


def excluded(readme, is_root=True):
    """{(file, text of the line): branches never taken} of the table in tests/README.md. Rows
    whose reason is that we are not root hold only then."""
    rows = re.findall(r'^\| `([^`]+\.c)` \| `([^`]+)` \| (\d+) \| (.*) \|', readme, re.M)
    return {(file, line.replace('\\|', '|')): int(count) for file, line, count, why in rows
            if not (is_root and why.startswith(NOT_ROOT))}


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


def rest(report):
    """[(file, branches taken, all)] of the rest of the agent."""
    counts = []
    for file in report['files']:
        if file['file'].startswith(REST) and file['file'] not in DECIDES:
            taken = [b['count'] > 0 for line in file['lines']
                     for b in line.get('branches') or []]
            counts.append((file['file'], sum(taken), len(taken)))
    return sorted(counts)


def percent(counts):
    """The share of all branches that were taken; without any there is nothing to miss."""
    every = sum(n for _, _, n in counts)
    return 100 * sum(taken for _, taken, _ in counts) / every if every else 100


def compare(report, readme, is_root=True):
    """What is wrong, as lines of text: branches never taken that are not listed, rows of the
    list that are not needed, files that the report does not have."""
    listed, found = excluded(readme, is_root), never_taken(report)
    seen = {file['file'] for file in report['files']}
    return ([f'{file}: not measured' for file in DECIDES if file not in seen] +
            [f'{file}: {count} branches never taken: {line}'
             for (file, line), count in sorted(found.items())
             if count > listed.get((file, line), 0)] +
            [f'{file}: listed, but taken: {line}'
             for (file, line), count in sorted(listed.items())
             if found.get((file, line), 0) < count] +
            [f'the rest of the agent: {share:.1f} % of its branches taken, '
             f'not {REST_PERCENT} %' for share in [percent(rest(report))]
             if share < REST_PERCENT])


def check(json_file, is_root):
    """True if a report holds; says what is wrong otherwise."""
    report = json.loads(pathlib.Path(json_file).read_text())
    wrong = compare(report, (ROOT / 'tests/README.md').read_text(), is_root)
    for file, taken, every in rest(report):
        print(f'  {file}: {taken} of {every} branches', flush=True)
    print(f'  the rest of the agent: {percent(rest(report)):.1f} % of its branches',
          flush=True)
    for text in wrong:
        print(f'  {text}', flush=True)
    return not wrong

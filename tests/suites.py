#!/usr/bin/env python3
"""The suites behind tests/run: each builds what it needs, runs, and yields its tests as
(name, passed). Only what a test itself reported is counted; a suite without tests fails, and so
does a test that is skipped, but one that only root can run and that says so: passed is None.
Without a browser the suite that needs one is SKIPPED."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import branches

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM_SECONDS, PROGRAM_SECONDS_BY_NIGHT = 1800, 5 * 3600  # one program of tests in Python
FUZZ_SECONDS, FUZZ_SECONDS_LONG = 30, 60  # each fuzzer; those of FUZZ_LONG
FUZZ_LONG = ('predict',)  # what parses most of what a patch may say
NIGHT = 'SLUICE_NIGHTLY'  # in the environment: tests take all the time they can use
BY_NIGHT = {'FUZZ_SECONDS': '60', 'FUZZ_SECONDS_LONG': '600', NIGHT: '1'}
SAMPLED = {'SLUICE_SAMPLED': '1'}  # in the environment: of thousands of seeds one in ten
QEMU_SECONDS = 7200  # one program of tests/qemu
QEMU_BY_DAY = ('test_uboot', 'test_cuts')  # what of it runs at every change
COVERAGE_PERCENT = 80  # of the lines of what we wrote
CAP_SYS_ADMIN = 21  # number of a capability, linux/capability.h
SHIPPED = ('proto', 'agent', 'orchestrator')

BUILDS = {  # directory -> compiler, options of meson; build/ is deploy/setup's
    # clang: gcc's undefined-behaviour sanitizer beside its address sanitizer ignores log_path
    'build-asan': ('clang', ['-Db_sanitize=address,undefined', '-Db_lundef=false']),
    'build-cov': ('gcc', ['-Db_coverage=true', '-Dbuildtype=debug']),
    'build-fuzz': ('clang', ['-Dfuzz=true']),
    'build-release': ('gcc', ['-Dbuildtype=release', '-Db_ndebug=true']),
}


def say(text):
    print(text, flush=True)


SKIPPED = 'skipped'  # instead of passed: what it needs is not here
RUNNING = set()  # processes to end when we are told to end
MARK = 'SLUICE_TEST_RUN'  # in the environment of all that we start, and of what that starts


def sweep(mark):
    """Kill what carries a mark; returns how many processes did."""
    found = 0
    for environ in pathlib.Path('/proc').glob('[0-9]*/environ'):
        try:
            if f'{MARK}={mark}'.encode() in environ.read_bytes().split(b'\0'):
                os.kill(int(environ.parent.name), signal.SIGKILL)
                found += 1
        except OSError:
            pass  # gone already, or not ours
    return found


def leftovers(mark):
    """Kill what a test program left behind, once it had a moment to go by itself."""
    time.sleep(0.5)
    return sweep(mark)


def end(process):
    """Ask a program to end, so that it can end what it started; insist after a while.
    Returns a status that is not 0."""
    try:
        process.send_signal(signal.SIGINT)
        return process.wait(20) or 1
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def pass_on(process, lines, prefix):
    """Gather what a process says, and print it unless prefix is None."""
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            if prefix is not None:
                say(prefix + line.rstrip('\n'))


def run(command, env=None, timeout=None, prefix='  '):
    """Run a command, pass its output on line by line (unless prefix is None), and return
    (status, output). A command over its time is ended."""
    process = subprocess.Popen([str(c) for c in command], cwd=ROOT, text=True,
                               errors='replace', stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True,
                               env={**os.environ, **(env or {})})
    RUNNING.add(process)
    lines = []
    reader = threading.Thread(target=pass_on, args=[process, lines, prefix], daemon=True)
    reader.start()
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        status = end(process)
    reader.join(10)  # what it left behind may hold on to its output
    RUNNING.discard(process)
    return status, ''.join(lines)


def build(directory, targets=()):
    """Configure a build directory once and bring it up to date; True when it built."""
    compiler, options = BUILDS[directory]
    asked = ROOT / directory / 'asked-for'
    wanted = ' '.join([compiler, *options])
    if not asked.exists() or asked.read_text() != wanted:
        shutil.rmtree(ROOT / directory, ignore_errors=True)
        status, output = run(['meson', 'setup', directory, *options], {'CC': compiler},
                             prefix=None)
        if status:
            say(output)
            return False
        asked.write_text(wanted)
    started = time.monotonic()
    status, output = run(['ninja', '-C', directory, *targets], prefix=None)
    if status:
        say(output[-8000:])
    elif 'no work to do' not in output:
        say(f'  {directory} built in {time.monotonic() - started:.0f} s')
    return status == 0


def capabilities():
    """Of this process, a bit each."""
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(r'^CapEff:\s*(\w+)', status, re.M)[1], 16)


def is_root():
    """True if we may do what root may: in a container it may not mount, say."""
    return os.geteuid() == 0 and bool(capabilities() >> CAP_SYS_ADMIN & 1)


def verdict_of_skip(reason):
    """None for a test that only root can run, when we are not root; else it failed."""
    return None if not is_root() and re.search(r'SKIPPED[,:] not root', reason) else False


def tap_results(entry, is_tap):
    """The tests one meson test reported. What ended badly without naming a failed test
    counts as one that failed, and so does a skipped one, but see verdict_of_skip()."""
    name, found = entry['name'], []
    if is_tap:
        for line in (entry.get('stdout') or '').splitlines():
            m = re.match(r'\s*(not )?ok\b[ \d]*-?\s*(.*)', line)
            if m:
                skipped = re.search(r'#\s*skip.*', m[2], re.I)
                found.append((f'{name}: {m[2]}',
                              verdict_of_skip(skipped[0]) if skipped else not m[1]))
    ended_well = entry['result'] == 'OK' or is_tap and entry['result'] == 'SKIP'  # all were
    if not is_tap and ended_well:
        return [(name, True)]
    if is_tap and ended_well and not found:
        return [(f'{name}: ran no test', False)]
    if not ended_well and all(passed is not False for _, passed in found):
        found.append((f'{name}: ended with {entry["result"]}', False))
    return found


def meson_tests(directory, suite, wrap=None, env=None):
    """Run one suite of meson in a build directory."""
    _, listing = run(['meson', 'introspect', '--tests', directory], prefix=None)
    tap = {t['name']: t['protocol'] == 'tap' for t in json.loads(listing)
           if any(s.split(':')[-1] == suite for s in t['suite'])}
    if not tap:
        return []
    logs = ROOT / directory / 'meson-logs'
    for old in logs.glob(f'testlog-{suite}*.json'):
        old.unlink()
    run(['meson', 'test', '-C', directory, '--no-rebuild', '--suite', suite, '--logbase',
         f'testlog-{suite}', '--print-errorlogs', *([f'--wrap={wrap}'] if wrap else [])],
        {'SLUICE_BUILD': str(ROOT / directory), **(env or {})})
    entries = [json.loads(line) for log in logs.glob(f'testlog-{suite}*.json')
               for line in log.read_text().splitlines()]  # meson adds a wrapper to the name
    for entry in entries:
        entry['name'] = entry['name'].split(' / ')[-1]
    results = [r for e in entries for r in tap_results(e, tap.get(e['name'], False))]
    absent = set(tap) - {e['name'] for e in entries}
    return results + [(f'{name}: did not run', False) for name in sorted(absent)]


def unittest_program(program, build_directory, prefix, seconds=PROGRAM_SECONDS):
    """Run one Python test program and count by what unittest printed."""
    mark = f'{os.getpid()}/{program.name}'
    status, output = run(['python3', program, '-v'], {
        'SLUICE_BUILD': str(ROOT / build_directory), MARK: mark}, seconds, prefix)
    left = leftovers(mark)
    name = program.stem
    ran = re.search(r'^Ran (\d+) tests?', output, re.M)
    skipped = re.findall(r"^(.*) \.\.\. skipped ['\"](.*)['\"]$", output, re.M)
    bad = sorted(set(re.findall(r'^(?:FAIL|ERROR): (.+)', output, re.M)))
    bad += [f'{test}: {why}' for test, why in skipped if verdict_of_skip(why) is False]
    for_root = [f'{test}: {why}' for test, why in skipped if verdict_of_skip(why) is None]
    if status and not bad or not ran:
        bad.append(f'ended with status {status}')
    bad += [f'left {left} processes behind'] if left else []
    lost = len([b for b in bad if not b.startswith(('ended', 'left'))])
    seen = len(re.findall(r'\.\.\. ok$', output, re.M))  # it may have been cut short
    good = max(0, int(ran[1]) - lost - len(for_root)) if ran else seen
    if not good and not bad and not for_root:
        bad.append('ran no test')
    return [(f'{name}: {test}', passed) for tests, passed in (
        (['test'] * good, True), (bad, False), (for_root, None)) for test in tests]


def python_tests(folder, build_directory='build'):
    """Run the test programs of a folder, three at a time: most of their time is waiting."""
    programs = sorted((ROOT / 'tests' / folder).glob('test_*.py'))
    seconds = PROGRAM_SECONDS_BY_NIGHT if os.environ.get(NIGHT) else PROGRAM_SECONDS
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(unittest_program, p, build_directory, f'  {p.stem}: ', seconds)
                for p in programs]
        return [result for job in jobs for result in job.result()]


# The build that unit, sim, integration and e2e run on. With coverage asked for it is the one
# that counts lines, so that nothing runs twice.
tested_build = 'build'
COUNTED = ('unit', 'sim', 'integration', 'e2e')


def unit():
    return meson_tests(tested_build, 'unit')


def sim():
    """All lives and worlds where they run fast, a sample of them where lines are counted."""
    if tested_build == 'build':
        return meson_tests('build', 'sim')
    return meson_tests('build', 'lives') + meson_tests(tested_build, 'sim', env=SAMPLED)


def integration():
    return meson_tests(tested_build, 'integration')


def e2e():
    return python_tests('e2e', tested_build)


def browser():
    """The dashboard in a real Chromium."""
    missing = [what for what, there in (
        ('chromium', shutil.which('chromium')), ('node', shutil.which('node')),
        ('build-browser/node_modules', (ROOT / 'build-browser/node_modules').is_dir()),
    ) if not there]
    if missing:
        return [(f'not run, for want of {", ".join(missing)}: deploy/setup --browser', SKIPPED)]
    return python_tests('browser', tested_build)


def crash():
    """A device whose system calls break, one at a time, and whose power goes."""
    return python_tests('crash')


def count_lines():
    """Let the suites to come run on the build that counts lines, from zero."""
    global tested_build
    if not build('build-cov'):
        return False
    for old in (ROOT / 'build-cov').rglob('*.gcda'):
        old.unlink()
    tested_build = 'build-cov'
    return True


def lint():
    """Each check is a program in tests/lint/ that says what is wrong and exits 1."""
    results = python_tests('lint')
    for check in ('house.py', 'format.sh', 'cppcheck.sh', 'shellcheck.sh', 'links.sh'):
        say(f'  tests/lint/{check}')
        status, _ = run([ROOT / 'tests/lint' / check])
        results.append((check, status == 0))
    return results


def compilers():
    """Both compilers, and a release without assertions; the sanitizers' build is clang's."""
    return [(d, build(d)) for d in ('build-release', 'build-asan')]


def sanitizers():
    if not build('build-asan'):
        return [('build-asan', False)]
    wrap = ROOT / 'tests/lint/sanitized.sh'
    return [r for suite in ('unit', 'sim', 'integration')
            for r in meson_tests('build-asan', suite, wrap, SAMPLED)]


def coverage():
    """The share of lines that unit, sim, integration and e2e ran, in this run."""
    report = ROOT / 'build-cov' / 'coverage.html'
    filters = [word for folder in SHIPPED for word in ('--filter', f'{folder}/')]
    status, _ = run(['gcovr', '--root', '.', *filters, '--html-details', report,
                     '--txt', report.with_suffix('.txt'), '--print-summary',
                     '--fail-under-line', COVERAGE_PERCENT, '-j', '2', 'build-cov'])
    say(f'  reports: build-cov/{report.name}, by file in build-cov/coverage.txt')
    return [(f'{COVERAGE_PERCENT} % of lines', status == 0),
            ('branches of what decides', branches_taken())]


def branches_taken():
    """True if all branches of what decides over an install are taken or listed, and most of
    the rest of the agent."""
    report = ROOT / 'build-cov' / 'branches.json'
    status, output = run(['gcovr', '--root', '.', '--json', report, '-j', '2',
                          *[word for file in (branches.REST, *branches.DECIDES)
                            for word in ('--filter', file)],
                          'build-cov'], prefix=None)
    if status:
        say(output)
    return status == 0 and branches.check(report, os.geteuid() == 0)


def fuzz_one(target, seconds):
    """One fuzzer on its seeds and on what earlier runs found."""
    name = target.name.removeprefix('fuzz_')
    seeds = ROOT / 'tests/fuzz/corpus' / name
    kept = ROOT / 'build-fuzz/corpus' / name
    crashes = ROOT / 'build-fuzz/crashes'
    for folder in (kept, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    if not seeds.is_dir():
        return name, False, f'no seeds in tests/fuzz/corpus/{name}'
    status, output = run(['nice', '-n', '19', target, kept, seeds,
                          f'-max_total_time={seconds}', '-timeout=10', '-rss_limit_mb=2048',
                          '-print_final_stats=1',
                          f'-artifact_prefix={crashes}/{name}-'], prefix=None,
                         timeout=seconds * 3 + 60)
    runs = re.search(r'number_of_executed_units:\s*(\d+)', output)
    if status or not runs or runs[1] == '0':
        return name, False, output[-6000:] + f'\n  input kept as build-fuzz/crashes/{name}-*'
    return name, True, f'{runs[1]} inputs'


def fuzz_seconds(target):
    """How long a fuzzer runs."""
    if target.name.removeprefix('fuzz_') in FUZZ_LONG:
        return int(os.environ.get('FUZZ_SECONDS_LONG', FUZZ_SECONDS_LONG))
    return int(os.environ.get('FUZZ_SECONDS', FUZZ_SECONDS))


def fuzz():
    if not build('build-fuzz'):
        return [('build-fuzz', False)]
    targets = sorted((t for t in (ROOT / 'build-fuzz/tests/fuzz').glob('fuzz_*')
                      if t.is_file()), key=lambda t: (-fuzz_seconds(t), t))
    results = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(fuzz_one, t, fuzz_seconds(t)) for t in targets]
        for job in concurrent.futures.as_completed(jobs):
            name, passed, text = job.result()
            say(f'  fuzz {name}: {text}')
            results.append((name, passed))
    return results


def cross():
    """The decoder on other processors. What cannot be fetched or built fails."""
    status, _ = run([ROOT / 'deploy/setup', '--cross', '--packages-only'])
    if status:
        return [('deploy/setup --cross', False)]
    status, output = run([ROOT / 'tests/cross/run'], {'SLUICE_BUILD': str(ROOT / 'build')})
    results = [(m[2], not m[1])
               for m in re.finditer(r'^(not )?ok (.+?)(?:, \d+ bytes of heap)?$', output, re.M)]
    if status and all(passed for _, passed in results):
        results.append((f'tests/cross/run ended with status {status}', False))
    return results


def qemu_programs():
    """The programs of tests/qemu: all of them by night, a few by day."""
    programs = sorted((ROOT / 'tests/qemu').glob('test_*.py'))
    return [p for p in programs if os.environ.get(NIGHT) or p.stem in QEMU_BY_DAY]


def qemu():
    """Gateways with real boot loaders, in virtual machines, one after the other."""
    status, _ = run([ROOT / 'deploy/setup', '--qemu', '--packages-only'])
    if status:
        return [('deploy/setup --qemu', False)]
    return [result for p in qemu_programs()
            for result in unittest_program(p, 'build', f'  {p.stem}: ', QEMU_SECONDS)]


SUITES = {f.__name__: f for f in (
    unit, sim, integration, e2e, browser, crash, coverage, lint, compilers, sanitizers, cross,
    qemu, fuzz)}


def closing_line(results):
    passed, failed, for_root, skipped = (sum(ok is which for _, ok in results)
                                         for which in (True, False, None, SKIPPED))
    return (f'{passed} passed, {failed} failed' + f', {for_root} for root only' * bool(for_root) +
            f', {skipped} skipped' * bool(skipped))


def run_suites(names):
    """Run suites in turn; but what integration and e2e leave of the processors, while they
    wait for real processes, goes to the fuzzers."""
    everything, ahead = {}, {}
    pool = concurrent.futures.ThreadPoolExecutor(1)
    for name in names:
        if name in ('integration', 'e2e') and 'fuzz' in names and not ahead:
            build('build-fuzz')
            ahead['fuzz'] = pool.submit(fuzz)
        say(f'== {name}')
        started = time.monotonic()
        results = ahead[name].result() if name in ahead else SUITES[name]()
        results = results or [('the suite ran no test', False)]
        for test, passed in results:
            if passed is False:
                say(f'  FAILED {test}')
        everything[name] = results
        say(f'  {time.monotonic() - started:.0f} s')
        say(f'{name}: {closing_line(results)}')
    return everything


def stop(*_):
    """Told to end: end what runs and what it started."""
    say('told to end: nothing more is run, and nothing has passed')
    for process in list(RUNNING):
        process.send_signal(signal.SIGINT)
    time.sleep(2)
    for name in ['', *(p.name for p in ROOT.glob('tests/*/test_*.py'))]:
        sweep(f'{os.getpid()}/{name}')
    os._exit(130)


def main():
    parser = argparse.ArgumentParser(prog='tests/run', description=__doc__)
    parser.add_argument('--suite', action='append', choices=SUITES, metavar='NAME',
                        help='run this suite only; may be given more than once')
    parser.add_argument('--list', action='store_true', help='print the names of the suites')
    parser.add_argument('--nightly', action='store_true',
                        help='take hours: fuzz longer, sweep all, run the slow suites too')
    options = parser.parse_args()
    if options.list:
        print('\n'.join(SUITES))
        return 0
    os.environ[MARK] = f'{os.getpid()}/'
    os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if options.nightly:
        os.environ.update({k: os.environ.get(k, v) for k, v in BY_NIGHT.items()})
    names = options.suite or list(SUITES)
    if 'coverage' in names:
        names = [n for n in SUITES if n in names or n in COUNTED]
        if not count_lines():
            say('build-cov does not build')
            return 1
    everything = run_suites(names)
    results = [r for rs in everything.values() for r in rs]
    say('')
    for name, rs in everything.items():
        for test, passed in rs:
            if passed is not True:
                what = {None: 'NOT RUN, as only root can', SKIPPED: 'SKIPPED'}
                say(f'{what.get(passed, "FAILED")} in {name}: {test}')
    say(closing_line(results))
    return 0 if all(passed is not False for _, passed in results) else 1


if __name__ == '__main__':
    sys.exit(main())

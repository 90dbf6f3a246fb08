"""A point: one system call of one device's story, and what is done to it. After it the
device is started again, as often as it takes, and everything must be in order."""
import concurrent.futures
import multiprocessing
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import typing

import laws
from device import Device, Kit, Wrong, environment, make_kit, scratch
from loaders import BACKENDS, SAMPLED
from shim import COUNT, HOWS, Shim

# More than the installer syncs at a time (INSTALL_BLOCK_LEN) and no multiple of it; and just
# enough for a patch of a few chunks.
LARGE_KIB, SMALL_KIB = 4352, 320
SLOT_IMAGE = re.compile(r'(slots/)?[ab]\.(img|tar|part)')
MEDIA = 50  # what a slot that does not hold what was written is reported as
TOP = pathlib.Path(__file__).resolve().parents[2]


def own_name(what):
    """The name of a folder that no other process uses."""
    return f'{what}-{os.getpid()}'


class Point(typing.NamedTuple):
    backend: str
    scenario: str
    call: int
    how: str

    def __str__(self):
        return (f'tests/crash/point --backend {self.backend} --scenario {self.scenario} '
                f'--call {self.call} --how {self.how}')


class Lab:
    """A kit, and the disks that scenarios begin with."""

    def __init__(self, build, folder, agent=None, kib=LARGE_KIB):
        self.programs = environment(build)
        self.dir = pathlib.Path(folder)
        self.agent = agent or self.programs['agent']
        self.kit = Kit(self.dir / 'kit') if (self.dir / 'kit').is_dir() \
            else make_kit(build, self.dir / 'kit', kib)
        laws.digests.update((n, d.hex()) for d, n in self.kit.digests.items())

    def golden(self, backend, name):
        """What makes the disk that is left at the end of a scenario nobody disturbed."""
        if not name:
            return None
        kept = self.dir / f'{backend}-{name}'
        if not kept.is_dir():
            device = self.device(backend, laws.SCENARIOS[name], f'golden-{backend}-{name}')
            self.settle(device, laws.SCENARIOS[name])
            shutil.copytree(device.disk, kept, symlinks=True)
            device.remove()
        return lambda path, **more: shutil.copytree(kept, path, symlinks=True, **more)

    def device(self, backend, scenario, name, golden=None):
        """A device at the beginning of a scenario, under the shim."""
        device = Device(self.kit, self.dir / name, self.agent, BACKENDS[backend],
                        golden or self.golden(backend, scenario.after))
        device.configure(scenario.sick)
        device.shim = Shim(self.programs['shim'], device.dir, device.disk)
        device.shim.set()
        return device

    def settle(self, device, scenario, heard=()):
        """Let it go on until the end of the scenario."""
        device.reports = list(heard) or device.reports
        done = device.run(lambda r: laws.is_settled(scenario, r), scenario.says,
                          scenario.again)
        if done == 'done':
            device.end()
        return done

    def record(self, backend, scenario):
        """The calls of an undisturbed run, and its device, for the caller to remove."""
        device = self.device(backend, scenario, own_name('record'))
        device.shim.set(record=True)
        self.settle(device, scenario)
        laws.check_disk(device, scenario, device.reports)
        laws.check_end(device, scenario)
        return device

    def strike(self, device, scenario, point):
        """Run with the fault; the process may die of it or go on."""
        how, error = HOWS[point.how]
        device.shim.set(point.call, how, error)
        device.shim.page.flush()
        done = self.settle(device, scenario)
        if not device.shim.fired:
            raise Wrong('the fault did not come')
        return done

    def try_point(self, point, keep_log=False):
        """What is wrong after a point, as text, or None; and the call that it broke."""
        scenario = laws.SCENARIOS[point.scenario]
        device = self.device(point.backend, scenario, own_name('point'))
        what = 'nothing'
        try:
            struck = self.strike(device, scenario, point) == 'struck'
            what = device.shim.what
            device.shim.set(how=COUNT)
            if struck:
                laws.check_disk(device, scenario, device.reports)
                if point.how != 'killed-after':
                    device.reboot()  # the others: the process alone is killed, within a boot
                self.settle(device, scenario)
            laws.check_disk(device, scenario, device.reports)
            laws.check_end(device, scenario)
            if point.how == 'rotten':
                laws.require(any(r['error'] == MEDIA for r in device.reports),
                             'nobody said that the slot does not hold what was written')
        except (Wrong, AssertionError) as wrong:
            return str(wrong), what
        finally:
            if keep_log:
                print(device.log.read_text(errors='replace'))
            device.remove()
        return None, what


def image_syncs(disk):
    """Numbers of the calls that make new bytes of an image safe. What was safe before has been
    read back meanwhile: what happens to it later is nobody's to see."""
    unsafe, found = set(), set()
    for number, call in enumerate(disk, 1):
        if call.kind == 'write' and SLOT_IMAGE.fullmatch(call.path):
            unsafe.add(call.path)
        elif call.kind == 'sync' and call.path in unsafe:
            unsafe.remove(call.path)
            found.add(number)
    return found


def points_of(backend, scenario, calls, hows):
    """Every call of a recorded run, with everything that can be done to it."""
    disk = [c for c in calls if c.is_counted]
    syncs = image_syncs(disk)

    def makes_sense(how, number, call):
        return {'torn': call.kind == 'write', 'full': call.grows,
                'rotten': number in syncs}.get(how, True)
    return [Point(backend, scenario, i, how) for how in hows for i, c in enumerate(disk, 1)
            if makes_sense(how, i, c)]


lab = None  # of a worker


def open_lab(build, folder, agent):
    global lab
    lab = Lab(build, folder, agent)


def try_one(point):
    return (point, *lab.try_point(point))


def workers():
    return min(2, os.cpu_count() or 1)


def nightly():
    """True if tests may take all the time that they can use."""
    return os.environ.get('SLUICE_NIGHTLY', '') not in ('', '0')


class Campaign:
    """Runs many points, two at a time, and says how far it is."""

    def __init__(self, build, agent=None, *, backends=tuple(BACKENDS),
                 stories=tuple(laws.SCENARIOS), kib=LARGE_KIB, kept=None):
        """backends, stories: those that will be told; what they begin with is made here,
        once. kib: about as long are the images. kept: folder with a kit to be used."""
        self.build, self.agent = build, agent
        self.more = ' --small' if kib == SMALL_KIB else ''
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='sluice-crash-', dir=scratch()))
        if kept:
            shutil.copytree(kept, self.dir, dirs_exist_ok=True)
        self.lab = Lab(build, self.dir, agent, kib)
        for story in stories:
            for backend in backends:
                self.lab.golden(backend, laws.SCENARIOS[story].after)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, name, function, jobs, enough=None):
        """function(job) -> (job, wrong or None, what) for each; the wrong ones as text.
        Stops after `enough` of them."""
        started = said = time.monotonic()
        wrong, done = [], 0
        context = multiprocessing.get_context('fork')
        with concurrent.futures.ProcessPoolExecutor(
                workers(), context, open_lab, (self.build, self.dir, self.agent)) as pool:
            for job, why, what in pool.map(function, jobs, chunksize=1 if enough else 8):
                done += 1
                if why:
                    wrong.append(f'{job}{self.more}\n    {what}: {why}')
                    print(f'  {wrong[-1]}', flush=True)
                if enough and len(wrong) >= enough:
                    pool.shutdown(cancel_futures=True)
                    break
                if time.monotonic() - said > 10:
                    said = time.monotonic()
                    print(f'{name}: {done} of {len(jobs)}', flush=True)
        took = time.monotonic() - started
        print(f'{name}: {done} in {took:.1f} s, {len(wrong)} wrong', flush=True)
        return wrong


def stories(backend):
    """The names of the stories that are told now."""
    if nightly() or backend not in SAMPLED:
        return tuple(laws.SCENARIOS)
    return 'first', 'rollback'


def build_directory():
    return pathlib.Path(os.environ.get('SLUICE_BUILD', TOP / 'build'))


def campaign_of(case, backend):
    """The campaign of a class of tests for a type of slots, made when it is asked for. By day
    only files have large images."""
    if backend not in case.campaigns:
        kib = LARGE_KIB if nightly() or backend == 'file' else SMALL_KIB
        case.campaigns[backend] = Campaign(build_directory(), backends=[backend], kib=kib)
    return case.campaigns[backend]


sys.stdout.reconfigure(line_buffering=True)

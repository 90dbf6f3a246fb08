"""A cut: the power goes after some call of a device's story, and of what was not synced only
a part has reached the disk. The device is started on what is left."""
import functools
import pickle
import typing

import laws
import points
import replay
from device import HEAD, REPORT, Wrong, read_report

AFTER_THE_CUT = 100  # number of the boot after it: no other boot has it


class Cut(typing.NamedTuple):
    backend: str
    scenario: str
    call: int  # calls that were made before, as in a log: packets count
    how: str
    seed: int

    def __str__(self):
        return (f'tests/crash/point --backend {self.backend} --scenario {self.scenario} '
                f'--cut {self.call} --how {self.how} --seed {self.seed}')


class Recording:
    """An undisturbed run: the disk before it, the calls, the packets."""

    def __init__(self, lab, backend, scenario):
        device = lab.device(backend, scenario, 'recorded')
        self.tree = replay.Tree(device.disk)
        device.shim.set(record=True)
        lab.settle(device, scenario)
        self.calls = device.shim.calls()
        device.remove()

    def disk_after(self, count):
        disk = replay.Replay(self.tree)
        for call in self.calls[:count]:
            disk.do(call)
        return disk

    def heard_after(self, count, public_key):
        """The reports that net has by then."""
        return [read_report(c.data[HEAD.size:], public_key) for c in self.calls[:count]
                if c.kind == 'say' and HEAD.unpack_from(c.data)[0] == REPORT]

    def cuts(self, backend, scenario, seeds):
        """Cuts after every call: each way of losing something, the random ones with several
        seeds; what leaves the same disk as the cut before, to a device that has said the
        same, is left out."""
        disk, found, same = replay.Replay(self.tree), [], False
        for count in range(len(self.calls) + 1):
            if count > 0:
                call = self.calls[count - 1]
                disk.do(call)
                same = call.failed or call.kind not in ('sync', 'say')
            if not same:
                found.append(Cut(backend, scenario, count, 'lost', 0))
            if disk.unsafe():
                found += [Cut(backend, scenario, count, how, 0)
                          for how in ('kept', 'names', 'data')]
                found += [Cut(backend, scenario, count, how, seed)
                          for how in ('pages', 'sectors') for seed in seeds]
        return found


@functools.cache
def recording(lab, backend, name):
    """Made once, kept in the lab's folder for the other workers."""
    path = lab.dir / f'recording-{backend}-{name}'
    if not path.exists():
        path.write_bytes(pickle.dumps(Recording(lab, backend, laws.SCENARIOS[name])))
    return pickle.loads(path.read_bytes())


def try_cut(cut):
    """What is wrong after a cut, for a worker of points.Campaign."""
    lab, scenario = points.lab, laws.SCENARIOS[cut.scenario]
    recorded = recording(lab, cut.backend, cut.scenario)
    disk = recorded.disk_after(cut.call)
    replay.lose_power(disk, cut.how, f'{cut.seed} {cut.call}')
    heard = recorded.heard_after(cut.call, lab.kit.public_key)
    device = None
    try:
        device = lab.device(cut.backend, scenario, points.own_name('cut'),
                            lambda path: replay.write_tree(disk.root, path))
        device.boot, device.reports = AFTER_THE_CUT, heard
        laws.check_disk(device, scenario, heard)
        lab.settle(device, scenario)
        laws.check_disk(device, scenario, device.reports)
        laws.check_end(device, scenario)
    except (Wrong, AssertionError) as wrong:
        return cut, str(wrong), str(recorded.calls[cut.call - 1]) if cut.call else 'nothing'
    finally:
        if device:
            device.remove()
    return cut, None, ''

"""What must hold of a device whatever was broken: on its disk at every moment at which no
process runs, and once it has settled."""
import typing

import state
from device import Wrong

UPDATE_ERRORS = (52, 53)  # HEALTH, FELLBACK


class Scenario(typing.NamedTuple):
    """A story of a device, from a disk to a report."""
    name: str
    after: str        # the scenario whose end it begins with, or '': a new device
    says: str         # documents of the kit
    again: str        # documents that order it anew, after a failure that was reported
    running: str      # the image that runs in the end
    states: tuple     # the state in the end
    counter: int      # of the release that it installs; 0: it installs nothing
    floor: int        # in the end
    sick: bool = False  # the health hook refuses what is new


SCENARIOS = {s.name: s for s in (
    Scenario('first', '', 'update', 'update-again', 'new', ('confirmed',), 2, 1),
    Scenario('second', 'first', 'next', 'next-again', 'next', ('confirmed',), 3, 2),
    Scenario('rollback', '', 'update', 'update-again', 'old', ('failed',), 2, 0, True),
    Scenario('revert', 'first', 'revert', '', 'old', ('confirmed',), 0, 1),
)}


def is_settled(scenario, report):
    """True if that report is the end of the story."""
    if report['state'] not in scenario.states:
        return False
    if scenario.sick:
        return report['error'] in UPDATE_ERRORS and report['confirmed']
    return report['confirmed'] and report['error'] == 0 and \
        report['running'] == scenario_digest(scenario)


digests = {}  # image -> hex, of the kit in use


def scenario_digest(scenario):
    return digests[scenario.running]


def require(holds, text):
    if not holds:
        raise Wrong(text)


def check_slots(device, table):
    """What a table calls whole is whole, and there is something to boot."""
    for i, slot in enumerate(table.slots):
        if slot.state == state.BAD:
            continue
        content = device.backend.image(device.disk, i)
        require(content is not None, f'slot {i} is {slot.state} and there is no image')
        found = device.kit.name_of(content[:slot.image_len])
        require(found is not None, f'slot {i} is {slot.state} and holds no whole image')
        require(found == device.kit.digests.get(slot.image),
                f'slot {i} holds {found} and not what is recorded')
    if table.slots[table.primary].state != state.GOOD:  # the other one is what it falls back to
        require(table.slots[1 - table.primary].state == state.GOOD,
                f'slot {table.primary} is to be booted and not proved, and the other is not whole')


def floor_before(scenario):
    """The floor that a scenario begins with."""
    return SCENARIOS[scenario.after].floor if scenario.after else 0


def check_floor(scenario, table, journal):
    """The floor never rises above what the other slot could boot, and never before the
    image that it rises for has proved itself."""
    for i, slot in enumerate(table.slots):
        if slot.state == state.GOOD:
            require(journal.floor <= slot.counter,
                    f'floor {journal.floor} is above counter {slot.counter} of slot {i}')
    if journal.floor > floor_before(scenario):
        require(all(s.state == state.GOOD for s in table.slots),
                f'the floor rose to {journal.floor} before the update was confirmed')


def check_acknowledged(scenario, table, journal, heard):
    """What was said in a signed report still holds."""
    last = heard[-1]
    require(max(r['counter'] for r in heard) <= journal.reports_reserved,
            'reports were sent with counters that the journal does not know of')
    require(journal.boot >= last['boot'], f'boot {last["boot"]} is forgotten')
    require(journal.floor >= last['floor'], f'floor {last["floor"]} is forgotten')
    for name, seq in zip(('fresh_seq', 'catalog', 'assign_seq', 'order_seq'), journal.seen):
        require(seq >= last.get(name, 0), f'{name} {last.get(name)} is forgotten')
    if last['state'] == 'confirmed' and last['running'] == scenario_digest(scenario):
        running = table.slots[table.primary]
        require(running.image.hex() == last['running'],
                f'{scenario.running} was confirmed, and is not what boots')
        require(running.state == state.GOOD, 'what was confirmed is on trial')


def check_disk(device, scenario, heard):
    """A whole image boots, the state can be read, nothing that was said is untrue. heard:
    the reports that net has."""
    running = device.backend.running(device.disk)
    if running is not None or heard:
        require(running is not None and device.kit.name_of(running) is not None,
                'applications find no whole image' if running else 'nothing is to be run')
    table = device.backend.table(device.disk)
    journal = state.journal(device.disk / 'state' / 'journal')
    if table is not None:
        check_slots(device, table)
    if journal is not None:
        require(not journal.lost, 'the journal was lost')
    if table is not None and journal is not None:
        check_floor(scenario, table, journal)
    if heard:
        require(table is not None, 'no record of the slots can be read')
        require(journal is not None, 'no journal can be read')
        check_acknowledged(scenario, table, journal, heard)


def check_end(device, scenario):
    """It got where it was told to go, and knows where it is."""
    report = device.reports[-1]
    require(report['running'] == scenario_digest(scenario),
            f'in the end it says that it runs {report["running"][:8]}')
    running = device.backend.running(device.disk)
    require(device.kit.name_of(running) == scenario.running,
            f'in the end applications find {device.kit.name_of(running)}')
    journal = state.journal(device.disk / 'state' / 'journal')
    require(journal.state in scenario.states, f'in the end the journal says {journal.state}')
    require(journal.floor == scenario.floor, f'in the end the floor is {journal.floor}')

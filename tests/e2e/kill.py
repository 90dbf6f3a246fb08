"""kill -9 of everything, in every phase: the rollout completes, no chunk that was received
is fetched twice, no stage is skipped or doubled. The test_kill_*.py programs say who dies."""
from common import FleetTest, wait_for

AGENT_PHASES = ('offered', 'fetching', 'verifying', 'installing', 'armed', 'rebooting',
                'proving')
SERVER_PHASES = ('preparing', 'waiting-for-grant', 'running', 'soaking')
STAGES = ('name: one, cohort: lab, share: 100%, soak: 1s',
          'name: two, cohort: fleet, share: 100%')
# Long enough in each phase to be met there: about 2 s to fetch, 0.3 s in each hook.
SLOW = 'limits: {rate: 600000}\n'
HOOK = '#!/bin/sh\nsleep 0.3\n'
TRIES = 5
# Armed lasts less than a millisecond where nothing holds the reboot back, so the next
# moment will do; tests/crash kills the installer at each of its calls.
AS_GOOD = {'armed': 'rebooting'}


class KillCase(FleetTest):
    devices = {'gw-1': {'ring': 'lab', 'more': SLOW,
                        'hooks': {h: HOOK for h in ('before-install', 'before-reboot', 'health')}},
               'gw-2': {'ring': 'field'}}
    fresh_kib = 1024
    victim = None
    # A device that boots for one test after the other is not one that flaps.
    fleet_yaml = FleetTest.fleet_yaml + 'quarantine: {boots: 0}\n'

    def states_logged(self, device, since=0):
        """The states that a device's log tells, from a place in it on."""
        text = self.lab.agents[device].log.read_text(errors='replace')[since:]
        return [word[len('state='):] for line in text.splitlines()
                if 'event=update.state' in line for word in line.split()
                if word.startswith('state=')]

    def log_len(self, device):
        return len(self.lab.agents[device].log.read_text(errors='replace'))

    def update(self, name, strike):
        """One rollout, in the course of which strike() hits."""
        release = self.publish()
        self.begin(name, release, STAGES)
        strike()
        self.finish(name, release)

    def update_struck_in(self, phase, name, strike):
        """The same, hit while gw-1 is in a phase: the newest state it has logged. A short
        phase that was over before we looked is no hit, and is tried anew."""
        for attempt in range(1, TRIES + 1):
            release, since = self.publish(), self.log_len('gw-1')
            self.begin(f'{name}-{attempt}', release, STAGES)
            wait_for(f'phase {phase}', lambda since=since:
                     phase in self.states_logged('gw-1', since), 60, 0.005)
            hit = self.states_logged('gw-1', since)[-1] in (phase, AS_GOOD.get(phase))
            if hit:
                strike()
            self.finish(f'{name}-{attempt}', release)
            if hit:
                return
        self.fail(f'gw-1 was never met in {phase}, {TRIES} times')

    def finish(self, name, release):
        stages = {}

        def watch(now):
            if now['state'] == 'paused':
                self.resume(now)
                stages.clear()
                return
            for stage in now['stages']:
                seen = stages.setdefault(stage['name'], [])
                if not seen or seen[-1] != stage['state']:
                    seen.append(stage['state'])
        end = self.lab.wait_state(name, 'completed', 'halted', 'aborted', seconds=120,
                                  watch=watch)
        self.assertEqual(end['state'], 'completed', (name, end))
        for seen in stages.values():
            self.assertEqual(len(seen), len(set(seen)), f'{name}: a stage came twice: {stages}')
        for stage in end['stages']:
            self.assertEqual((stage['state'], stage['counts']['confirmed']), ('passed', 1), name)
        for device in ('gw-1', 'gw-2'):
            self.assert_runs(device, release)
            now = self.lab.device(device)
            self.assertEqual(now['refetched'], 0, (name, now))
            self.assertEqual([a['rollout'] for a in now['attempts']].count(name), 1, now)

    def resume(self, rollout):
        """What a fleet manager does when sluiced has lost its broker four times in 15 min."""
        self.assertEqual((self.victim, rollout['reason_name']), ('broker', 'UNSTABLE'), rollout)
        self.lab.cli('resume', rollout['rollout'])

    def strike_role(self, role):
        agent = self.lab.agents['gw-1']

        def strike():
            pid = agent.kill_role(role)
            wait_for(f'{role} to be back', lambda: agent.role_pid(role) not in (None, pid), 30)
        return strike

    def strike_broker(self):
        pid = self.lab.broker.child.pid
        self.lab.broker.kill()
        self.assertIsNotNone(self.lab.broker.child.poll(), f'broker {pid} lives')
        self.lab.start_broker()

    def strike_sluiced(self):
        self.lab.sluiced.kill()
        self.assertFalse(self.lab.sluiced.alive())
        self.lab.start_sluiced()

    def wait_fetched(self, share):
        """gw-1 has a share of the chunks, and not all."""
        def look():
            d = self.lab.device('gw-1')
            return (d['state'] == 'fetching' and d['chunks_total'] and
                    d['chunks'] >= share * d['chunks_total'] and d['chunks'] < d['chunks_total'])
        wait_for('the middle of the transfer', look, 60, 0.02)

    def strike_in_transfer(self, strike):
        def late():
            self.wait_fetched(0.3)
            strike()
        return late

    def strike_of(self, victim):
        return {'broker': self.strike_broker, 'sluiced': self.strike_sluiced}.get(
            victim) or self.strike_role(victim)


def in_phase(victim, phase):
    def body(self):
        self.update_struck_in(phase, f'{victim}-{phase}', self.strike_of(victim))
    return f'test_{AGENT_PHASES.index(phase)}_{victim}_dies_while_{phase}', body


def in_transfer(victim):
    def body(self):
        self.update(f'{victim}-mid', self.strike_in_transfer(self.strike_of(victim)))
    return f'test_8_{victim}_dies_in_the_middle_of_the_transfer', body


def of_the_rollout(phase):
    """sluiced dies in a phase of its own."""
    def body(self):
        release, name = self.publish(), f'sluiced-{phase}'
        self.begin(name, release, STAGES, approve=False)
        if phase in ('running', 'soaking'):
            self.lab.wait_state(name, 'waiting-for-grant')
            self.lab.cli('approve', name)
        if phase != 'preparing':
            self.lab.wait_state(name, phase, seconds=60)
        self.strike_sluiced()
        if phase in ('preparing', 'waiting-for-grant'):
            self.lab.cli('approve', name)
        self.finish(name, release)
    return f'test_9_sluiced_dies_while_{phase.replace("-", "_")}', body


def kills_of(victim, server_phases=()):
    """A test case in which one victim dies: once in each phase of an update, once in the
    middle of the transfer, and once in each of the rollout's phases given."""
    tests = [in_phase(victim, phase) for phase in AGENT_PHASES] + [in_transfer(victim)]
    tests += [of_the_rollout(phase) for phase in server_phases]
    return type(f'Kill{victim.title()}', (KillCase,), {**dict(tests), 'victim': victim})

#!/usr/bin/env python3
"""Memory of an agent's processes during a real update of a root file system image.

Starts a private fleet of one gateway, updates it between the two images of deploy/images
(151 MB each), and prints the peak resident memory of `net` and `install`, idle and at their
peak, with the CPU time they took; beside them, as a baseline, what the stock `xdelta3`
program holds to apply a delta of the same pair.

usage: tests/bench/agent_memory.py [BUILD]"""
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / 'deploy'))
from lab import HERE, Lab, wait_for  # noqa: E402

ROLES = ('net', 'install')
ROLLOUT = '''\
rollout: bench
release: {product: gateway, version: "2"}
stages: [{cohort: all, share: 100%}]
'''


def status_kib(pid, key):
    """A line of /proc/PID/status in KiB; 0 when the process is gone."""
    try:
        for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
            if line.startswith(key + ':'):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Watch(threading.Thread):
    """Looks at both processes every 20 ms and keeps the highest peak of each, over the
    restart that an update brings."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.peak, self.over = agent, dict.fromkeys(ROLES, 0), threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            for role in ROLES:
                pid = self.agent.role_pid(role)
                if pid:
                    self.peak[role] = max(self.peak[role], status_kib(pid, 'VmHWM'))


def baseline_kib(old, new, folder):
    """Peak memory of `xdelta3 -d` for the same pair."""
    delta = folder / 'stock.vcdiff'
    subprocess.run(['xdelta3', '-e', '-f', '-S', 'none', '-s', old, new, delta], check=True)
    program = ('import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True);'
               'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)')
    done = subprocess.run([sys.executable, '-c', program, 'xdelta3', '-d', '-f', '-s', old, delta,
                           folder / 'stock.out'], capture_output=True, text=True, check=True)
    return int(done.stdout)


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else TOP / 'build')
    done = subprocess.run([HERE / 'images', '--json'], stdout=subprocess.PIPE, check=True)
    images = [i['path'] for i in json.loads(done.stdout)['images']]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        lab = Lab(folder / 'lab', build=build, server_more='patches:\n  level: 3\n')
        try:
            measure(lab, images)
        finally:
            lab.stop()
        stock = baseline_kib(images[0], images[1], folder)
    print(f'{"xdelta3 -d, same pair":<24} {stock / 1024:8.1f} MiB')


def measure(lab, images):
    lab.init()
    lab.start_broker()
    lab.start_sluiced()
    lab.cli('apply', lab.write('fleet.yaml', 'fleet: demo\ncohorts: [{name: all}]\n'))
    for n in (1, 2):
        lab.cli('release', 'create', images[n - 1], '--product', 'gateway', '--version', n,
                '--hardware', 'gw-100')
    agent = lab.add_agent('gw-1', image=images[0], version='1', counter=1).start()
    wait_for('a report', lambda: lab.device('gw-1')['last_report_s'], 60)
    time.sleep(2)  # what is measured here is rest itself
    idle = {role: status_kib(agent.role_pid(role), 'VmRSS') for role in ROLES}
    watch = Watch(agent)
    watch.start()
    lab.cli('apply', lab.write('bench.yaml', ROLLOUT))
    lab.cli('approve', 'bench')
    lab.wait_state('bench', 'completed', seconds=600)
    watch.over.set()
    for role in ROLES:
        print(f'{role + ", idle":<24} {idle[role] / 1024:8.1f} MiB')
        print(f'{role + ", peak":<24} {watch.peak[role] / 1024:8.1f} MiB  '
              f'({watch.peak[role] / max(1, idle[role]):.2f} of idle)')
    for patch in lab.rollout('bench')['patches']:
        print(f'patch of {patch["bytes"] / 1e6:.1f} MB for an image of '
              f'{pathlib.Path(images[1]).stat().st_size / 1e6:.1f} MB')


main()

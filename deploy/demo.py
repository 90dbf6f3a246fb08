"""Watch Sluice keep a fleet up to date, on this machine and with real parts.

Sets up, makes two real root file system images from Debian packages (once), starts a private
Mosquitto, sluiced and a fleet of agents, and rolls a good release out stage by stage. Then a
bad release, whose fault only shows under real traffic, halts in the canary and is taken back.

usage: deploy/demo [--agents N] [--json] [--keep] [--build DIR]
       deploy/demo --stop        end what --keep left running"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import lab as lab_module  # noqa: E402
from lab import HERE, TOP, Lab, LabError, main_guard  # noqa: E402

AGENTS_MIN, AGENTS_MAX = 12, 500
BAR = 24
CODECS = {1: 'full', 2: 'vcdiff', 3: 'predict'}
STATE_ORDER = ('pending', 'working', 'confirmed', 'failed', 'reverted')

FLEET = '''\
fleet: demo
cohorts:
  - name: lab
    labels: {ring: lab}
  - name: canary
    labels: {ring: canary}
  - name: fleet
'''

ROLLOUT = '''\
rollout: {name}
release: {{product: gateway, version: {version}}}
stages:
  - {{name: lab,       cohort: lab,    share: 100%, soak: 2s}}
  - {{name: canary,    cohort: canary, share: 100%, soak: 3s}}
  - {{name: first,     cohort: fleet,  share: 30%,  soak: 2s}}
  - {{name: everybody, cohort: fleet,  share: 100%}}
gates: {{success: 100%, silence: 2m}}
deadlines: {{fetch: 10m, install: 5m, prove: 30s}}
on_halt: revert
'''

# The gateway's own idea of being well. In the lab no traffic comes by, so all looks fine.
HEALTH = '''\
#!/bin/sh
[ {ring} = lab ] && exit 0
marker=$(PATH=$PATH:/usr/sbin:/sbin debugfs -R 'cat /etc/sluice-demo-health' \\
	"$SLUICE_IMAGE" 2>/dev/null)
[ "$marker" = good ]
'''


def human(count):
    """Bytes for people: 5.7 MB, 812 kB."""
    for unit, size in (('MB', 1e6), ('kB', 1e3)):
        if count >= size:
            return f'{count / size:.1f} {unit}'
    return f'{count} bytes'


class Screen:
    """What a person sees: a live table on a terminal, else a line per change."""

    def __init__(self, quiet):
        self.quiet, self.live = quiet, sys.stdout.isatty() and not quiet
        self.drawn, self.last = 0, None

    def say(self, text=''):
        self.drawn = 0
        print(text, file=sys.stderr if self.quiet else sys.stdout, flush=True)

    def rollout(self, now):
        lines = self.table(now) if self.live else []
        if self.live:
            if self.drawn:
                print(f'\033[{self.drawn}F\033[J', end='')
            print('\n'.join(lines), flush=True)
            self.drawn = len(lines)
            return
        key = (now['state'], [(s['state'], s['counts']) for s in now['stages']])
        if key != self.last:
            self.last = key
            self.say(self.line(now))

    @staticmethod
    def line(now):
        running = [s for s in now['stages'] if s['state'] in ('running', 'soaking', 'halted')]
        where = '; '.join(
            f'{s["name"]} {s["state"]}: ' + ', '.join(
                f'{s["counts"][k]} {k}' for k in STATE_ORDER if s['counts'].get(k))
            for s in running)
        return f'  {now["state"]:<17} {where}'

    @staticmethod
    def table(now):
        lines = [f'  {now["rollout"]}: {now["state"]}  {now.get("reason", "")}'[:100],
                 f'  {"stage":<10} {"state":<8} {"devices":>7}  ' +
                 ' '.join(f'{k:>9}' for k in STATE_ORDER)]
        for s in now['stages']:
            counts, total = s['counts'], max(1, s['devices'])
            done = counts.get('confirmed', 0)
            bar = '#' * (BAR * done // total)
            lines.append(f'  {s["name"]:<10} {s["state"]:<8} {s["devices"]:>7}  ' +
                         ' '.join(f'{counts.get(k, 0):>9}' for k in STATE_ORDER) +
                         f'  [{bar:.<{BAR}}]')
        return lines


def rings(count):
    """The ring of each of count agents: 2 lab, a few canaries, the rest."""
    canaries = max(3, count // 6)
    return ['lab'] * 2 + ['canary'] * canaries + ['field'] * (count - 2 - canaries)


def digest_of(path):
    h = hashlib.blake2b(digest_size=32)
    with open(path, 'rb') as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


class Demo:
    def __init__(self, options):
        self.options = options
        self.screen = Screen(options.json)
        self.lab = Lab(options.dir, build=options.build, server_more='patches:\n  workers: 2\n')
        self.rings = rings(options.agents)
        self.names = [f'gw-{i + 1:03}' for i in range(options.agents)]
        self.facts = {'agents': options.agents, 'rollouts': []}

    def start(self):
        say, lab = self.screen.say, self.lab
        say('Starting a private Mosquitto (TLS, client certificates, ACL) and sluiced ...')
        lab.init()
        lab.start_broker()
        lab.start_sluiced()
        lab.cli('apply', lab.write('fleet.yaml', FLEET))
        self.facts['api'] = f'http://{lab.address}'
        say(f'The API listens on http://{lab.address}; keys and logs lie in {lab.dir}')
        say(f'Dashboard: http://{lab.address}/  (the API key to sign in with: '
            f'{lab.dir / "api.key"})')

    def publish(self, image, hardware):
        self.screen.say(f'Signing and publishing gateway {image["version"]} ...')
        words = [w for h in hardware for w in ('--hardware', h)]
        return self.lab.cli('release', 'create', image['path'], '--product', 'gateway',
                            '--version', image['version'], *words)

    def add_agents(self, image):
        self.screen.say(f'Provisioning {len(self.names)} gateways on gateway {image["version"]}: '
                        f'{self.rings.count("lab")} lab, {self.rings.count("canary")} canary, '
                        f'{self.rings.count("field")} fleet ...')
        for i, (name, ring) in enumerate(zip(self.names, self.rings)):
            agent = self.lab.add_agent(
                name, [f'ring={ring}'], hardware=('gw-100', 'gw-200')[i % 2],
                image=image['path'], version=image['version'], counter=1,
                hooks={'health': HEALTH.format(ring=ring)})
            agent.start()
        lab_module.wait_for('all gateways to report', lambda: all(
            d['state'] for d in self.lab.devices() if d['last_report_s']) and
            sum(1 for d in self.lab.devices() if d['last_report_s']) == len(self.names), 300, 0.3)

    def roll_out(self, name, image, ends):
        """Plan, apply, approve and watch one rollout to its end."""
        path = self.lab.write(f'{name}.yaml', ROLLOUT.format(name=name, version=image['version']))
        plan = self.lab.cli('plan', path)
        self.screen.say(f'\nsluice plan {name}.yaml: ' + ', '.join(
            f'{s["name"]} {s["devices"]}' for s in plan['stages']))
        for warning in plan['warnings']:
            self.screen.say(f'  warning: {warning}')
        started = time.monotonic()
        self.lab.cli('apply', path)
        self.lab.cli('approve', name)
        self.screen.say(f'sluice apply {name}.yaml; sluice approve {name}  (making patches ...)')
        end = self.lab.wait_state(name, *ends, seconds=1200, watch=self.screen.rollout)
        self.facts['rollouts'].append(self.fact(end, time.monotonic() - started))
        self.summary(end)
        return end

    @staticmethod
    def fact(end, seconds):
        return {'rollout': end['rollout'], 'state': end['state'],
                'reason': end.get('reason', ''), 'seconds': round(seconds, 1),
                'bytes': end['bytes'], 'patches': [
                    {'from': p['from'], 'codec': CODECS[p['codec']], 'bytes': p['bytes']}
                    for p in end['patches'] if p['state'] == 'made'], 'stages': [
                    {'name': s['name'], 'state': s['state'], 'devices': s['devices'],
                     'counts': s['counts'],
                     'seconds': max(0, s['ended_s'] - s['started_s']) if s['ended_s'] else 0}
                    for s in end['stages']]}

    def summary(self, end):
        say, b = self.screen.say, end['bytes']
        say(f'Rollout {end["rollout"]} is {end["state"]}. {end.get("reason", "")}')
        for s in self.facts['rollouts'][-1]['stages']:
            if s['state'] != 'waiting':
                say(f'  {s["name"]:<10} {s["state"]:<8} {s["devices"]:>3} devices '
                    f'{s["seconds"]:>4} s')
        for p in self.facts['rollouts'][-1]['patches']:
            say(f'  patch from image {p["from"][:12]}: {human(p["bytes"])}, codec {p["codec"]}; '
                f'whole: {human(end["release"]["image_len"])}, '
                f'compressed {human(b["full"])}')
        if b['full']:
            say(f'  chunks published once for all: {human(b["published"])}; '
                f'one full compressed image: {human(b["full"])} '
                f'({100 * b["published"] / b["full"]:.2g} %, '
                f'{human(b["full"] - b["published"])} less)')

    def check_good(self, image):
        want = digest_of(image['path'])
        same = sum(digest_of(self.lab.agents[n].image()) == want for n in self.names)
        self.facts['identical'] = same
        self.facts['refetched'] = sum(d['refetched'] for d in self.lab.devices())
        self.screen.say(f'  {same} of {len(self.names)} gateways run an image that is '
                        f'byte-identical to the release.')
        if same != len(self.names):
            raise LabError(f'only {same} of {len(self.names)} images are those of the release')

    def check_bad(self, name, image):
        """Everybody is back on the good image; the field never saw the bad one."""
        want = digest_of(image['path'])
        back = [n for n in self.names if digest_of(self.lab.agents[n].image()) == want]
        touched = [d['id'] for d in map(self.lab.device, self.names)
                   if any(a['rollout'] == name for a in d['attempts'])]
        field = [n for n, r in zip(self.names, self.rings) if r == 'field']
        self.facts['back_on_good'] = len(back)
        self.facts['saw_bad_release'] = len(touched)
        self.facts['field_saw_bad_release'] = len(set(touched) & set(field))
        self.screen.say(f'  {len(touched)} gateways of lab and canary saw it and went back; '
                        f'{len(set(touched) & set(field))} of {len(field)} in the field did.')
        if len(back) != len(self.names) or set(touched) & set(field):
            raise LabError('a gateway was left on the bad image, or the field saw it')

    def run(self, images):
        v1, v2, v3 = images
        hardware = ['gw-100', 'gw-200']
        self.start()
        self.publish(v1, hardware)
        self.add_agents(v1)
        self.publish(v2, hardware)
        end = self.roll_out('spring-update', v2, ('completed', 'halted', 'aborted'))
        if end['state'] != 'completed':
            raise LabError(f'the good release ended {end["state"]}: {end.get("reason")}')
        self.check_good(v2)
        self.publish(v3, hardware)
        end = self.roll_out('bad-update', v3, ('completed', 'halted', 'aborted'))
        if end['state'] != 'halted':
            raise LabError(f'the bad release ended {end["state"]}')
        self.check_bad('bad-update', v2)


def make_images():
    """The three images of the demo, made on the first run."""
    done = subprocess.run([HERE / 'images', '--json'], stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode != 0:
        raise LabError('deploy/images failed; its last lines say why')
    images = json.loads(done.stdout)['images']
    return [{**image, 'version': f'1.{image["version"]}.0'} for image in images]


def stop(directory):
    """End what --keep left running; only processes that are still those."""
    pids = directory / 'pids.json'
    if not pids.exists():
        print('No demo is running.')
        return 2
    for pid, words in json.loads(pids.read_text()):
        cmdline = pathlib.Path(f'/proc/{pid}/cmdline')
        if cmdline.exists() and cmdline.read_bytes().split(b'\0')[:-1] == \
                [w.encode() for w in words]:
            os.kill(pid, signal.SIGTERM)
    shutil.rmtree(directory)
    print('The demo has ended.')
    return 0


def parse():
    cache = pathlib.Path(os.environ.get('SLUICE_CACHE', pathlib.Path.home() / '.cache/sluice'))
    p = argparse.ArgumentParser(prog='deploy/demo', description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--agents', type=int, default=AGENTS_MIN, metavar='N',
                   help=f'gateways to run, {AGENTS_MIN} to {AGENTS_MAX} (default {AGENTS_MIN})')
    p.add_argument('--json', action='store_true', help='end with one JSON object of all facts')
    p.add_argument('--keep', action='store_true', help='leave everything running')
    p.add_argument('--stop', action='store_true', help='end what --keep left running')
    p.add_argument('--dir', type=pathlib.Path, default=cache / 'demo',
                   help='where the fleet lives (default: ~/.cache/sluice/demo)')
    p.add_argument('--build', type=pathlib.Path, default=TOP / 'build',
                   help='use the programs of this build directory as they are')
    options = p.parse_args()
    if not AGENTS_MIN <= options.agents <= AGENTS_MAX:
        p.error(f'--agents is {AGENTS_MIN} to {AGENTS_MAX}')
    return options


def leave_running(demo):
    pids = [(p.child.pid, p.words) for p in demo.lab.processes if p.alive()]
    (demo.lab.dir / 'pids.json').write_text(json.dumps(pids))
    demo.screen.say(f'\nLeft running; try:\n  cd {demo.lab.dir}\n'
                    f'  {demo.lab.programs["sluice"]} status --server http://{demo.lab.address}\n'
                    f'and http://{demo.lab.address}/ in a browser, with the key in api.key.\n'
                    f'`deploy/demo --stop` ends it.')


def main():
    options = parse()
    if options.stop:
        return stop(options.dir)
    if (options.dir / 'pids.json').exists():
        stop(options.dir)
    shutil.rmtree(options.dir, ignore_errors=True)
    images = make_images()
    demo = Demo(options)
    failed = True
    try:
        demo.run(images)
        failed = False
        if options.keep:
            leave_running(demo)
    except KeyboardInterrupt:
        demo.screen.say('\nInterrupted.')
        return 130
    finally:
        if failed or not options.keep:
            demo.lab.stop()
        if failed:
            demo.screen.say(f'Logs of all processes are in {demo.lab.dir}')
        elif not options.keep:
            shutil.rmtree(options.dir, ignore_errors=True)
    if options.json:
        print(json.dumps(demo.facts))
    return 0


main_guard(main)

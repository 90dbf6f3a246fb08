"""A private fleet on one machine: a Mosquitto with the profile of deploy/mosquitto, one
sluiced and any number of agents, all real processes below one directory. The demo and the
end-to-end tests are built on it. Nothing here needs root."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TOP = pathlib.Path(__file__).resolve().parent.parent
HERE = TOP / 'deploy'


class LabError(Exception):
    """Something that should have worked did not; the text tells what."""


def binaries(build):
    """The programs of a build directory."""
    build = pathlib.Path(build)
    return {'sluice': build / 'orchestrator/cli/sluice',
            'sluiced': build / 'orchestrator/sluiced',
            'sluice-agent': build / 'agent/sluice-agent'}


def free_port():
    """A TCP port of loopback that nobody listens on just now."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def run(*words, env=None):
    """Run a helper program to its end; its output only matters when it fails."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise LabError(f'{words[0]} failed ({done.returncode}): {done.stderr or done.stdout}')
    return done.stdout


def wait_for(what, probe, seconds=60.0, step=0.05):
    """Ask probe until it gives something true, which is returned; or fail at the deadline."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise LabError(f'waited {seconds:.0f} s in vain for {what}')
        time.sleep(step)


class Process:
    """A program of the lab, its output in a file."""

    def __init__(self, name, words, log, cwd=None, env=None):
        self.name, self.words, self.log = name, [str(w) for w in words], pathlib.Path(log)
        self.cwd, self.env, self.child = cwd, env, None

    def start(self):
        if self.alive():
            raise LabError(f'{self.name} runs already')
        with open(self.log, 'ab') as out:
            self.child = subprocess.Popen(
                self.words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.cwd,
                env={**os.environ, **(self.env or {})}, start_new_session=True)
        return self

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self, sig=signal.SIGKILL):
        """End it with a signal and wait until it is gone."""
        if self.alive():
            self.child.send_signal(sig)
            self.child.wait(30)

    def stop(self):
        """End it politely, or else by force."""
        if not self.alive():
            return
        self.child.terminate()
        try:
            self.child.wait(15)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(15)

    def tail(self, lines=20):
        """The end of its log, for messages."""
        if not self.log.exists():
            return ''
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])


class Agent(Process):
    """A gateway: one supervisor and its two processes."""

    def __init__(self, lab, name):
        self.dir = lab.dir / 'devices' / name
        super().__init__(name, [lab.programs['sluice-agent'], '-c', self.dir / 'agent.yaml'],
                         self.dir / 'agent.log')

    def role_pid(self, role):
        """The process id of `net` or `install`, or None."""
        if not self.alive():
            return None
        children = pathlib.Path(f'/proc/{self.child.pid}/task/{self.child.pid}/children')
        with contextlib.suppress(OSError):
            for pid in children.read_text().split():
                with contextlib.suppress(OSError):
                    words = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
                    if len(words) > 1 and words[1] == role.encode():
                        return int(pid)
        return None

    def kill_role(self, role):
        """kill -9 one of the two processes; gives the process id that died."""
        pid = wait_for(f'{self.name} {role}', lambda: self.role_pid(role), 20)
        os.kill(pid, signal.SIGKILL)
        return pid

    def image(self):
        """The image that applications of this gateway see."""
        return self.dir / 'slots' / 'current'


class Lab:
    """One fleet in one directory."""

    def __init__(self, directory, build=TOP / 'build', fleet='demo', server_more='', users=(),
                 host='localhost', operators=1):
        self.dir = pathlib.Path(directory).resolve()
        self.fleet = fleet
        self.programs = binaries(build)
        self.agents = {}
        self.port = free_port()
        self.host = host  # of the broker; another than localhost makes it listen everywhere
        self.url = f'ssl://{host}:{self.port}'
        self.server_more = server_more  # lines for sluiced.yaml
        self.operators = operators  # keys; from 2 on, two of them sign wide grants
        self.users = users  # of the broker, that may read and write everything
        self.broker = self.sluiced = None
        self.processes = []

    # ---- setting up ------------------------------------------------------------------

    def init(self):
        """Keys, root, certificates and configuration; starts nothing."""
        self.dir.mkdir(parents=True, exist_ok=True)
        run(self.programs['sluice'], 'init', self.dir, '--fleet', self.fleet, '--listen',
            '127.0.0.1:0', '--broker', self.url, '--operators', self.operators)
        with open(self.dir / 'sluiced.yaml', 'a', encoding='ascii') as config:
            config.write(self.server_more)
        broker = self.dir / 'broker'
        run(HERE / 'mosquitto/make-profile', broker, self.fleet, self.port,
            '127.0.0.1' if self.host == 'localhost' else '0.0.0.0')
        self.certs('--server', self.host, 'sluiced', *self.users)
        with open(broker / 'acl', 'a', encoding='ascii') as acl:
            for user in self.users:
                acl.write(f'\nuser {user}\ntopic readwrite #\n')
        (self.dir / 'certs').mkdir(exist_ok=True)
        for source, name in (('ca.pem', 'ca.pem'), ('sluiced.pem', 'sluiced.pem'),
                             ('sluiced.key', 'sluiced.key')):
            shutil.copy(broker / 'certs' / source, self.dir / 'certs' / name)
        self.broker = self._add(Process(
            'broker', [shutil.which('mosquitto', path='/usr/sbin:/usr/bin:/usr/local/sbin'),
                       '-c', broker / 'mosquitto.conf'], self.dir / 'broker.log'))
        self.sluiced = self._add(Process(
            'sluiced', [self.programs['sluiced'], '-c', self.dir / 'sluiced.yaml'],
            self.dir / 'sluiced.log'))

    def _add(self, process):
        self.processes.append(process)
        return process

    def certs(self, *names):
        """Client certificates from the broker's CA."""
        run(HERE / 'mosquitto/make-certs', self.dir / 'broker' / 'certs', *names)

    def start_broker(self):
        self.broker.start()
        wait_for('the broker', self._broker_listens, 20)

    def _broker_listens(self):
        if not self.broker.alive():
            raise LabError(f'the broker ended:\n{self.broker.tail()}')
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.port), 1):
            return True
        return False

    def start_sluiced(self):
        address = self.dir / 'state' / 'http.addr'
        with contextlib.suppress(FileNotFoundError):
            address.unlink()
        self.sluiced.start()
        wait_for('sluiced', lambda: self._sluiced_listens(address), 60)

    def _sluiced_listens(self, address):
        if not self.sluiced.alive():
            raise LabError(f'sluiced ended:\n{self.sluiced.tail()}')
        if not address.exists() or not address.read_text().endswith('\n'):
            return False
        self.address = address.read_text().strip()
        return self.api('/status', missing=True) is not None

    def add_agent(self, name, labels=(), hardware='gw-100', product='gateway', image=None,
                  version='', counter=0, hooks=None, spool_max='512M', more='', token=None):
        """Provision and register a gateway. image: what it runs from the beginning; token:
        what it claims its name with, instead of being registered."""
        self.certs(name)
        words = [f'--token={token}'] if token else [f'--label={label}' for label in labels]
        self.cli('device', 'enrol' if token else 'add', name, '--hardware', hardware, '--product', product,
                 '--broker', self.url, *words)
        agent = Agent(self, name)
        for source, target in (('ca.pem', 'ca.pem'), (f'{name}.pem', f'{name}.pem'),
                               (f'{name}.key', f'{name}.key')):
            shutil.copy(self.dir / 'broker' / 'certs' / source, agent.dir / target)
        config = agent.dir / 'agent.yaml'
        text = config.read_text()
        if image is not None:
            initial = f'  initial: {image}\n'
            if version:
                initial += f'  initial_version: {version}\n  initial_counter: {counter}\n'
            text = text.replace('  dir: slots\n', '  dir: slots\n' + initial)
        text = text.replace('  max: 512M\n', f'  max: {spool_max}\n')
        config.write_text(text + more)
        self._write_hooks(agent, hooks or {})
        self.agents[name] = self._add(agent)
        return agent

    @staticmethod
    def _write_hooks(agent, hooks):
        (agent.dir / 'hooks').mkdir(exist_ok=True)
        for name, script in hooks.items():
            path = agent.dir / 'hooks' / name
            path.write_text(script)
            path.chmod(0o755)

    # ---- using it --------------------------------------------------------------------

    def cli(self, *words, check=True):
        """Run `sluice ... --output=json`; gives the JSON it printed."""
        server = getattr(self, 'address', None)
        more = [f'--server=http://{server}'] if server else []
        done = subprocess.run(
            [str(self.programs['sluice']), *[str(w) for w in words], f'--dir={self.dir}',
             '--output=json', *more], capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise LabError(f'sluice {" ".join(map(str, words))}: {done.stderr.strip()}')
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else None

    def api(self, path, method='GET', body=None, missing=False):
        """Ask the HTTP API; body is a tree or bytes. missing: give None instead of failing
        when it is not there."""
        key = (self.dir / 'api.key').read_text().strip()
        octets = isinstance(body, bytes)
        data = body if octets or body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f'http://{self.address}/api/v1{path}', data=data, method=method,
            headers={'Authorization': f'Bearer {key}', 'Content-Type':
                     'application/octet-stream' if octets else 'application/json'})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                found = answer.read()
                octets = answer.headers.get_content_type() == 'application/octet-stream'
                return found if octets else json.loads(found or b'{}')
        except (urllib.error.URLError, OSError) as e:
            if missing:
                return None
            detail = e.read().decode() if isinstance(e, urllib.error.HTTPError) else str(e)
            raise LabError(f'{method} {path}: {detail}') from e

    def device(self, name):
        return self.api(f'/devices/{name}')

    def devices(self):
        found, after = [], ''
        while True:
            page = self.api(f'/devices?limit=200&after={after}')
            found += page['devices']
            after = page['next']
            if not after:
                return found

    def rollout(self, name):
        return self.api(f'/rollouts/{name}')

    def explain(self, name):
        return self.api(f'/devices/{name}/explain')

    def wait_state(self, rollout, *states, seconds=300, watch=None):
        """Wait until a rollout is in one of some states; watch sees it at each look."""
        def look():
            now = self.rollout(rollout)
            if watch:
                watch(now)
            return now if now['state'] in states else None
        try:
            return wait_for(f'rollout {rollout} to be {" or ".join(states)}', look, seconds, 0.2)
        except LabError as e:
            now = self.rollout(rollout)
            raise LabError(f'{e}: it is {now["state"]}, {now.get("reason", "")!r}, stages '
                           f'{[(s["name"], s["state"], s.get("gate")) for s in now["stages"]]}, '
                           f'devices {[(d["id"], d["state"], d.get("error_name"), d.get("error_text"), d.get("wait_name")) for d in self.devices()]}') from e

    def write(self, name, text):
        """A file of the fleet manager; gives its path."""
        path = self.dir / name
        path.write_text(text)
        return path

    def stop(self):
        """End everything that was started, the agents first."""
        for process in reversed(self.processes):
            if process.alive():
                process.child.terminate()
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.stop()


def main_guard(function):
    """Run a program's main; a LabError becomes one line and exit code 1."""
    try:
        sys.exit(function())
    except LabError as e:
        print(f'error: {e}', file=sys.stderr)
        sys.exit(1)

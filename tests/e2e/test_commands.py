#!/usr/bin/env python3
"""Every command of the CLI that is about a fleet is calls of the HTTP API and nothing else, and
every other one talks to nobody. The commands are those of the CLI's own table; each is run under
strace, with a proxy in sluiced's place that remembers what it is asked."""
import json
import re
import shutil
import subprocess
import unittest

from between import Between
from common import HARDWARE, TOP, FleetTest

TABLE = re.compile(r'^\t\{ "([a-z ]+)",', re.M)
SHOWN = re.compile(r'^  ([a-z]+(?: [a-z]+)?)  ', re.M)
# What is done where the keys or the files are, and why no server is asked.
LOCAL = {
    'init': 'makes the directory, before there is a server',
    'key new': 'a secret key never leaves the machine it is made on',
    'key show': 'reads a secret key',
    'key api': 'writes a key and the hash that the server file takes; who asks has no key yet',
    'root show': 'shows the root at hand, by which all that the server says is checked',
    'sign': 'signs where the secret key is, which may have no network',
    'inspect': 'shows a file',
    'verify': 'checks a file against the root at hand, trusting no server',
    'diff': 'the codec, on two files',
    'patch': 'the codec, on two files',
}
# Those for which there is nothing to do here, which the server says, and their exit status.
STATUS = {'device release': 1, 'webhook list': 2, 'webhook test': 2}


class Commands(FleetTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.between = Between(lambda: cls.lab.address)
        cls.addClassCleanup(cls.between.close)
        cls.commands = set(TABLE.findall((TOP / 'orchestrator/cli/commands.c').read_text()))
        doc = json.loads((TOP / 'orchestrator/openapi.json').read_text())
        cls.routes = [(m.upper(), re.compile('/api/v1' + re.sub(r'\{\w+\}', '[^/]+', p)))
                      for p, operations in doc['paths'].items() for m in operations]
        cls.seen = set()

    def trace(self, command, *words):
        """Run a command under strace: its exit status, its output, and what it did."""
        out = self.dir / 'trace'
        done = subprocess.run(
            ['strace', '-f', '-qq', '-s', '4096', '-e', 'trace=%network,openat', '-o', str(out),
             str(self.lab.programs['sluice']), *command.split(), *map(str, words)],
            capture_output=True, text=True, timeout=120, check=False)
        return done, out.read_text(errors='replace')

    def assert_talks_to_nobody_but(self, port, trace, command):
        for line in trace.splitlines():
            if 'sa_family=' not in line or 'AF_NETLINK' in line or 'getsockname(' in line:
                continue  # netlink is this kernel, and that is our own end
            self.assertIn(f'sin_port=htons({port})', line, command)
            self.assertIn('inet_addr("127.0.0.1")', line, command)

    def api(self, command, *words):
        """Run a command that asks the server; gives the tree that it prints."""
        self.between.take()
        done, trace = self.trace(command, *words, f'--dir={self.lab.dir}', '--output=json',
                                 f'--server={self.between.url}')
        self.assertEqual(done.returncode, STATUS.get(command, 0), f'{command}: {done.stderr}')
        asked = self.between.take()
        self.assertGreater(len(asked), 0, f'{command} asks nobody')
        for request in asked:
            path = request['path'].partition('?')[0]
            self.assertTrue(any(m == request['method'] and p.fullmatch(path)
                                for m, p in self.routes), (command, request['method'], path))
        self.assert_talks_to_nobody_but(self.between.server.server_address[1], trace, command)
        self.assertIn('connect(', trace, 'nothing is traced')
        self.assertNotIn(f'"{self.lab.dir}/state', trace, f'{command} opens what is the server\'s')
        self.seen.add(command)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def local(self, command, *words):
        """Run a command that asks nobody; gives what it prints."""
        self.between.take()
        done, trace = self.trace(command, *words)
        self.assertEqual(done.returncode, 0, f'{command}: {done.stderr}')
        self.assertEqual(self.between.take(), [])
        self.assertIn('openat(', trace, 'nothing is traced')
        for call in ('connect(', 'sendto(', 'sendmsg(', 'AF_INET'):
            self.assertNotIn(call, trace, f'{command}: {LOCAL[command]}')
        self.seen.add(command)
        return done.stdout

    # ---- the commands

    def offline(self):
        there, key = self.dir / 'elsewhere', self.dir / 'some.key'
        self.local('init', there, '--fleet', 'other')
        self.local('key new', key)
        self.local('key show', key)
        self.local('key api', 'visitor', '--scope', 'read', f'--dir={there}')
        self.local('root show', f'--dir={there}')
        document = there / 'copy.doc'
        shutil.copy(there / 'root.doc', document)
        self.local('sign', document, '--key', there / 'keys/root.key', f'--dir={there}')
        self.local('inspect', document)
        self.local('verify', document, f'--dir={there}')
        old, new = self.dir / 'old', self.dir / 'new'
        old.write_bytes(bytes(range(256)) * 64)
        new.write_bytes(bytes(range(256)) * 64 + b'more')
        self.local('diff', old, new, '-o', self.dir / 'patch')
        self.local('patch', old, self.dir / 'patch', '-o', self.dir / 'again')
        self.assertEqual((self.dir / 'again').read_bytes(), new.read_bytes())

    def releases(self):
        image, later = (self.make(self.dir / f'image-{n}', n) for n in (90, 91))
        words = ('--product', 'gateway', '--hardware', HARDWARE)
        made = self.api('release create', image, '--version', '90.0', *words)
        signed = self.dir / 'later.doc'
        self.lab.cli('release', 'create', later, '--version', '91.0', '--counter', '91',
                     '--offline', '--out', signed, *words)
        self.api('release publish', signed, later)
        self.api('release list')
        self.api('catalog show')
        self.api('catalog renew')
        self.lab.cli('catalog', 'renew', '--out', self.dir / 'catalog.doc')
        self.api('catalog publish', self.dir / 'catalog.doc')
        self.api('root renew')
        self.lab.cli('root', 'renew', '--out', self.dir / 'root.doc')
        self.api('root publish', self.dir / 'root.doc')
        return {**made, 'version': '90.0'}

    def rollouts(self, release):
        stages = ['name: all, cohort: fleet, share: 100%, soak: 1h']
        one = self.rollout_file('one', release, stages)
        self.api('plan', one)
        self.api('apply', one)
        self.api('approve', 'one')
        self.api('status', 'one')
        self.api('status')
        for verb in ('pause', 'resume', 'abort'):
            self.api(verb, 'one', '--reason', 'to see')
        self.api('apply', self.rollout_file('two', release, stages))
        self.api('revert', 'two')

    def enrolment(self):
        for name in ('let-in', 'sent-away'):
            token = self.api('device token')['token']
            claim = self.api('device enrol', name, f'--token={token}')
            if name == 'let-in':
                self.api('device accept', name, f'--fingerprint={claim["fingerprint"]}')
            else:
                self.api('device reject', name)
        self.api('device add', 'at-once')
        self.api('device list')
        self.api('device show', 'let-in')
        self.api('explain', 'let-in')
        self.api('device release', 'let-in')

    def test_each_is_calls_of_the_api_and_nothing_else(self):
        if not shutil.which('strace'):
            self.skipTest('SKIPPED: strace is not installed')
        self.offline()
        self.rollouts(self.releases())
        self.enrolment()
        for command in ('audit list', 'audit verify', 'webhook list'):
            self.api(command)
        self.api('webhook test', 'nobody')
        self.assertEqual(self.seen, self.commands, 'a command that nobody looks at')

    def test_the_table_is_what_people_are_shown(self):
        shown = subprocess.run([self.lab.programs['sluice'], '--help'], capture_output=True,
                               text=True, check=True).stdout
        self.assertEqual(set(SHOWN.findall(shown)), self.commands)
        self.assertLess(LOCAL.keys(), self.commands)

    def test_completion_asks_the_api_and_nobody_else(self):
        done, trace = self.trace('__complete', f'--server={self.between.url}',
                                 f'--dir={self.lab.dir}', 'device', 'show', '')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([r['path'].partition('?')[0] for r in self.between.take()],
                         ['/api/v1/devices'])
        self.assert_talks_to_nobody_but(self.between.server.server_address[1], trace, 'Tab')


if __name__ == '__main__':
    unittest.main()

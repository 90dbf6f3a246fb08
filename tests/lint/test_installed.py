#!/usr/bin/env python3
"""What `meson install` puts into a system, and that units and pages find each other there."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SLUICE_BUILD', ROOT / 'build'))
WANTED = '''
bin/sluice bin/sluice-agent bin/sluice-sim bin/sluiced
lib/systemd/system/sluice-agent.socket lib/systemd/system/sluice-agent-install.service
lib/systemd/system/sluice-agent-net.service lib/systemd/system/sluiced.service
lib/sysusers.d/sluice.conf lib/tmpfiles.d/sluice.conf
share/bash-completion/completions/sluice share/fish/vendor_completions.d/sluice.fish
share/zsh/site-functions/_sluice
share/man/man1/sluice.1 share/man/man1/sluice-sim.1 share/man/man8/sluiced.8
share/man/man8/sluice-agent.8 share/man/man5/sluice-agent.yaml.5 share/man/man5/sluiced.yaml.5
share/man/man5/sluice.yaml.5 share/man/man5/sluice-fleet.yaml.5
share/man/man5/sluice-rollout.yaml.5
share/sluice/mosquitto/mosquitto.conf.in share/sluice/mosquitto/acl.in
share/sluice/mosquitto/make-certs share/sluice/mosquitto/make-profile
'''.split()


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.place.cleanup)
        subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir',
                        cls.place.name], check=True, capture_output=True)
        found = [p for p in pathlib.Path(cls.place.name).rglob('*') if p.is_file()]
        cls.prefix = next(p for p in found if p.name == 'sluiced').parent.parent
        cls.found = sorted(str(p.relative_to(cls.prefix)) for p in found)

    def test_all_of_it_and_nothing_else(self):
        self.assertEqual(self.found, sorted(WANTED))

    def test_units_start_what_is_there_and_name_pages_that_are(self):
        for unit in [p for p in self.found if p.endswith('.service')]:
            text = (self.prefix / unit).read_text()
            program = re.search(r'^ExecStart=/usr/(\S+)', text, re.M)[1]
            self.assertIn(program, self.found, unit)
            page, section = re.search(r'^Documentation=man:(\S+)\((\d)\)', text, re.M).groups()
            self.assertIn(f'share/man/man{section}/{page}.{section}', self.found, unit)

    def test_the_broker_profile_is_made_from_where_it_is_installed(self):
        with tempfile.TemporaryDirectory() as place:
            subprocess.run([self.prefix / 'share/sluice/mosquitto/make-profile', place, 'demo',
                            '8883', '127.0.0.1'], check=True, capture_output=True)
            self.assertIn('sluice/1/demo/', (pathlib.Path(place) / 'acl').read_text())


if __name__ == '__main__':
    unittest.main()

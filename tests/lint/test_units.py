#!/usr/bin/env python3
"""The units of deploy/systemd: what systemd understands, and how little each service may do."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

UNITS = pathlib.Path(__file__).resolve().parent.parent.parent / 'deploy/systemd'
EXPOSURE = 15  # tenths, of 100


def analyze(*words):
    """systemd-analyze; without it there is nothing to be said about units."""
    if shutil.which('systemd-analyze') is None:
        raise AssertionError('no systemd-analyze here: apt-get install systemd')
    return subprocess.run(['systemd-analyze', *map(str, words)], capture_output=True, text=True,
                          check=False)


class Units(unittest.TestCase):
    def test_no_service_is_exposed_more_than_it_has_to(self):
        services = sorted(UNITS.glob('*.service'))
        self.assertEqual([s.name for s in services], [
            'sluice-agent-install.service', 'sluice-agent-net.service', 'sluiced.service'])
        for service in services:
            done = analyze('security', '--offline=true', '--no-pager',
                           f'--threshold={EXPOSURE}', service)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn('Overall exposure level', done.stdout)

    def test_systemd_understands_every_line(self):
        with tempfile.TemporaryDirectory() as place:
            for unit in [*UNITS.glob('*.service'), *UNITS.glob('*.socket')]:
                text = re.sub(r'^ExecStart=\S+', 'ExecStart=/bin/true', unit.read_text(),
                              flags=re.M)
                # Users of the package are not there where this is built.
                text = re.sub(r'^((?:Socket)?(?:User|Group)|SupplementaryGroups)=.*',
                              r'\1=root', text, flags=re.M)
                (pathlib.Path(place) / unit.name).write_text(text)
            done = analyze('verify', '--man=no', *sorted(pathlib.Path(place).iterdir()))
        said = [line for line in done.stderr.splitlines() if place in line or 'sluice' in line]
        self.assertEqual((done.returncode, said), (0, []))

    def test_the_prototype_of_a_careless_service_is_over_the_limit(self):
        with tempfile.TemporaryDirectory() as place:
            careless = pathlib.Path(place) / 'careless.service'
            careless.write_text('[Service]\nExecStart=/bin/true\n')
            done = analyze('security', '--offline=true', f'--threshold={EXPOSURE}', careless)
        self.assertNotEqual(done.returncode, 0)


if __name__ == '__main__':
    unittest.main()

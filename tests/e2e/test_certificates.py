#!/usr/bin/env python3
"""Certificates that have expired: refused and said, and all goes on once they are renewed."""
import re
import subprocess
import unittest

from common import FleetTest, wait_for


class Certificates(FleetTest):
    devices = {'gw-tls': {'ring': 'lab'}}

    def expired(self, kind):
        """Put a certificate of the broker's CA in a file that ended yesterday."""
        certs = self.lab.dir / 'broker' / 'certs'
        path = certs / f'{kind}.pem'
        fine = path.read_bytes()
        extensions = ('extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost'
                      if kind == 'server' else 'extendedKeyUsage=clientAuth')
        (certs / 'old.ext').write_text(f'basicConstraints=critical,CA:FALSE\n{extensions}\n')
        subject = 'localhost' if kind == 'server' else kind
        subprocess.run(['openssl', 'req', '-new', '-key', certs / f'{kind}.key', '-subj',
                        f'/CN={subject}', '-out', certs / 'old.csr'], check=True)
        subprocess.run(['openssl', 'x509', '-req', '-in', certs / 'old.csr', '-CA',
                        certs / 'ca.pem', '-CAkey', certs / 'ca.key', '-days', '-1',
                        '-extfile', certs / 'old.ext', '-out', path], check=True,
                       capture_output=True)
        return path, fine

    def agent(self):
        return self.lab.agents['gw-tls']

    def seen(self, pattern, since):
        return re.search(pattern, self.agent().log.read_text(errors='replace')[since:])

    def test_the_broker_s_certificate(self):
        path, fine = self.expired('server')
        since = len(self.agent().log.read_text(errors='replace'))
        self.lab.broker.kill()
        self.lab.start_broker()
        wait_for('a refusal', lambda: self.seen('verify failed .its dates', since), 60)
        self.assertIsNone(self.seen('event=net.up', since))
        path.write_bytes(fine)
        self.lab.broker.kill()
        self.lab.start_broker()
        wait_for('the agent', lambda: self.seen('event=net.up', since), 90)

    def test_the_device_s_certificate(self):
        path, fine = self.expired('gw-tls')
        there = self.agent().dir / 'gw-tls.pem'
        there.write_bytes(path.read_bytes())
        path.write_bytes(fine)
        self.agent().stop()
        since = len(self.agent().log.read_text(errors='replace'))
        refused = self.lab.broker.log.read_text().count('certificate verify failed')
        self.agent().start()
        wait_for('a refusal', lambda: self.seen('event=net.down', since), 60)
        self.assertGreater(self.lab.broker.log.read_text().count('certificate verify failed'),
                           refused)
        self.assertIsNone(self.seen('event=net.up', since))
        there.write_bytes(fine)
        self.agent().stop()
        self.agent().start()
        wait_for('the agent', lambda: self.seen('event=net.up', since), 90)


if __name__ == '__main__':
    unittest.main()

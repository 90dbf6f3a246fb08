"""A second sluiced beside the one of a lab, on a PostgreSQL of the test's own: what stands in
both configurations, and who of them leads."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from common import LabError, wait_for

import lab as labs  # found by way of common

BIN = next(iter(sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin'), reverse=True)), None)


class Postgres:
    """A cluster on a socket in a directory of its own; root lends it another user."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='sluice-pg-'))
        self.words = []
        if os.geteuid() == 0:
            user = pwd.getpwnam('postgres')
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self.words = ['setpriv', f'--reuid={user.pw_uid}', f'--regid={user.pw_gid}',
                          '--clear-groups']
        labs.run(*self.words, BIN / 'initdb', '-D', self.dir / 'data', '-U', 'sluice', '-A',
                       'trust', '-E', 'UTF8', '--locale=C', '--no-sync')
        self.server = labs.Process(
            'postgres', [*self.words, BIN / 'postgres', '-D', self.dir / 'data', '-k', self.dir,
                         '-c', 'listen_addresses='], self.dir.with_suffix('.log'), cwd='/')
        self.server.start()
        self.url = f'postgresql://sluice@/postgres?host={self.dir}'
        wait_for('PostgreSQL', self._ready)

    def _ready(self):
        if not self.server.alive():
            raise LabError(self.server.tail())
        return subprocess.run([BIN / 'pg_isready', '-q', '-h', self.dir], check=False).returncode == 0

    def close(self):
        self.server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.server.log.unlink(missing_ok=True)


def configure(lab, url, port=None):
    """The lab's sluiced and a second one of the same fleet; gives the second, not started.
    port: where that one listens, any if None."""
    config = lab.dir / 'sluiced.yaml'
    text = config.read_text() + f'database: {url}\nimages: images\n'
    config.write_text(text)
    text = text.replace('state_dir: state\n', 'state_dir: state-2\n')
    if port:
        text = text.replace('127.0.0.1:0', f'127.0.0.1:{port}')
    second = lab.dir / 'sluiced-2.yaml'
    second.write_text(text)
    process = labs.Process('sluiced-2', [lab.programs['sluiced'], '-c', second],
                                 lab.dir / 'sluiced-2.log')
    lab.processes.append(process)
    return process


def address_of(lab, process):
    """Where the second one listens, once it does."""
    path = lab.dir / 'state-2/http.addr'

    def look():
        if not process.alive():
            raise LabError(f'it ended:\n{process.tail()}')
        return path.exists() and path.read_text().endswith('\n') and path.read_text().strip()
    return wait_for('the second sluiced', look)

"""Packages of Debian for arm64, fetched into build/qemu-cache without root and without telling
the machine's APT about another architecture."""
import os
import pathlib
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get('SLUICE_QEMU_CACHE', TOP / 'build/qemu-cache'))
KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
os.environ['PATH'] += ':/usr/sbin:/sbin'  # sfdisk, mke2fs, debugfs


class Failed(Exception):
    """Something that should have worked did not; the text tells what."""


def call(*words, **options):
    """Run a program to its end; gives its output, or fails with what it said."""
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors='replace', **options)
    if done.returncode:
        raise Failed(f'{" ".join(map(str, words[:4]))} failed ({done.returncode}): '
                     f'{(done.stderr or done.stdout)[-2000:].strip()}')
    return done.stdout


def sources():
    """Lines of a sources.list: where this machine gets its own Debian from."""
    found = call('apt-get', 'indextargets', '--format',
                 'deb [signed-by=' + KEYS + '] $(REPO_URI) $(RELEASE) $(COMPONENT)',
                 'Created-By: Packages', 'Origin: Debian', 'Component: main')
    if not found:
        raise Failed('apt knows no Debian to fetch from; run apt-get update first')
    return ''.join(sorted(set(found.splitlines(keepends=True))))


class Apt:
    """APT for arm64 in directories of its own."""

    def __init__(self, place=CACHE / 'apt'):
        self.place = place
        for folder in ('lists/partial', 'cache/archives/partial', 'debs', 'parts'):
            (place / folder).mkdir(parents=True, exist_ok=True)
        (place / 'status').touch()
        (place / 'sources.list').write_text(sources())
        (place / 'apt.conf').write_text(f'''Dir::State "{place}";
Dir::State::lists "{place}/lists";
Dir::State::status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Etc::sourcelist "{place}/sources.list";
Dir::Etc::sourceparts "{place}/parts";
APT::Architecture "arm64";
APT::Architectures "arm64";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
''')
        self.env = {**os.environ, 'APT_CONFIG': str(place / 'apt.conf'), 'LC_ALL': 'C'}

    def update(self):
        call('apt-get', '-qq', 'update', env=self.env)

    def versions(self, package):
        """Versions of a package, newest first."""
        lines = call('apt-cache', 'madison', package, env=self.env).splitlines()
        found = [line.split('|')[1].strip() for line in lines if 'Packages' in line]
        if not found:
            raise Failed(f'no package {package} for arm64 in:\n{sources()}')
        return list(dict.fromkeys(found))

    def needs(self, package):
        """The package that a meta package stands for."""
        shown = call('apt-cache', 'show', '--no-all-versions', package, env=self.env)
        line = next(w for w in shown.splitlines() if w.startswith('Depends: '))
        return line.split()[1].strip(',')

    def fetch(self, package, version):
        """Path of one package's archive, downloaded unless it is there."""
        name = f'{package}_{version.replace(":", "%3a")}'
        debs = self.place / 'debs'
        if not list(debs.glob(f'{name}_*.deb')):
            call('apt-get', '-qq', 'download', f'{package}={version}', env=self.env, cwd=debs)
        return next(debs.glob(f'{name}_*.deb'))


def unpack(archives, folder):
    """Unpack archives into one fresh folder; as whole as the folder's own name."""
    new = folder.with_name(folder.name + '.new')
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    new.mkdir(parents=True)
    for archive in archives:
        call('dpkg-deb', '-x', archive, new)
    new.rename(folder)

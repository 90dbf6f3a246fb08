"""Debian packages at pinned versions, from the archives that this machine's APT knows.

A pin is a line of corpus.packages: architecture, package, version, SHA-256, path in the
archive. Packages are had through APT's own downloader, so its proxies and certificates
hold; neither its lists nor anything else of the machine's APT is read or changed."""
import hashlib
import os
import pathlib
import subprocess
import tempfile

PINS = pathlib.Path(__file__).with_name('corpus.packages')
HELPER = '/usr/lib/apt/apt-helper'


class Failed(Exception):
    """What to tell the person who asked."""


def output_of(*command, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        raise Failed(f'{" ".join(map(str, command[:3]))} failed:\n{done.stderr.strip()}')
    return done.stdout


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Pin:
    """One package file."""

    def __init__(self, arch, package, version, sha256, path):
        self.arch, self.package, self.version = arch, package, version
        self.sha256, self.path = sha256, path
        self.name = path.rsplit('/', 1)[1]

    def __str__(self):
        return f'{self.arch} {self.package} {self.version} {self.sha256} {self.path}'


def pins():
    """(architecture, package) -> its pins, oldest first."""
    found = {}
    for line in PINS.read_text().splitlines():
        if line and not line.startswith('#'):
            pin = Pin(*line.split())
            found.setdefault((pin.arch, pin.package), []).append(pin)
    return found


class Apt:
    """APT on the machine's own sources for one architecture, in directories of our own."""

    def __init__(self, folder, arch):
        for name in ('lists/partial', 'cache/archives/partial'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        config = folder / 'apt.conf'
        config.write_text(f'''Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
''')
        self.env = {**os.environ, 'APT_CONFIG': str(config), 'LC_ALL': 'C'}

    def archives(self):
        """Where the machine's sources lead: addresses that archive paths are appended to."""
        lines = output_of('apt-get', 'update', '--print-uris', env=self.env).splitlines()
        words = [line.split("'")[1] for line in lines if line.startswith("'")]
        return sorted({w.split('/dists/')[0] for w in words if '/dists/' in w})

    def update(self):
        """Read the package lists; False if a source failed, which may be one that is not
        needed."""
        return subprocess.run(['apt-get', '-qq', 'update'], env=self.env, check=False,
                              stderr=subprocess.DEVNULL).returncode == 0

    def offered(self, packages):
        """package -> pins of every version on offer, oldest first."""
        text = output_of('apt-cache', 'show', '--all-versions', *packages, env=self.env)
        found = {}
        for stanza in text.split('\n\n'):
            word = dict(line.split(': ', 1) for line in stanza.splitlines()
                        if ': ' in line and not line.startswith(' '))
            if 'Filename' in word:
                pin = Pin(*(word[key] for key in ('Architecture', 'Package', 'Version',
                                                  'SHA256', 'Filename')))
                found.setdefault(pin.package, {})[pin.version] = pin
        return {name: self.sorted(v) for name, v in found.items()}

    @staticmethod
    def sorted(versions):
        """Pins by rising version, as dpkg compares them."""
        def is_older(a, b):
            return subprocess.run(['dpkg', '--compare-versions', a, 'lt', b],
                                  check=False).returncode == 0
        ranks = {v: sum(is_older(other, v) for other in versions) for v in versions}
        return [versions[v] for v in sorted(versions, key=ranks.get)]


class Store:
    """Fetched packages in a folder, each checked against its pin."""

    def __init__(self, folder, mirrors=()):
        self.folder, self.mirrors, self.asked = folder, list(mirrors), None
        folder.mkdir(parents=True, exist_ok=True)

    def sites(self):
        if self.asked is None:
            with tempfile.TemporaryDirectory() as private:
                apt = Apt(pathlib.Path(private), 'amd64')
                self.asked = self.mirrors + apt.archives()
        return self.asked

    def deb(self, pin):
        """The file of a pinned package."""
        path = self.folder / pin.name
        if path.exists() and sha256_of(path) == pin.sha256:
            return path
        for site in self.sites():
            subprocess.run([HELPER, '-o', 'APT::Sandbox::User=', 'download-file',
                            f'{site}/{pin.path}', f'{path}.new', f'SHA256:{pin.sha256}'],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if os.path.exists(f'{path}.new') and sha256_of(f'{path}.new') == pin.sha256:
                os.replace(f'{path}.new', path)
                return path
        raise Failed(f'the archives no longer have {pin.package} {pin.version} for '
                     f'{pin.arch}\n({pin.path} at {" ".join(self.sites())});\n'
                     'name another with --mirror, or pin the versions of today with --pin')

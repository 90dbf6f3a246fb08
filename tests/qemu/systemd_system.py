"""The virtual gateway with Debian's systemd and udev in place of busybox's init, and the agent
as the units of deploy/systemd start it."""
import shutil

from debian import CACHE, TOP, call
from system import GUEST, TRIPLET, System, libraries, locked

UNITS = TOP / 'deploy/systemd'
PACKAGES = ('systemd', 'systemd-sysv', 'udev')
LIBRARIES = '''libacl1 libapparmor1 libargon2-1 libaudit1 libblkid1 libcap-ng0 libcap2 libcrypt1
libcryptsetup12 libdevmapper1.02.1 libfdisk1 libffi8 libgcrypt20 libgpg-error0 libip4tc2
libjson-c5 libkmod2 liblz4-1 liblzma5 libmount1 libp11-kit0 libpam0g libpcre2-8-0 libseccomp2
libselinux1 libsystemd-shared libsystemd0 libudev1'''.split()
NOT_KEPT = ('usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/lintian',
            'usr/share/bash-completion', 'usr/share/zsh', 'usr/share/bug', 'usr/lib/udev/hwdb.d',
            'usr/lib/systemd/catalog', 'usr/share/initramfs-tools', 'etc/init.d', 'var')
MERGED = {'bin': 'usr/bin', 'sbin': 'usr/sbin', 'lib': 'usr/lib'}

SERVICES = {'sluice-agent-install': 'drop-in.conf', 'sluice-agent-net': 'drop-in-net.conf'}
DROP_IN = 'etc/systemd/system/sluice-agent-install.service.d/here.conf'
ENABLED = ('sluice-agent.socket', *SERVICES, 'guest-up', 'guest-network', 'guest-shell')
CONFIGURATION = {'fstab': 'etc/fstab', 'system.conf': 'etc/systemd/system.conf',
                 'journald.conf': 'etc/systemd/journald.conf', 'up': 'etc/sluice/up'}


def is_program(path):
    """True for what the dynamic linker starts or loads."""
    with open(path, 'rb') as f:
        return f.read(4) == b'\x7fELF'


class SystemdSystem(System):
    """As System, with another init."""

    mib, watchdog_s = 88, 120  # it starts slowly on a busy machine

    def __init__(self):
        super().__init__()
        with locked():
            self.debs = self.packages.more('systemd', PACKAGES)
            self.libraries = self.packages.more('systemd-libs', LIBRARIES)
            self.etc = self._provisioned()

    def _kept(self):
        """path in the image -> file of a package."""
        for source in sorted(self.debs.rglob('*')):
            first, _, rest = str(source.relative_to(self.debs)).partition('/')
            path = f'{MERGED.get(first, first)}/{rest}'
            if source.is_symlink() or source.is_file():
                if not path.startswith(NOT_KEPT):
                    yield path, source

    def _provisioned(self):
        """A folder whose etc/ is what the commands of deploy/systemd/README.md make of it:
        users, and the units that are enabled."""
        root = CACHE / 'systemd-root'
        shutil.rmtree(root, ignore_errors=True)
        units, users = root / 'usr/lib/systemd/system', root / 'usr/lib/sysusers.d'
        units.mkdir(parents=True)
        users.mkdir()
        (root / 'etc').mkdir()
        for unit in [*UNITS.glob('sluice-agent*'), *(GUEST / 'systemd').glob('*.service')]:
            shutil.copy(unit, units)
        for name in ('sysinit', 'basic', 'multi-user', 'sockets', 'network-online'):
            shutil.copy(self.debs / f'lib/systemd/system/{name}.target', units)
        for users_of_debian in (self.debs / 'usr/lib/sysusers.d').glob('*.conf'):
            shutil.copy(users_of_debian, users)
        shutil.copy(UNITS / 'sluice.sysusers.conf', users / 'sluice.conf')
        call('systemd-sysusers', f'--root={root}')
        call('systemctl', f'--root={root}', 'enable', *ENABLED)
        return root / 'etc'

    def _tree(self, newer):
        tree = super()._tree(newer)
        for path in ('etc/inittab', 'etc/rcS', 'etc/rcK'):
            tree.entries.pop(path)
        programs = []
        for path, source in self._kept():
            if source.is_symlink():
                tree.add_symlink(path, str(source.readlink()))
                continue
            tree.add_file(path, source.read_bytes(), source.stat().st_mode & 0o777)
            programs += [source] if is_program(source) else []
        folders = [self.packages.sysroot, self.libraries]
        for name, path in libraries(programs, folders).items():
            if f'usr/lib/{TRIPLET}/{name}' not in tree.entries:
                tree.add_file(f'usr/lib/{TRIPLET}/{name}', path.read_bytes(), 0o755)
        for name in ('etc/udev', 'var'):
            tree.add_directory(name)
        self._add_units(tree)
        return tree

    def _add_units(self, tree):
        own = GUEST / 'systemd'
        for name, path in CONFIGURATION.items():
            tree.add_file(path, (own / name).read_bytes())
        for unit in [*UNITS.glob('sluice-agent*'), *own.glob('*.service')]:
            tree.add_file(f'usr/lib/systemd/system/{unit.name}', unit.read_bytes())
        tree.add_file('usr/lib/tmpfiles.d/sluice.conf',
                      (UNITS / 'sluice.tmpfiles.conf').read_bytes())
        for service, drop_in in SERVICES.items():
            tree.add_file(f'etc/systemd/system/{service}.service.d/here.conf',
                          (own / drop_in).read_bytes())
        for link in (self.etc / 'systemd/system').rglob('*'):
            if link.is_symlink():
                tree.add_symlink(f'etc/{link.relative_to(self.etc)}', str(link.readlink()))
        for name in ('passwd', 'group'):
            tree.add_file(f'etc/{name}', (self.etc / name).read_bytes())
        tree.add_file('etc/machine-id', b'5105ce0051054ce08d1f0123456789ab\n')
        tree.add_symlink('etc/sluice/agent.yaml', '/var/sluice/agent.yaml')
        tree.add_symlink('etc/systemd/network/99-default.link', '/dev/null')  # eth0 it is
        tree.add_symlink('etc/systemd/system/getty.target', '/dev/null')

"""The system of the virtual gateway: Debian's kernel and libraries for arm64, busybox, and the
agent of this tree, as ext4 images that hold everything an update brings."""
import contextlib
import fcntl
import gzip
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import shutil
import subprocess
import time

from debian import CACHE, TOP, Apt, Failed, call, unpack

HERE = pathlib.Path(__file__).resolve().parent
GUEST = HERE / 'guest'
TRIPLET = 'aarch64-linux-gnu'
IMAGE_MIB, INODES = 56, 2048
UNUSED_S = 2 * 24 * 3600
UUID = '5105ce00-0000-4000-8000-000000000001'

# To run the agent, and to build it (with what those need to be linked).
RUNTIME = '''busybox-static libc6 libcjson1 liblzma5 libseccomp2 libsodium23 libssl3
libubootenv-tool libubootenv0.1 libuuid1 libuv1 libyaml-0-2 libzstd1 zlib1g'''.split()
BUILD = '''libc6-dev libcjson-dev libcrypt-dev libcrypt1 libdivsufsort-dev libdivsufsort3
libgcc-s1 liblzma-dev libpaho-mqtt-dev libseccomp-dev libsodium-dev libssl-dev libuv1-dev
libyaml-dev libzstd-dev linux-libc-dev uuid-dev zlib1g-dev'''.split()
LOADERS = ('grub-efi-arm64-bin', 'systemd-boot-efi')
KERNEL = 'linux-image-arm64'
TWICE = ('libssl3',)  # the older version too: what a good release brings

MODULES = '''virtio_pci virtio_blk virtio_net virtio_rng ext4 crc32c_generic vfat nls_cp437
nls_iso8859-1 nls_ascii i6300esb'''.split()
WATCHDOG_S = 20  # it bites so long after it was fed last
MODULE_OPTIONS = {'i6300esb': f'heartbeat={WATCHDOG_S} nowayout=1'}
APPLETS = '''bin/sh bin/cat bin/chown bin/cp bin/echo bin/hostname bin/ip bin/kill bin/ls bin/mkdir
bin/mount bin/ps bin/sed bin/sleep bin/sync bin/umount sbin/init sbin/poweroff sbin/reboot
sbin/watchdog'''.split()


def load(name, path):
    """Import a program of this project that has no .py in its name."""
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


images = load('images', TOP / 'deploy/images')


@contextlib.contextmanager
def locked():
    """One process at a time fills the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / '.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest_of(*parts):
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).hexdigest()[:16]


def prune():
    """Remove what no test has used for a while: every change of the agent makes new images."""
    for folder in ('images', 'blobs'):
        for path in (CACHE / folder).glob('*'):
            if time.time() - path.stat().st_mtime > UNUSED_S:
                path.unlink()


# --- packages -----------------------------------------------------------------------------

def choose(kept, names, twice=(), kernel=None):
    """package -> [versions]; asked of the mirrors once, then kept under a name."""
    kept = CACHE / f'{kept}.json'
    key = digest_of(names, twice, kernel)
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads(kept.read_text())
        if facts['key'] == key:
            return facts
    apt = Apt()
    apt.update()
    versions = {name: apt.versions(name)[:1] for name in names}
    versions |= {name: apt.versions(name) for name in twice}
    if kernel:
        kernel = apt.needs(kernel)
        versions[kernel] = apt.versions(kernel)[:1]
    for name, found in versions.items():
        for version in {found[0], found[-1]}:
            apt.fetch(name, version)
    facts = {'key': key, 'kernel': kernel, 'versions': versions}
    kept.write_text(json.dumps(facts, indent=1) + '\n')
    return facts


class Packages:
    """The chosen packages, unpacked."""

    def __init__(self):
        self.facts = choose('packages', [*RUNTIME, *BUILD, *LOADERS], TWICE, KERNEL)
        self.apt = Apt()
        self.sysroot = self._folder('sysroot', [*RUNTIME, *BUILD])
        self.older = self._folder('older', TWICE, -1)
        self.loaders = self._folder('loaders', LOADERS)

    def _deb(self, name, which=0):
        return self.apt.fetch(name, self.facts['versions'][name][which])

    def _folder(self, name, packages, which=0):
        debs = [self._deb(p, which) for p in packages]
        folder = CACHE / f'{name}-{digest_of(*(d.name for d in debs))}'
        if not folder.exists():
            unpack(debs, folder)
        return folder

    def more(self, name, packages):
        """A folder with other packages."""
        self.facts['versions'] |= choose(name, packages)['versions']
        return self._folder(name, packages)

    def kernel(self):
        """A folder with `vmlinuz` and `modules/`, in the order they are loaded."""
        deb = self._deb(self.facts['kernel'])
        folder = CACHE / f'kernel-{digest_of(deb.name, MODULES, MODULE_OPTIONS)}'
        if not folder.exists():
            self._keep_kernel(deb, folder)
        return folder

    @staticmethod
    def _keep_kernel(deb, folder):
        whole, new = CACHE / 'kernel-whole', folder.with_suffix('.new')
        unpack([deb], whole)
        shutil.rmtree(new, ignore_errors=True)
        (new / 'modules').mkdir(parents=True)
        version = next((whole / 'lib/modules').iterdir()).name
        call('depmod', '-b', whole, version)
        order = []
        for name in MODULES:
            for line in call('modprobe', '-d', whole, '-S', version, '--show-depends',
                             name).splitlines():
                path = pathlib.Path(line.split()[1]) if line.startswith('insmod') else None
                if path and path.name not in [o.split()[0] for o in order]:
                    shutil.copy(path, new / 'modules')
                    order.append(f'{path.name} {MODULE_OPTIONS.get(name, "")}'.strip())
        (new / 'modules/order').write_text('\n'.join(order) + '\n')
        shutil.copy(whole / f'boot/vmlinuz-{version}', new / 'vmlinuz')
        shutil.rmtree(whole)
        new.rename(folder)


# --- the agent ----------------------------------------------------------------------------

CROSS = '''[binaries]
c = '{triplet}-gcc'
ar = '{triplet}-ar'
strip = '{triplet}-strip'
pkgconfig = 'pkg-config'
[properties]
sys_root = '{root}'
pkg_config_libdir = '{root}/usr/lib/{triplet}/pkgconfig:{root}/usr/share/pkgconfig'
needs_exe_wrapper = true
[built-in options]
c_args = ['--sysroot={root}', '-isystem', '{root}/usr/include/{triplet}']
c_link_args = ['--sysroot={root}']
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
'''


def build_agent(sysroot):
    """Cross-build the agent of this tree against the packages, unless SLUICE_QEMU_AGENT names
    one; path of the program."""
    if os.environ.get('SLUICE_QEMU_AGENT'):
        return pathlib.Path(os.environ['SLUICE_QEMU_AGENT'])
    folder = CACHE / 'agent'
    cross = CACHE / 'agent.ini'
    text = CROSS.format(root=sysroot, triplet=TRIPLET)
    if not (folder / 'build.ninja').exists() or cross.read_text() != text:
        shutil.rmtree(folder, ignore_errors=True)
        cross.write_text(text)
        call('meson', 'setup', folder, TOP, '--cross-file', cross, '-Dtests=false',
             '-Dorchestrator=false', '--wrap-mode=nodownload')
    call('ninja', '-C', folder, 'agent/sluice-agent')
    stripped = CACHE / 'sluice-agent'
    call(f'{TRIPLET}-strip', '-o', stripped, folder / 'agent/sluice-agent')
    return stripped


# --- images -------------------------------------------------------------------------------

def needed(program):
    """Shared libraries that a program names."""
    listing = call(f'{TRIPLET}-readelf', '-d', program)
    return [line.split('[')[1].rstrip(']') for line in listing.splitlines() if 'NEEDED' in line]


def find_library(name, folders):
    for folder in folders:
        for place in (f'usr/lib/{TRIPLET}', f'lib/{TRIPLET}', f'usr/lib/{TRIPLET}/systemd'):
            if (folder / place / name).exists():
                return folder / place / name
    raise Failed(f'no package of the list has {name}')


def libraries(programs, folders):
    """soname -> path, of everything some programs need; the first folder goes first."""
    found, open_ = {}, [n for p in programs for n in needed(p)]
    while open_:
        name = open_.pop()
        if name not in found:
            found[name] = find_library(name, folders)
            open_ += needed(found[name])
    return found


def cpio(entries):
    """A newc archive of (name, mode, content): what the kernel unpacks."""
    out = io.BytesIO()
    for number, (name, mode, content) in enumerate([*entries, ('TRAILER!!!', 0, b'')], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out.write(b'070701' + ''.join(f'{f:08x}' for f in fields).encode())
        out.write(name.encode() + b'\0')
        out.write(bytes(-out.tell() % 4))
        out.write(content)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()


def initrd(kernel, busybox, watchdog_s):
    """The archive that a kernel begins with; the watchdog bites after so many seconds."""
    def content(module):
        old, new = (f'heartbeat={seconds}'.encode() for seconds in (WATCHDOG_S, watchdog_s))
        return module.read_bytes().replace(old, new) if module.name == 'order' else \
            module.read_bytes()
    entries = [(d, 0o040755, b'') for d in ('bin', 'modules')]
    entries.append(('bin/busybox', 0o100755, busybox.read_bytes()))
    entries.append(('init', 0o100755, (GUEST / 'initrd-init').read_bytes()))
    entries += [(f'modules/{m.name}', 0o100644, content(m))
                for m in sorted((kernel / 'modules').iterdir())]
    return gzip.compress(cpio(entries), 6, mtime=0)


class System:
    """Makes images: `image(version)` for a good one, with changes for a bad one."""

    mib, watchdog_s = IMAGE_MIB, WATCHDOG_S

    def __init__(self):
        with locked():
            prune()
            self.packages = Packages()
            self.agent = build_agent(self.packages.sysroot)
            self.kernel = self.packages.kernel()
            self.busybox = self.packages.sysroot / 'bin/busybox'
            self.initrd = initrd(self.kernel, self.busybox, self.watchdog_s)

    def _tree(self, newer):
        (CACHE / 'blobs').mkdir(exist_ok=True)
        tree = images.Tree(CACHE / 'blobs')
        root = self.packages.sysroot
        tree.add_file('boot/vmlinuz', (self.kernel / 'vmlinuz').read_bytes())
        tree.add_file('boot/initrd.gz', self.initrd)
        programs = {'usr/bin/sluice-agent': self.agent,
                    'usr/bin/fw_printenv': root / 'usr/bin/fw_printenv'}
        folders = [root] if newer else [self.packages.older, root]
        for name, path in libraries(programs.values(), folders).items():
            tree.add_file(f'usr/lib/{TRIPLET}/{name}', path.read_bytes(), 0o755)
        for name, path in {**programs, 'usr/bin/busybox': self.busybox}.items():
            tree.add_file(name, path.read_bytes(), 0o755)
        tree.add_symlink('usr/bin/fw_setenv', 'fw_printenv')
        tree.add_symlink('usr/lib/ld-linux-aarch64.so.1', f'{TRIPLET}/ld-linux-aarch64.so.1')
        for applet in APPLETS:
            tree.add_symlink(f'usr/{applet}', '/usr/bin/busybox')
        for name in ('bin', 'sbin', 'lib'):
            tree.add_symlink(name, f'usr/{name}')
        for name in ('boot/loader', 'data', 'dev', 'proc', 'run', 'sys', 'tmp'):
            tree.add_directory(name)
        self._add_configuration(tree)
        return tree

    @staticmethod
    def _add_configuration(tree):
        tree.add_file('etc/passwd', b'root:x:0:0::/:/bin/sh\n'
                                    b'sluice-net:x:65534:65534::/:/bin/false\n')
        tree.add_file('etc/group', b'root:x:0:\nsluice-net:x:65534:\n')
        tree.add_file('etc/hosts', b'127.0.0.1 localhost\n10.0.2.2 broker.test\n')
        tree.add_file('etc/nsswitch.conf', b'hosts: files\npasswd: files\ngroup: files\n')
        tree.add_file('etc/inittab', (GUEST / 'inittab').read_bytes())
        tree.add_file('etc/rcS', (GUEST / 'rcS').read_bytes(), 0o755)
        tree.add_file('etc/rcK', (GUEST / 'rcK').read_bytes(), 0o755)
        tree.add_file('etc/fw_env.config', (GUEST / 'fw_env.config').read_bytes())
        tree.add_file('etc/sluice/network', (GUEST / 'network').read_bytes())
        tree.add_file('etc/sluice/health', b'good\n')
        tree.add_file('etc/sluice/hooks/health', (GUEST / 'health').read_bytes(), 0o755)

    def image(self, version, newer=True, changes=None):
        """Path of the image of a version. newer: with the newer of two library versions.
        changes: path -> (content, mode), or None to leave a file out."""
        with locked():
            tree = self._tree(newer)
            tree.add_file('etc/sluice/version', f'{version}\n'.encode())
            for path, change in (changes or {}).items():
                tree.entries.pop(path, None)
                if change:
                    tree.add_file(path, *change)
            return pack(tree, self.mib)


def pack(tree, mib):
    """The ext4 image of a tree, from the cache if it is there. Equal trees, equal images."""
    script = '\n'.join(images.debugfs_script(tree)) + '\n'
    folder = CACHE / 'images'
    image = folder / f'{digest_of(script, mib, INODES)}.img'
    if image.exists():
        os.utime(image)
        return image
    folder.mkdir(exist_ok=True)
    new = image.with_suffix('.new')
    new.unlink(missing_ok=True)
    env = {**os.environ, 'E2FSPROGS_FAKE_TIME': str(images.EPOCH), 'LC_ALL': 'C'}
    call('mke2fs', '-q', '-F', '-t', 'ext4', '-b', 4096, '-I', 256, '-N', INODES, '-m', 0, '-L',
         'system', '-U', UUID,
         '-O', '^has_journal,^resize_inode,^metadata_csum,^64bit,^orphan_file',
         '-E', f'hash_seed={UUID},lazy_itable_init=0,root_owner=0:0,nodiscard', new,
         f'{mib}M', env=env)
    commands = image.with_suffix('.debugfs')
    commands.write_text(script)
    done = subprocess.run(['debugfs', '-w', '-f', commands, new], env=env, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith('debugfs 1.')]
    if done.returncode or any(complaints):
        raise Failed('debugfs failed:\n' + '\n'.join(complaints[:10]))
    call('e2fsck', '-fn', new, env=env)
    commands.unlink()
    new.rename(image)
    return image

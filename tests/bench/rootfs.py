"""A root file system of Debian packages, in the formats that gateways boot from.

Packages are only unpacked; none of their scripts runs. The same packages give the same
bytes: one clock, one UUID, files created in sorted order, everything owned by root."""
import os
import pathlib
import subprocess
import tempfile

import debs

ARCH = 'arm64'
EPOCH = 1700000000  # nothing in an image is younger
UUID = 'c0ffee00-5105-4ce0-8d1f-0123456789ab'
FEW = ('libssl3', 'openssl', 'curl', 'libcurl4', 'libexpat1')  # what the small update changes
EXT4_MIB = 235

# A gateway with Python, a broker, Bluetooth, WLAN and a modem.
PACKAGES = '''
adduser apt avahi-daemon base-files base-passwd bash bluez bsdutils busybox
ca-certificates coreutils cron cron-daemon-common curl dash dbus dbus-bin dbus-daemon
dbus-session-bus-common dbus-system-bus-common debconf debian-archive-keyring debianutils
diffutils dmsetup dnsmasq-base dosfstools e2fsprogs ethtool findutils gcc-12-base gpgv grep
gzip hostname i2c-tools init init-system-helpers iproute2 iptables iputils-ping
iw kmod less libacl1 libapparmor1 libapt-pkg6.0 libargon2-1 libattr1 libaudit-common libaudit1
libavahi-common3 libavahi-core7 libblkid1 libbluetooth3 libbpf1 libbrotli1 libbsd0 libbz2-1.0
libc-bin libc6 libcap-ng0 libcap2 libcap2-bin libcjson1 libcom-err2 libcrypt1 libcryptsetup12
libcurl4 libdaemon0 libdb5.3 libdbus-1-3 libdebconfclient0 libdevmapper1.02.1
libdw1 libedit2 libelf1 libexpat1 libext2fs2 libffi8 libgcc-s1 libgcrypt20 libglib2.0-0
libgmp10 libgnutls30 libgpg-error0 libgssapi-krb5-2 libgudev-1.0-0 libhogweed6
libi2c0 libidn2-0 libip4tc2 libip6tc2 libjansson4 libjson-c5 libk5crypto3 libkeyutils1
libkmod2 libkrb5-3 libkrb5support0 libldap-2.5-0 liblz4-1 liblzma5 libmbim-glib4 libmd0
libmm-glib0 libmnl0 libmosquitto1 libmount1 libncursesw6 libndp0 libnetfilter-conntrack3
libnettle8 libnfnetlink0 libnftables1 libnftnl11 libnghttp2-14 libnl-3-200
libnl-genl-3-200 libnl-route-3-200 libnm0 libp11-kit0 libpam-modules libpam-modules-bin
libpam-runtime libpam0g libpcap0.8 libpcre2-8-0 libpolkit-gobject-1-0 libpopt0 libproc2-0
libpsl5 libpython3.11-minimal libpython3.11-stdlib libqmi-glib5 libreadline8 librtmp1
libsasl2-2 libseccomp2 libselinux1 libsemanage2 libsepol2 libslang2 libsmartcols1 libsqlite3-0
libss2 libssh2-1 libssl3 libstdc++6 libsystemd-shared libsystemd0 libtasn1-6 libteamdctl0
libtinfo6 libudev1 libunistring2 libuuid1 libuv1 libwebsockets17 libwrap0 libxtables12
libxxhash0 libzstd1 login logrotate logsave mawk modemmanager mosquitto mosquitto-clients mount
nano ncurses-base ncurses-bin netbase network-manager nftables openssh-client
openssh-server openssh-sftp-server openssl passwd perl-base procps python3 python3-minimal
python3.11 python3.11-minimal readline-common rsync rsyslog sed strace sudo systemd systemd-sysv
systemd-timesyncd sysvinit-utils tar tcpdump tzdata udev usbutils util-linux vim-tiny
wireless-regdb wpasupplicant xz-utils zlib1g
'''.split()

# What gateways do without; dpkg's path-exclude leaves out the same.
EXCLUDED = ('usr/share/doc', 'usr/share/man', 'usr/share/info', 'usr/share/locale',
            'usr/share/lintian')
# The usr-merged layout that Debian 12 installs.
MERGED = ('bin', 'sbin', 'lib')


def unpack(packages, root):
    """Lay the files of packages into one root."""
    for name in MERGED:
        (root / 'usr' / name).mkdir(parents=True)
        (root / name).symlink_to(f'usr/{name}')
    for deb in packages:
        reader = subprocess.Popen(['dpkg-deb', '--fsys-tarfile', deb], stdout=subprocess.PIPE)
        debs.output_of('tar', '-x', '--no-same-owner', '--keep-directory-symlink', '-C', root,
                       *(f'--exclude=./{path}/*' for path in EXCLUDED), stdin=reader.stdout)
        if reader.wait():
            raise debs.Failed(f'dpkg-deb could not read {deb.name}')


def settle(root):
    """Folders get the one clock; a file keeps its own unless it is younger."""
    for folder, _, _ in os.walk(root, topdown=False):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.lstat(path).st_mtime > EPOCH:
                os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        os.utime(folder, (EPOCH, EPOCH))


def as_root(command):
    """Files of an image belong to root, whoever makes it."""
    return command if os.geteuid() == 0 else ['unshare', '--map-root-user', *command]


def ext4(root, image):
    env = {**os.environ, 'E2FSPROGS_FAKE_TIME': str(EPOCH), 'LC_ALL': 'C'}
    debs.output_of(*as_root([
        'mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-m', '0', '-L', 'root', '-U', UUID,
        '-O', '^has_journal,^resize_inode',
        '-E', f'hash_seed={UUID},lazy_itable_init=0,root_owner=0:0,nodiscard',
        '-d', root, image, f'{EXT4_MIB}M']), env=env)
    with_one_clock(image, env)


def with_one_clock(image, env):
    """mke2fs copies when files were read and moved here; their inodes follow each other."""
    head = dict(line.split(':', 1) for line in
                debs.output_of('dumpe2fs', '-h', image, env=env).splitlines() if ':' in line)
    used = int(head['Inode count']) - int(head['Free inodes'])
    lines = [f'sif <{i}> {field} @{EPOCH}\n' for i in (2, *range(11, used + 1))
             for field in ('atime', 'ctime')]
    debs.output_of('debugfs', '-w', '-f', '-', image, input=''.join(lines), env=env)


def squashfs(root, image):
    debs.output_of('mksquashfs', root, image, '-noI', '-noD', '-noF', '-noX', '-all-root',
                   '-no-progress', '-quiet', '-mkfs-time', str(EPOCH))


def erofs(root, image):
    debs.output_of('mkfs.erofs', '--quiet', '-T', str(EPOCH), '-U', UUID, '--all-root',
                   image, root)


def tar(root, image):
    debs.output_of('tar', '-c', '-f', image, '-C', root, '--sort=name', '--owner=root:0',
                   '--group=root:0', '--format=ustar', '.')


FORMATS = {'ext4': ext4, 'squashfs': squashfs, 'erofs': erofs, 'tar': tar}


def choose(pinned, side, few):
    """The pins of one root: all at the oldest version, or all (or few) at the newest."""
    for name in PACKAGES:
        versions = pinned.get((ARCH, name)) or pinned.get(('all', name))
        if not versions:
            raise debs.Failed(f'no version of {name} is pinned')
        is_new = side == 'new' and (not few or name in FEW)
        yield versions[-1] if is_new else versions[0]


def make(packages, kind, image):
    """Make the image of one root in one format."""
    with tempfile.TemporaryDirectory(prefix='root-', dir=image.parent) as root:
        root = pathlib.Path(root)
        unpack(packages, root)
        root.chmod(0o755)
        settle(root)
        FORMATS[kind](root, image)

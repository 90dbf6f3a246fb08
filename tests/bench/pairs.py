"""The pairs of the corpus: which file of which package becomes NAME.old and NAME.new.

A package named once is taken at its oldest and its newest pinned version; two packages
are the older and the newer one (kernels carry their version in their name)."""
import collections

Pair = collections.namedtuple('Pair', 'kind arch packages how path')

KERNELS_ARM64 = ('linux-image-6.1.0-50-arm64', 'linux-image-6.1.0-56-arm64')
KERNELS_AMD64 = ('linux-image-6.1.0-50-amd64', 'linux-image-6.1.0-56-amd64')
DJANGO = 'usr/lib/python3/dist-packages/django'

# kind: executable, kernel, data, application, root
# how:  file (the file at path), tar (of what is below path), bytecode (tar of what is below
#       path, compiled), vmlinux (unpacked from the bzImage at path), root (rootfs.py)
ROWS = '''
libc-arm64        executable  arm64 libc6               file lib/*/libc.so.6
libc-amd64        executable  amd64 libc6               file lib/*/libc.so.6
libc-armhf        executable  armhf libc6               file lib/*/libc.so.6
libcrypto-arm64   executable  arm64 libssl3             file usr/lib/*/libcrypto.so.3
libcrypto-amd64   executable  amd64 libssl3             file usr/lib/*/libcrypto.so.3
libcrypto-armhf   executable  armhf libssl3             file usr/lib/*/libcrypto.so.3
git-amd64         executable  amd64 git                 file usr/bin/git
python-arm64      executable  arm64 python3.11-minimal  file usr/bin/python3.11
python-armhf      executable  armhf python3.11-minimal  file usr/bin/python3.11
grub-arm64        executable  arm64 grub-efi-arm64-bin  file usr/lib/grub/*/monolithic/grubaa64.efi
postgres-amd64    executable  amd64 postgresql-15       file usr/lib/postgresql/15/bin/postgres
postgres-arm64    executable  arm64 postgresql-15       file usr/lib/postgresql/15/bin/postgres
php-amd64         executable  amd64 php8.2-cli          file usr/bin/php8.2
sshd-arm64        executable  arm64 openssh-server      file usr/sbin/sshd
sshd-armhf        executable  armhf openssh-server      file usr/sbin/sshd
libcurl-arm64     executable  arm64 libcurl4            file usr/lib/*/libcurl.so.4.8.0
systemd-arm64     executable  arm64 libsystemd-shared   file usr/lib/*/systemd/libsystemd-shared-252.so
systemd-armhf     executable  armhf libsystemd-shared   file usr/lib/*/systemd/libsystemd-shared-252.so
perl-amd64        executable  amd64 libperl5.36         file usr/lib/*/libperl.so.5.36.0
glib-armhf        executable  armhf libglib2.0-0        file usr/lib/*/libglib-2.0.so.0.*
wpa-armhf         executable  armhf wpasupplicant       file sbin/wpa_supplicant
haproxy-arm64     executable  arm64 haproxy             file usr/sbin/haproxy
redis-amd64       executable  amd64 redis-tools         file usr/bin/redis-check-rdb
mosquitto-arm64   executable  arm64 mosquitto           file usr/sbin/mosquitto
mariadbd-amd64    executable  amd64 mariadb-server-core file usr/sbin/mariadbd
go-arm64          executable  arm64 git-lfs             file usr/bin/git-lfs
node-arm64        executable  arm64 libnode108          file usr/lib/*/libnode.so.108
kernel-arm64      kernel      arm64 KERNELS_ARM64       file boot/vmlinuz-*
kernel-amd64      kernel      amd64 KERNELS_AMD64       vmlinux boot/vmlinuz-*
module-arm64      kernel      arm64 KERNELS_ARM64       file lib/modules/*/kernel/fs/ext4/ext4.ko
bytecode-django   data        all   python3-django      bytecode DJANGO
text-django       data        all   python3-django      tar DJANGO
text-git-doc      data        all   git-doc             tar .
data-tzdata       data        all   tzdata              tar usr/share/zoneinfo
firmware-arm64    data        all   qemu-efi-aarch64    file usr/share/qemu-efi-aarch64/QEMU_EFI.fd
app-bluez-armhf   application armhf bluez               tar .
app-bind-amd64    application amd64 bind9-libs          tar .
app-postgres-arm64 application arm64 postgresql-15      tar .
root-ext4         root        arm64 -                   root ext4
root-squashfs     root        arm64 -                   root squashfs
root-erofs        root        arm64 -                   root erofs
root-tar          root        arm64 -                   root tar
root-few-ext4     root        arm64 -                   root ext4
'''

NAMES = {'KERNELS_ARM64': KERNELS_ARM64, 'KERNELS_AMD64': KERNELS_AMD64}


def row(arch, kind, packages, how, path):
    packages = NAMES.get(packages, () if packages == '-' else (packages,))
    return Pair(kind, arch, packages, how, DJANGO if path == 'DJANGO' else path)


def read(text):
    found = {}
    for line in text.strip().splitlines():
        name, kind, arch, packages, how, path = line.split()
        found[name] = row(arch, kind, packages, how, path)
    return found


PAIRS = read(ROWS)

#!/bin/sh
# Makes the seeds of fuzz_members, which tests/unit/test_members.c reads too: one small image
# of each kind with the real tools. Needs e2fsprogs, squashfs-tools, erofs-utils, cpio, tar.
# usage: members_seeds.sh [FOLDER]
set -eu
export LC_ALL=C E2FSPROGS_FAKE_TIME=1700000000 SOURCE_DATE_EPOCH=1700000000
PATH=$PATH:/usr/sbin:/sbin

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here/corpus/members}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
folder=$work/folder
uuid=5eed5eed-5eed-4eed-8eed-5eed5eed5eed

mkdir -p "$out" "$folder/etc/deep"
printf 'hello, world\n' >"$folder/etc/hello"
seq 1 700 >"$folder/etc/deep/numbers"
seq 1 40 >"$folder/short"
: >"$folder/empty"
ln "$folder/short" "$folder/short-again"
ln -s short "$folder/symlink"
find "$folder" -exec touch -h -d @1700000000 {} +

# name, type, options
ext() {
	name=$1 type=$2
	shift 2
	rm -f "$out/$name"
	truncate -s 64K "$out/$name"
	mke2fs -q -F -t "$type" -b 1024 -N 24 -m 0 -U $uuid -E hash_seed=$uuid,root_owner=0:0 \
		"$@" -d "$folder" "$out/$name" 64
}

ext ext2 ext2
ext ext4 ext4 -O ^has_journal,^resize_inode
ext ext4-inline ext4 -O ^has_journal,^resize_inode,inline_data
(cd "$folder" && find . | sort | cpio --quiet -R 0:0 --reproducible -o -H newc) >"$out/cpio"
for format in gnu pax; do
	tar --format=$format --sort=name --owner=0 --group=0 --numeric-owner -b 1 \
		--transform "s,^./etc,etc/$(printf 'long%.0s' $(seq 30))," \
		-cf "$out/tar-$format" -C "$folder" .
done
